package fs

import (
	"context"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"magnetfs/fetch"
)

// fileNode is a file of a torrent. All views of the torrent share it.
type fileNode struct {
	node
	f *folder
	n *fetch.Node
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
// another process waits for. A file that is here as a whole is left to the page
// cache, which is faster and wakes nobody.
func (n *fileNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&syscall.O_TRUNC != 0 {
		return nil, 0, syscall.EROFS
	}
	r, err := n.f.t.Open(n.n)
	if err != nil {
		return nil, 0, n.m.errno("open "+n.n.Path, err)
	}
	h := &handle{m: n.m, r: r, name: n.n.Path, size: n.n.Size}
	mode := uint32(fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH)
	if n.m.direct && !n.f.t.Complete(n.n) {
		mode |= fuse.FOPEN_DIRECT_IO
	} else {
		h.cached = true
	}
	return h, mode, 0
}

// handle is an open file.
type handle struct {
	m    *mount
	r    *fetch.Reader
	name string
	size int64
	// cached: the page cache is between the program and us.
	cached bool

	mu     sync.Mutex
	failed failure // guarded by mu
	broken broken  // guarded by mu
}

// broken is a read that a signal ended.
type broken struct {
	tid uint32
	off int64
	at  time.Time
}

// echoWithin is how soon a thread comes back for what a signal broke off, if it
// does without having looked at the signal. The kernel cuts a large read(2) into
// requests; broken off after the first it returns what it has, as a success, and
// Python goes on reading before it runs its handler of Ctrl-C. The second EINTR
// reaches it.
const echoWithin = 100 * time.Millisecond

// failure is a read that failed, for retryQuiet.
type failure struct {
	off, end int64 // bytes
	errno    syscall.Errno
	until    time.Time
}

// retryQuiet is how long a failed range answers with the same error. The page
// cache asks for a range that failed again, page by page, before the program
// learns of it; none of these may wait anew.
const retryQuiet = 2 * time.Second

var (
	_ fusefs.FileReader   = (*handle)(nil)
	_ fusefs.FileReleaser = (*handle)(nil)
	_ fusefs.FileFsyncer  = (*handle)(nil)
)

// Read implements fusefs.FileReader. It answers in full, up to the end of the
// file, or with an error: the kernel would fill a short answer with zeros.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= h.size {
		return fuse.ReadResultData(nil), 0
	}
	if h.echo(callerOf(ctx), off) {
		return nil, syscall.EINTR
	}
	if h.cached {
		if errno := h.again(off); errno != 0 {
			return nil, errno
		}
	}
	want := min(int64(len(dest)), h.size-off)
	req := h.m.begin(ctx)
	parts, err := h.r.Read(req, off, int(want))
	req.end()
	if err != nil {
		errno := h.m.errno("read "+h.name, err)
		h.remember(callerOf(ctx), off, off+want, errno)
		return nil, errno
	}
	res := pieces{parts: parts}
	if res.Size() != int(want) {
		h.m.log.Error("read came back short", "file", h.name, "offset", off, "want", want, "got", res.Size())
		return nil, syscall.EIO
	}
	return &res, 0
}

// remember keeps what echo and again need to know of a read that failed.
func (h *handle) remember(tid uint32, off, end int64, errno syscall.Errno) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if errno == syscall.EINTR {
		h.broken = broken{tid: tid, off: off, at: time.Now()}
	} else if h.cached {
		h.failed = failure{off: off, end: end, errno: errno, until: time.Now().Add(retryQuiet)}
	}
}

// echo tells whether a thread asks again for what a signal broke off a moment ago:
// once.
func (h *handle) echo(tid uint32, off int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broken
	if b.tid == 0 || b.tid != tid || b.off != off {
		return false
	}
	h.broken = broken{}
	return time.Since(b.at) < echoWithin
}

// again returns the error of a range that failed a moment ago.
func (h *handle) again(off int64) syscall.Errno {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.failed
	if f.errno != 0 && off >= f.off && off < f.end && time.Now().Before(f.until) {
		return f.errno
	}
	return 0
}

// Fsync implements fusefs.FileFsyncer: there is nothing to write.
func (h *handle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// Release implements fusefs.FileReleaser.
func (h *handle) Release(context.Context) syscall.Errno {
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
