package fs

import (
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"magnetfs/fetch"
)

// fileNode is a file of a torrent. All views of the torrent share it.
type fileNode struct {
	node
	f *folder
	n *fetch.Node

	modes openModes
}

var (
	_ fusefs.NodeGetattrer = (*fileNode)(nil)
	_ fusefs.NodeOpener    = (*fileNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *fileNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.SetTimeout(n.f.fillNode(&out.Attr, n.n))
	return 0
}

// Open implements fusefs.NodeOpener. It never waits.
//
// While parts of the file are missing, reads go past the page cache: they ask for
// exactly what the program asked for, signals reach us, and no read waits for a
// hole beside it. KEEP_CACHE also keeps the open from waiting for a page that
// another process waits for. A file that is here as a whole is left to the kernel,
// which is faster and wakes nobody: to its page cache, or, if it is on the disk,
// all of it (passthrough.go).
func (n *fileNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0 {
		return nil, 0, syscall.EROFS
	}
	r, err := n.f.t.Open(n.n)
	if err != nil {
		return nil, 0, n.m.errno("open "+n.n.Path, err)
	}
	r.SetOwner(n.m.procs.program(callerOf(ctx)))
	h := &handle{m: n.m, r: r, name: n.n.Path, size: n.n.Size, modes: &n.modes, access: n.modes.open(n.m, n.f.t, n.n)}
	switch {
	case h.access.through:
		r.SetMode(fetch.ModePassed)
		n.m.through.opened.Store(ctx.Done(), h.access.id)
		return h, fuse.FOPEN_PASSTHROUGH | fuse.FOPEN_NOFLUSH, 0
	case h.access.whole != nil:
		r.SetMode(fetch.ModeWhole)
	}
	mode := uint32(fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH)
	if n.m.direct && !n.f.t.Complete(n.n) {
		mode |= fuse.FOPEN_DIRECT_IO
	}
	return h, mode, 0
}

// handle is an open file.
type handle struct {
	m    *mount
	r    *fetch.Reader
	name string
	size int64

	modes  *openModes // of the file
	access access

	mu      sync.Mutex
	broken  broken  // guarded by mu
	skipped skipped // guarded by mu
}

// broken is a read that a signal ended.
type broken struct {
	tid  uint32
	off  int64
	at   time.Time
	left int // echoes
}

// How often and how soon a thread comes back for what a signal broke off, if it
// does without having looked at the signal.
//
// The kernel cuts a large read(2) into requests; broken off after the first it
// returns what it has, as a success, and Python goes on reading before it runs its
// handler of Ctrl-C: the next EINTR reaches it. A page fault is tried three times
// before it is an error.
const (
	echoWithin = 100 * time.Millisecond
	echoes     = 3
)

// skipped is a read-ahead that was not answered.
type skipped struct {
	off, end int64 // bytes
	at       time.Time
}

// insists is how soon a read for the page cache is taken for the kernel's second
// try at what was skipped.
const insists = time.Second

var (
	_ fusefs.FileReader   = (*handle)(nil)
	_ fusefs.FileReleaser = (*handle)(nil)
	_ fusefs.FileFsyncer  = (*handle)(nil)
	_ fusefs.FileLseeker  = (*handle)(nil)
)

// Read implements fusefs.FileReader. It answers in full, up to the end of the
// file, or with an error: the kernel would fill a short answer with zeros.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= h.size {
		return fuse.ReadResultData(nil), 0
	}
	if whole := h.access.whole; whole != nil {
		dest = dest[:min(int64(len(dest)), h.size-off)]
		n, err := whole.ReadAt(dest, off)
		if n == len(dest) {
			return fuse.ReadResultData(dest), 0
		}
		h.m.log.Debug("read by pieces", "file", h.name, "offset", off, "err", err)
	}
	req := h.m.begin(ctx)
	defer req.end()
	if h.echo(req.tid, off) {
		return nil, syscall.EINTR
	}
	want := min(int64(len(dest)), h.size-off)
	if req.page && h.skip(off, off+want) {
		return nil, syscall.EIO
	}
	parts, err := h.r.Read(req, off, int(want))
	if err != nil {
		errno := h.m.errno("read "+h.name, err)
		if errno == syscall.EINTR {
			h.breakOff(req.tid, off)
		}
		return nil, errno
	}
	res := pieces{parts: parts}
	if res.Size() != int(want) {
		h.m.log.Error("read came back short", "file", h.name, "offset", off, "want", want, "got", res.Size())
		return nil, syscall.EIO
	}
	return &res, 0
}

// breakOff notes that a signal ended a thread's read.
func (h *handle) breakOff(tid uint32, off int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = broken{tid: tid, off: off, at: time.Now(), left: echoes}
}

// echo tells whether a thread is back for what a signal broke off a moment ago.
func (h *handle) echo(tid uint32, off int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := &h.broken
	if b.left == 0 || b.tid != tid || b.off != off || time.Since(b.at) > echoWithin {
		return false
	}
	b.left--
	return true
}

// skip tells whether a read for the page cache should fail at once. A page that a
// program needs is asked for with 128 KiB around it, and would wait for the
// farthest of them, locked, deaf to signals, in one of the slots for read-ahead.
// When that fails the kernel asks for the page alone, and that read waits. No
// program sees the error.
func (h *handle) skip(off, end int64) bool {
	if end-off <= int64(os.Getpagesize()) || h.r.Has(off, int(end-off)) {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s, now := &h.skipped, time.Now()
	if off >= s.off && end <= s.end && now.Sub(s.at) < insists {
		return false // a page of several KiB, asked for alone
	}
	*s = skipped{off, end, now}
	return true
}

// Lseek implements fusefs.FileLseeker, for SEEK_DATA and SEEK_HOLE only: a file has no
// holes, since a program that copies leaves out what is one. What is not here yet is
// none.
func (h *handle) Lseek(_ context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	switch {
	case off >= uint64(h.size):
		return 0, syscall.ENXIO
	case whence == unix.SEEK_DATA:
		return off, 0
	case whence == unix.SEEK_HOLE:
		return uint64(h.size), 0
	}
	return 0, syscall.EINVAL
}

// Fsync implements fusefs.FileFsyncer: there is nothing to write.
func (h *handle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// Release implements fusefs.FileReleaser.
func (h *handle) Release(context.Context) syscall.Errno {
	h.modes.release(h.m, h.access)
	h.r.Close()
	return 0
}

// pieces is a read's answer: the pieces themselves, written to the kernel with
// writev. They are immutable and need no release.
type pieces struct{ parts [][]byte }

// Slices is what go-fuse looks for.
func (p *pieces) Slices() ([][]byte, fuse.Status) { return p.parts, fuse.OK }

// Size implements fuse.ReadResult.
func (p *pieces) Size() (n int) {
	for _, b := range p.parts {
		n += len(b)
	}
	return n
}

// Bytes implements fuse.ReadResult.
func (p *pieces) Bytes(buf []byte) ([]byte, fuse.Status) {
	buf = buf[:0]
	for _, b := range p.parts {
		buf = append(buf, b...)
	}
	return buf, fuse.OK
}

// Done implements fuse.ReadResult.
func (p *pieces) Done() {}
