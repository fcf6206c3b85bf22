package fs

import (
	"context"
	"slices"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"magnetfs/fetch"
)

// rootNode is the folder that is mounted: it lists the torrents, takes new ones by
// mkdir and .torrent files by create, names them by rename and removes them by rmdir.
type rootNode struct {
	node
}

var (
	_ fusefs.NodeLookuper       = (*rootNode)(nil)
	_ fusefs.NodeOpendirHandler = (*rootNode)(nil)
	_ fusefs.NodeGetattrer      = (*rootNode)(nil)
	_ fusefs.NodeMkdirer        = (*rootNode)(nil)
	_ fusefs.NodeRmdirer        = (*rootNode)(nil)
	_ fusefs.NodeRenamer        = (*rootNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer. The root is writable: mkdir works.
func (r *rootNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	r.m.fill(&out.Attr, fuse.S_IFDIR|0o755, r.m.changes.last(r.m.started))
	out.SetTimeout(growingValid)
	return 0
}

// Lookup implements fusefs.NodeLookuper. It never waits for the network.
func (r *rootNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	m := r.m
	if name == controlName {
		return m.controlRoot(ctx, &r.Inode, out)
	}
	if u := m.uploads.get(name); u != nil {
		return m.uploadInode(ctx, &r.Inode, u, out)
	}
	if isMagnetStart(name) {
		return m.walk(ctx, &r.Inode, name, out)
	}
	t := m.lib.Lookup(name)
	if t == nil {
		return nil, syscall.ENOENT
	}
	switch tid := callerOf(ctx); {
	case name == t.Name():
	case m.addsAgain(t, name, tid):
		return nil, syscall.ENOENT
	case m.procs.renamesTo(tid, name):
		if f := m.folder(t); f != nil {
			f.yields(name)
		}
		return nil, syscall.ENOENT
	}
	return m.folderInode(ctx, &r.Inode, t, name, out)
}

// addsAgain tells whether a folder that a name leads to must not be in the way of
// mkdir. The hash names every torrent, typed or not, but mkdir of a spelling that
// was never typed is to succeed, and so is mkdir of any if it shows again what was
// removed.
func (m *mount) addsAgain(t *fetch.Torrent, name string, tid uint32) bool {
	typed := t.TypedAs(name)
	return (typed && t.Hides() || !typed && name == t.HashString()) && m.procs.makesDirectory(tid)
}

// folderInode answers a lookup with the folder of a torrent.
func (m *mount) folderInode(ctx context.Context, parent *fusefs.Inode, t *fetch.Torrent, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	f := m.folder(t)
	if f == nil {
		return nil, syscall.ENOENT
	}
	view := f.view(name)
	d := &dirNode{node: node{m: m}, f: f, view: view}
	if view != f.gen {
		d.spelling = name
	}
	out.SetEntryTimeout(notValid) // see notifyChanges
	out.SetAttrTimeout(f.fillRoot(&out.Attr))
	return parent.NewInode(ctx, d, fusefs.StableAttr{Mode: fuse.S_IFDIR, Ino: out.Attr.Ino, Gen: view}), 0
}

// Mkdir implements fusefs.NodeMkdirer: the name is a magnet or a hash.
func (r *rootNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return r.m.add(ctx, &r.Inode, name, out)
}

// add adds what was typed and answers with its folder.
func (m *mount) add(ctx context.Context, parent *fusefs.Inode, text string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if !m.mayChange(ctx) {
		return nil, syscall.EACCES
	}
	if t := m.lib.Lookup(text); t != nil && (t.Name() == text || t.TypedAs(text) && !t.Hides()) {
		return nil, syscall.EEXIST
	}
	t, _, err := m.lib.Add(text)
	if err != nil {
		return nil, m.errno("mkdir", err)
	}
	m.aliases.add(text)
	return m.folderInode(ctx, parent, t, text, out)
}

// Rmdir implements fusefs.NodeRmdirer: it removes a torrent, by any of its names.
func (r *rootNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	if name == controlName {
		return syscall.EROFS
	}
	return r.m.remove(ctx, name)
}

// remove removes the torrent that a name or a spelling stands for.
func (m *mount) remove(ctx context.Context, name string) syscall.Errno {
	t := m.lib.Lookup(name)
	if t == nil {
		return syscall.ENOENT
	}
	if !m.mayChange(ctx) {
		return syscall.EACCES
	}
	return m.errno("rmdir", m.lib.Remove(t))
}

// mayChange tells whether the caller is the user who mounted, or root. With
// allow_other the kernel lets everybody in, and leaves it to us.
func (m *mount) mayChange(ctx context.Context) bool {
	c, ok := fuse.FromContext(ctx)
	return ok && (c.Uid == m.uid || c.Uid == 0)
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (r *rootNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return &listing{self: 1, parent: 1, entries: r.entries}, 0, 0
}

func (r *rootNode) entries(context.Context) ([]fuse.DirEntry, syscall.Errno) {
	torrents := r.m.lib.Torrents()
	out := make([]fuse.DirEntry, 0, len(torrents))
	for _, t := range torrents {
		out = append(out, fuse.DirEntry{Name: t.Name(), Mode: fuse.S_IFDIR, Ino: inodeNumber(t.ID(), "")})
	}
	return slices.Clip(out), 0
}

// statfs answers df: the budget of the cache and its use.
func (m *mount) statfs(out *fuse.StatfsOut) {
	out.Bsize, out.Frsize = ioSize, ioSize
	out.NameLen = m.nameMax
	if m.cfg.Space != nil {
		budget, used := m.cfg.Space()
		out.Blocks = uint64(max(budget, 0)) / ioSize
		out.Bfree = uint64(max(budget-used, 0)) / ioSize
		out.Bavail = out.Bfree
	}
	const more = 1 << 20 // nobody counts how many can be added
	out.Files, out.Ffree = uint64(len(m.lib.Torrents()))+more, more
}

// callerOf returns the thread id of the caller, 0 if unknown.
func callerOf(ctx context.Context) uint32 {
	if c, ok := fuse.FromContext(ctx); ok {
		return c.Pid
	}
	return 0
}
