package fs

import (
	"context"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"magnetfs/fetch"
)

const (
	// In its first minute a torrent without metadata makes ls wait, at most
	// this long: whoever has just added it is looking.
	listWait  = 10 * time.Second
	listFresh = time.Minute
)

// dirNode is the folder of a torrent or a folder inside it.
type dirNode struct {
	node
	f    *folder
	n    *fetch.Node // nil for the torrent's own folder
	view uint64      // generation, see folder.view
	// spelling is the typed text that this view of the torrent's own folder
	// stands for, empty for the main view and below.
	spelling string
}

var (
	_ fusefs.NodeLookuper       = (*dirNode)(nil)
	_ fusefs.NodeGetattrer      = (*dirNode)(nil)
	_ fusefs.NodeOpendirHandler = (*dirNode)(nil)
)

// tree is the folder's node; nil while there is no metadata.
func (d *dirNode) tree() *fetch.Node {
	if d.n != nil {
		return d.n
	}
	return d.f.t.Root()
}

func (d *dirNode) removed() bool {
	select {
	case <-d.f.t.Removed():
		return true
	default:
		return false
	}
}

// Getattr implements fusefs.NodeGetattrer. A removed folder answers ESTALE, on which
// the kernel looks the path up again.
func (d *dirNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if d.removed() {
		return syscall.ESTALE
	}
	if d.n == nil {
		out.SetTimeout(d.f.fillRoot(&out.Attr))
	} else {
		out.SetTimeout(d.f.fillNode(&out.Attr, d.n))
	}
	return 0
}

// Lookup implements fusefs.NodeLookuper. It never waits.
func (d *dirNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if d.removed() {
		return nil, syscall.ESTALE
	}
	var c *fetch.Node
	if tree := d.tree(); tree != nil {
		c = d.f.t.VisibleChild(tree, name)
	}
	if c == nil {
		if continues(d.spelling, name) {
			return d.m.walk(ctx, &d.Inode, joinWalk(d.spelling, name), out)
		}
		return nil, syscall.ENOENT
	}
	if d.view == d.f.gen {
		out.SetEntryTimeout(longValid)
	}
	out.SetAttrTimeout(d.f.fillNode(&out.Attr, c))
	id := fusefs.StableAttr{Mode: out.Attr.Mode & syscall.S_IFMT, Ino: out.Attr.Ino, Gen: d.f.gen}
	if old := d.GetChild(name); old != nil && old.StableAttr().Ino == id.Ino {
		return old, 0
	}
	switch c.Kind {
	case fetch.Dir:
		id.Gen = d.view
		return d.NewInode(ctx, &dirNode{node: node{m: d.m}, f: d.f, n: c, view: d.view}, id), 0
	case fetch.Symlink:
		return d.NewInode(ctx, &linkNode{node: node{m: d.m}, f: d.f, n: c}, id), 0
	default:
		return d.NewInode(ctx, &fileNode{node: node{m: d.m}, f: d.f, n: c}, id), 0
	}
}

// Mkdir implements fusefs.NodeMkdirer: nothing can be made in a torrent, but a name
// can be the rest of a magnet.
func (d *dirNode) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if continues(d.spelling, name) {
		return d.m.add(ctx, &d.Inode, joinWalk(d.spelling, name), out)
	}
	return nil, syscall.EROFS
}

// Unlink implements fusefs.NodeUnlinker: the file is hidden until the torrent is
// added again, so that rm -r works, and its part of the cache is freed.
func (d *dirNode) Unlink(ctx context.Context, name string) syscall.Errno {
	return d.hide(ctx, name)
}

// Rmdir implements fusefs.NodeRmdirer: a folder with nothing visible in it goes.
func (d *dirNode) Rmdir(ctx context.Context, name string) syscall.Errno {
	if text := joinWalk(d.spelling, name); continues(d.spelling, name) && d.m.lib.Lookup(text) != nil {
		return d.m.remove(ctx, text)
	}
	return d.hide(ctx, name)
}

func (d *dirNode) hide(ctx context.Context, name string) syscall.Errno {
	tree := d.tree()
	if tree == nil {
		return syscall.ENOENT
	}
	c := d.f.t.VisibleChild(tree, name)
	if c == nil {
		return syscall.ENOENT
	}
	if !d.m.mayChange(ctx) {
		return syscall.EACCES
	}
	if errno := d.m.errno("rm "+c.Path, d.f.t.Hide(c)); errno != 0 {
		return errno
	}
	if d.view != d.f.gen {
		// The kernel holds on to the names in the folder itself.
		d.m.changes.addHidden(d.f.t, c)
	}
	return 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (d *dirNode) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	parent := uint64(1)
	if _, p := d.Parent(); p != nil {
		parent = p.StableAttr().Ino
	}
	return &listing{self: d.StableAttr().Ino, parent: parent, entries: d.entries}, 0, 0
}

func (d *dirNode) entries(ctx context.Context) ([]fuse.DirEntry, syscall.Errno) {
	if errno := d.awaitMetadata(ctx); errno != 0 {
		return nil, errno
	}
	if d.removed() {
		return nil, syscall.ENOENT
	}
	tree := d.tree()
	if tree == nil {
		return nil, 0
	}
	children := d.f.t.Visible(tree)
	out := make([]fuse.DirEntry, 0, len(children))
	for _, c := range children {
		out = append(out, fuse.DirEntry{Name: c.Name, Mode: kindMode[c.Kind], Ino: inodeNumber(d.f.t.ID(), c.Path)})
	}
	return out, 0
}

var kindMode = map[fetch.NodeKind]uint32{
	fetch.Dir:     fuse.S_IFDIR,
	fetch.File:    fuse.S_IFREG,
	fetch.Symlink: fuse.S_IFLNK,
}

// awaitMetadata lets the listing of a fresh torrent wait a little.
func (d *dirNode) awaitMetadata(ctx context.Context) syscall.Errno {
	t := d.f.t
	if t.Root() != nil || time.Since(t.Added()) >= listFresh {
		return 0
	}
	r := d.m.begin(ctx)
	defer r.end()
	timer := time.NewTimer(listWait)
	defer timer.Stop()
	select {
	case <-t.Ready():
	case <-t.Removed():
	case <-timer.C:
	case <-r.Done():
		return d.m.errno("ls", r.Err())
	}
	return 0
}

// linkNode is a symbolic link inside a torrent.
type linkNode struct {
	node
	f *folder
	n *fetch.Node
}

var (
	_ fusefs.NodeReadlinker = (*linkNode)(nil)
	_ fusefs.NodeGetattrer  = (*linkNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (l *linkNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.SetTimeout(l.f.fillNode(&out.Attr, l.n))
	return 0
}

// Readlink implements fusefs.NodeReadlinker.
func (l *linkNode) Readlink(context.Context) ([]byte, syscall.Errno) {
	return []byte(l.n.Target), 0
}
