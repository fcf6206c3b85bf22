package swarm

import (
	"bytes"
	"net/netip"

	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// sender names who sent a block. It outlives the connection: blame is put on the
// address.
type sender struct {
	id   picker.PeerID
	addr netip.AddrPort
}

// sent is a copy of one block: who sent it, and which of the block's values it is.
type sent struct {
	from  sender
	value int // index into built.values
}

// built is one block of a piece under construction. As long as no hash was wrong
// it has one copy at most.
type built struct {
	// values are the different contents that came, in the order they came: buffers
	// of the wire package's pool, owned by the assembly. nil: discarded.
	values [][]byte
	copies []sent
	chosen int // the copy that is part of the composition; -1: none
}

// none is built.chosen of a block that is missing.
const none = -1

// build is a piece under construction. Its composition is the chosen copy of each
// block. Invariant: blocks[i].chosen is none exactly when the picker counts block
// i as not received.
type build struct {
	index   int
	blocks  []built
	failed  [][]int // compositions whose hash was wrong, as the value of each block
	hashing bool
	bytes   int64 // of all values
	extra   int64 // bytes received beyond one copy of each block
	used    int64 // tick of the last block, for forgetting the oldest
}

func newBuild(index, blocks int) *build {
	b := &build{index: index, blocks: make([]built, blocks)}
	for i := range b.blocks {
		b.blocks[i].chosen = none
	}
	return b
}

// assembly holds the blocks of all pieces that are not verified yet.
type assembly struct {
	builds map[int]*build
	bytes  int64
	clock  int64
	liars  map[picker.PeerID]bool // those whose blocks were discarded
}

func newAssembly() *assembly {
	return &assembly{builds: map[int]*build{}, liars: map[picker.PeerID]bool{}}
}

// put takes a block into the composition of its piece; the assembly owns data from
// now on.
func (a *assembly) put(piece, blocks, i int, from sender, data []byte) *build {
	b := a.builds[piece]
	if b == nil {
		b = newBuild(piece, blocks)
		a.builds[piece] = b
	}
	a.clock++
	b.used = a.clock
	a.bytes += b.add(i, from, data)
	return b
}

// drop forgets a piece and gives its buffers back.
func (a *assembly) drop(piece int) {
	b := a.builds[piece]
	if b == nil {
		return
	}
	for i := range b.blocks {
		for _, data := range b.blocks[i].values {
			wire.PutBlock(data)
		}
	}
	a.bytes -= b.bytes
	delete(a.builds, piece)
}

// discard forgets what a liar sent, apart from pieces whose hash is being checked.
// For each other piece that loses blocks of its composition, lost is called.
func (a *assembly) discard(id picker.PeerID, lost func(b *build, blocks []int)) {
	a.liars[id] = true
	for _, b := range a.builds {
		if b.hashing {
			continue
		}
		if blocks := a.purge(b); len(blocks) > 0 {
			lost(b, blocks)
		}
	}
}

// purge forgets what known liars have sent of a piece whose hash is not being
// checked, and returns the blocks of the composition that are missing now.
func (a *assembly) purge(b *build) (lost []int) {
	a.bytes -= b.bytes
	for id := range a.liars {
		lost = append(lost, b.discard(id)...)
	}
	a.bytes += b.bytes
	return lost
}

// oldest returns the piece that was idle longest among those that keep allows to
// be dropped, or -1.
func (a *assembly) oldest(keep func(piece int) bool) int {
	best, at := -1, int64(0)
	for i, b := range a.builds {
		if b.hashing || keep(i) || best >= 0 && b.used >= at {
			continue
		}
		best, at = i, b.used
	}
	return best
}

// add takes a copy of a block into the composition and returns by how many bytes
// the piece has grown.
func (b *build) add(i int, from sender, data []byte) (grown int64) {
	bl := &b.blocks[i]
	value := len(bl.values)
	for v, old := range bl.values {
		if old != nil && bytes.Equal(old, data) {
			value = v
		}
	}
	if len(bl.copies) > 0 {
		b.extra += int64(len(data))
	}
	if value == len(bl.values) {
		bl.values = append(bl.values, data)
		grown = int64(len(data))
		b.bytes += grown
	} else {
		wire.PutBlock(data)
	}
	bl.chosen = len(bl.copies)
	bl.copies = append(bl.copies, sent{from, value})
	return grown
}

// discard forgets the copies of a sender and returns the blocks of the composition
// that are missing now.
func (b *build) discard(id picker.PeerID) (lost []int) {
	for i := range b.blocks {
		bl := &b.blocks[i]
		kept := bl.copies[:0]
		chosen := none
		for j, c := range bl.copies {
			if c.from.id == id {
				continue
			}
			if j == bl.chosen {
				chosen = len(kept)
			}
			kept = append(kept, c)
		}
		if len(kept) == len(bl.copies) {
			continue
		}
		if bl.chosen != none && chosen == none {
			lost = append(lost, i)
		}
		bl.copies, bl.chosen = kept, chosen
		b.release(bl)
	}
	return lost
}

// release gives back the values of which there is no copy any more.
func (b *build) release(bl *built) {
	for v, data := range bl.values {
		if data == nil || bl.sentBy(v) {
			continue
		}
		b.bytes -= int64(len(data))
		wire.PutBlock(data)
		bl.values[v] = nil
	}
}

// sentBy says whether there is a copy with the value.
func (bl *built) sentBy(value int) bool {
	for _, c := range bl.copies {
		if c.value == value {
			return true
		}
	}
	return false
}

// value is what is chosen of the block, as an index into values; none if nothing is.
func (bl *built) value() int {
	if bl.chosen == none {
		return none
	}
	return bl.copies[bl.chosen].value
}

// senders returns everybody whose block is part of the composition, once.
func (b *build) senders() []sender {
	var out []sender
	seen := map[picker.PeerID]bool{}
	for i := range b.blocks {
		bl := &b.blocks[i]
		if bl.chosen == none {
			continue
		}
		if from := bl.copies[bl.chosen].from; !seen[from.id] {
			seen[from.id] = true
			out = append(out, from)
		}
	}
	return out
}

// data returns the blocks of the composition in order. Read only.
func (b *build) data() [][]byte {
	out := make([][]byte, len(b.blocks))
	for i := range b.blocks {
		if v := b.blocks[i].value(); v != none {
			out[i] = b.blocks[i].values[v]
		}
	}
	return out
}

// liars returns the senders of copies that differ from the blocks of the
// composition, which was found right ("smart ban"), once each.
func (b *build) liars() []sender {
	var out []sender
	seen := map[picker.PeerID]bool{}
	for i := range b.blocks {
		bl := &b.blocks[i]
		for _, c := range bl.copies {
			if c.value != bl.value() && !seen[c.from.id] {
				seen[c.from.id] = true
				out = append(out, c.from)
			}
		}
	}
	return out
}
