package fs

import (
	"context"
	"strconv"
	"strings"
	"syscall"

	"magnetfs/fetch"
)

// Extended attributes tell programs what folders and files are and how far they
// are. Any other attribute is answered with ENODATA without a look at the torrent.

const xattrPrefix = "user.magnetfs."

// torrentXattrs are those of a torrent's folder.
var torrentXattrs = map[string]func(f *folder) string{
	"infohash": func(f *folder) string { return f.t.HashString() },
	"magnet":   func(f *folder) string { return f.t.Magnet() },
	"state":    func(f *folder) string { return string(f.t.Status().State) },
	"reason":   func(f *folder) string { return f.t.Status().Reason },
	"have":     func(f *folder) string { return decimal(f.have()) },
	"size":     func(f *folder) string { return decimal(f.t.Status().Size) },
	"seeds":    func(f *folder) string { return strconv.Itoa(f.t.Status().ConnectedSeeds) },
	"peers":    func(f *folder) string { return strconv.Itoa(f.t.Status().ConnectedPeers) },
	"down":     func(f *folder) string { return decimal(f.t.Status().DownRate) },
	"up":       func(f *folder) string { return decimal(f.t.Status().UpRate) },
	"pin":      func(f *folder) string { return pinText(f.t.Pinned(nil)) },
}

// nodeXattrs are those of files and folders inside a torrent.
var nodeXattrs = map[string]func(f *folder, n *fetch.Node) string{
	"infohash": func(f *folder, _ *fetch.Node) string { return f.t.HashString() },
	"have":     func(f *folder, n *fetch.Node) string { return decimal(f.t.CachedBytes(n)) },
	"size":     func(_ *folder, n *fetch.Node) string { return decimal(n.Size) },
	"pin":      func(f *folder, n *fetch.Node) string { return pinText(f.t.Pinned(n)) },
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// have is how many bytes of the torrent are here.
func (f *folder) have() int64 {
	if root := f.t.Root(); root != nil {
		return f.t.CachedBytes(root)
	}
	return 0
}

// xattr finds the value of an attribute.
func (d *dirNode) xattr(name string) (string, bool) {
	if d.n != nil {
		return nodeXattr(d.f, d.n, name)
	}
	if get := torrentXattrs[name]; get != nil {
		return get(d.f), true
	}
	return "", false
}

func nodeXattr(f *folder, n *fetch.Node, name string) (string, bool) {
	if get := nodeXattrs[name]; get != nil {
		return get(f, n), true
	}
	return "", false
}

// Getxattr implements fusefs.NodeGetxattrer.
func (d *dirNode) Getxattr(_ context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	return getXattr(attr, dest, d.xattr)
}

// Listxattr implements fusefs.NodeListxattrer.
func (d *dirNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	if d.n != nil {
		return copyOut(dest, nodeXattrList)
	}
	return copyOut(dest, torrentXattrList)
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *fileNode) Getxattr(_ context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	return getXattr(attr, dest, func(name string) (string, bool) { return nodeXattr(n.f, n.n, name) })
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *fileNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return copyOut(dest, nodeXattrList)
}

func getXattr(attr string, dest []byte, find func(name string) (string, bool)) (uint32, syscall.Errno) {
	name, ours := strings.CutPrefix(attr, xattrPrefix)
	if !ours {
		return 0, syscall.ENODATA
	}
	value, ok := find(name)
	if !ok {
		return 0, syscall.ENODATA
	}
	return copyOut(dest, []byte(value))
}

// The answers to listxattr: names with the prefix, each ended by a NUL.
var (
	torrentXattrList = xattrList(torrentXattrs)
	nodeXattrList    = xattrList(nodeXattrs)
)

func xattrList[V any](m map[string]V) []byte {
	var b []byte
	for _, name := range sortedKeys(m) {
		b = append(b, xattrPrefix+name+"\x00"...)
	}
	return b
}
