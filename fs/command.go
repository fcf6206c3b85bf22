package fs

import (
	"context"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// commandNode is a file of the control folder that does what is written to it.
type commandNode struct {
	node
	do func(line string) error
}

var (
	_ fusefs.NodeGetattrer = (*commandNode)(nil)
	_ fusefs.NodeSetattrer = (*commandNode)(nil)
	_ fusefs.NodeOpener    = (*commandNode)(nil)
)

// Getattr implements fusefs.NodeGetattrer.
func (n *commandNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.m.fill(&out.Attr, fuse.S_IFREG|0o200, n.m.started)
	return 0
}

// Setattr implements fusefs.NodeSetattrer: a shell's > truncates first.
func (n *commandNode) Setattr(ctx context.Context, h fusefs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, h, out)
}

// Open implements fusefs.NodeOpener.
func (n *commandNode) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_WRONLY || !n.m.mayChange(ctx) {
		return nil, 0, syscall.EACCES
	}
	return commandHandle{n}, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NONSEEKABLE, 0
}

// commandHandle is an open command. Each write is one or more whole lines.
type commandHandle struct{ n *commandNode }

var _ fusefs.FileWriter = commandHandle{}

// Write implements fusefs.FileWriter. Offsets do not matter.
func (h commandHandle) Write(_ context.Context, data []byte, _ int64) (uint32, syscall.Errno) {
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if err := h.n.do(line); err != nil {
			return 0, h.n.m.errno("command", err)
		}
	}
	return uint32(len(data)), 0
}
