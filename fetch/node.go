package fetch

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
