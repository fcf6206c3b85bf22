package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotMounted is wrapped by the error that says that a folder is no mount of ours.
var ErrNotMounted = errors.New("magnetfs is not mounted there")

// Mounted returns the folders that magnetfs is mounted on, whoever mounted them.
func Mounted() ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := parseMounts(f)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, m := range all {
		if m.fsType == FSType {
			dirs = append(dirs, m.target)
		}
	}
	return dirs, nil
}

// Find returns the absolute path of a folder that magnetfs is mounted on, be the
// mount alive or left behind by a killed process. Otherwise the error wraps
// ErrNotMounted.
func Find(dir string) (path string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	// First without touching the folder: its process may hang.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		path := filepath.Join(parent, filepath.Base(abs))
		if on, err := mountOn(path); err == nil && on != nil && on.fsType == FSType {
			return path, nil
		}
	}
	path, err = resolve(abs)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotMounted, err)
	}
	on, err := mountOn(path)
	if err != nil {
		return "", fmt.Errorf("fs: reading the mount table: %w", err)
	}
	if on == nil || on.fsType != FSType {
		return "", fmt.Errorf("%w: %s", ErrNotMounted, path)
	}
	return path, nil
}

// Unmount takes a mount away from outside of its process. EBUSY if programs use it;
// lazily, it goes from under them.
func Unmount(path string, lazily bool) error {
	if lazily {
		return detach(path)
	}
	err := unmount(path)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %s", ErrNotMounted, path)
	}
	return err
}

// Abort ends the connection of a mount whose process does not answer: calls of
// programs that wait for it fail. The folder stays mounted, unless nobody used it.
// The mount itself is not touched.
//
// Root always may, and others may end their own where the control file system of
// FUSE is mounted, as it is by systemd.
func Abort(path string) error {
	err := connectionOf(path)()
	if err == nil {
		return nil
	}
	// The kernel aborts first, and unmounts then if it can.
	if force := unix.Unmount(path, unix.MNT_FORCE|unix.UMOUNT_NOFOLLOW); force == nil || errors.Is(force, unix.EBUSY) {
		return nil
	}
	return fmt.Errorf("fs: ending the connection of %s: %w", path, err)
}
