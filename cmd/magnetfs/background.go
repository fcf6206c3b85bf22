package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// A mount goes into the background by starting the same command once more, in a
// session of its own, with one end of a pipe. Through it the new process says
// that the mount is usable, or why it is not, and the first one ends with that.

// readyVariable tells the new process that it is the one, and the number of the
// descriptor to report to.
const readyVariable = "MAGNETFS_READY_FD"

// deviceVariable has the number of the descriptor of /dev/fuse, when the folder is
// mounted already and only has to be served.
const deviceVariable = "MAGNETFS_DEVICE_FD"

const (
	readyDescriptor  = 3 // the first of exec.Cmd.ExtraFiles
	deviceDescriptor = 4 // the second

	// stopPatience is how long a process that was told to stop is waited for:
	// the 5 s that programs get to leave the mount, and time to write the state.
	stopPatience = 15 * time.Second
)

// report is what goes through the pipe, as JSON.
type report struct {
	Target string   `json:"target,omitempty"`
	Error  string   `json:"error,omitempty"`
	Code   exitCode `json:"code,omitempty"`
}

// reporter returns the function that reports to the process in the foreground,
// once; ok is false in the foreground.
func reporter() (tell func(target string, err error), ok bool) {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return nil, false
	}
	os.Unsetenv(readyVariable)
	syscall.CloseOnExec(fd)
	pipe := os.NewFile(uintptr(fd), "ready")
	return func(target string, err error) {
		if pipe == nil {
			return
		}
		r := report{Target: target}
		if err != nil {
			r.Error, r.Code = err.Error(), codeOf(err)
		}
		_ = json.NewEncoder(pipe).Encode(r)
		pipe.Close()
		pipe = nil
	}, true
}

// inheritedDevice returns the descriptor that deviceVariable names, 0 without it.
func inheritedDevice() (int, error) {
	text, ok := os.LookupEnv(deviceVariable)
	if !ok {
		return 0, nil
	}
	os.Unsetenv(deviceVariable)
	fd, err := strconv.Atoi(text)
	var stat syscall.Stat_t
	if err != nil || syscall.Fstat(fd, &stat) != nil || stat.Mode&syscall.S_IFMT != syscall.S_IFCHR {
		return 0, fmt.Errorf("%s=%q is not the descriptor of a device", deviceVariable, text)
	}
	syscall.CloseOnExec(fd)
	return fd, nil
}

// startInBackground runs this command again in the background and waits until it
// has mounted. What the new process says before it has a log, and its last words
// if it crashes, are appended to logFile. A device that is not 0 is handed on to it.
func startInBackground(ctx context.Context, logFile string, device int) (target string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	log, err := openLog(logFile)
	if err != nil {
		return "", fmt.Errorf("log: %w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()

	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", readyVariable, readyDescriptor))
	cmd.ExtraFiles = []*os.File{w}
	if device != 0 {
		f := os.NewFile(uintptr(device), "/dev/fuse")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", deviceVariable, deviceDescriptor))
	}
	cmd.Stderr = log.f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return "", err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	said := make(chan report, 1)
	go func() {
		defer close(said)
		var rep report
		if err := json.NewDecoder(r).Decode(&rep); err == nil {
			said <- rep
		} else if !errors.Is(err, io.EOF) {
			said <- report{Error: fmt.Sprintf("report of the process in the background: %v", err), Code: exitFailed}
		}
	}()

	select {
	case rep, ok := <-said:
		switch {
		case !ok:
			return "", fmt.Errorf("the process in the background ended early (%v); see %s", status(<-exited), logFile)
		case rep.Error != "":
			<-exited
			return "", withCode(rep.Code, errors.New(rep.Error))
		}
		return rep.Target, nil
	case <-ctx.Done():
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(stopPatience):
			_ = cmd.Process.Kill()
			<-exited
		}
		return "", withCode(exitInterrupted, errors.New("interrupted; nothing is mounted"))
	}
}

// status says how a process ended.
func status(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
