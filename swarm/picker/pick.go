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

// candidate is a peer during one walk. Its times count from the beginning of the
// walk.
type candidate struct {
	*peer
	at    time.Duration // until everything given to it so far, on paper too, has arrived
	takes time.Duration // of a whole block
	room  int           // blocks that may be sent to it
	extra int           // further blocks if a read waits for them, past what is less urgent

	able    bool          // may be asked for the piece that is being looked at; see admit
	penalty time.Duration // on that piece
}

// arrival is when one more block would come.
func (c *candidate) arrival(size int) time.Duration {
	if size == BlockSize {
		return c.at + c.takes
	}
	return c.at + c.takes*time.Duration(size)/BlockSize
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
		if room <= 0 && extra <= 0 {
			return out
		}
		if room <= 0 && !w.Blocked {
			continue
		}
		if p.Had(w.Piece) {
			continue
		}
		pp := p.partials[w.Piece]
		if pp == nil {
			pp = p.blank(w.Piece)
		}
		if pp.free == 0 {
			continue
		}
		p.admit(cands, w, now)
		for i := pp.nextFree(0); i >= 0; i = pp.nextFree(i + 1) {
			if walked++; walked > maxWalk {
				p.rest(cands, now)
				return out
			}
			b := Block{w.Piece, i}
			c := p.soonest(cands, pp, b, w.Blocked)
			if c == nil {
				break // nobody can deliver this piece now
			}
			size := p.BlockLen(b)
			if !p.allows(size) {
				return out // what follows is less urgent
			}
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
			if pp == p.unused {
				p.partials[w.Piece], p.unused = pp, nil
			}
			p.ask(c.peer, pp, b, w.Blocked, now.Add(c.at), now)
			out = append(out, Request{Peer: c.id, Block: b})
			if room <= 0 && (extra <= 0 || !w.Blocked) {
				break
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
		c := candidate{peer: pr, takes: seconds(BlockSize / pr.link.rate(prior))}
		// What is late has no reason to come at once: the longer it has not
		// come, the longer it is expected to take.
		c.at = max(pr.link.roundTrip(), pr.link.busyUntil.Sub(now)) + 2*pr.overdue(now)
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

// admit marks the candidates that may be asked for a piece, and those that nothing
// speaks for while a read waits and somebody better known has it.
func (p *Picker) admit(cands []candidate, w Want, now time.Time) {
	held, trusted := now.Before(w.NotBefore), false
	for i := range cands {
		c := &cands[i]
		has := c.canAsk(w.Piece)
		c.able = has && c.mayTouch(w.Piece) && !(c.snubbed && w.Blocked) && (c.near || !held)
		trusted = trusted || has && (c.proven || c.vouched) && !c.snubbed
	}
	for i := range cands {
		c := &cands[i]
		c.penalty = 0
		if w.Blocked && trusted && !c.proven && !c.vouched {
			c.penalty = unprovenPenalty
		}
	}
}

// soonest returns the candidate with the earliest expected arrival, nil if none
// can be asked for the block. admit has seen its piece.
func (p *Picker) soonest(cands []candidate, pp *partial, b Block, blocked bool) *candidate {
	var best, avoided *candidate
	var bestAt, avoidedAt time.Duration
	size, bl := p.BlockLen(b), &pp.blocks[b.Index]
	for i := range cands {
		c := &cands[i]
		if !c.able {
			continue
		}
		at := c.arrival(size) + c.penalty
		if best != nil && at >= bestAt || c.snubbed && c.room == 0 || c.knows(bl, b) {
			continue
		}
		if bl.avoids(c.id) {
			if avoided == nil || at < avoidedAt {
				avoided, avoidedAt = c, at
			}
			continue
		}
		best, bestAt = c, at
	}
	if best == nil {
		best = avoided
	}
	if best == nil && blocked {
		return p.lastResort(cands, bl, b)
	}
	return best
}

// lastResort is a snubbed peer, if a read waits and nobody else has the piece.
func (p *Picker) lastResort(cands []candidate, bl *block, b Block) *candidate {
	for i := range cands {
		c := &cands[i]
		if c.snubbed && c.room > 0 && c.canAsk(b.Piece) && !c.knows(bl, b) {
			return c
		}
	}
	return nil
}

// blank is a piece of which nothing was asked. It is used again by the next call
// unless something is.
func (p *Picker) blank(piece int) *partial {
	n := p.Blocks(piece)
	if pp := p.unused; pp != nil && len(pp.blocks) == n && pp.free == n {
		pp.index = piece
		return pp
	}
	p.unused = newPartial(piece, n)
	return p.unused
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
	p.spend(r.size)
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
		p.forgo(pr, now)
		if pr.void == 0 {
			continue
		}
		kept := pr.queue[:0]
		for _, r := range pr.queue {
			if r.cancelled && now.Sub(r.due) > pr.link.roundTrip() {
				pr.outstanding -= r.size
				pr.void--
				pr.owe(r)
				p.spent -= r.size
				r.honoured()
				continue
			}
			kept = append(kept, r)
		}
		clear(pr.queue[len(kept):])
		pr.queue = kept
	}
}
