package fs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrTarget is wrapped by every error that says that a folder cannot be mounted on.
var ErrTarget = errors.New("cannot mount there")

// prepareTarget resolves the path of the target and makes sure that it is an empty
// folder with nothing mounted on it. What an earlier process of ours left mounted
// when it was killed is unmounted.
func prepareTarget(target string, create bool, log *slog.Logger) (string, error) {
	if create {
		// An existing folder is no error; what else can be wrong is found below.
		_ = os.MkdirAll(target, 0o755)
	}
	path, err := resolve(target)
	if err != nil {
		return "", targetError(target, err)
	}
	for range 8 { // mounts can be stacked
		on, err := mountOn(path)
		if err != nil {
			return "", fmt.Errorf("fs: reading the mount table: %w", err)
		}
		if on == nil {
			break
		}
		if on.fsType != FSType {
			return "", fmt.Errorf("%w: %s: %s (%s) is mounted on it", ErrTarget, path, on.source, on.fsType)
		}
		if _, err := os.Stat(path); !errors.Is(err, unix.ENOTCONN) {
			return "", fmt.Errorf("%w: %s: magnetfs is mounted on it already", ErrTarget, path)
		}
		log.Info("unmounting what a killed process left behind", "target", path)
		if err := detach(path); err != nil {
			return "", fmt.Errorf("%w: %s: a dead mount of magnetfs is in the way: %w", ErrTarget, path, err)
		}
	}
	return path, checkEmpty(path)
}

// resolve makes the path absolute and follows symbolic links, without stumbling
// over a dead mount at its end.
func resolve(target string) (string, error) {
	abs, err := filepath.Abs(target)
	if err != nil {
		return "", err
	}
	path, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, unix.ENOTCONN) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
		return filepath.Join(dir, filepath.Base(abs)), err
	}
	return path, err
}

func checkEmpty(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return targetError(path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%w: %s is not a folder", ErrTarget, path)
	}
	dir, err := os.Open(path)
	if err != nil {
		return targetError(path, err)
	}
	defer dir.Close()
	if _, err := dir.Readdirnames(1); err != io.EOF {
		if err != nil {
			return targetError(path, err)
		}
		return fmt.Errorf("%w: %s is not empty", ErrTarget, path)
	}
	return nil
}

func targetError(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %s does not exist: make it first (mkdir)", ErrTarget, path)
	}
	return fmt.Errorf("%w: %s: %w", ErrTarget, path, err)
}

// mountEntry is what we need of a line of the mount table.
type mountEntry struct {
	device                 string // major:minor
	target, fsType, source string
}

// mountOn returns the topmost mount on a path, nil if there is none.
func mountOn(path string) (*mountEntry, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := parseMounts(f)
	if err != nil {
		return nil, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].target == path {
			return &all[i], nil
		}
	}
	return nil, nil
}

// parseMounts reads mountinfo, see proc(5). Lines of another shape are passed over.
func parseMounts(r io.Reader) ([]mountEntry, error) {
	var all []mountEntry
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		before, after, ok := strings.Cut(in.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 2 {
			continue
		}
		all = append(all, mountEntry{
			device: left[2],
			target: unescape(left[4]),
			fsType: unescape(right[0]),
			source: unescape(right[1]),
		})
	}
	return all, in.Err()
}

// unescape undoes the kernel's \ooo for space, tab, newline, # and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
