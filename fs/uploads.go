package fs

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// A .torrent file is added by writing it into the root. It is judged whenever a
// descriptor of it is closed: what cp closes is complete. The file is listed
// nowhere and vanishes soon after.

const (
	maxTorrentFile = 16 << 20 // bytes
	// maxUploadBytes bounds the memory of all files being written, and
	// maxUploads their number.
	maxUploadBytes = 64 << 20
	maxUploads     = 4096
	// uploadStays is how long a closed upload can still be found by its name:
	// rsync and download managers rename a temporary file when it is complete.
	uploadStays = 2 * time.Second
)

// isTorrentFile tells whether a file of this name may be made: x.torrent, or a
// temporary name of it such as .x.torrent.a8Xq2 or x.torrent.part.
func isTorrentFile(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".torrent") || strings.Contains(name, ".torrent.")
}

// upload is a file that is being written into the root.
type upload struct {
	m   *mount
	ino uint64

	mu       sync.Mutex
	name     string        // guarded by mu
	data     []byte        // guarded by mu; dropped when it was accepted
	size     int64         // guarded by mu; stays when data is dropped
	judged   bool          // guarded by mu; verdict is about all that was written
	verdict  syscall.Errno // guarded by mu
	open     int           // guarded by mu; handles
	closedAt time.Time     // guarded by mu; of the first close after the last write
}

// uploads are those that can be found.
type uploads struct {
	mu  sync.Mutex
	all map[string]*upload // guarded by mu
	seq uint64             // guarded by mu

	bytes atomic.Int64 // held by all uploads
}

// get finds an upload by its name and drops those whose time is over.
func (us *uploads) get(name string) *upload {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.purge()
	return us.all[name]
}

// purge runs under us.mu.
func (us *uploads) purge() {
	for name, u := range us.all {
		if u.over() {
			delete(us.all, name)
		}
	}
}

// create makes an upload; nil if there are too many.
func (us *uploads) create(m *mount, name string) *upload {
	us.mu.Lock()
	defer us.mu.Unlock()
	us.purge()
	if len(us.all) >= maxUploads {
		return nil
	}
	if us.all == nil {
		us.all = map[string]*upload{}
	}
	us.seq++
	u := &upload{m: m, name: name, ino: 1<<63 | us.seq}
	us.all[name] = u
	return u
}

// remove takes an upload away.
func (us *uploads) remove(name string) bool {
	us.mu.Lock()
	defer us.mu.Unlock()
	_, ok := us.all[name]
	delete(us.all, name)
	return ok
}

// rename gives an upload another name.
func (us *uploads) rename(old, name string) bool {
	us.mu.Lock()
	defer us.mu.Unlock()
	u := us.all[old]
	if u == nil {
		return false
	}
	delete(us.all, old)
	us.all[name] = u
	u.mu.Lock()
	u.name = name
	u.mu.Unlock()
	return true
}

// over tells whether the upload has vanished. It is called under uploads.mu, which
// comes before upload.mu.
func (u *upload) over() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.open == 0 && !u.closedAt.IsZero() && time.Since(u.closedAt) > uploadStays
}

// write stores data at an offset.
func (u *upload) write(data []byte, off int64) syscall.Errno {
	u.mu.Lock()
	defer u.mu.Unlock()
	end := off + int64(len(data))
	if end > maxTorrentFile {
		u.drop()
		u.judged, u.verdict = true, syscall.EFBIG
		return syscall.EFBIG
	}
	if !u.grow(end) {
		return syscall.ENOSPC
	}
	copy(u.data[off:], data)
	u.judged, u.closedAt = false, time.Time{}
	return 0
}

// grow makes room up to size; false if all uploads together are too large. It runs
// under u.mu.
func (u *upload) grow(size int64) bool {
	if n := size - int64(len(u.data)); n > 0 {
		if u.m.uploads.bytes.Add(n) > maxUploadBytes {
			u.m.uploads.bytes.Add(-n)
			return false
		}
		u.data = append(u.data, make([]byte, n)...)
	}
	u.size = int64(len(u.data))
	return true
}

// drop gives the data up but not its length. It runs under u.mu.
func (u *upload) drop() {
	u.m.uploads.bytes.Add(-int64(len(u.data)))
	u.data = nil
}

// truncate sets the length.
func (u *upload) truncate(size int64) syscall.Errno {
	if size > maxTorrentFile {
		return syscall.EFBIG
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if size == 0 {
		u.drop()
	}
	if !u.grow(size) {
		return syscall.ENOSPC
	}
	u.m.uploads.bytes.Add(size - int64(len(u.data)))
	u.data, u.size, u.judged = u.data[:size], size, false
	return 0
}

// judge adds the torrent. It is called at each close of a descriptor and says the
// same until more is written: a shell closes its copy before the program that
// writes even starts.
func (u *upload) judge() syscall.Errno {
	u.mu.Lock()
	if u.judged {
		defer u.mu.Unlock()
		return u.verdict
	}
	if len(u.data) == 0 {
		defer u.mu.Unlock()
		return syscall.EINVAL // nothing is written yet, or nothing ever
	}
	data, name := bytes.Clone(u.data), u.name // a descriptor may still write
	u.mu.Unlock()

	t, created, err := u.m.lib.AddMetainfo(data)
	verdict := u.m.errno("adding "+name, err)
	if err == nil {
		u.m.log.Info("added a torrent file", "file", name, "torrent", t.Name(), "new", created)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.judged, u.verdict = true, verdict
	if verdict == 0 {
		u.drop()
	}
	return verdict
}

// uploadNode is the node of an upload.
type uploadNode struct {
	node
	u *upload
}

// uploadHandle is an open descriptor of an upload.
type uploadHandle struct{ u *upload }

var (
	_ fusefs.NodeGetattrer = (*uploadNode)(nil)
	_ fusefs.NodeOpener    = (*uploadNode)(nil)
	_ fusefs.NodeSetattrer = (*uploadNode)(nil)
	_ fusefs.FileWriter    = (*uploadHandle)(nil)
	_ fusefs.FileFlusher   = (*uploadHandle)(nil)
	_ fusefs.FileFsyncer   = (*uploadHandle)(nil)
	_ fusefs.FileReleaser  = (*uploadHandle)(nil)
)

func (u *upload) fill(a *fuse.Attr) {
	u.m.fill(a, fuse.S_IFREG|0o644, time.Now())
	u.mu.Lock()
	defer u.mu.Unlock()
	a.Size, a.Ino = uint64(u.size), u.ino
}

// uploadInode answers a lookup with an upload.
func (m *mount) uploadInode(ctx context.Context, parent *fusefs.Inode, u *upload, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	u.fill(&out.Attr)
	n := &uploadNode{node: node{m: m}, u: u}
	return parent.NewInode(ctx, n, fusefs.StableAttr{Mode: fuse.S_IFREG, Ino: u.ino}), 0
}

// handle opens the upload.
func (u *upload) handle() *uploadHandle {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.open++
	return &uploadHandle{u: u}
}

// Create implements fusefs.NodeCreater: only torrent files can be made.
func (r *rootNode) Create(ctx context.Context, name string, _, _ uint32, out *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	if !isTorrentFile(name) {
		return nil, nil, 0, syscall.EROFS
	}
	if !r.m.mayChange(ctx) {
		return nil, nil, 0, syscall.EACCES
	}
	u := r.m.uploads.create(r.m, name)
	if u == nil {
		return nil, nil, 0, syscall.ENOSPC
	}
	ino, errno := r.m.uploadInode(ctx, &r.Inode, u, out)
	return ino, u.handle(), fuse.FOPEN_DIRECT_IO, errno
}

// Unlink implements fusefs.NodeUnlinker: uploads can be removed.
func (r *rootNode) Unlink(ctx context.Context, name string) syscall.Errno {
	if r.m.mayChange(ctx) && r.m.uploads.remove(name) {
		return 0
	}
	return syscall.EROFS
}

// Getattr implements fusefs.NodeGetattrer.
func (n *uploadNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.u.fill(&out.Attr)
	return 0
}

// Setattr implements fusefs.NodeSetattrer: the length counts, owner, mode and
// times are taken without a word, since cp -p sets them.
func (n *uploadNode) Setattr(ctx context.Context, _ fusefs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	if !n.m.mayChange(ctx) {
		return syscall.EACCES
	}
	if size, ok := in.GetSize(); ok {
		if errno := n.u.truncate(int64(min(size, 1<<62))); errno != 0 {
			return errno
		}
	}
	n.u.fill(&out.Attr)
	return 0
}

// Setxattr implements fusefs.NodeSetxattrer, for cp -p too.
func (n *uploadNode) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.ENOTSUP
}

// Open implements fusefs.NodeOpener.
func (n *uploadNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if !n.m.mayChange(ctx) {
		return nil, 0, syscall.EACCES
	}
	if flags&syscall.O_TRUNC != 0 {
		if errno := n.u.truncate(0); errno != 0 {
			return nil, 0, errno
		}
	}
	return n.u.handle(), fuse.FOPEN_DIRECT_IO, 0
}

// Write implements fusefs.FileWriter.
func (h *uploadHandle) Write(_ context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	if errno := h.u.write(data, off); errno != 0 {
		return 0, errno
	}
	return uint32(len(data)), 0
}

// Read implements fusefs.FileReader: what was written can be read until it is
// accepted.
func (h *uploadHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	h.u.mu.Lock()
	defer h.u.mu.Unlock()
	if off >= int64(len(h.u.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, h.u.data[off:])]), 0
}

// Flush implements fusefs.FileFlusher: a descriptor was closed.
func (h *uploadHandle) Flush(context.Context) syscall.Errno { return h.u.judge() }

// Fsync implements fusefs.FileFsyncer.
func (h *uploadHandle) Fsync(context.Context, uint32) syscall.Errno { return 0 }

// Release implements fusefs.FileReleaser.
func (h *uploadHandle) Release(context.Context) syscall.Errno {
	h.u.mu.Lock()
	defer h.u.mu.Unlock()
	h.u.open--
	if h.u.closedAt.IsZero() {
		h.u.closedAt = time.Now()
	}
	if h.u.open == 0 {
		h.u.drop()
	}
	return 0
}
