package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"magnetfs/fetch"
)

func TestParseMounts(t *testing.T) {
	const table = `22 27 0:21 / /proc rw,relatime - proc proc rw
91 27 0:39 / /home/u/a\040b rw,nosuid - fuse.magnetfs magnetfs:u rw,user_id=1000
92 27 0:40 / /mnt rw shared:1 master:2 - tmpfs none rw
nonsense
93 27 0:41 / /x rw
94 27 0:42 / /odd\134name\011 rw - ext4 /dev/sda1 rw
`
	got, err := parseMounts(strings.NewReader(table))
	want := []mountEntry{
		{"0:21", "/proc", "proc", "proc"},
		{"0:39", "/home/u/a b", "fuse.magnetfs", "magnetfs:u"},
		{"0:40", "/mnt", "tmpfs", "none"},
		{"0:42", "/odd\\name\t", "ext4", "/dev/sda1"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(mountEntry{})); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
}

func FuzzUnescape(f *testing.F) {
	f.Add(`a\040b\`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(s); len(got) > len(s) {
			t.Errorf("%q grew to %q", s, got)
		}
	})
}

// What fusermount3 says is told together with what to do.
func TestHelperError(t *testing.T) {
	tests := []struct {
		said, want string
	}{
		{"fusermount3: option allow_other only allowed if 'user_allow_other' is set in /etc/fuse.conf", "put a line user_allow_other"},
		{"fusermount3: failed to open /dev/fuse: Permission denied", "the right to read and write it"},
		{"fusermount3: mount failed: Operation not permitted", "set-uid root"},
		{"fusermount3: too many FUSE filesystems mounted", "too many"},
		{"", "exit status 1"},
	}
	for _, tt := range tests {
		err := helperError("/bin/fusermount3", tt.said, errors.New("exit status 1"))
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.said, err)
		}
	}
}

func TestErrno(t *testing.T) {
	m := &mount{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	tests := []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{context.Canceled, syscall.EINTR},
		{fetch.ErrTimeout, syscall.ETIMEDOUT},
		{fetch.ErrRemoved, syscall.ESTALE},
		{fetch.ErrClosed, syscall.ECANCELED},
		{errUnmounting, syscall.ECANCELED},
		{fetch.ErrExists, syscall.EEXIST},
		{fetch.ErrNotEmpty, syscall.ENOTEMPTY},
		{fetch.ErrNameTooLong, syscall.ENAMETOOLONG},
		{fetch.ErrInvalid, syscall.EINVAL},
		{fetch.ErrTooLarge, syscall.EFBIG},
		{fetch.ErrNotReady, syscall.ENODATA},
		{fetch.ErrIO, syscall.EIO},
		{errors.New("anything else"), syscall.EIO},
		{syscall.EAGAIN, syscall.EIO},
	}
	for _, tt := range tests {
		err := tt.err
		if err != nil {
			err = fmt.Errorf("fetch: piece 7: %w", err)
		}
		if got := m.errno("read", err); got != tt.want {
			t.Errorf("%v: %v, want %v", err, got, tt.want)
		}
	}
}

func TestInodeNumber(t *testing.T) {
	a, b := [20]byte{1}, [20]byte{2}
	numbers := map[uint64]string{}
	for _, id := range [][20]byte{a, b} {
		for _, path := range []string{"", "x", "x/y", "y"} {
			n := inodeNumber(id, path)
			if other, ok := numbers[n]; ok || n < 2 || n>>63 != 0 {
				t.Errorf("%d %q: number %d, also of %q", id[0], path, n, other)
			}
			numbers[n] = path
		}
	}
	// It must never change: programs remember it over restarts.
	if got := inodeNumber(a, "x/y"); got != 0x266dc4d66cc4723d {
		t.Errorf("the number of a path has changed: %#x", got)
	}
}
