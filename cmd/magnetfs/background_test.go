package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"magnetfs/fs"
)

// childVariable tells the test program to be the process in the background, and
// how to behave.
const childVariable = "MAGNETFS_TEST_CHILD"

func child(behaviour string) {
	tell, ok := reporter()
	if !ok {
		os.Exit(99)
	}
	if os.Getenv(readyVariable) != "" {
		tell("", errors.New("the variable is handed on"))
	}
	switch behaviour {
	case "mounts":
		tell("/a b", nil)
		tell("/twice", nil) // heard by nobody
	case "fails":
		tell("", fmt.Errorf("%w: /x: why", fs.ErrTarget))
		os.Exit(int(exitTarget))
	case "crashes":
		panic("last words")
	case "hangs":
		done := make(chan os.Signal, 1)
		signal.Notify(done, syscall.SIGTERM)
		fmt.Fprintln(os.Stderr, "hanging")
		<-done
	}
}

func TestStartInBackground(t *testing.T) {
	for _, c := range []struct {
		behaviour string
		target    string
		code      exitCode
		says, log string
	}{
		{"mounts", "/a b", exitOK, "", ""},
		{"fails", "", exitTarget, "/x: why", ""},
		{"crashes", "", exitFailed, "exit status 2", "panic: last words"},
	} {
		t.Run(c.behaviour, func(t *testing.T) {
			t.Setenv(childVariable, c.behaviour)
			log := filepath.Join(t.TempDir(), "log")
			target, err := startInBackground(t.Context(), log, 0)
			if target != c.target || codeOf(err) != c.code {
				t.Errorf("%q, code %d (%v), want %q, %d", target, codeOf(err), err, c.target, c.code)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q is not in: %v", c.says, err)
			}
			if b, _ := os.ReadFile(log); !strings.Contains(string(b), c.log) {
				t.Errorf("%q is not in the log: %s", c.log, b)
			}
		})
	}
}

// Ctrl-C while the mount is on its way ends the other process as well.
func TestInterruptedStart(t *testing.T) {
	t.Setenv(childVariable, "hangs")
	log := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := unix.Mkfifo(log, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(log, os.O_RDWR, 0) // so that opening for writing does not wait
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	go func() {
		line, err := bufio.NewReader(reader).ReadString('\n')
		if err != nil || line != "hanging\n" {
			t.Errorf("%q, %v", line, err)
		}
		cancel()
	}()
	_, err = startInBackground(ctx, log, 0)
	if codeOf(err) != exitInterrupted {
		t.Errorf("code %d (%v), want %d", codeOf(err), err, exitInterrupted)
	}
}

func TestNoReporterInTheForeground(t *testing.T) {
	if _, ok := reporter(); ok {
		t.Error("a reporter without a pipe")
	}
}

func TestTerminate(t *testing.T) {
	for _, c := range []struct {
		name, script string
		want         error
	}{
		{"obeys", "echo; exec sleep 60", nil},
		{"does not", "trap '' TERM; echo; sleep 60 & wait; wait", unix.ETIMEDOUT},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", c.script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
				_ = cmd.Wait()
			}()
			if _, err := out.Read(make([]byte, 1)); err != nil { // it has set its trap
				t.Fatal(err)
			}
			patience := 10 * time.Second
			if c.want != nil {
				patience = 50 * time.Millisecond
			}
			if err := terminate(cmd.Process.Pid, patience, func() {}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if err := terminate(cmd.Process.Pid, time.Second, func() {}); err != nil {
		t.Errorf("gone already: %v", err)
	}
}
