package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// listing is an open folder. It takes its entries when the first is read, and
// again after a rewind, so that a reader sees one state of the folder. go-fuse
// serialises the calls on one handle.
type listing struct {
	self, parent uint64 // inode numbers of "." and ".."
	entries      func(ctx context.Context) ([]fuse.DirEntry, syscall.Errno)

	taken bool
	list  []fuse.DirEntry
	next  int
}

var (
	_ fusefs.FileReaddirenter = (*listing)(nil)
	_ fusefs.FileSeekdirer    = (*listing)(nil)
	_ fusefs.FileFsyncdirer   = (*listing)(nil)
)

func (l *listing) take(ctx context.Context) syscall.Errno {
	if l.taken {
		return 0
	}
	entries, errno := l.entries(ctx)
	if errno != 0 {
		return errno
	}
	l.list = append([]fuse.DirEntry{
		{Name: ".", Mode: fuse.S_IFDIR, Ino: l.self},
		{Name: "..", Mode: fuse.S_IFDIR, Ino: l.parent},
	}, entries...)
	l.taken = true
	return 0
}

// Readdirent implements fusefs.FileReaddirenter.
func (l *listing) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if errno := l.take(ctx); errno != 0 {
		return nil, errno
	}
	if l.next >= len(l.list) {
		return nil, 0
	}
	e := l.list[l.next]
	l.next++
	e.Off = uint64(l.next)
	return &e, 0
}

// Seekdir implements fusefs.FileSeekdirer.
func (l *listing) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	if off == 0 {
		l.taken, l.next = false, 0
		return 0
	}
	if errno := l.take(ctx); errno != 0 {
		return errno
	}
	if off > uint64(len(l.list)) {
		return syscall.EINVAL
	}
	l.next = int(off)
	return 0
}

// Fsyncdir implements fusefs.FileFsyncdirer: there is nothing to write.
func (l *listing) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }
