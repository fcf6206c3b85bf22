package fetch

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/bits-and-blooms/bitset"

	"magnetfs/swarm/metainfo"
)

// hidden is what the user removed from a torrent's tree. The zero value is nothing.
type hidden struct {
	files *bitset.BitSet  // by index in the metainfo, links too; nil: none
	dirs  map[string]bool // by path
}

// has tells whether a node was removed itself; what is below a removed folder is
// out of sight with it.
func (h *hidden) has(n *Node) bool {
	if n.Kind == Dir {
		return h.dirs[n.Path]
	}
	return h.files != nil && h.files.Test(uint(n.File))
}

// Hide removes a file, a link or an empty folder from sight, also over a restart,
// until the torrent is added again. A file's pin is taken back, and its part of the
// cache freed; who has it open reads on.
//
// The error wraps ErrNotEmpty if something in the folder can be seen; ErrNotReady;
// ErrInvalid if the node is the root or not of this torrent; ErrRemoved.
func (t *Torrent) Hide(n *Node) error {
	l := t.lib
	l.edit()
	defer l.endEdit()
	if err := t.gone(); err != nil {
		return err
	}
	root := t.Root()
	switch {
	case root == nil:
		return fmt.Errorf("fetch: hide %q: %w", n.Path, ErrNotReady)
	case n == root || root.find(n.Path) != n:
		return fmt.Errorf("fetch: hide %q: nothing in this torrent: %w", n.Path, ErrInvalid)
	case n.Kind == Dir && len(t.Visible(n)) > 0:
		return fmt.Errorf("fetch: hide %q: %w", n.Path, ErrNotEmpty)
	}
	t.mu.Lock()
	if n.Kind == Dir {
		if t.hidden.dirs == nil {
			t.hidden.dirs = make(map[string]bool)
		}
		t.hidden.dirs[n.Path] = true
		t.rec.HiddenDirs = append(t.rec.HiddenDirs, n.Path)
	} else {
		if t.hidden.files == nil {
			t.hidden.files = bitset.New(uint(len(t.info.Files)))
		}
		t.hidden.files.Set(uint(n.File))
		t.rec.Hidden = rangesOf(t.hidden.files)
	}
	if n.Kind == File && t.pins.files != nil && t.pins.files.Test(uint(n.File)) {
		t.setPins(t.pins.files.Difference(fileSet(t.info, n)))
		t.discards = append(t.discards, n) // what the keeper holds in memory
	}
	t.mu.Unlock()
	if n.Kind == File {
		t.Discard(n)
	}
	l.saver.mark(t.hash) // not waited for: rm -r hides thousands
	l.keeper.poke(t)
	return nil
}

// unhide brings everything back into sight; mu is held.
func (t *Torrent) unhide() {
	t.hidden = hidden{}
	t.rec.Hidden, t.rec.HiddenDirs = nil, nil
}

// restoreHidden makes what the record says is hidden so; mu is held and the
// metadata is there.
func (t *Torrent) restoreHidden() {
	t.hidden = hidden{}
	if len(t.rec.Hidden) > 0 {
		t.hidden.files = t.setOf(t.rec.Hidden)
	}
	for _, path := range t.rec.HiddenDirs {
		if t.hidden.dirs == nil {
			t.hidden.dirs = make(map[string]bool)
		}
		t.hidden.dirs[path] = true
	}
}

// setOf is the files of a record's ranges; mu is held and the metadata is there.
func (t *Torrent) setOf(list []metainfo.Range) *bitset.BitSet {
	files := bitset.New(uint(len(t.info.Files)))
	for _, r := range list {
		for i := max(0, r.First); i <= min(r.Last, len(t.info.Files)-1); i++ {
			files.Set(uint(i))
		}
	}
	return files
}

// Visible returns those children of a folder that were not removed by Hide.
func (t *Torrent) Visible(n *Node) []*Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hidden.files == nil && t.hidden.dirs == nil {
		return n.Children
	}
	return slices.DeleteFunc(slices.Clone(n.Children), t.hidden.has)
}

// VisibleChild returns the entry of that name, nil if there is none or it was
// removed by Hide.
func (t *Torrent) VisibleChild(n *Node, name string) *Node {
	c := n.Child(name)
	t.mu.Lock()
	defer t.mu.Unlock()
	if c == nil || t.hidden.has(c) {
		return nil
	}
	return c
}

// Hides tells whether anything of the torrent is hidden.
func (t *Torrent) Hides() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.rec.Hidden) > 0 || len(t.rec.HiddenDirs) > 0
}

// inSight is the files at and below a node that were not removed; nil is the root,
// mu is held and the metadata is there.
func (t *Torrent) inSight(n *Node) *bitset.BitSet {
	if n == nil {
		n = t.root
	}
	set := fileSet(t.info, n)
	if t.hidden.files != nil {
		set.InPlaceDifference(t.hidden.files)
	}
	return set
}

// find returns the node of a path below n, nil if there is none.
func (n *Node) find(path string) *Node {
	for name := range strings.SplitSeq(path, "/") {
		if n = n.Child(name); n == nil {
			return nil
		}
	}
	return n
}

// Discard frees what is cached of a file, or of the files below a folder: the
// pieces that no other file has a part in, unless that is hidden. Pieces that
// readers have pinned in memory stay there.
func (t *Torrent) Discard(n *Node) {
	t.mu.Lock()
	info, shelf := t.info, t.shelf
	if info == nil {
		t.mu.Unlock()
		return
	}
	going := fileSet(info, n)
	if t.hidden.files != nil {
		going.InPlaceUnion(t.hidden.files)
	}
	t.mu.Unlock()
	var pieces []int
	for f := range n.files() {
		first, last := info.FilePieces(f.File)
		for p := first; p <= last; p++ {
			if p > first && p < last || !shared(info, p, going) {
				pieces = append(pieces, p)
			}
		}
	}
	slices.Sort(pieces)
	pieces = slices.Compact(pieces)
	if shelf.d != nil {
		shelf.d.Discard(pieces...)
	}
	t.lib.cache.Discard(t.handle, pieces...)
	t.lost(shelf.missing(t.lib.cache.Missing(t.handle, pieces, nil)))
}

// discardHidden frees the files that were hidden while the keeper held them.
func (t *Torrent) discardHidden() {
	t.mu.Lock()
	list := t.discards
	t.discards = nil
	t.mu.Unlock()
	for _, n := range list {
		t.Discard(n)
	}
}

// shared tells whether a file that is not in the set has a part in a piece.
func shared(info *metainfo.Info, piece int, set *bitset.BitSet) bool {
	begin := int64(piece) * info.PieceLength
	end := begin + info.PieceLength
	i := sort.Search(len(info.Files), func(i int) bool { return info.Files[i].Offset+info.Files[i].Length > begin })
	for ; i < len(info.Files) && info.Files[i].Offset < end; i++ {
		if f := &info.Files[i]; f.Length > 0 && !f.Pad && !set.Test(uint(i)) {
			return true
		}
	}
	return false
}
