package picker

import "time"

const (
	// maxCopies bounds how many peers are asked for one block at a time.
	maxCopies = 3
	// lateGrace is the least delay that makes a block late: below it, the jitter
	// of hosts and queues.
	lateGrace = 30 * time.Millisecond
	// lateTick is how often late blocks are looked for while a read waits;
	// idleTick while none does.
	lateTick = 20 * time.Millisecond
	idleTick = 200 * time.Millisecond
	// soon is how close a deadline must be for a second request.
	soon = 2 * time.Second
)

// Late returns the second requests for blocks that do not come when they were
// expected, appended to out, and the peers that were found snubbed. It is called
// at the time that NextLate tells.
func (p *Picker) Late(now time.Time, out []Request) (reqs []Request, snubbed []PeerID) {
	for _, pr := range p.order {
		p.forgo(pr, now)
	}
	snubbed = p.snub(now)
	if p.open == 0 || len(p.order) < 2 {
		return out, snubbed
	}
	out = p.probe(now, out)
	budget := p.open/2 + 16 - p.copies()
	if budget <= 0 {
		return out, snubbed
	}
	cands, _, _ := p.candidates(now)
	prior := p.prior()
	for _, pr := range p.order {
		pr.forecast(prior, now)
	}
	for _, w := range p.wants {
		if !w.Blocked && w.Deadline.Sub(now) > soon {
			break
		}
		pp := p.partials[w.Piece]
		if pp == nil || pp.complete() || pp.free == pp.left {
			continue
		}
		p.admit(cands, w, now)
		for i := range cands {
			// A second request is there to be answered.
			cands[i].able = cands[i].able && !cands[i].snubbed
		}
		for i := range pp.blocks {
			bl := &pp.blocks[i]
			if bl.received || len(bl.reqs) == 0 || bl.copies() >= maxCopies {
				continue
			}
			expected, late := bl.expected(now)
			margin := time.Duration(0)
			switch {
			case !w.Blocked && expected.Before(w.Deadline):
				continue
			case !late && pp.free > 0:
				continue // there is work that nobody was given yet
			case !late:
				// Not late, but the estimate has changed since it was sent,
				// or the others are done: worth a second request only if it
				// saves something.
				margin = max(lateGrace, expected.Sub(now)/4)
				if !w.Blocked {
					margin = max(soon/4, expected.Sub(now)/2)
				}
			}
			b := Block{w.Piece, i}
			c := p.soonest(cands, pp, b, w.Blocked)
			if c != nil && !late && bl.avoids(c.id) {
				continue // the block has to come from somebody else
			}
			if c == nil || c.snubbed || c.room+c.extra <= 0 || c.overdue(now) > lateGrace {
				continue
			}
			at := c.arrival(p.BlockLen(b))
			if !now.Add(at + margin).Before(expected) {
				continue
			}
			c.at = at
			if c.room > 0 {
				c.room--
			} else {
				c.extra--
			}
			if !p.allows(p.BlockLen(b)) {
				return out, snubbed
			}
			p.ask(c.peer, pp, b, w.Blocked, now.Add(at), now)
			out = append(out, Request{Peer: c.id, Block: b})
			if budget--; budget == 0 {
				return out, snubbed
			}
		}
	}
	return out, snubbed
}

// copies counts the requests to peers that are not snubbed.
func (b *block) copies() (n int) {
	for _, r := range b.reqs {
		if !r.peer.snubbed {
			n++
		}
	}
	return n
}

// expected is when the block will come at the soonest, by those who were asked,
// and whether all of them are late. Nothing is expected of snubbed peers, unless
// nobody else was asked.
func (b *block) expected(now time.Time) (at time.Time, late bool) {
	late = true
	hopeful := b.copies() > 0
	for _, r := range b.reqs {
		if hopeful && r.peer.snubbed {
			continue
		}
		if !r.isLate(now) {
			late = false
		}
		if at.IsZero() || r.expect.Before(at) {
			at = r.expect
		}
	}
	return at, late
}

// copies counts the second and further requests that are open.
func (p *Picker) copies() int {
	n := 0
	for _, pp := range p.partials {
		n += pp.copies
	}
	return n
}

// snub gives up what was asked from peers that went silent. A peer is snubbed
// when it is late by more than a second and by several times what its oldest
// request was expected to take; it gets one request at a time until it answers.
func (p *Picker) snub(now time.Time) (ids []PeerID) {
	for _, pr := range p.order {
		late := pr.overdue(now)
		if late == 0 {
			continue
		}
		patience := snubAfter << min(pr.snubs, 4)
		if r := pr.oldest(); r != nil {
			patience = max(patience, 3*r.due.Sub(later(r.sent, pr.lastBlock)))
		}
		if late < patience {
			continue
		}
		if pr.muteSince.IsZero() {
			pr.muteSince = now.Add(-late)
		}
		pr.snubbed, pr.snubbedAt = true, now
		pr.snubs++
		for _, r := range pr.queue {
			p.release(r)
			pr.owe(r)
			p.spent -= r.size
		}
		// Nothing is expected any more, so nothing stands in the way of the
		// one request that may show that it is back.
		pr.queue, pr.outstanding, pr.void = nil, 0, 0
		pr.silentSince = time.Time{}
		pr.link.busyUntil = now.Add(late)
		ids = append(ids, pr.id)
	}
	return ids
}

// NextLate is when Late and Pick should be called next although nothing happened;
// zero if never.
func (p *Picker) NextLate(now time.Time) (at time.Time) {
	if p.open > 0 {
		at = now.Add(idleTick)
	}
	for _, w := range p.wants {
		if p.Had(w.Piece) {
			continue
		}
		if w.Blocked && p.open > 0 {
			return now.Add(lateTick)
		}
		if now.Before(w.NotBefore) && (at.IsZero() || w.NotBefore.Before(at)) {
			at = w.NotBefore
		}
	}
	return at
}
