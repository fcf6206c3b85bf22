package picker

import (
	"slices"
	"testing"
	"time"
)

// pieces is how many pieces came in the window that begins at from after the
// start and lasts d.
func (s *sim) pieces(from, d time.Duration) int {
	n := 0
	for _, at := range s.done {
		if t := at.Sub(simStart); t >= from && t < from+d {
			n++
		}
	}
	return n
}

// TestSimRateChanges: peers change their rates in the middle of a stream. From one
// second later on the stream must have the new rate.
func TestSimRateChanges(t *testing.T) {
	tests := []struct {
		name   string
		change func(s *sim)
		want   float64 // share of the new rate
	}{
		{"half of them drop to a tenth", func(s *sim) {
			for i := range 5 {
				s.peers[PeerID(i)].rate /= 10
			}
		}, 0.93},
		{"all but one drop to a hundredth", func(s *sim) {
			for i := range 9 {
				s.peers[PeerID(i)].rate /= 100
			}
		}, 0.9},
		{"one gets ten times as fast", func(s *sim) { s.peers[0].rate *= 10 }, 0.93},
		{"all get four times as fast", func(s *sim) {
			for _, p := range s.peers {
				p.rate *= 4
			}
		}, 0.93},
		{"half of them fall silent", func(s *sim) {
			for i := range 5 {
				s.peers[PeerID(i)].vanish()
			}
		}, 0.9},
		{"five hang up, five others come", func(s *sim) {
			for i := range 5 {
				s.peers[PeerID(i)].hangUp()
			}
			for range 5 {
				s.join(10*mbit, 40*ms)
			}
		}, 0.93},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, 4<<30, mib)
			for range 10 {
				s.join(10*mbit, 40*ms)
			}
			s.reader(&simReader{end: s.Pieces(), ahead: 32})
			s.runFor(3 * time.Second)
			tt.change(s)
			s.runFor(6 * time.Second)
			got := float64(s.pieces(4*time.Second, 5*time.Second)) * mib / 5
			sum := 0.
			for _, p := range s.peers {
				if !p.gone {
					sum += p.rate
				}
			}
			t.Logf("%.2f of %.2f MB/s, %.1f %% wasted, %d snubbed", got/1e6, sum/1e6, 100*float64(s.wasted)/float64(s.bytes), s.snubs)
			if got < tt.want*sum {
				t.Errorf("%.2f MB/s, want %.2f of %.2f", got/1e6, tt.want*sum/1e6, sum/1e6)
			}
			s.quiet()
		})
	}
}

// TestSimRoundTripGrows: the lowest round trip is believed for a while, since most
// of what comes later than that has waited in a queue. So a way that really became
// longer is used in part until then, and in full after.
func TestSimRoundTripGrows(t *testing.T) {
	s := newSim(t, 4<<30, mib)
	for range 10 {
		s.join(10*mbit, 40*ms)
	}
	s.reader(&simReader{end: s.Pieces(), ahead: 32})
	s.runFor(2 * time.Second)
	for _, p := range s.peers {
		p.rtt = 150 * ms
	}
	s.runFor(rttMemory + 6*time.Second)
	before := float64(s.pieces(4*time.Second, 5*time.Second)) * mib / 5
	after := float64(s.pieces(rttMemory+3*time.Second, 5*time.Second)) * mib / 5
	t.Logf("%.2f MB/s at first, %.2f after %v", before/1e6, after/1e6, rttMemory)
	if before < 0.4*100*mbit || after < 0.9*100*mbit {
		t.Errorf("%.2f MB/s at first, %.2f after %v, of 12.50", before/1e6, after/1e6, rttMemory)
	}
}

// TestSimLong: whatever is remembered and forgotten, queues stay short and rates stay
// high for as long as a film lasts.
func TestSimLong(t *testing.T) {
	s := newSim(t, 8<<30, mib)
	for range 4 {
		s.join(10*mbit, 40*ms)
	}
	s.join(0.5*mbit, 40*ms)
	s.join(0.1*mbit, 40*ms)
	s.reader(&simReader{end: s.Pieces(), ahead: 32})
	s.runFor(3 * time.Second)
	s.maxOpen = 0
	for minute := range 3 {
		s.runFor(time.Minute)
		got := float64(s.pieces(s.now.Add(-time.Minute).Sub(simStart), time.Minute)) * mib / 60
		if got < 0.98*40.6*mbit {
			t.Errorf("minute %d: %.2f of %.2f MB/s", minute+1, got/1e6, 40.6*mbit/1e6)
		}
		for _, p := range s.order {
			if p.link.rtt < 35*ms || p.link.rtt > 55*ms {
				t.Errorf("minute %d: round trip of peer %d is taken for %v", minute+1, p.id, p.link.rtt)
			}
		}
	}
	// 4 × 10 Mbit/s × (65 ms + 3 blocks).
	t.Logf("at most %d requests open", s.maxOpen)
	if s.maxOpen > 40 {
		t.Errorf("up to %d requests were open", s.maxOpen)
	}
	s.quiet()
}

// TestSimVanish: a peer that was asked for blocks of the piece that a read waits
// for does not deliver them. What matters is how much longer the read takes.
func TestSimVanish(t *testing.T) {
	tests := []struct {
		name   string
		vanish func(p *simPeer)
		extra  time.Duration // most that the read may take beyond the limit
	}{
		// Noticed at once; what it was to send costs a round trip and its time.
		{"hangs up", (*simPeer).hangUp, 80 * ms},
		// Noticed when its blocks are late: by a quarter of what they were to
		// take and at least 30 ms, then a round trip.
		{"falls silent", (*simPeer).vanish, 140 * ms},
		{"rejects", func(p *simPeer) {
			p.gone = true
			for _, r := range slices.Clone(p.s.Picker.peers[p.id].queue) {
				p.s.Rejected(p.id, r.block)
			}
			p.s.schedule()
		}, 80 * ms},
		{"chokes", func(p *simPeer) {
			p.line = nil
			p.s.SetChoking(p.id, true, false)
			p.s.schedule()
		}, 80 * ms},
		{"slows to a hundredth", func(p *simPeer) { p.rate /= 100 }, 140 * ms},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var worst time.Duration
			// At every moment of the read, so that the blocks are on their way,
			// in the line or half sent.
			for at := time.Duration(0); at < 120*ms; at += 11 * ms {
				s := newSim(t, 1<<30, mib)
				for range 10 {
					s.proven(10*mbit, 40*ms)
				}
				s.stream(0, 32, 32)
				s.runFor(time.Second)
				s.after(at, func() { tt.vanish(s.peers[3]) })
				took := s.read(500)
				limit := s.limit(mib)
				worst = max(worst, took-limit)
				if took > limit+tt.extra {
					t.Errorf("gone after %v: the read took %v, want at most %v", at, took, limit+tt.extra)
				}
				s.quiet()
			}
			t.Logf("at most %v more than without it", worst.Round(ms))
		})
	}
}

// TestSimBackForSeeks: a peer that was silent for a while is used again although each
// piece wanted is one that a read sleeps on.
func TestSimBackForSeeks(t *testing.T) {
	s := newSim(t, 4<<30, mib)
	for range 4 {
		s.proven(10*mbit, 40*ms)
	}
	s.stream(0, 16, 8)
	back := s.peers[0]
	back.rate = 0
	for i := range 10 {
		s.read(100 + i)
		s.runFor(300 * ms)
	}
	back.rate = 10 * mbit
	back.pump()
	start := s.now
	var last time.Duration
	for i := range 30 {
		last = s.read(200 + i)
		s.runFor(300 * ms)
		if last < 300*ms {
			break
		}
	}
	t.Logf("reads take %v again after %v, limit %v", last.Round(ms), s.now.Sub(start).Round(ms), s.limit(mib).Round(ms))
	within(t, "a read", last, s.limit(mib), 1.15)
	s.quiet()
}

// TestSimPeersComeBack: a peer that was silent for a while is used again soon
// after it is back.
func TestSimPeersComeBack(t *testing.T) {
	for _, silent := range []time.Duration{500 * ms, 2 * time.Second, 8 * time.Second} {
		t.Run(silent.String(), func(t *testing.T) {
			s := newSim(t, 4<<30, mib)
			s.proven(10*mbit, 40*ms)
			back := s.proven(50*mbit, 40*ms)
			s.reader(&simReader{end: s.Pieces(), ahead: 32})
			s.runFor(2 * time.Second)
			back.rate = 0
			s.runFor(silent)
			back.rate = 50 * mbit
			back.pump()
			start := s.now
			used := s.run(time.Minute, func() bool { return s.pieces(start.Sub(simStart), time.Minute) >= 14 })
			t.Logf("14 pieces within %v of its return", used.Round(ms))
			// They are 2 s of the rate of both; the return takes one request
			// and one round trip.
			if used > 3*time.Second {
				t.Errorf("14 pieces took %v", used)
			}
		})
	}
}
