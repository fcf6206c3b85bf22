package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

type unixStat = syscall.Stat_t

// The files of a cache directory beside the folders of torrents.
const (
	lockFile = "lock"
	tagFile  = "CACHEDIR.TAG"
)

// tag is what https://bford.info/cachedir/ asks for.
const tag = "Signature: 8a477f597d28d172789f06886806bc55\n# Pieces kept by magnetfs; safe to delete while it is not running.\n"

// takeLock makes sure that no other process uses a directory. The lock ends with
// the process, however it ends.
func takeLock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("disk: cache directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("disk: cache directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("disk: lock %s: %w", f.Name(), err)
		}
		by := ""
		if pid, err := os.ReadFile(f.Name()); err == nil && len(bytes.TrimSpace(pid)) > 0 {
			by = " (process " + strings.TrimSpace(string(pid)) + ")"
		}
		return nil, fmt.Errorf("disk: cache directory %s: %w%s", dir, ErrLocked, by)
	}
	// The number is for the message above only, as is the tag for others: neither
	// is worth an error on a full disk.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if _, err := os.Stat(filepath.Join(dir, tagFile)); err != nil {
		_ = os.WriteFile(filepath.Join(dir, tagFile), []byte(tag), 0o600)
	}
	return f, nil
}
