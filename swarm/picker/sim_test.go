package picker

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bits-and-blooms/bitset"
)

// sim drives a Picker against peers that are servers with a rate and a round
// trip, in virtual time.
type sim struct {
	*Picker
	now    time.Time
	events simHeap
	seq    int
	peers  map[PeerID]*simPeer
	rnd    *rand.Rand
	asked  int
	wasted int
	done   map[int]time.Time
	from   map[int]map[PeerID]bool
	tick   time.Time
}

type simPeer struct {
	id     PeerID
	rate   float64 // bytes per second; 0: never answers
	rtt    time.Duration
	freeAt time.Time
	gone   bool
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

func newSim(length, pieceLength int64) *sim {
	return &sim{
		Picker: New(length, pieceLength),
		now:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		peers:  map[PeerID]*simPeer{},
		rnd:    rand.New(rand.NewPCG(1, 2)),
		done:   map[int]time.Time{},
		from:   map[int]map[PeerID]bool{},
	}
}

func (s *sim) at(t time.Time, f func()) {
	s.seq++
	heap.Push(&s.events, simEvent{t, s.seq, f})
}

func (s *sim) add(id PeerID, rate float64, rtt time.Duration, proven bool) *simPeer {
	p := &simPeer{id: id, rate: rate, rtt: rtt}
	s.peers[id] = p
	s.AddPeer(id, 250, rtt, s.now)
	s.SetBitfield(id, bitset.New(uint(s.Pieces())).Complement())
	s.SetChoking(id, false, true)
	if proven {
		s.Prove(id)
	}
	return p
}

func (s *sim) send(reqs []Request) {
	for _, r := range reqs {
		s.asked++
		p := s.peers[r.Peer]
		if p.rate == 0 || p.gone {
			continue
		}
		start := s.now.Add(p.rtt / 2)
		if p.freeAt.After(start) {
			start = p.freeAt
		}
		p.freeAt = start.Add(seconds(float64(s.BlockLen(r.Block)) / p.rate))
		s.at(p.freeAt.Add(p.rtt/2), func() { s.deliver(p, r.Block) })
	}
}

func (s *sim) deliver(p *simPeer, b Block) {
	if p.gone {
		return
	}
	a := s.Received(p.id, b, s.now)
	if !a.Useful {
		s.wasted++
	} else {
		if s.from[b.Piece] == nil {
			s.from[b.Piece] = map[PeerID]bool{}
		}
		s.from[b.Piece][p.id] = true
	}
	if a.Complete {
		var good []PeerID
		for id := range s.from[b.Piece] {
			good = append(good, id)
		}
		s.Verified(b.Piece, good)
		s.done[b.Piece] = s.now
	}
	s.schedule()
}

func (s *sim) schedule() {
	s.send(s.Pick(s.now, nil))
	if n := s.NextLate(s.now); !n.IsZero() && (s.tick.IsZero() || n.Before(s.tick)) {
		s.tick = n
		s.at(n, func() {
			s.tick = time.Time{}
			reqs, _ := s.Late(s.now, nil)
			s.send(reqs)
			s.schedule()
		})
	}
}

// run goes on until all pieces are there, or for at most d.
func (s *sim) run(d time.Duration, pieces ...int) time.Duration {
	start := s.now
	for len(s.events) > 0 {
		ok := len(pieces) > 0
		for _, p := range pieces {
			ok = ok && s.Had(p)
		}
		if ok {
			break
		}
		e := heap.Pop(&s.events).(simEvent)
		if e.at.Sub(start) > d {
			heap.Push(&s.events, e)
			s.now = start.Add(d)
			break
		}
		s.now = e.at
		e.run()
	}
	return s.now.Sub(start)
}

// read wants one piece now and returns how long it took.
func (s *sim) read(piece int) time.Duration {
	s.SetWants([]Want{{Piece: piece, Deadline: s.now, Blocked: true}}, s.now)
	s.schedule()
	return s.run(time.Minute, piece)
}

// stream reads n pieces in order with a window of ahead pieces, as fast as they
// come, and returns bytes per second.
func (s *sim) stream(first, n, ahead int) float64 {
	start := s.now
	for i := first; i < first+n; i++ {
		if s.Had(i) {
			continue
		}
		var w []Want
		for j := i; j < min(i+ahead, s.Pieces()); j++ {
			w = append(w, Want{Piece: j, Deadline: s.now.Add(time.Duration(j-i) * 80 * time.Millisecond), Blocked: j == i})
		}
		s.SetWants(w, s.now)
		s.schedule()
		s.run(time.Minute, i)
	}
	return float64(int64(n)*s.pieceLength) / s.now.Sub(start).Seconds()
}

const mbit = 1e6 / 8

func TestSimFigures(t *testing.T) {
	type row struct {
		name string
		make func(s *sim)
	}
	rows := []row{
		{"10 equal", func(s *sim) {
			for i := range 10 {
				s.add(PeerID(i), 10*mbit, 40*time.Millisecond, true)
			}
		}},
		{"1 fast 9 slow", func(s *sim) {
			s.add(0, 80*mbit, 40*time.Millisecond, true)
			for i := range 9 {
				s.add(PeerID(i+1), 1*mbit, 40*time.Millisecond, true)
			}
		}},
		{"10 good 4 stall 3 trickle", func(s *sim) {
			for i := range 10 {
				s.add(PeerID(i), 10*mbit, 40*time.Millisecond, true)
			}
			for i := range 4 {
				s.add(PeerID(10+i), 0, 40*time.Millisecond, false)
			}
			for i := range 3 {
				s.add(PeerID(14+i), 10e3, 40*time.Millisecond, false)
			}
		}},
		{"same, nobody proven", func(s *sim) {
			for i := range 10 {
				s.add(PeerID(i), 10*mbit, 40*time.Millisecond, false)
			}
			for i := range 4 {
				s.add(PeerID(10+i), 0, 40*time.Millisecond, false)
			}
			for i := range 3 {
				s.add(PeerID(14+i), 10e3, 40*time.Millisecond, false)
			}
		}},
	}
	for _, r := range rows {
		s := newSim(1<<30, 1<<20)
		r.make(s)
		first := s.read(500)
		var seeks []time.Duration
		for i := range 8 {
			s.run(50 * time.Millisecond)
			seeks = append(seeks, s.read(600+i*10).Round(time.Millisecond))
		}
		a0, w0 := s.asked, s.wasted
		rate := s.stream(0, 100, 32)
		fmt.Printf("%-28s first %v seeks %v stream %.2f MB/s asked %d for %d wasted %d\n", r.name, first.Round(time.Millisecond), seeks, rate/1e6, s.asked-a0, 6400, s.wasted-w0)
	}
}
