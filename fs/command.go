package fs

import (
	"context"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// writeNode is a file of the control folder that is only written to. open makes the
// handle that takes what is written.
type writeNode struct {
	node
	open func() fusefs.FileWriter
}

var (
	_ fusefs.NodeGetattrer = (*writeNode)(nil)
	_ fusefs.NodeSetattrer = (*writeNode)(nil)
	_ fusefs.NodeOpener    = (*writeNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *writeNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.m.fill(&out.Attr, fuse.S_IFREG|0o200, n.m.started)
	return 0
}

// Setattr implements fusefs.NodeSetattrer: a shell's > truncates first.
func (n *writeNode) Setattr(ctx context.Context, h fusefs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, h, out)
}

// Open implements fusefs.NodeOpener.
func (n *writeNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_WRONLY || !n.m.mayChange(ctx) {
		return nil, 0, syscall.EACCES
	}
	return n.open(), fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE, 0
}

// commandHandle is an open command, which does what is written. Each write is one or
// more whole lines.
type commandHandle struct {
	m  *mount
	do func(line string) error
}

var _ fusefs.FileWriter = commandHandle{}

// Write implements fusefs.FileWriter. Offsets do not matter.
func (h commandHandle) Write(_ context.Context, data []byte, _ int64) (uint32, syscall.Errno) {
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := h.do(line); err != nil {
			return 0, h.m.errno("command", err)
		}
	}
	return uint32(len(data)), 0
}
