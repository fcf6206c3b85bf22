package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"magnetfs/fs"
)

const (
	controlName = ".magnetfs"

	// busyPatience is how long programs may stay in a mount whose process cannot
	// be told to stop; as long as fs gives them otherwise.
	busyPatience = 5 * time.Second
)

func newUmount() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "umount DIR",
		Aliases: []string{"unmount"},
		Short:   "End a mount",
		Long: `Ends the mount on DIR. Reads that wait for data fail at once. Programs that keep
files of it open have 5 s; then it is detached from under them.`,
		Example:           `  magnetfs umount ~/t`,
		Args:              args(cobra.ExactArgs(1)),
		ValidArgsFunction: completeMounts,
		RunE: func(cmd *cobra.Command, a []string) error {
			path, err := fs.Find(a[0])
			if err != nil {
				return err
			}
			told := newProgress(cmd.ErrOrStderr(), asJSON)
			err = umount(path, told)
			told.clear()
			if err == nil && asJSON {
				err = emit(cmd.OutOrStdout(), struct {
					Unmounted string `json:"unmounted"`
				}{path})
			}
			return err
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// umount ends the mount on path. Its own process does it best, because it can end
// blocked reads; if it cannot be asked we take the mount away.
func umount(path string, told *progress) error {
	step := func() {
		told.step(func() string {
			if mounted(path) {
				return told.bold(path) + ": waiting for programs that have files of it open"
			}
			return told.bold(path) + ": unmounted, saving what was fetched"
		})
	}
	pid, answered := daemonOf(path)
	if pid != 0 {
		err := terminate(pid, stopPatience, step)
		switch {
		case err == nil && !mounted(path):
			return nil
		case errors.Is(err, unix.ETIMEDOUT):
			return withCode(exitBusy, fmt.Errorf("the process %d of %s was told to stop and has not after %v; "+
				"magnetfs.log may say why, kill -9 %d ends it", pid, path, stopPatience, pid))
		}
	}
	if !answered {
		// Programs would wait for it for ever, and the process for them perhaps. If it
		// may not be, they go on doing so behind a folder that is free.
		_ = fs.Abort(path)
	}
	end := time.Now().Add(busyPatience)
	err := fs.Unmount(path, false)
	for errors.Is(err, unix.EBUSY) && time.Now().Before(end) {
		step()
		time.Sleep(100 * time.Millisecond)
		err = fs.Unmount(path, false)
	}
	if errors.Is(err, unix.EBUSY) {
		err = fs.Unmount(path, true)
	}
	if err != nil && mounted(path) {
		return fmt.Errorf("unmounting %s: %w", path, err)
	}
	return nil
}

func mounted(path string) bool {
	_, err := fs.Find(path)
	return !errors.Is(err, fs.ErrNotMounted)
}

// daemonOf asks the mount which process serves it. The id is 0 if no process of that
// number is magnetfs here: it may be in another container, or dead.
func daemonOf(path string) (pid int, answered bool) {
	answer := make(chan int, 1)
	go func() {
		b, err := os.ReadFile(filepath.Join(path, controlName, "pid"))
		if err != nil {
			b = nil
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		answer <- pid
	}()
	select {
	case pid := <-answer:
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if pid > 0 && err == nil && strings.HasPrefix(string(name), "magnetfs") {
			return pid, true
		}
		return 0, true
	case <-time.After(answerPatience): // stopped, or hanging
		return 0, false
	}
}

// terminate sends SIGTERM and waits for the end of the process, calling step now and
// then. ETIMEDOUT if it takes longer than patience; nil if it was gone before.
func terminate(pid int, patience time.Duration, step func()) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		return err
	}
	end := time.Now().Add(patience)
	for {
		left := time.Until(end)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(min(left, progressEvery)/time.Millisecond)+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n > 0 {
			return nil
		}
		step()
	}
}
