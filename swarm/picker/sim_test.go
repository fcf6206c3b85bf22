package picker

import (
	"container/heap"
	"slices"
	"testing"
	"time"

	"github.com/bits-and-blooms/bitset"
)

// sim drives a Picker as the loop of a torrent does, against peers that are
// servers with a rate and a round trip, in virtual time. Nothing in it is random:
// equal set-ups give equal times to the nanosecond.
type sim struct {
	*Picker
	t      testing.TB
	now    time.Time
	events simHeap
	seq    int
	peers  map[PeerID]*simPeer
	tick   time.Time // when Late is due; zero: never

	down     float64 // our own link, bytes per second; 0: no limit
	downBusy time.Time

	readers []*simReader
	done    map[int]time.Time
	from    map[int]map[PeerID]bool

	asked, cancels int   // messages sent
	bytes          int64 // received, useful or not
	wasted         int64 // bytes that were not needed
	snubs          int
	maxOpen        int // most requests open at a time
}

// simPeer is a server: requests reach it after half a round trip, wait in line,
// and leave at its rate.
type simPeer struct {
	s    *sim
	id   PeerID
	rate float64 // bytes per second; 0: takes requests and never answers
	rtt  time.Duration

	fast   bool // answers a cancel by a reject (BEP 6)
	deaf   bool // ignores cancels; neither: honours them in silence
	buffer int  // bytes handed to its socket, which no cancel takes back

	pulse   time.Duration // if set, it looks at its line so often only, and sends all of it
	gone    bool          // no byte comes from it any more
	line    []Block
	busy    time.Time // when its socket has sent everything handed to it
	pumping bool      // an event will look at the line
}

type simEvent struct {
	at  time.Time
	seq int
	run func()
}

type simHeap []simEvent

func (h simHeap) Len() int { return len(h) }
func (h simHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].seq < h[j].seq
}
func (h simHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *simHeap) Push(x any)   { *h = append(*h, x.(simEvent)) }
func (h *simHeap) Pop() any {
	o := *h
	e := o[len(o)-1]
	*h = o[:len(o)-1]
	return e
}

var simStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newSim(t testing.TB, length, pieceLength int64) *sim {
	return &sim{
		Picker: New(length, pieceLength),
		t:      t,
		now:    simStart,
		peers:  map[PeerID]*simPeer{},
		done:   map[int]time.Time{},
		from:   map[int]map[PeerID]bool{},
	}
}

// at runs f at a moment of the virtual clock, then what follows from it.
func (s *sim) at(t time.Time, f func()) {
	s.seq++
	heap.Push(&s.events, simEvent{t, s.seq, f})
}

func (s *sim) after(d time.Duration, f func()) { s.at(s.now.Add(d), f) }

// join connects a seed that has unchoked us.
func (s *sim) join(rate float64, rtt time.Duration) *simPeer {
	p := &simPeer{s: s, id: PeerID(len(s.peers)), rate: rate, rtt: rtt, fast: true, buffer: 32 << 10}
	s.peers[p.id] = p
	s.AddPeer(p.id, 250, rtt, s.now)
	s.SetBitfield(p.id, bitset.New(uint(s.Pieces())).Complement())
	s.SetChoking(p.id, false, true)
	return p
}

// proven connects a seed that delivered verified data before.
func (s *sim) proven(rate float64, rtt time.Duration) *simPeer {
	p := s.join(rate, rtt)
	s.Prove(p.id)
	return p
}

// send puts messages on the wire.
func (s *sim) send(reqs []Request) {
	for _, r := range reqs {
		s.asked++
		p := s.peers[r.Peer]
		s.after(p.rtt/2, func() {
			p.line = append(p.line, r.Block)
			p.pump()
		})
	}
	s.maxOpen = max(s.maxOpen, s.open)
}

func (s *sim) cancel(reqs []Request) {
	for _, r := range reqs {
		s.cancels++
		p := s.peers[r.Peer]
		s.after(p.rtt/2, func() { p.cancelled(r.Block) })
	}
}

// pump hands the line to the socket as far as its buffer goes.
func (p *simPeer) pump() {
	if p.pulse > 0 {
		p.beat()
		return
	}
	for len(p.line) > 0 && p.rate > 0 {
		wait := later(p.busy, p.s.now).Sub(p.s.now) - seconds(float64(p.buffer)/p.rate)
		if wait > 0 {
			if !p.pumping {
				p.pumping = true
				p.s.after(wait, func() {
					p.pumping = false
					p.pump()
				})
			}
			return
		}
		b := p.line[0]
		p.line = p.line[1:]
		size := float64(p.s.BlockLen(b))
		p.busy = later(p.busy, p.s.now).Add(seconds(size / p.rate))
		p.s.at(p.busy.Add(p.rtt/2), func() { p.s.arrive(p, b) })
	}
}

// beat sends the whole line at the next pulse.
func (p *simPeer) beat() {
	if p.pumping {
		return
	}
	p.pumping = true
	p.s.at(p.s.now.Truncate(p.pulse).Add(p.pulse), func() {
		p.pumping = false
		for _, b := range p.line {
			p.busy = later(p.busy, p.s.now).Add(seconds(float64(p.s.BlockLen(b)) / p.rate))
			p.s.at(p.busy.Add(p.rtt/2), func() { p.s.arrive(p, b) })
		}
		p.line = p.line[:0]
	})
}

func (p *simPeer) cancelled(b Block) {
	i := slices.Index(p.line, b)
	if i < 0 || p.deaf {
		return
	}
	p.line = slices.Delete(p.line, i, i+1)
	if p.fast {
		p.s.after(p.rtt/2, func() { p.s.heard(p, func() { p.s.Rejected(p.id, b) }) })
	}
}

// arrive takes a block through our own link.
func (s *sim) arrive(p *simPeer, b Block) {
	if s.down > 0 {
		s.downBusy = later(s.now, s.downBusy.Add(seconds(float64(s.BlockLen(b))/s.down)))
		s.at(s.downBusy, func() { s.heard(p, func() { s.deliver(p, b) }) })
		return
	}
	s.heard(p, func() { s.deliver(p, b) })
}

// heard handles something that a peer said, unless it is gone.
func (s *sim) heard(p *simPeer, f func()) {
	if !p.gone {
		f()
		s.schedule()
	}
}

func (s *sim) deliver(p *simPeer, b Block) {
	a := s.Received(p.id, b, s.now)
	s.cancel(a.Cancel)
	s.bytes += int64(s.BlockLen(b))
	if !a.Useful {
		s.wasted += int64(s.BlockLen(b))
		return
	}
	if s.from[b.Piece] == nil {
		s.from[b.Piece] = map[PeerID]bool{}
	}
	s.from[b.Piece][p.id] = true
	if !a.Complete {
		return
	}
	var good []PeerID
	for id := range s.from[b.Piece] {
		good = append(good, id)
	}
	slices.Sort(good)
	s.Verified(b.Piece, good)
	s.done[b.Piece] = s.now
	s.advance()
}

// schedule sends what is to be sent now.
func (s *sim) schedule() {
	if !s.tick.IsZero() && !s.now.Before(s.tick) {
		s.tick = time.Time{}
		reqs, snubbed := s.Late(s.now, nil)
		s.snubs += len(snubbed)
		s.send(reqs)
	}
	s.send(s.Pick(s.now, nil))
	if n := s.NextLate(s.now); !n.IsZero() && (s.tick.IsZero() || n.Before(s.tick)) {
		s.tick = n
		s.at(n, s.schedule)
	}
}

// runFor lets d pass.
func (s *sim) runFor(d time.Duration) { s.run(d, func() bool { return false }) }

// run goes on until the condition holds, for at most d, and returns how long it
// took.
func (s *sim) run(d time.Duration, until func() bool) time.Duration {
	start := s.now
	for len(s.events) > 0 && !until() {
		e := heap.Pop(&s.events).(simEvent)
		if e.at.Sub(start) > d {
			heap.Push(&s.events, e)
			s.now = start.Add(d)
			return d
		}
		s.now = e.at
		e.run()
	}
	if !until() {
		s.now = start.Add(d)
	}
	return s.now.Sub(start)
}

// vanish makes the peer fall silent: its connection looks alive.
func (p *simPeer) vanish() { p.gone = true }

// hangUp ends the connection.
func (p *simPeer) hangUp() {
	p.gone = true
	p.s.RemovePeer(p.id)
	p.s.schedule()
}
