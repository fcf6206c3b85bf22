package picker

import "time"

// A reader gives up what it wants, and a moment later it, or another one, wants it
// again: a file is opened anew for every request, somebody seeks to and fro. A cancel
// comes too late for most of what is on its way. libtorrent has half a second of blocks
// in its socket and in front of it, which nothing takes back; so what is asked again
// elsewhere comes twice, up to half of all that was received (TestSimWantedAgain).
// Such blocks are waited for instead, where they were asked. A peer that does honour
// the cancel says so (BEP 6), and shows how much it holds. Of one that would say nothing
// only that is waited for which had left it before the cancel came.

// recall takes a request back that was given up, if it is likely to be answered all
// the same and nobody else was asked for the block.
func (p *Picker) recall(r *request, now time.Time) {
	pr, pp := r.peer, p.partials[r.block.Piece]
	if !r.cancelled || r.cancelledAt.IsZero() || pr.snubbed || !pr.canAsk(r.block.Piece) || r.isLate(now) {
		return
	}
	switch {
	case !pr.rejects && r.lead() > pr.link.rtt, pr.keeps > 0 && r.lead() > pr.keeps:
		return
	}
	if pp == nil || pp.blocks[r.block.Index].received || len(pp.blocks[r.block.Index].reqs) > 0 {
		return
	}
	r.cancelled = false
	pr.void--
	pr.recalls = true
	p.open++
	pp.ask(r)
}

// lead is how much later than it was cancelled a request was due.
func (r *request) lead() time.Duration { return r.due.Sub(r.cancelledAt) }

// honoured notes that the peer took a cancel at its word.
func (r *request) honoured() {
	// Before a round trip is over the cancel cannot have worked; then the estimate
	// of when it was due was wrong.
	if lead := max(r.lead(), r.peer.link.rtt); !r.cancelledAt.IsZero() && (r.peer.keeps == 0 || lead < r.peer.keeps) {
		r.peer.keeps = lead
	}
}

// ignored notes that a block came although it was cancelled.
func (r *request) ignored() {
	if pr := r.peer; !r.cancelledAt.IsZero() && pr.keeps > 0 {
		pr.keeps = max(pr.keeps, r.lead())
	}
}

// forgo gives up requests that were taken back and do not come: the peer may have
// honoured the cancel in silence, which is no reason to think less of it.
func (p *Picker) forgo(pr *peer, now time.Time) {
	if !pr.recalls {
		return
	}
	pr.recalls = false
	for i := 0; i < len(pr.queue); i++ {
		r := pr.queue[i]
		if r.cancelled || r.cancelledAt.IsZero() {
			continue
		}
		if !r.isLate(now) {
			pr.recalls = true
			continue
		}
		r.honoured()
		p.release(r)
		pr.drop(r)
		pr.owe(r)
		p.spent -= r.size
		i--
	}
}
