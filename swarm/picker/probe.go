package picker

import "time"

// probe asks snubbed peers for a block that somebody else is asked for already, so
// that they can show that they are back although every piece wanted is one that a
// read sleeps on. An answer in vain costs one block; the pauses between two probes
// double.
func (p *Picker) probe(now time.Time, out []Request) []Request {
	for _, pr := range p.order {
		if !pr.snubbed || len(pr.queue) > 0 || now.Sub(pr.snubbedAt) < snubAfter<<min(pr.snubs-1, 4) {
			continue
		}
		pp, b := p.underWay(pr)
		if pp == nil {
			continue
		}
		if !p.allows(p.BlockLen(b)) {
			break
		}
		pr.snubbedAt = now
		pr.snubs++
		p.ask(pr, pp, b, false, pr.link.arrival(p.BlockLen(b), priorRate, now), now)
		out = append(out, Request{Peer: pr.id, Block: b})
	}
	return out
}

// underWay is a block that others are asked for, none of them snubbed, and the peer
// may be; nil if there is none.
func (p *Picker) underWay(pr *peer) (*partial, Block) {
	for _, w := range p.wants {
		pp := p.partials[w.Piece]
		if pp == nil || pp.free == pp.left || !pr.canAsk(w.Piece) || !pr.mayTouch(w.Piece) {
			continue
		}
		for i := range pp.blocks {
			bl := &pp.blocks[i]
			if n := bl.copies(); n > 0 && n == len(bl.reqs) && !bl.avoids(pr.id) {
				return pp, Block{w.Piece, i}
			}
		}
	}
	return nil, Block{}
}
