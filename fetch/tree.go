package fetch

import (
	"slices"
	"strings"

	"magnetfs/swarm/metainfo"
)

// NodeKind tells what a Node is.
type NodeKind uint8

// The kinds of nodes.
const (
	Dir NodeKind = iota
	File
	Symlink
)

// Node is a folder, file or symbolic link of a torrent. A tree never changes
// once Torrent.Root has returned it; it may be read from any goroutine.
type Node struct {
	// Name is one safe path element, unique in its folder; empty for the root.
	Name string

	// Path is the slash-separated path below the torrent's folder, without a
	// leading slash; empty for the root.
	Path string

	Kind NodeKind

	// Size is the length of a file in bytes, of a link's Target, 0 of a folder.
	Size int64

	// Executable is the BEP 47 attribute x.
	Executable bool

	// Target is what readlink answers: relative to the link's folder, never
	// outside of the torrent. Set for links only.
	Target string

	// File is the file's index in the metainfo, -1 for folders.
	File int

	// Children are sorted by name; nil unless Kind is Dir.
	Children []*Node

	byName map[string]*Node
}

// Child returns the entry of that name, nil if there is none. It takes constant
// time.
func (n *Node) Child(name string) *Node { return n.byName[name] }

// TotalSize is the length of a file, or of all files below a folder, in bytes:
// CachedBytes when all of it is here. Links have nothing.
func (n *Node) TotalSize() (bytes int64) {
	if n.Kind == File {
		return n.Size
	}
	for _, c := range n.Children {
		bytes += c.TotalSize()
	}
	return bytes
}

// buildTree makes the tree of a torrent. Padding and links that lead nowhere are
// left out. metainfo has made the paths safe and unique; an entry that contradicts
// an earlier one all the same is left out rather than trusted.
func buildTree(info *metainfo.Info) *Node {
	root := &Node{Kind: Dir, File: -1}
	for i := range info.Files {
		if f := &info.Files[i]; f.Visible() && len(f.Path) > 0 {
			root.insert(i, f)
		}
	}
	root.sort()
	return root
}

func (n *Node) insert(index int, f *metainfo.File) {
	dir := n
	for _, name := range f.Path[:len(f.Path)-1] {
		next := dir.byName[name]
		if next == nil {
			next = dir.add(&Node{Name: name, Kind: Dir, File: -1})
		}
		if next.Kind != Dir {
			return
		}
		dir = next
	}
	name := f.Path[len(f.Path)-1]
	if dir.byName[name] != nil {
		return
	}
	leaf := &Node{Name: name, Kind: File, Size: f.Length, Executable: f.Executable, File: index}
	if f.Symlink != nil {
		leaf.Kind = Symlink
		leaf.Target = relative(len(f.Path)-1, f.Path, f.Symlink)
		leaf.Size = int64(len(leaf.Target))
	}
	dir.add(leaf)
}

// relative returns the way from the folder path[:depth] to target, both from the
// root down.
func relative(depth int, path, target []string) string {
	same := 0
	// The last element of the target stays, so that the way is never empty.
	for same < depth && same < len(target)-1 && path[same] == target[same] {
		same++
	}
	return strings.Repeat("../", depth-same) + strings.Join(target[same:], "/")
}

// add makes c a child of n.
func (n *Node) add(c *Node) *Node {
	c.Path = c.Name
	if n.Path != "" {
		c.Path = n.Path + "/" + c.Name
	}
	if n.byName == nil {
		n.byName = make(map[string]*Node)
	}
	n.byName[c.Name] = c
	n.Children = append(n.Children, c)
	return c
}

func (n *Node) sort() {
	slices.SortFunc(n.Children, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range n.Children {
		c.sort()
	}
}
