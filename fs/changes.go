package fs

import (
	"sync"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"

	"magnetfs/fetch"
)

// changeQueue takes the library's changes to the goroutine that tells the kernel.
// A notification can block until a call that we are just handling is answered, so
// the library's own goroutine must not send it.
type changeQueue struct {
	mu     sync.Mutex
	filled *sync.Cond
	list   []change  // guarded by mu
	closed bool      // guarded by mu
	at     time.Time // guarded by mu; of the last change of the root
}

// change is one of the library, or hidden is set: a node of the torrent was removed
// through another view of the folder.
type change struct {
	fetch.Change
	hidden *fetch.Node
}

func newChangeQueue() *changeQueue {
	q := &changeQueue{}
	q.filled = sync.NewCond(&q.mu)
	return q
}

// add is called by the library. After close it does nothing.
func (q *changeQueue) add(c fetch.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.at = time.Now()
	q.list = append(q.list, change{Change: c})
	q.filled.Signal()
}

// addHidden queues that a node is hidden.
func (q *changeQueue) addHidden(t *fetch.Torrent, n *fetch.Node) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.list = append(q.list, change{Change: fetch.Change{Torrent: t}, hidden: n})
		q.filled.Signal()
	}
}

// take waits for changes; ok is false after close.
func (q *changeQueue) take() (list []change, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.list) == 0 && !q.closed {
		q.filled.Wait()
	}
	list, q.list = q.list, nil
	return list, !q.closed
}

func (q *changeQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Broadcast()
}

// last is when the root changed last, or start.
func (q *changeQueue) last(start time.Time) time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.at.After(start) {
		return q.at
	}
	return start
}

// notifyChanges tells the kernel what it holds that is no longer true. It runs in
// a goroutine of its own, holds no lock, and ends when the queue is closed: a
// notification never outlasts the connection.
//
// None is about a name in the root. The kernel takes the lock of the folder for
// that, which a mkdir or rmdir holds until it is answered. If the process is killed
// at that moment, nobody answers, so the notification, its thread, the descriptor
// and the connection stay for ever, and with them all who use the mount. So names in
// the root are asked for each time.
func (m *mount) notifyChanges() {
	for {
		list, ok := m.changes.take()
		if !ok {
			return
		}
		for _, c := range list {
			if c.hidden != nil {
				m.notifyHidden(c.Torrent, c.hidden)
			} else {
				m.notify(c.Change)
			}
		}
	}
}

func (m *mount) notify(c fetch.Change) {
	switch c.Kind {
	case fetch.Renamed:
		// The kernel's entry of the old name stays good: it leads to the same
		// folder, and moves by itself when the new name is looked up.
		if f := m.folder(c.Torrent); f != nil {
			f.renamed(c.Old)
		}
	case fetch.Ready:
		for name, child := range m.root.Children() {
			if d, ok := child.Operations().(*dirNode); ok && d.f.t == c.Torrent {
				m.log.Debug("metadata is there", "folder", name)
				_ = child.NotifyContent(-1, 0) // attributes only
			}
		}
	case fetch.Removed:
		m.folders.forget(c.Torrent)
		for _, child := range m.root.Children() {
			if d, ok := child.Operations().(*dirNode); ok && d.f.t == c.Torrent {
				// What nobody looks for again would stay in memory until the kernel is
				// short of it, in which it is not told that it may be (before Linux 6.18).
				_ = m.root.NotifyPrune(descendants(child))
			}
		}
	}
}

// descendants are the nodes of a tree, each after those below it.
func descendants(n *fusefs.Inode) []*fusefs.Inode {
	var all []*fusefs.Inode
	for _, child := range n.Children() {
		all = append(all, descendants(child)...)
	}
	return append(all, n)
}

// notifyHidden has the kernel forget a name in the folder itself.
func (m *mount) notifyHidden(t *fetch.Torrent, n *fetch.Node) {
	f := m.folder(t)
	if f == nil {
		return
	}
	for _, dir := range m.root.Children() {
		if d, ok := dir.Operations().(*dirNode); !ok || d.f != f || d.view != f.gen {
			continue
		}
		path := components(n.Path)
		for _, name := range path[:len(path)-1] {
			if dir != nil {
				dir = dir.GetChild(name)
			}
		}
		if dir != nil {
			_ = dir.NotifyEntry(n.Name)
		}
	}
}
