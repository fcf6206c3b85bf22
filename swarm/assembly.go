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

// sent is one copy of a block. data is a buffer of the wire package's pool, owned
// by the assembly.
type sent struct {
	from sender
	data []byte
}

// build is a piece under construction. Invariant: blocks[i].data is nil exactly
// when the picker counts block i as not received.
type build struct {
	index   int
	blocks  []sent
	old     [][]sent // per block, copies that were part of a composition whose hash was wrong; nil until a hash failed
	hashing bool
	bytes   int64 // of all copies
	used    int64 // tick of the last block, for forgetting the oldest
}

// assembly holds the blocks of all pieces that are not verified yet.
type assembly struct {
	builds map[int]*build
	bytes  int64
	clock  int64
}

func newAssembly() *assembly { return &assembly{builds: map[int]*build{}} }

// put keeps a block; the assembly owns data from now on.
func (a *assembly) put(piece, blocks, i int, s sent) *build {
	b := a.builds[piece]
	if b == nil {
		b = &build{index: piece, blocks: make([]sent, blocks)}
		a.builds[piece] = b
	}
	a.clock++
	b.used = a.clock
	b.blocks[i] = s
	b.bytes += int64(len(s.data))
	a.bytes += int64(len(s.data))
	return b
}

// drop forgets a piece and gives its buffers back.
func (a *assembly) drop(piece int) {
	b := a.builds[piece]
	if b == nil {
		return
	}
	for _, s := range b.blocks {
		wire.PutBlock(s.data)
	}
	for _, o := range b.old {
		for _, s := range o {
			wire.PutBlock(s.data)
		}
	}
	a.bytes -= b.bytes
	delete(a.builds, piece)
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

// senders returns everybody whose block is part of the present composition, once.
func (b *build) senders() []sender {
	var out []sender
	seen := map[picker.PeerID]bool{}
	for _, s := range b.blocks {
		if s.data != nil && !seen[s.from.id] {
			seen[s.from.id] = true
			out = append(out, s.from)
		}
	}
	return out
}

// data returns the blocks in order. Read only.
func (b *build) data() [][]byte {
	out := make([][]byte, len(b.blocks))
	for i := range b.blocks {
		out[i] = b.blocks[i].data
	}
	return out
}

// liars returns the senders of copies that differ from the blocks of the present
// composition, which was found right ("smart ban").
func (b *build) liars() []sender {
	var out []sender
	for i, o := range b.old {
		for _, s := range o {
			if !bytes.Equal(s.data, b.blocks[i].data) {
				out = append(out, s.from)
			}
		}
	}
	return out
}
