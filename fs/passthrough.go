package fs

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"magnetfs/fetch"
)

// Passthrough: a file that is on the disk as a whole, and verified, is read by the
// kernel from there, and no request reaches us. Linux 6.9 and later allow that to
// whoever has CAP_SYS_ADMIN.
//
// The kernel wants all handles of an inode to agree: open(2) fails with EIO if one
// is passed through while another is not, or if one that is not was mapped. So a
// file is passed through as long as it was so when its first handle was opened,
// and its pieces stay on the disk meanwhile. Where it may not be, reads are answered
// from the file on the disk, without a detour by pieces.
//
// go-fuse can do this too (FilePassthroughFder), but releases of handles that are
// not passed through count there as well: when one meets an open of the same file,
// the open fails.

// backings talks to the kernel about files that stand behind ours.
type backings interface {
	RegisterBackingFd(*fuse.BackingMap) (int32, syscall.Errno)
	UnregisterBackingFd(id int32) syscall.Errno
}

// passthrough is what a mount knows of it.
type passthrough struct {
	kernel backings    // nil: not wanted
	off    atomic.Bool // refused by the kernel once
	opened sync.Map    // backing id of an open under way, by its cancel channel
}

// openModes keeps the handles of one file in agreement. The zero value has none.
type openModes struct {
	mu      sync.Mutex
	plain   int          // guarded by mu; handles that are not passed through
	through int          // guarded by mu; those that are
	whole   *fetch.Whole // guarded by mu; nil if the file was never whole while it was open
	id      int32        // guarded by mu; of whole, the kernel's, while through is not 0
}

// access is how a handle reads, if not by its fetch.Reader.
type access struct {
	through bool         // the kernel reads; no request reaches us
	id      int32        // then: of the file that it reads
	whole   *fetch.Whole // if not nil, the file on the disk
}

// open counts a new handle.
func (o *openModes) open(m *mount, t *fetch.Torrent, n *fetch.Node) access {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.whole == nil && t.Complete(n) {
		whole, err := t.OpenWhole(n)
		if err != nil && !errors.Is(err, fetch.ErrNotReady) {
			m.log.Warn("a whole file is read by pieces", "file", n.Path, "err", err)
		}
		o.whole = whole
	}
	if o.through == 0 && (o.plain > 0 || !o.register(m)) {
		o.plain++
		return access{whole: o.whole}
	}
	o.through++
	return access{through: true, id: o.id, whole: o.whole}
}

// register shows the file on the disk to the kernel; mu is held. It is not done on a
// disk that is known to fail, since the program would get its errors.
func (o *openModes) register(m *mount) bool {
	if o.whole == nil || m.through.kernel == nil || m.through.off.Load() || o.whole.Doubtful() {
		return false
	}
	id, errno := m.through.kernel.RegisterBackingFd(&fuse.BackingMap{Fd: int32(o.whole.Fd())})
	if errno != 0 {
		if !m.through.off.Swap(true) {
			m.log.Info("the kernel passes no reads through; whole files are read by its page cache", "err", errno)
		}
		return false
	}
	o.id = id
	return true
}

// release takes back what open counted.
func (o *openModes) release(m *mount, a access) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !a.through {
		o.plain--
	} else if o.through--; o.through == 0 {
		if errno := m.through.kernel.UnregisterBackingFd(o.id); errno != 0 {
			m.log.Warn("a backing file could not be taken back", "err", errno)
		}
	}
	if o.plain == 0 && o.through == 0 && o.whole != nil {
		if err := o.whole.Close(); err != nil {
			m.log.Warn("closing a backing file", "err", err)
		}
		o.whole = nil
	}
}
