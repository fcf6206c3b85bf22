package picker

import "slices"

// BlockSize is the unit of request in bytes (BEP 3). The last block of a
// torrent may be shorter.
const BlockSize = 16 << 10

// Block names one block: its piece, and its place in the piece counted in blocks.
type Block struct {
	Piece, Index int
}

// block is the state of one block of a partial piece.
type block struct {
	received bool
	reqs     []*request // open requests; more than one if it was late
	rule     Rule
}

// Rule says of whom to ask a block whose piece had a wrong hash. Peers outside of
// Only (unless it is empty) and those in Avoid are asked if nobody else is left.
type Rule struct{ Only, Avoid []PeerID }

// partial is a piece of which some blocks were asked or received.
type partial struct {
	index  int
	blocks []block
	free   int // blocks neither received nor asked
	left   int // blocks not received
	copies int // second and further open requests of a block
	cursor int // no free block lies before this one
}

func newPartial(index, blocks int) *partial {
	return &partial{index: index, blocks: make([]block, blocks), free: blocks, left: blocks}
}

// complete means that all blocks are there and their hash is being checked.
func (pp *partial) complete() bool { return pp.left == 0 }

// nextFree returns the first free block from start on, or -1.
func (pp *partial) nextFree(start int) int {
	for i := max(start, pp.cursor); i < len(pp.blocks); i++ {
		b := &pp.blocks[i]
		if !b.received && len(b.reqs) == 0 {
			return i
		}
		if i == pp.cursor {
			pp.cursor++
		}
	}
	return -1
}

// ask notes an open request.
func (pp *partial) ask(r *request) {
	b := &pp.blocks[r.block.Index]
	if len(b.reqs) == 0 {
		pp.free--
	} else {
		pp.copies++
	}
	b.reqs = append(b.reqs, r)
}

// unask takes an open request back.
func (pp *partial) unask(r *request) {
	b := &pp.blocks[r.block.Index]
	for i, q := range b.reqs {
		if q != r {
			continue
		}
		b.reqs = append(b.reqs[:i], b.reqs[i+1:]...)
		if len(b.reqs) > 0 {
			pp.copies--
		} else if !b.received {
			pp.free++
			pp.cursor = min(pp.cursor, r.block.Index)
		}
		return
	}
}

// refetch makes a received block free again.
func (pp *partial) refetch(i int) {
	b := &pp.blocks[i]
	if !b.received {
		return
	}
	b.received = false
	pp.left++
	if len(b.reqs) == 0 {
		pp.free++
		pp.cursor = min(pp.cursor, i)
	}
}

func (b *block) avoids(id PeerID) bool {
	return slices.Contains(b.rule.Avoid, id) || len(b.rule.Only) > 0 && !slices.Contains(b.rule.Only, id)
}
