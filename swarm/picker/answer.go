package picker

import (
	"slices"
	"time"
)

// Answer is what a received block means.
type Answer struct {
	// Asked is false if this peer was never asked for this block, or so long
	// ago that it was given up.
	Asked bool
	// Useful means that the block was missing; the caller keeps its bytes.
	Useful bool
	// Complete means that it was the last missing block of its piece.
	Complete bool
	// Cancel are the requests of the same block that others need not answer.
	Cancel []Request
}

// Received notes a block from a peer.
func (p *Picker) Received(id PeerID, b Block, now time.Time) Answer {
	var a Answer
	pr := p.peers[id]
	if pr == nil || b.Piece < 0 || b.Piece >= p.pieces {
		return a
	}
	r := pr.find(b)
	if r == nil {
		if r = pr.late(b); r == nil {
			return a
		}
		p.spent += r.size // it was given back
	}
	a.Asked = true
	r.ignored()
	pr.drop(r)
	first := !pr.link.known()
	if pr.snubbed && pr.link.known() && now.Sub(pr.excusedAt) > excuseEvery {
		pr.excusedAt = now
		pr.link.resume(now)
	} else {
		pr.link.received(r.size, r.sent, r.due, r.alone, now)
	}
	pr.lastBlock = now
	pr.silentSince, pr.muteSince = time.Time{}, time.Time{}
	pr.snubbed, pr.snubs = false, 0
	pr.skipUntil = time.Time{}
	pr.settle(priorRate, now)
	if first {
		pr.promise()
	}

	pp := p.partials[b.Piece]
	if !r.cancelled {
		p.open--
		r.cancelled = true
		if pp != nil {
			pp.unask(r)
		}
	}
	if pp == nil || p.Had(b.Piece) || pp.blocks[b.Index].received {
		return a
	}
	a.Useful = true
	bl := &pp.blocks[b.Index]
	for _, other := range slices.Clone(bl.reqs) {
		other.suspect(now)
		p.release(other)
		if !other.peer.snubbed && other.cancelledAt.IsZero() { // or else its answer is welcome, or it was told before
			a.Cancel = append(a.Cancel, Request{Peer: other.peer.id, Block: b})
		}
	}
	bl.received = true
	pp.free--
	pp.left--
	if !pr.proven && p.Wanted(b.Piece) {
		pr.doubt[b.Piece] = true
	}
	a.Complete = pp.left == 0
	return a
}

// Rejected notes that the peer will not answer a request (BEP 6). If the request
// was still open, the block is free again and the peer is not asked for this
// piece until it announces it anew.
func (p *Picker) Rejected(id PeerID, b Block) {
	pr := p.peers[id]
	if pr == nil {
		return
	}
	r := pr.find(b)
	if r == nil {
		return
	}
	refused := !r.cancelled && r.cancelledAt.IsZero() // or else it answers the cancel
	p.release(r)
	pr.drop(r)
	p.spent -= r.size
	pr.skipUntil = time.Time{}
	if !refused {
		r.honoured()
		return
	}
	if pr.choking {
		delete(pr.fast, b.Piece)
	} else {
		pr.have.Clear(uint(b.Piece))
	}
}

// Verified notes that the hash of a complete piece was right. good are the peers
// whose blocks it was made of.
func (p *Picker) Verified(piece int, good []PeerID) {
	p.had.Set(uint(piece))
	if pp := p.partials[piece]; pp != nil {
		for i := range pp.blocks {
			for _, r := range slices.Clone(pp.blocks[i].reqs) {
				p.release(r)
			}
		}
		delete(p.partials, piece)
	}
	for _, pr := range p.order {
		if pr.doubt[piece] {
			delete(pr.doubt, piece)
			pr.skipUntil = time.Time{}
		}
	}
	for _, id := range good {
		p.Prove(id)
	}
}

// Refetch makes a block of a complete piece whose hash was wrong free again. rule
// says of whom to ask it; it replaces that of an earlier call.
func (p *Picker) Refetch(piece, index int, rule Rule) {
	pp := p.partials[piece]
	if pp == nil {
		return
	}
	pp.refetch(index)
	pp.blocks[index].rule = rule
	p.wake()
}
