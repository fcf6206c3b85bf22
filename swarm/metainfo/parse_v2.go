package metainfo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"magnetfs/swarm/benc"
)

// parseTree reads the v2 file tree. For a v2 torrent its leaves become the files; for a hybrid they are compared with
// the v1 files, which then get their pieces roots.
func (p *parser) parseTree(v benc.Value) error {
	if v.Kind() != benc.Dict {
		return missing("file tree", "dictionary", v)
	}
	t := treeParser{p: p, hybrid: p.V1}
	if p.V1 {
		p.roots = make([]digest, len(p.Files))
	}
	if err := t.folder(v); err != nil {
		return err
	}
	if p.V1 {
		if t.skipPads(); t.next < len(p.Files) {
			return fmt.Errorf("hybrid: v1 file %q is not in the v2 file tree", clip(p.Files[t.next].Path[0]))
		}
		return nil
	}
	if len(p.Files) == 0 {
		return errors.New("file tree is empty")
	}
	p.Single = len(p.Files) == 1 && slices.Equal(p.Files[0].RawPath(), []string{p.RawName})
	if p.Single {
		p.Files[0].Path, p.Files[0].rawPath = []string{p.Name}, nil
		if p.Name != p.RawName {
			p.Files[0].rawPath = []string{p.RawName}
		}
	}
	return nil
}

// maxTreeElements bounds the path elements of all files of a v2 tree together, by the size of the info in bytes. In a
// list every file has to spell out its path; in a tree, where folders are named once, a megabyte could unfold to
// hundreds. A file with data takes some 90 bytes, so this allows paths of 45 elements on average.
func maxTreeElements(size int) int {
	return min(10_000+size/2, 3_000_000)
}

// treeParser walks a file tree in the order of its keys. It recurses: the depth is bounded by the bencode limits.
type treeParser struct {
	p        *parser
	hybrid   bool
	path     []string // of the folder being read
	elements int      // of the paths of all files so far
	next     int      // hybrid: index of the v1 file that the next leaf has to equal
}

// folder reads the entries of a folder.
func (t *treeParser) folder(v benc.Value) error {
	for key, node := range v.Entries() {
		if len(key) == 0 {
			return errors.New("file tree: a file without a name")
		}
		if node.Kind() != benc.Dict {
			return fmt.Errorf("file tree: %q is not a dictionary", clip(string(key)))
		}
		if len(t.path) == maxPathElements {
			return fmt.Errorf("file tree: path of more than %d elements", maxPathElements)
		}
		t.path = append(t.path, string(key))
		err := t.node(node)
		if err != nil {
			return err
		}
		t.path = t.path[:len(t.path)-1]
	}
	return nil
}

// node reads what is under a name: a folder, or a file if the only key is empty.
func (t *treeParser) node(v benc.Value) error {
	leaf := v.Get("")
	if leaf.Kind() == benc.Invalid {
		return t.folder(v)
	}
	for key := range v.Entries() {
		if len(key) != 0 {
			return fmt.Errorf("file tree: %q is a file and a folder", clip(t.path[len(t.path)-1]))
		}
	}
	f, root, err := t.leaf(leaf)
	if err == nil && t.hybrid {
		err = t.match(f, root)
	} else if err == nil {
		err = t.add(f, root)
	}
	if err != nil {
		return fmt.Errorf("file tree: %q: %w", clip(t.path[len(t.path)-1]), err)
	}
	return nil
}

// leaf reads the properties of a file.
func (t *treeParser) leaf(v benc.Value) (f File, root digest, err error) {
	if v.Kind() != benc.Dict {
		return f, root, missing("entry", "dictionary", v)
	}
	link := f.attributes(v)
	if f.Pad {
		return f, root, errors.New("padding in a v2 file tree")
	}
	if t.elements += len(t.path); t.elements > maxTreeElements(len(t.p.Raw)) {
		return f, root, errors.New("too many files too deep in the tree")
	}
	t.p.setPath(&f, t.path)
	if link {
		target := v.Get("symlink path")
		if target.Kind() != benc.List {
			return f, root, missing("symlink path", "list", target)
		}
		return f, root, t.p.setTarget(&f, target)
	}
	if f.Length, err = fileLength(v); err != nil || f.Length == 0 {
		return f, root, err
	}
	b, ok := v.Get("pieces root").Bytes()
	if !ok || len(b) != sha256.Size || digest(b) == (digest{}) {
		return f, root, errors.New("no pieces root of 32 bytes")
	}
	return f, digest(b), nil
}

// add appends a file of a v2 torrent. Data begin at a piece border.
func (t *treeParser) add(f File, root digest) error {
	p := t.p
	n, err := p.countPieces(p.numPieces, f.Length)
	if err != nil {
		return err
	}
	f.Offset = p.Length
	if f.Length > 0 {
		// Neither product nor sum overflow: 2^21 pieces of 2^29 bytes.
		f.Offset = int64(p.numPieces) * p.PieceLength
		p.Length = f.Offset + f.Length
	}
	p.numPieces = n
	if n := len(p.Files); n == cap(p.Files) {
		p.Files, p.roots = slices.Grow(p.Files, n+1), slices.Grow(p.roots, n+1)
	}
	p.Files = append(p.Files, f)
	p.roots = append(p.roots, root)
	return nil
}

// match compares a leaf with the v1 file in its place (BEP 52, "Upgrade Path").
func (t *treeParser) match(f File, root digest) error {
	p := t.p
	t.skipPads()
	if t.next == len(p.Files) {
		return errors.New("hybrid: not in the v1 file list")
	}
	v1 := &p.Files[t.next]
	if !slices.Equal(v1.RawPath(), f.RawPath()) {
		return fmt.Errorf("hybrid: v1 has %q in its place", clip(v1.Path[len(v1.Path)-1]))
	}
	if v1.Length != f.Length {
		return fmt.Errorf("hybrid: %d bytes, but %d in v1", f.Length, v1.Length)
	}
	if !slices.Equal(v1.Symlink, f.Symlink) || (v1.Symlink == nil) != (f.Symlink == nil) {
		return errors.New("hybrid: symlink differs from v1")
	}
	if f.Length > 0 && v1.Offset != int64(p.numPieces)*p.PieceLength {
		return errors.New("hybrid: begins elsewhere in v1")
	}
	n, err := p.countPieces(p.numPieces, f.Length)
	if err != nil {
		return err
	}
	p.numPieces = n
	p.roots[t.next] = root
	t.next++
	return nil
}

// skipPads moves next to a v1 file that is not padding.
func (t *treeParser) skipPads() {
	for t.next < len(t.p.Files) && t.p.Files[t.next].Pad {
		t.next++
	}
}
