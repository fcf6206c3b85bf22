package fs

import (
	"context"
	"slices"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"

	"magnetfs/fetch"
	"magnetfs/internal/human"
)

// The attribute user.magnetfs.pin says whether a file, or everything below a
// folder, is pinned: fetched whole and kept. It is the only one that can be set.

const pinXattr = xattrPrefix + "pin"

// What is taken for yes and no; "1" and "0" are answered.
var (
	pinWords   = []string{"1", "yes", "true", "on"}
	unpinWords = []string{"0", "no", "false", "off", ""}
)

func pinText(pinned bool) string {
	if pinned {
		return pinWords[0]
	}
	return unpinWords[0]
}

var (
	_ fusefs.NodeSetxattrer    = (*dirNode)(nil)
	_ fusefs.NodeRemovexattrer = (*dirNode)(nil)
	_ fusefs.NodeSetxattrer    = (*fileNode)(nil)
	_ fusefs.NodeRemovexattrer = (*fileNode)(nil)
)

// Setxattr implements fusefs.NodeSetxattrer.
func (d *dirNode) Setxattr(ctx context.Context, attr string, data []byte, flags uint32) syscall.Errno {
	return d.f.setPin(ctx, d.n, attr, data, flags)
}

// Removexattr implements fusefs.NodeRemovexattrer: without the attribute nothing is
// pinned.
func (d *dirNode) Removexattr(ctx context.Context, attr string) syscall.Errno {
	return d.f.setPin(ctx, d.n, attr, nil, 0)
}

// Setxattr implements fusefs.NodeSetxattrer.
func (n *fileNode) Setxattr(ctx context.Context, attr string, data []byte, flags uint32) syscall.Errno {
	return n.f.setPin(ctx, n.n, attr, data, flags)
}

// Removexattr implements fusefs.NodeRemovexattrer.
func (n *fileNode) Removexattr(ctx context.Context, attr string) syscall.Errno {
	return n.f.setPin(ctx, n.n, attr, nil, 0)
}

// setPin pins or unpins what is at and below n; nil is the whole torrent.
func (f *folder) setPin(ctx context.Context, n *fetch.Node, attr string, data []byte, flags uint32) syscall.Errno {
	word := strings.ToLower(strings.TrimSpace(strings.TrimRight(string(data), "\x00")))
	pin, unpin := slices.Contains(pinWords, word), slices.Contains(unpinWords, word)
	switch {
	case attr != pinXattr:
		return syscall.EROFS
	case flags&unix.XATTR_CREATE != 0:
		return syscall.EEXIST // it always exists
	case !f.m.mayChange(ctx):
		return syscall.EACCES
	case pin:
		return f.m.errno("pin", f.t.Pin(n))
	case unpin:
		return f.m.errno("unpin", f.t.Unpin(n))
	}
	return syscall.EINVAL
}

// pinRow is what is pinned of a torrent.
type pinRow struct {
	Files   int    `json:"files"`
	Size    int64  `json:"size"`              // bytes of these files
	Have    int64  `json:"have"`              // of these that are here
	Later   bool   `json:"later,omitempty"`   // to be pinned when the metadata is there
	Full    bool   `json:"full,omitempty"`    // the cache has no room for more of them now
	Refused string `json:"refused,omitempty"` // why files that were to be pinned are not
}

// newPinRow returns nil if there is nothing to tell.
func newPinRow(s fetch.PinStatus) *pinRow {
	if s == (fetch.PinStatus{}) {
		return nil
	}
	return &pinRow{s.Files, s.Size, s.Have, s.Later, s.Full, s.Refused}
}

// text says it in one line.
func (p *pinRow) text() string {
	var parts []string
	if p.Files > 0 {
		parts = append(parts, human.Amount(p.Files, "file")+" pinned, "+human.Size(p.Have)+" of "+human.Size(p.Size)+" here")
	}
	if p.Full {
		parts = append(parts, "no room in the cache for the rest")
	}
	if p.Later {
		parts = append(parts, "to be pinned when the metadata is there")
	}
	if p.Refused != "" {
		parts = append(parts, "not pinned: "+p.Refused)
	}
	return strings.Join(parts, "; ")
}

// pinRoom is what may be pinned, in bytes, as the file pins.json shows it.
type pinRoom struct {
	Capacity int64 `json:"capacity"`
	Used     int64 `json:"used"`
}

func (m *mount) pinRoomText() ([]byte, error) {
	var r pinRoom
	r.Capacity, r.Used = m.lib.PinRoom()
	return marshal(r)
}
