package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is the base of every node: it refuses every change. go-fuse's own answers
// would be success for some and ENOTSUP for others.
type node struct {
	fusefs.Inode
	m *mount
}

// Statfs implements fusefs.NodeStatfser; the kernel asks any node.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.m.statfs(out)
	return 0
}

// Setattr implements fusefs.NodeSetattrer.
func (n *node) Setattr(context.Context, fusefs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return syscall.EROFS
}

// Getxattr implements fusefs.NodeGetxattrer. ls -l asks every file for three.
func (n *node) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, syscall.ENODATA
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *node) Listxattr(context.Context, []byte) (uint32, syscall.Errno) { return 0, 0 }

// Setxattr implements fusefs.NodeSetxattrer.
func (n *node) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.EROFS
}

// Removexattr implements fusefs.NodeRemovexattrer.
func (n *node) Removexattr(context.Context, string) syscall.Errno { return syscall.EROFS }

// Mkdir implements fusefs.NodeMkdirer.
func (n *node) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

// Mknod implements fusefs.NodeMknoder.
func (n *node) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

// Create implements fusefs.NodeCreater.
func (n *node) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EROFS
}

// Tmpfile implements fusefs.NodeTmpfiler.
func (n *node) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fusefs.Inode, fusefs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EROFS
}

// Symlink implements fusefs.NodeSymlinker.
func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

// Link implements fusefs.NodeLinker.
func (n *node) Link(context.Context, fusefs.InodeEmbedder, string, *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

// Rename implements fusefs.NodeRenamer.
func (n *node) Rename(context.Context, string, fusefs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EROFS
}

// Unlink implements fusefs.NodeUnlinker.
func (n *node) Unlink(context.Context, string) syscall.Errno { return syscall.EROFS }

// Rmdir implements fusefs.NodeRmdirer.
func (n *node) Rmdir(context.Context, string) syscall.Errno { return syscall.EROFS }

// copyOut answers a request for an extended attribute or for the list of them.
func copyOut(dest, value []byte) (uint32, syscall.Errno) {
	if len(value) > len(dest) {
		return uint32(len(value)), syscall.ERANGE
	}
	return uint32(copy(dest, value)), 0
}
