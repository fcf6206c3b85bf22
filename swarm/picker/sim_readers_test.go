package picker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestSimPlayer: a player must not stall while the peers give just more than it
// takes.
func TestSimPlayer(t *testing.T) {
	tests := []struct {
		name  string
		peers func(s *sim)
	}{
		{"6 equal", func(s *sim) {
			for range 6 {
				s.join(1*mbit, 60*ms)
			}
		}},
		{"1 fast, 5 slow", func(s *sim) {
			s.join(5*mbit, 60*ms)
			for range 5 {
				s.join(0.2*mbit, 60*ms)
			}
		}},
		{"3 good, 3 stalling, 3 trickling", func(s *sim) {
			for range 3 {
				s.join(2*mbit, 60*ms)
				s.join(0, 60*ms)
				s.join(5e3, 60*ms)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, 4<<30, mib)
			tt.peers(s)
			// 4 Mbit/s; the peers give 6.
			pace := seconds(mib / (4 * mbit))
			r := s.reader(&simReader{end: 60, ahead: 30, pace: pace})
			s.run(5*time.Minute, func() bool { return !r.finished.IsZero() })
			if r.finished.IsZero() {
				t.Fatalf("at piece %d after five minutes", r.next)
			}
			t.Logf("%d stalls of %v in all, %.1f %% wasted", r.stalls, r.stalled.Round(ms), 100*float64(s.wasted)/float64(s.bytes))
			// The first piece is always waited for, and the second comes
			// 1.4 s after it at best.
			if r.stalls > 2 || r.stalled > 3*time.Second {
				t.Errorf("%d stalls of %v in all", r.stalls, r.stalled)
			}
			s.quiet()
		})
	}
}

// TestSimTwoReaders: two readers at different places share the rate, and the one
// that needs little is not made to wait by the one that takes all it can get.
func TestSimTwoReaders(t *testing.T) {
	t.Run("both as fast as they can", func(t *testing.T) {
		s := newSim(t, 4<<30, mib)
		for range 10 {
			s.join(10*mbit, 40*ms)
		}
		a := s.reader(&simReader{next: 0, end: 1000, ahead: 16})
		b := s.reader(&simReader{next: 2000, end: 3000, ahead: 16})
		s.runFor(10 * time.Second)
		x, y := a.next, b.next-2000
		t.Logf("%d and %d pieces in 10 s", x, y)
		if sum := float64(x+y) * mib / 10; sum < 0.93*100*mbit {
			t.Errorf("together %.2f of 12.50 MB/s", sum/1e6)
		}
		if x*10 < y*8 || y*10 < x*8 {
			t.Errorf("%d and %d pieces: not shared fairly", x, y)
		}
		s.quiet()
	})
	t.Run("a player beside a copy", func(t *testing.T) {
		s := newSim(t, 4<<30, mib)
		for range 10 {
			s.join(10*mbit, 40*ms)
		}
		s.reader(&simReader{next: 0, end: 2000, ahead: 32})
		s.runFor(3 * time.Second)
		// It takes half of what there is. The copy sleeps always.
		r := s.reader(&simReader{next: 3000, end: 3060, ahead: 20, pace: seconds(mib / (50 * mbit))})
		s.run(time.Minute, func() bool { return !r.finished.IsZero() })
		t.Logf("%d stalls of %v in all", r.stalls, r.stalled.Round(ms))
		if r.finished.IsZero() || r.stalled > time.Second {
			t.Errorf("%d stalls of %v in all, at piece %d", r.stalls, r.stalled, r.next)
		}
		s.quiet()
	})
	t.Run("a seek beside a copy", func(t *testing.T) {
		s := newSim(t, 4<<30, mib)
		for range 10 {
			s.join(10*mbit, 40*ms)
		}
		s.reader(&simReader{next: 0, end: 3000, ahead: 32})
		s.runFor(3 * time.Second)
		var seeks durations
		for i := range 10 {
			seeks = append(seeks, s.read(3500+10*i))
			s.runFor(300 * ms)
		}
		// Both wait for a piece, so each may have half of the rate, behind
		// what is on its way already.
		most := 40*ms + 65*ms + seconds(2*mib/(100*mbit))
		t.Logf("%v to %v, want at most %v", seeks.median().Round(ms), seeks.max().Round(ms), most.Round(ms))
		if seeks.median() > most {
			t.Errorf("median %v, want at most %v", seeks.median(), most)
		}
		s.quiet()
	})
}

// TestSimSeekStorm: 100 seeks within 10 s, most of them given up before the piece
// is there. The last must be as fast as any other: no backlog, nothing left over.
func TestSimSeekStorm(t *testing.T) {
	tests := []struct {
		name   string
		change func(p *simPeer)
		factor float64
	}{
		{"peers that reject what is cancelled", func(*simPeer) {}, 1.7},
		{"peers that cancel in silence", func(p *simPeer) { p.fast = false }, 1.7},
		{"peers that ignore cancels", func(p *simPeer) { p.deaf = true }, 1.9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(4, 2))
			s := newSim(t, 4<<30, mib)
			for range 10 {
				tt.change(s.join(10*mbit, 40*ms))
			}
			r := s.reader(&simReader{end: s.Pieces(), ahead: 32})
			s.runFor(2 * time.Second)
			limit := s.limit(mib)
			var took durations
			for range 100 {
				to := rnd.IntN(s.Pieces() - 100)
				s.seek(r, to)
				if d := s.run(100*ms, func() bool { return s.Had(to) }); d < 100*ms {
					s.runFor(100*ms - d)
				}
			}
			for i := range 10 {
				s.runFor(time.Duration(10*i) * ms)
				to := rnd.IntN(s.Pieces() - 100)
				s.seek(r, to)
				took = append(took, s.run(time.Minute, func() bool { return s.Had(to) }))
			}
			// What is on its way when the reader jumps is a pipe full, and comes
			// first.
			t.Logf("afterwards %v to %v, limit %v; %d requests open at most", took.median().Round(ms), took.max().Round(ms), limit.Round(ms), s.maxOpen)
			within(t, "a seek after the storm", took.median(), limit, tt.factor)
			if s.maxOpen > 250 {
				t.Errorf("up to %d requests were open; the pipes hold about 65", s.maxOpen)
			}
			s.quiet()
			s.expire(s.now)
			for _, p := range s.order {
				if len(p.queue) > 0 {
					t.Errorf("peer %d: %d requests are still on its books", p.id, len(p.queue))
				}
				if got := p.have.Count(); got != uint(s.Pieces()) {
					t.Errorf("peer %d is believed to have %d of %d pieces", p.id, got, s.Pieces())
				}
			}
			if n := len(s.partials); n > 400 {
				t.Errorf("%d pieces are kept on the books", n)
			}
		})
	}
}
