package fs

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"magnetfs/fetch"
)

// Extended attributes tell programs what folders and files are and how far they
// are. Any other attribute is answered with ENODATA without a look at the torrent.

const xattrPrefix = "user.magnetfs."

// torrentXattrs are those that every folder and file of a torrent has: they tell of
// the torrent.
var torrentXattrs = map[string]func(f *folder) string{
	"infohash": func(f *folder) string { return f.t.HashString() },
	"magnet":   func(f *folder) string { return f.t.Magnet() },
	"state":    func(f *folder) string { return string(f.t.Status().State) },
	"reason":   func(f *folder) string { return f.t.Status().Reason },
	"seeds":    func(f *folder) string { return strconv.Itoa(f.t.Status().ConnectedSeeds) },
	"peers":    func(f *folder) string { return strconv.Itoa(f.t.Status().ConnectedPeers) },
	"down":     func(f *folder) string { return decimal(f.t.Status().DownRate) },
	"up":       func(f *folder) string { return decimal(f.t.Status().UpRate) },
}

// nodeXattrs tell of a folder or file; nil is the torrent's own folder.
var nodeXattrs = map[string]func(f *folder, n *fetch.Node) string{
	"have": (*folder).have,
	"size": (*folder).size,
	"pin":  func(f *folder, n *fetch.Node) string { return pinText(f.t.Pinned(n)) },
}

// fileXattrs are those of files alone.
var fileXattrs = map[string]func(f *folder, n *fetch.Node) string{
	"ranges": func(f *folder, n *fetch.Node) string { return rangesText(f.t.CachedRanges(n), maxXattr) },
}

// maxXattr is the most that Linux lets an attribute have, in bytes.
const maxXattr = 64 << 10

// rangesText writes half-open ranges as "0-99,200-299", with the last byte of each.
// If that takes more than limit bytes, the last of them are left out.
func rangesText(list [][2]int64, limit int) string {
	var b []byte
	for _, r := range list {
		before := len(b)
		if before > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, r[0], 10)
		b = strconv.AppendInt(append(b, '-'), r[1]-1, 10)
		if len(b) > limit {
			return string(b[:before])
		}
	}
	return string(b)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// have is how many bytes of a node are here.
func (f *folder) have(n *fetch.Node) string {
	if n == nil {
		n = f.t.Root()
	}
	if n == nil {
		return decimal(0)
	}
	return decimal(f.t.CachedBytes(n))
}

// size is how many bytes a node has; of a folder, what is in it.
func (f *folder) size(n *fetch.Node) string {
	if n == nil {
		n = f.t.Root()
	}
	if n == nil {
		return decimal(0)
	}
	return decimal(n.TotalSize())
}

// xattr finds the value of an attribute; n is nil for the torrent's own folder.
func (f *folder) xattr(n *fetch.Node, name string) (string, bool) {
	if get := torrentXattrs[name]; get != nil {
		return get(f), true
	}
	if get := nodeXattrs[name]; get != nil {
		return get(f, n), true
	}
	if get := fileXattrs[name]; get != nil && n != nil && n.Kind == fetch.File {
		return get(f, n), true
	}
	return "", false
}

// Getxattr implements fusefs.NodeGetxattrer.
func (d *dirNode) Getxattr(_ context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	return d.f.getXattr(d.n, attr, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (d *dirNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return copyOut(dest, dirXattrList)
}

// Getxattr implements fusefs.NodeGetxattrer.
func (n *fileNode) Getxattr(_ context.Context, attr string, dest []byte) (uint32, syscall.Errno) {
	return n.f.getXattr(n.n, attr, dest)
}

// Listxattr implements fusefs.NodeListxattrer.
func (n *fileNode) Listxattr(_ context.Context, dest []byte) (uint32, syscall.Errno) {
	return copyOut(dest, fileXattrList)
}

func (f *folder) getXattr(n *fetch.Node, attr string, dest []byte) (uint32, syscall.Errno) {
	name, ours := strings.CutPrefix(attr, xattrPrefix)
	if !ours {
		return 0, syscall.ENODATA
	}
	value, ok := f.xattr(n, name)
	if !ok {
		return 0, syscall.ENODATA
	}
	return copyOut(dest, []byte(value))
}

// The answers to listxattr: names with the prefix, each ended by a NUL.
var (
	dirXattrList  = xattrList(sortedKeys(torrentXattrs), sortedKeys(nodeXattrs))
	fileXattrList = xattrList(sortedKeys(torrentXattrs), sortedKeys(nodeXattrs), sortedKeys(fileXattrs))
)

func xattrList(names ...[]string) (b []byte) {
	for _, name := range slices.Concat(names...) {
		b = append(b, xattrPrefix+name+"\x00"...)
	}
	return b
}
