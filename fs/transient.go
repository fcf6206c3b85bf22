package fs

import (
	"context"
	"sync"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// transientNode stands for the beginning of a magnet with slashes while the kernel
// walks through it. It is listed nowhere, empty, and asked for each time.
type transientNode struct {
	node
	text string // of the walk so far
}

var (
	_ fusefs.NodeLookuper       = (*transientNode)(nil)
	_ fusefs.NodeGetattrer      = (*transientNode)(nil)
	_ fusefs.NodeOpendirHandler = (*transientNode)(nil)
)

// walk answers a lookup of the text of a magnet, whole or in its beginning. A
// lookup never adds anything: ls walks just like mkdir.
func (m *mount) walk(ctx context.Context, parent *fusefs.Inode, text string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	tid := callerOf(ctx)
	a := m.procs.ahead(tid, components(text))
	if t := m.lib.Lookup(text); t != nil {
		if a != more && m.addsAgain(t, text, tid) {
			return nil, syscall.ENOENT
		}
		return m.folderInode(ctx, parent, t, text, out)
	}
	switch {
	case a == unknown && m.aliases.begins(text):
		a = more
	case a == unknown:
		a = guess(text)
	case a == last && !hasTopic(text) && mayContinue(text) && !m.procs.makesDirectory(tid):
		// Not a torrent yet; whoever looks will make the next directory in it.
		a = more
	}
	if a == last {
		// ENOENT is the truth for ls, and brings mkdir to its point.
		return nil, syscall.ENOENT
	}
	out.SetEntryTimeout(notValid)
	out.SetAttrTimeout(notValid)
	m.fill(&out.Attr, fuse.S_IFDIR|0o555, m.started)
	out.Attr.Ino = hashNumber("walk\x00" + text)
	n := &transientNode{node: node{m: m}, text: text}
	return parent.NewInode(ctx, n, fusefs.StableAttr{Mode: fuse.S_IFDIR, Ino: out.Attr.Ino}), 0
}

// Getattr implements fusefs.NodeGetattrer.
func (n *transientNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.m.fill(&out.Attr, fuse.S_IFDIR|0o555, n.m.started)
	out.SetTimeout(notValid)
	return 0
}

// Lookup implements fusefs.NodeLookuper.
func (n *transientNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.m.walk(ctx, &n.Inode, joinWalk(n.text, name), out)
}

// Mkdir implements fusefs.NodeMkdirer: the walk has come to its end.
func (n *transientNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return n.m.add(ctx, &n.Inode, joinWalk(n.text, name), out)
}

// Rmdir implements fusefs.NodeRmdirer: it removes the torrent by its spelling.
func (n *transientNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	return n.m.remove(ctx, joinWalk(n.text, name))
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *transientNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	empty := func(context.Context) ([]fuse.DirEntry, syscall.Errno) { return nil, 0 }
	ino := n.StableAttr().Ino
	return &listing{self: ino, parent: 1, entries: empty}, 0, 0
}

// aliases knows the beginnings of the spellings with slashes that were typed, so
// that their paths stay valid for callers of whom nothing can be learned.
type aliases struct {
	mu     sync.Mutex
	starts map[string]bool // guarded by mu
}

func (a *aliases) add(text string) {
	if !isMagnetStart(text) {
		return
	}
	walk := components(text)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.starts == nil {
		a.starts = map[string]bool{}
	}
	start := walk[0]
	for _, next := range walk[1:] {
		a.starts[start] = true
		start = joinWalk(start, next)
	}
}

// begins tells whether the text is the beginning of a longer spelling.
func (a *aliases) begins(text string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.starts[text]
}
