package picker

import (
	"time"

	"github.com/bits-and-blooms/bitset"
)

// PeerID names a peer within one Picker. The caller chooses it; it is not reused.
type PeerID int

const (
	// firstDepth is the queue of a peer whose rate is not known yet, in blocks.
	firstDepth = 8
	// spareBlocks are asked beyond the measured depth, so that a rate that
	// rises is noticed.
	spareBlocks = 2
	// unverifiedPieces bounds how many unfinished pieces a peer may contribute
	// to before one of them was verified: wrong blocks then spoil little, and
	// the blame stays clear.
	unverifiedPieces = 2
	// unprovenPenalty is added to the expected arrival of a peer of which nothing
	// is known when a read waits for the piece and a better known peer has it.
	unprovenPenalty = time.Second
	// maxOwed bounds the requests of a peer that were given up unanswered.
	maxOwed = 128
	// snubAfter is the least silence after which a peer is snubbed.
	snubAfter = time.Second
	// excuseEvery is how often a peer may have been silent without being taken
	// for a slow one. Its first block after that would else stand for a rate at
	// which it is not asked any more, and so not measured, while all pieces
	// wanted are such as a read sleeps on.
	excuseEvery = time.Minute
)

// peer is what the picker knows of one peer.
type peer struct {
	id   PeerID
	have *bitset.BitSet
	link link

	choking bool // the peer chokes us
	fast    map[int]bool
	near    bool         // of our own network
	proven  bool         // delivered data whose hash was right
	vouched bool         // something speaks for it, though it has not delivered yet
	doubt   map[int]bool // unfinished wanted pieces that it contributed to while unproven
	snubbed bool
	// snubbedAt is when it was snubbed last; snubs counts in a row.
	snubbedAt time.Time
	snubs     int
	excusedAt time.Time // when its silence was last not counted
	maxQueue  int       // requests that it accepts (reqq)

	queue       []*request // in the order sent, cancelled ones included
	owed        []*request // given up although no answer came; it still may
	outstanding int        // bytes of queue
	urgent      int        // requests of queue that a read sleeps on
	void        int        // requests of queue that are cancelled
	skipUntil   time.Time  // had room and no block that it would not delay
	lastBlock   time.Time
	// silentSince is when a request was due that was then given up because it
	// did not come; zero if a block came since. Without it, a peer that never
	// answers would be as good as new each time others have done its work.
	silentSince time.Time
	// keeps is how much later than a cancel a block may be due that comes all the
	// same; 0: not known.
	keeps   time.Duration
	rejects bool // it answers a cancel by a reject, or the block (BEP 6)
	recalls bool // queue may hold requests that were cancelled and taken back
	// muteSince is when the silence began for which it was snubbed, however
	// often since then.
	muteSince time.Time
}

// request is one block asked from one peer.
type request struct {
	peer      *peer
	block     Block
	size      int
	sent, due time.Time // due: when it was expected to arrive, at the time it was sent
	expect    time.Time // when it is expected now; see forecast
	cancelled bool
	// cancelledAt is when its piece was first not wanted any more; zero if it
	// always was.
	cancelledAt time.Time
	urgent      bool // open, and a read sleeps on it
	alone       bool // what was asked before was less than the pipe holds
}

// isLate says whether the block has not come when it was expected.
func (r *request) isLate(now time.Time) bool {
	return now.Sub(r.due) >= max(lateGrace, r.due.Sub(r.sent)/4)
}

// suspect notes that a request is given up at a time when it should have been
// answered.
func (r *request) suspect(now time.Time) {
	if p := r.peer; r.isLate(now) && p.silentSince.IsZero() {
		p.silentSince = later(r.due, p.lastBlock)
	}
}

// setUrgent keeps its peer's count.
func (r *request) setUrgent(urgent bool) {
	switch {
	case urgent && !r.urgent:
		r.peer.urgent++
	case !urgent && r.urgent:
		r.peer.urgent--
	}
	r.urgent = urgent
}

// canAsk says whether the peer answers requests for the piece at the moment.
func (p *peer) canAsk(piece int) bool {
	return p.have.Test(uint(piece)) && (!p.choking || p.fast[piece])
}

// mayTouch keeps an unproven peer from spoiling more than a few pieces.
func (p *peer) mayTouch(piece int) bool {
	if p.proven || p.doubt[piece] {
		return true
	}
	n, last := len(p.doubt), -1
	for _, r := range p.queue {
		if r.cancelled || p.doubt[r.block.Piece] || r.block.Piece == last {
			continue
		}
		if r.block.Piece == piece {
			return true
		}
		n, last = n+1, r.block.Piece
	}
	return n < unverifiedPieces
}

// depth is how many blocks may be outstanding.
func (p *peer) depth(prior float64) int {
	d := firstDepth
	switch {
	case p.snubbed:
		return 1
	case p.link.known():
		// At a slow peer each block more is a long wait for what is urgent.
		bytes := p.link.depth(prior)
		d = bytes / BlockSize
		switch {
		case p.link.rttStale:
			d = max(1, d)
		case bytes < BlockSize+BlockSize/2:
			d = 2 // one is on its way while the other is asked
		default:
			d += 1 + min(d, spareBlocks)
		}
	}
	return min(d, p.maxQueue)
}

// overdue is how late the oldest request is that was not given up, or was given up
// because it was late; 0 if none is.
func (p *peer) overdue(now time.Time) time.Duration {
	since := p.silentSince
	if r := p.oldest(); r != nil {
		if t := later(r.due, p.lastBlock); since.IsZero() || t.Before(since) {
			since = t
		}
	}
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since))
}

// oldest is the first open request, nil if there is none.
func (p *peer) oldest() *request {
	for _, r := range p.queue {
		if !r.cancelled {
			return r
		}
	}
	return nil
}

// settle recomputes when the queue is expected to be empty.
func (p *peer) settle(prior float64, now time.Time) {
	p.link.busyUntil = time.Time{}
	n := len(p.queue)
	if n == 0 {
		return
	}
	rate := p.link.rate(prior)
	t := now.Add(seconds(float64(p.outstanding) / rate))
	newest := p.queue[n-1]
	p.link.busyUntil = later(t, newest.sent.Add(p.link.roundTrip()).Add(seconds(float64(newest.size)/rate)))
}

// forecast brings up to date when each open request is expected, by its place in
// the queue and the rate measured since it was sent. What is overdue is expected
// to take as long again as it is late already. So is what was asked after it, of a
// peer that has sent nothing yet; of others it may all come at once, when what TCP
// had lost is there.
func (p *peer) forecast(prior float64, now time.Time) {
	rate := p.link.rate(prior)
	at := p.link.last // by what was measured
	expect := now     // and not in the past
	for _, r := range p.queue {
		takes := seconds(float64(r.size) / rate)
		at = later(at, r.sent.Add(p.link.roundTrip())).Add(takes)
		if !p.link.known() && at.Before(r.due) {
			// What others do was not known when it was sent.
			r.due = at
		}
		expect = later(expect, at)
		r.expect = expect
		expect = expect.Add(takes)
		if by := now.Sub(r.due); by > 0 {
			r.expect = later(expect, now.Add(by))
			if !p.link.known() {
				expect = r.expect.Add(takes)
			}
		}
	}
}

// promise says anew when each open request is due, once the first block has told
// the rate. Until then it was a guess, and blocks of a peer slower than that would
// be taken for late: of the first piece from six peers of 1 Mbit/s, one block in
// five came twice.
func (p *peer) promise() {
	at := p.link.last
	for _, r := range p.queue {
		at = later(at, r.sent.Add(p.link.roundTrip())).Add(seconds(float64(r.size) / p.link.rate(0)))
		r.due = later(r.due, at)
	}
}

// drop takes r off the books.
func (p *peer) drop(r *request) bool {
	r.setUrgent(false)
	for i, q := range p.queue {
		if q == r {
			if r.cancelled {
				p.void--
			}
			p.queue = append(p.queue[:i], p.queue[i+1:]...)
			p.outstanding -= r.size
			return true
		}
	}
	return false
}

// owe takes r off the books, remembering that an answer may still come.
func (p *peer) owe(r *request) {
	if len(p.owed) == maxOwed {
		p.owed = append(p.owed[:0], p.owed[1:]...)
	}
	p.owed = append(p.owed, r)
}

// late returns a request that was given up, and forgets it.
func (p *peer) late(b Block) *request {
	for i, r := range p.owed {
		if r.block == b {
			p.owed = append(p.owed[:i], p.owed[i+1:]...)
			return r
		}
	}
	return nil
}

// knows says whether the block is on the peer's books, asked or cancelled.
func (p *peer) knows(bl *block, b Block) bool {
	for _, r := range bl.reqs {
		if r.peer == p {
			return true
		}
	}
	return p.void > 0 && p.find(b) != nil
}

// find returns the request for the block, cancelled or not.
func (p *peer) find(b Block) *request {
	for _, r := range p.queue {
		if r.block == b {
			return r
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// CanDeliver says whether the peer has the piece and answers requests for it.
func (p *Picker) CanDeliver(id PeerID, piece int) bool {
	pr := p.peers[id]
	return pr != nil && piece >= 0 && piece < p.pieces && pr.canAsk(piece) && !pr.snubbed
}

// Silent is for how long the peer has owed blocks without sending any; 0 if it owes
// none.
func (p *Picker) Silent(id PeerID, now time.Time) time.Duration {
	pr := p.peers[id]
	switch {
	case pr == nil:
		return 0
	case !pr.muteSince.IsZero():
		return now.Sub(pr.muteSince)
	}
	return pr.overdue(now)
}

// Link is what the picker believes of a peer, for status displays.
type Link struct {
	Rate         int64 // bytes per second; 0 if not measured
	RTT          time.Duration
	Queue, Depth int // blocks asked, and how many it may be asked
	Snubbed      bool
}

// Link describes a peer.
func (p *Picker) Link(id PeerID) Link {
	pr := p.peers[id]
	if pr == nil {
		return Link{}
	}
	return Link{
		Rate:    int64(pr.link.rate(0)),
		RTT:     pr.link.rtt,
		Queue:   len(pr.queue),
		Depth:   pr.depth(priorRate),
		Snubbed: pr.snubbed,
	}
}
