package fetch

import (
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/bits-and-blooms/bitset"

	"magnetfs/internal/human"
	"magnetfs/swarm/metainfo"
)

// pins are the files of a torrent that are fetched whole and kept. The zero value
// has none.
type pins struct {
	files  *bitset.BitSet // by index in the metainfo; nil: none
	pieces *bitset.BitSet // that these touch
	cost   int64          // bytes of these pieces

	refused string // why files that were to be pinned with the metadata are not
	full    bool   // the cache has no room for the next piece
}

// PinStatus tells how far the pinned files of a torrent are.
type PinStatus struct {
	Files int   // that are pinned
	Size  int64 // of these, bytes
	Have  int64 // bytes of these that are here

	// Later: files are to be pinned when the metadata is there.
	Later bool
	// Full: the cache has no room for more of them at present.
	Full bool
	// Refused is why files that were to be pinned with the metadata are not.
	Refused string
}

// all names every file of a torrent whose metadata is still to come.
var all = metainfo.Range{First: 0, Last: math.MaxInt}

// Pin has a file, or every file below a folder that is not hidden, fetched and kept,
// also over a restart. Nil and the root are the whole torrent; nil may be pinned before the
// metadata is there, and it is then refused later if it is too large.
//
// Pins never get in the way of readers: what is read is fetched first. The error
// wraps ErrNoRoom if the pins of all torrents would exceed what may be pinned, and
// says by how much; ErrNotReady; ErrInvalid if the node is not of this torrent, or
// a link; ErrRemoved.
func (t *Torrent) Pin(n *Node) error {
	l := t.lib
	l.edit()
	defer l.endEdit()
	if err := t.gone(); err != nil {
		return err
	}
	info, err := t.pinnable(n)
	if err != nil {
		return err
	}
	if info == nil {
		t.mu.Lock()
		t.rec.PinLater = []metainfo.Range{all}
		t.mu.Unlock()
	} else {
		t.mu.Lock()
		files := t.inSight(n)
		t.mu.Unlock()
		if err := l.pin(t, files); err != nil {
			return fmt.Errorf("fetch: pin %q: %w", pinName(t, n), err)
		}
	}
	l.saver.save(t)
	l.keeper.poke(t)
	return nil
}

// Unpin lets the files go; they stay in the cache as what was read does. It may be
// called for what is not pinned.
func (t *Torrent) Unpin(n *Node) error {
	l := t.lib
	l.edit()
	defer l.endEdit()
	if err := t.gone(); err != nil {
		return err
	}
	info, err := t.pinnable(n)
	if err != nil {
		return err
	}
	var gone *bitset.BitSet
	if info != nil {
		gone = fileSet(info, t.nodeOrRoot(n))
	}
	t.mu.Lock()
	if n == nil || n.Path == "" {
		t.rec.PinLater = nil
		t.pins.refused = ""
	}
	if gone != nil && t.pins.files != nil {
		t.setPins(t.pins.files.Difference(gone))
	}
	t.mu.Unlock()
	l.saver.save(t)
	l.keeper.poke(t)
	return nil
}

// Pinned tells whether a file, or every file below a folder, is pinned; nil is the
// whole torrent, which may be so before its metadata is there.
func (t *Torrent) Pinned(n *Node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.info == nil {
		return slices.Contains(t.rec.PinLater, all)
	}
	if t.pins.files == nil {
		return false
	}
	files := t.inSight(n)
	return files.Any() && t.pins.files.IsSuperSet(files)
}

// PinStatus tells how far the torrent's pins are.
func (t *Torrent) PinStatus() PinStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := PinStatus{Later: len(t.rec.PinLater) > 0, Refused: t.pins.refused, Full: t.pins.full}
	if t.pins.files == nil {
		return s
	}
	for f := range t.root.files() {
		if t.pins.files.Test(uint(f.File)) {
			s.Files++
			s.Size += f.Size
			s.Have += t.cached(f)
		}
	}
	return s
}

// PinRoom is how many bytes may be pinned in all, and how many are. What is pinned
// counts in whole pieces.
func (l *Library) PinRoom() (capacity, used int64) {
	for _, t := range l.Torrents() {
		used += t.pinCost()
	}
	return l.pinCapacity(), used
}

func (t *Torrent) pinCost() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.pins.cost
}

// pinnable returns the metadata, nil if it is missing and n is the whole torrent.
func (t *Torrent) pinnable(n *Node) (*metainfo.Info, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.info == nil && n != nil:
		return nil, fmt.Errorf("fetch: pin %q: %w", n.Path, ErrNotReady)
	case n == nil:
		return t.info, nil
	case n.Kind == Symlink:
		return nil, fmt.Errorf("fetch: pin %q: a link cannot be pinned, only what it leads to: %w", n.Path, ErrInvalid)
	case n.Kind == File && (n.File < 0 || n.File >= len(t.info.Files) || t.info.Files[n.File].Length != n.Size):
		return nil, fmt.Errorf("fetch: pin %q: not a file of this torrent: %w", n.Path, ErrInvalid)
	}
	return t.info, nil
}

func (t *Torrent) nodeOrRoot(n *Node) *Node {
	if n == nil {
		return t.Root()
	}
	return n
}

func pinName(t *Torrent, n *Node) string {
	if n == nil || n.Path == "" {
		return t.Name()
	}
	return t.Name() + "/" + n.Path
}

// pin pins more files of a torrent whose metadata is there, or none of them. The
// caller is editing, so nobody else pins meanwhile.
func (l *Library) pin(t *Torrent, files *bitset.BitSet) error {
	t.mu.Lock()
	if t.pins.files != nil {
		files = files.Union(t.pins.files)
	}
	info, had := t.info, t.pins.cost
	t.mu.Unlock()
	pieces := pieceSet(info, files)
	capacity, used := l.PinRoom()
	if need := costOf(info, pieces) - had; need > capacity-used {
		if need > capacity {
			return fmt.Errorf("%s are more than the %s that can be pinned: %w", human.Size(need), human.Size(capacity), ErrNoRoom)
		}
		return fmt.Errorf("%s are more than the %s left of the %s that can be pinned: %w",
			human.Size(need), human.Size(capacity-used), human.Size(capacity), ErrNoRoom)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pins.refused = ""
	t.setPins(files)
	return nil
}

// pinLater pins what was to be pinned with the metadata, if that is there. What
// does not fit is not pinned; the status tells why. The caller is editing.
func (l *Library) pinLater(t *Torrent) {
	t.mu.Lock()
	later, info := t.rec.PinLater, t.info
	if info != nil {
		t.rec.PinLater = nil
	}
	t.mu.Unlock()
	if info == nil || len(later) == 0 {
		return
	}
	t.mu.Lock()
	files := t.setOf(later).Intersection(t.inSight(nil))
	t.mu.Unlock()
	if err := l.pin(t, files); err != nil {
		l.log.Warn("not pinned", "torrent", t.Name(), "err", err)
		t.mu.Lock()
		t.pins.refused = err.Error()
		t.mu.Unlock()
	}
	l.saver.mark(t.hash)
}

// setPins makes exactly these files the pinned ones, with their record; mu is held
// and the metadata is there.
func (t *Torrent) setPins(files *bitset.BitSet) {
	t.rec.Pins = rangesOf(files)
	if files.None() {
		t.pins.files, t.pins.pieces, t.pins.cost, t.pins.full = nil, nil, 0, false
		return
	}
	t.pins.files = files
	t.pins.pieces = pieceSet(t.info, files)
	t.pins.cost = costOf(t.info, t.pins.pieces)
}

// restorePins makes the record's pins effective; mu is held and the metadata is
// there.
func (t *Torrent) restorePins() {
	if len(t.rec.Pins) == 0 {
		return
	}
	t.setPins(t.setOf(t.rec.Pins))
}

// files yields the files at and below a node.
func (n *Node) files() iter.Seq[*Node] {
	return func(yield func(*Node) bool) { n.walkFiles(yield) }
}

func (n *Node) walkFiles(yield func(*Node) bool) bool {
	if n.Kind == File {
		return yield(n)
	}
	for _, c := range n.Children {
		if !c.walkFiles(yield) {
			return false
		}
	}
	return true
}

func fileSet(info *metainfo.Info, n *Node) *bitset.BitSet {
	set := bitset.New(uint(len(info.Files)))
	for f := range n.files() {
		set.Set(uint(f.File))
	}
	return set
}

// pieceSet is the pieces that some files touch.
func pieceSet(info *metainfo.Info, files *bitset.BitSet) *bitset.BitSet {
	set := bitset.New(uint(info.NumPieces()))
	for i := range files.EachSet() {
		first, last := info.FilePieces(int(i))
		for p := first; p <= last; p++ {
			set.Set(uint(p))
		}
	}
	return set
}

func costOf(info *metainfo.Info, pieces *bitset.BitSet) (bytes int64) {
	for p := range pieces.EachSet() {
		bytes += info.PieceSize(int(p))
	}
	return bytes
}

// rangesOf is a set as closed ranges.
func rangesOf(set *bitset.BitSet) (list []metainfo.Range) {
	for first, ok := set.NextSet(0); ok; first, ok = set.NextSet(first) {
		end, more := set.NextClear(first)
		if !more {
			end = set.Len()
		}
		list = append(list, metainfo.Range{First: int(first), Last: int(end) - 1})
		first = end
	}
	return list
}
