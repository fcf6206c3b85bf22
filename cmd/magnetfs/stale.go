package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"magnetfs/fs"
)

// What a killed process leaves behind. As a rule that is a mount on which every call
// fails, with ENOTCONN. Before the kernel can see that nobody serves the mount, all
// threads of the process must have ended, though. One that waits in the kernel for
// what a program of the mount holds, while that program waits for an answer, never
// does: then everybody hangs, until the connection is aborted.

const (
	// answerPatience is how long a mount may take to answer: one that is served
	// does at once.
	answerPatience = 2 * time.Second

	// endPatience is how long a process may need to end when nothing holds it any
	// more.
	endPatience = 2 * time.Second
)

// condition is what a mount looks like from outside.
type condition int

const (
	served condition = iota
	dead             // nobody serves it any more
	silent           // no answer: its process is stopped, too busy, or hangs
)

// conditionOf asks a mount for something that needs an answer.
func conditionOf(path string) condition {
	answer := make(chan error, 1)
	go func() {
		_, err := os.Stat(path)
		answer <- err
	}()
	select {
	case err := <-answer:
		if errors.Is(err, unix.ENOTCONN) {
			return dead
		}
		return served
	case <-time.After(answerPatience):
		return silent
	}
}

// alive tells whether there may be somebody who serves the mount on path.
func alive(path string) bool { return conditionOf(path) != dead }

// notServed makes sure that nobody serves the mount on path, and that nobody waits
// for a killed process that did.
func notServed(path string, log *slog.Logger) error {
	switch conditionOf(path) {
	case served:
		return fmt.Errorf("%w: %s: magnetfs is mounted on it already", fs.ErrTarget, path)
	case dead:
		return nil
	}
	stuck := processes("/proc").stuck()
	if len(stuck) == 0 {
		return fmt.Errorf("%w: %s: magnetfs is mounted on it, and does not answer: end that with magnetfs umount %s", fs.ErrTarget, path, quote(path))
	}
	log.Warn("ending the connection of a killed process that hangs in the kernel", "target", path, "pid", stuck)
	if err := fs.Abort(path); err != nil {
		return fmt.Errorf("%w: %s: a killed magnetfs hangs in the kernel: %w", fs.ErrTarget, path, err)
	}
	// It has locks, and the port.
	for end := time.Now().Add(endPatience); len(stuck) > 0 && time.Now().Before(end); stuck = processes("/proc").stuck() {
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// processes is the mount point of procfs.
type processes string

// stuck are the ids of the processes of magnetfs that were killed and have a thread
// that has not ended.
func (p processes) stuck() (pids []int) {
	dirs, err := os.ReadDir(string(p))
	if err != nil {
		return nil
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		status := p.status(filepath.Join(d.Name(), "status"))
		if !strings.HasPrefix(status["Name"], "magnetfs") || !killed(status) {
			continue
		}
		threads, err := filepath.Glob(filepath.Join(string(p), d.Name(), "task", "*", "status"))
		if err == nil && slices.ContainsFunc(threads, func(name string) bool {
			name = strings.TrimPrefix(name, string(p))
			state := p.status(name)["State"]
			return state != "" && state[0] != 'Z' && state[0] != 'X'
		}) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// status reads a file of that name, see proc_pid_status(5); nil if it is gone.
func (p processes) status(name string) map[string]string {
	text, err := os.ReadFile(filepath.Join(string(p), name))
	if err != nil {
		return nil
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.TrimSpace(value)
	}
	return fields
}

// killed tells whether the first thread of a process has ended, or is to.
func killed(status map[string]string) bool {
	const kill = 1 << (unix.SIGKILL - 1)
	pending, err := strconv.ParseUint(status["SigPnd"], 16, 64)
	return strings.HasPrefix(status["State"], "Z") || err == nil && pending&kill != 0
}
