package swarm

import (
	"bytes"

	"magnetfs/swarm/picker"
)

// verdict is what to do after the hash of a piece was wrong.
type verdict struct {
	// ban is proven: the sender sent all of the piece, which is to be dropped.
	ban []sender
	// again means that another composition of the copies at hand is now in
	// place and its hash is to be checked.
	again bool
	// refetch lists blocks to ask anew, and who sent them last.
	refetch []int
	avoid   []picker.PeerID
}

// failed decides what to do with a piece whose hash was wrong.
//
// Wrong blocks look like right ones, so the question is whom to believe. A peer
// is believed in this order: it delivered verified data before (proven); one of
// its copies equals a copy of somebody else (corroborated: two strangers do not
// send the same wrong block by chance); nothing is known. First the copies at
// hand are recombined, taking each block from the most believable sender. If that
// is what failed already, the blocks of the least believable senders are asked
// anew from others, and the old copies are kept: when the piece is right in the
// end, comparing them names the liars.
func (b *build) failed(proven func(picker.PeerID) bool) verdict {
	froms := b.senders()
	if len(froms) == 1 {
		return verdict{ban: froms}
	}
	if b.old == nil {
		b.old = make([][]sent, len(b.blocks))
	}
	trust := b.trust(proven)
	if b.recombine(trust) {
		return verdict{again: true}
	}
	lowest, highest := 3, 0
	for _, s := range froms {
		lowest, highest = min(lowest, trust[s.id]), max(highest, trust[s.id])
	}
	var v verdict
	for i := range b.blocks {
		// All equally believable: any block may be wrong.
		if lowest == highest || trust[b.blocks[i].from.id] == lowest {
			v.refetch = append(v.refetch, i)
			v.avoid = append(v.avoid, b.blocks[i].from.id)
		}
	}
	b.retire(v.refetch)
	return v
}

// retire moves blocks of the composition to the old copies.
func (b *build) retire(blocks []int) {
	for _, i := range blocks {
		b.old[i] = append(b.old[i], b.blocks[i])
		b.blocks[i] = sent{}
	}
}

// trust rates everybody of whom there is a copy: 2 proven, 1 corroborated, 0
// neither.
func (b *build) trust(proven func(picker.PeerID) bool) map[picker.PeerID]int {
	t := map[picker.PeerID]int{}
	rate := func(s sent, to int) { t[s.from.id] = max(t[s.from.id], to) }
	for i, cur := range b.blocks {
		copies := append([]sent{cur}, b.old[i]...)
		for j, s := range copies {
			rate(s, 0)
			if proven(s.from.id) {
				rate(s, 2)
			}
			for _, o := range copies[:j] {
				if o.from.addr != s.from.addr && bytes.Equal(o.data, s.data) {
					rate(s, 1)
					rate(o, 1)
				}
			}
		}
	}
	return t
}

// recombine puts the copy of the most believable sender in place for each block
// and says whether that changed the piece.
func (b *build) recombine(trust map[picker.PeerID]int) (changed bool) {
	for i := range b.blocks {
		best := -1
		for j, s := range b.old[i] {
			than := b.blocks[i].from.id
			if best >= 0 {
				than = b.old[i][best].from.id
			}
			if trust[s.from.id] > trust[than] && !bytes.Equal(s.data, b.blocks[i].data) {
				best = j
			}
		}
		if best >= 0 {
			b.blocks[i], b.old[i][best] = b.old[i][best], b.blocks[i]
			changed = true
		}
	}
	return changed
}
