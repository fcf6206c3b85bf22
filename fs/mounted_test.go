package fs_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mounted is a mount that another process serves.
type mounted struct {
	t    testing.TB
	dir  string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	log  *syncBuffer
	once sync.Once
}

// syncBuffer collects the log of the serving process.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// mountWith starts a serving process. Missing fields of the configuration are
// filled in; env is added to its environment.
func mountWith(t testing.TB, cfg serveConfig, env ...string) *mounted {
	t.Helper()
	m := startServer(t, cfg, env...)
	if !m.out.Scan() || m.out.Text() != "ready" {
		t.Fatalf("no mount: %s\n%s", m.out.Text(), m.log)
	}
	return m
}

func startServer(t testing.TB, cfg serveConfig, env ...string) *mounted {
	t.Helper()
	if cfg.Target == "" {
		cfg.Target = t.TempDir()
	}
	if cfg.State == "" {
		cfg.State = t.TempDir()
	}
	if cfg.RAM == 0 {
		cfg.RAM = 64 << 20
	}
	arg, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	m := &mounted{t: t, dir: cfg.Target, log: &syncBuffer{}}
	m.cmd = task("serve", string(arg))
	m.cmd.Env = append(m.cmd.Env, env...)
	m.cmd.Stderr = m.log
	m.in, err = m.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.out = bufio.NewScanner(out)
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	return m
}

// end takes the mount away and makes sure that nothing stays.
func (m *mounted) end() {
	m.once.Do(func() {
		m.in.Close()
		killer := time.AfterFunc(20*time.Second, func() { _ = m.cmd.Process.Signal(unix.SIGQUIT) })
		err := m.cmd.Wait()
		var exit *exec.ExitError
		if !killer.Stop() {
			m.t.Errorf("the serving process had to be killed")
		} else if err != nil && !errors.As(err, &exit) {
			m.t.Error(err)
		}
		if isMounted(m.t, m.dir) {
			m.t.Errorf("%s is still mounted", m.dir)
			_ = unix.Unmount(m.dir, unix.MNT_DETACH)
		}
		if strings.Contains(m.log.String(), "DATA RACE") || strings.Contains(m.log.String(), "panic in FS handler") {
			m.t.Errorf("the serving process complained:\n%s", m.log)
		}
		if m.t.Failed() {
			m.t.Logf("log of the serving process:\n%s", m.log)
		}
	})
}

// call sends a command and returns the answer.
func (m *mounted) call(command string) string {
	m.t.Helper()
	if _, err := io.WriteString(m.in, command+"\n"); err != nil {
		m.t.Fatal(err)
	}
	if !m.out.Scan() {
		m.t.Fatalf("%s: no answer\n%s", command, m.log)
	}
	return m.out.Text()
}

func (m *mounted) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

// raw is path without cleaning: double slashes stay.
func (m *mounted) raw(name string) string { return m.dir + "/" + name }

func isMounted(t testing.TB, dir string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), " "+dir+" ")
}

// task prepares a child process of this binary.
func task(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	// The race detector would let each program sleep a second at its end.
	cmd.Env = append(os.Environ(), taskEnv+"="+name, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// within fails the test if f takes longer.
func within(t testing.TB, d time.Duration, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if took := time.Since(start); took > d {
		t.Errorf("%s took %v, more than %v", what, took, d)
	}
}
