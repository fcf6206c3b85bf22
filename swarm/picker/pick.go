package picker

import (
	"time"
)

const (
	// maxWalk bounds how many free blocks one Pick looks at, so that a slow
	// peer with room does not make every event expensive.
	maxWalk = 384
	// skipFor is how long a peer that would delay every block is not looked at.
	skipFor = 25 * time.Millisecond
)

// candidate is a peer during one walk.
type candidate struct {
	*peer
	rate  float64
	rtt   time.Duration
	at    time.Time // when everything given to it so far, on paper too, has arrived
	room  int       // blocks that may be sent to it
	extra int       // further blocks if a read waits for them, past what is less urgent
}

// arrival is when one more block would come.
func (c *candidate) arrival(size int) time.Time {
	return c.at.Add(seconds(float64(size) / c.rate))
}

// Pick returns the requests to send now, appended to out.
func (p *Picker) Pick(now time.Time, out []Request) []Request {
	if len(p.wants) == 0 {
		return out
	}
	p.expire(now)
	cands, room, extra := p.candidates(now)
	walked := 0
	for _, w := range p.wants {
		if room <= 0 && (extra <= 0 || !w.Blocked) {
			return out
		}
		if p.Had(w.Piece) {
			continue
		}
		pp := p.partials[w.Piece]
		if pp == nil {
			pp = newPartial(w.Piece, p.Blocks(w.Piece))
		}
		if pp.free == 0 {
			continue
		}
		for i := pp.nextFree(0); i >= 0; i = pp.nextFree(i + 1) {
			if walked++; walked > maxWalk {
				p.rest(cands, now)
				return out
			}
			b := Block{w.Piece, i}
			c := p.soonest(cands, pp, b, w, now)
			if c == nil {
				break // nobody can deliver this piece now
			}
			size := p.BlockLen(b)
			c.at = c.arrival(size)
			switch {
			case c.room > 0:
				c.room--
				room--
			case w.Blocked && c.extra > 0:
				c.extra--
				extra--
			default:
				continue // reserved on paper for a faster peer
			}
			p.partials[w.Piece] = pp
			p.ask(c.peer, pp, b, w.Blocked, c.at, now)
			out = append(out, Request{Peer: c.id, Block: b})
			if room <= 0 && (extra <= 0 || !w.Blocked) {
				return out
			}
		}
	}
	p.rest(cands, now)
	return out
}

// candidates lists the peers that may be asked, and how many blocks they have
// room for in all, without and with those that only a waiting read justifies.
func (p *Picker) candidates(now time.Time) (cands []candidate, room, extra int) {
	prior := p.prior()
	cands = p.scratch[:0]
	for _, pr := range p.order {
		if pr.choking && len(pr.fast) == 0 {
			continue
		}
		c := candidate{peer: pr, rate: pr.link.rate(prior), rtt: pr.link.roundTrip()}
		c.at = later(now.Add(c.rtt), pr.link.busyUntil)
		if late := pr.overdue(now); late > 0 {
			// What is late has no reason to come at once: the longer it has
			// not come, the longer it is expected to take.
			c.at = c.at.Add(2 * late)
		}
		depth := pr.depth(prior)
		c.room = max(0, depth-len(pr.queue))
		if !pr.snubbed {
			most := depth
			if !pr.link.known() {
				most = 2 * depth // it may be a fast one, and the read is worth finding out
			}
			c.extra = max(0, min(most-pr.urgent, pr.maxQueue-len(pr.queue))-c.room)
		}
		if !now.Before(pr.skipUntil) {
			room += c.room
			extra += c.extra
		}
		cands = append(cands, c)
	}
	p.scratch = cands
	return cands, room, extra
}

// soonest returns the candidate with the earliest expected arrival, nil if none
// can be asked for the block.
func (p *Picker) soonest(cands []candidate, pp *partial, b Block, w Want, now time.Time) *candidate {
	var best, avoided *candidate
	var bestAt, avoidedAt time.Time
	size := p.BlockLen(b)
	blocked, held := w.Blocked, now.Before(w.NotBefore)
	penalty := blocked && p.trustedHas(cands, b.Piece)
	for i := range cands {
		c := &cands[i]
		if !c.canAsk(b.Piece) || !c.mayTouch(b.Piece) || c.snubbed && (blocked || c.room == 0) || c.find(b) != nil || held && !c.near {
			continue
		}
		at := c.arrival(size)
		if penalty && !c.proven && !c.vouched {
			at = at.Add(unprovenPenalty)
		}
		if pp.blocks[b.Index].avoids(c.id) {
			if avoided == nil || at.Before(avoidedAt) {
				avoided, avoidedAt = c, at
			}
			continue
		}
		if best == nil || at.Before(bestAt) {
			best, bestAt = c, at
		}
	}
	if best == nil {
		best = avoided
	}
	if best == nil && blocked {
		return p.lastResort(cands, b)
	}
	return best
}

// lastResort is a snubbed peer, if a read waits and nobody else has the piece.
func (p *Picker) lastResort(cands []candidate, b Block) *candidate {
	for i := range cands {
		c := &cands[i]
		if c.snubbed && c.room > 0 && c.canAsk(b.Piece) && c.find(b) == nil {
			return c
		}
	}
	return nil
}

func (p *Picker) trustedHas(cands []candidate, piece int) bool {
	for i := range cands {
		if c := &cands[i]; (c.proven || c.vouched) && !c.snubbed && c.canAsk(piece) {
			return true
		}
	}
	return false
}

// ask puts a request on the books.
func (p *Picker) ask(pr *peer, pp *partial, b Block, urgent bool, due, now time.Time) {
	r := &request{peer: pr, block: b, size: p.BlockLen(b), sent: now, due: due}
	r.alone = float64(pr.outstanding) <= pr.link.rate(0)*pr.link.rtt.Seconds()
	r.setUrgent(urgent)
	pr.queue = append(pr.queue, r)
	pr.outstanding += r.size
	pr.link.busyUntil = due
	pp.ask(r)
	p.open++
}

// rest keeps peers that had room but would have delayed every block from being
// looked at again at once.
func (p *Picker) rest(cands []candidate, now time.Time) {
	for i := range cands {
		if c := &cands[i]; c.room+c.extra > 0 {
			c.skipUntil = now.Add(skipFor)
		}
	}
}

// expire forgets cancelled requests whose time is over: the peer honoured the
// cancel in silence, as peers without the fast extension do.
func (p *Picker) expire(now time.Time) {
	for _, pr := range p.order {
		if len(pr.queue) == 0 {
			continue
		}
		kept := pr.queue[:0]
		for _, r := range pr.queue {
			if r.cancelled && now.Sub(r.due) > pr.link.roundTrip() {
				pr.outstanding -= r.size
				pr.owe(r)
				continue
			}
			kept = append(kept, r)
		}
		clear(pr.queue[len(kept):])
		pr.queue = kept
	}
}
