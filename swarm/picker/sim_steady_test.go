package picker

import (
	"testing"
	"time"
)

const (
	mbit = 1e6 / 8 // bytes per second
	ms   = time.Millisecond
	mib  = 1 << 20
)

// limit is how soon size bytes can be here at best: every peer sends at its rate
// from one round trip on, through our own link.
func (s *sim) limit(size int64) time.Duration {
	low, high := time.Duration(0), time.Hour
	for high-low > time.Microsecond {
		d := (low + high) / 2
		sum, rtt := 0., time.Hour
		for _, p := range s.peers {
			if !p.gone && p.rate > 0 {
				sum += p.rate * max(0, d-p.rtt).Seconds()
				rtt = min(rtt, p.rtt)
			}
		}
		if s.down > 0 {
			sum = min(sum, s.down*max(0, d-rtt).Seconds())
		}
		if sum < float64(size) {
			low = d
		} else {
			high = d
		}
	}
	return high
}

// TestSimSlowStrangers reads from peers that are slower than peers of which nothing
// is known are thought to be. None of their blocks is late.
func TestSimSlowStrangers(t *testing.T) {
	s := newSim(t, 1<<30, mib)
	for range 6 {
		s.join(1*mbit, 40*ms)
	}
	took := s.read(50)
	t.Logf("first read %v, %d bytes came twice", took.Round(ms), s.wasted)
	if s.wasted > 0 {
		t.Errorf("%d bytes came twice", s.wasted)
	}
}

// TestSimSteady compares reads with what the peers could do at best: the first
// read, when nothing is known of them; seeks; and a sequential stream.
func TestSimSteady(t *testing.T) {
	tests := []struct {
		name  string
		peers func(s *sim)
		// Multiples of the limit that the first read and the median seek may
		// take, the share of the limit that the stream must reach, and the
		// share of blocks that may be fetched twice.
		first, seek, stream, waste float64
	}{
		{"10 equal", func(s *sim) {
			for range 10 {
				s.join(10*mbit, 40*ms)
			}
		}, 1.2, 1.1, 0.97, 0.01},
		{"10 equal behind a link of just their rate", func(s *sim) {
			s.down = 100 * mbit
			for range 10 {
				s.join(10*mbit, 40*ms)
			}
		}, 1.2, 1.15, 0.97, 0.01},
		{"10 equal behind a link of half their rate", func(s *sim) {
			s.down = 50 * mbit
			for range 10 {
				s.join(10*mbit, 40*ms)
			}
		}, 1.2, 1.15, 0.97, 0.02},
		{"10 equal that cancel in silence", func(s *sim) {
			for range 10 {
				s.join(10*mbit, 40*ms).fast = false
			}
		}, 1.2, 1.1, 0.97, 0.01},
		{"10 equal that ignore cancels", func(s *sim) {
			for range 10 {
				s.join(10*mbit, 40*ms).deaf = true
			}
		}, 1.2, 1.1, 0.97, 0.01},
		{"10 equal, round trip 100 ms", func(s *sim) {
			for range 10 {
				s.join(10*mbit, 100*ms)
			}
		}, 1.2, 1.1, 0.97, 0.01},
		{"round trips of 10 to 280 ms", func(s *sim) {
			for i := range 10 {
				s.join(10*mbit, time.Duration(10+30*i)*ms)
			}
		}, 1.6, 1.2, 0.95, 0.02},
		{"1 fast, 9 slow", func(s *sim) {
			s.join(80*mbit, 40*ms)
			for range 9 {
				s.join(1*mbit, 40*ms)
			}
		}, 3.5, 1.2, 0.95, 0.02},
		{"rates of 0.1 to 40 Mbit/s", func(s *sim) {
			for _, r := range []float64{.1, .3, 1, 2, 3, 5, 8, 13, 20, 40} {
				s.join(r*mbit, 40*ms)
			}
		}, 4, 1.2, 0.95, 0.02},
		{"10 good, 4 stalling, 3 trickling", func(s *sim) {
			for range 4 {
				s.join(0, 40*ms)
			}
			for range 3 {
				s.join(10e3, 40*ms)
			}
			for range 10 {
				s.join(10*mbit, 40*ms)
			}
		}, 4, 1.2, 0.95, 0.03},
		{"6 slow", func(s *sim) {
			for range 6 {
				s.join(1*mbit, 40*ms)
			}
		}, 1.1, 1.25, 0.97, 0.01},
		{"a single peer", func(s *sim) { s.join(50*mbit, 40*ms) }, 1.2, 1.1, 0.97, 0},
		{"a single peer of 1 Gbit/s nearby", func(s *sim) { s.join(1000*mbit, 1*ms) }, 1.2, 1.1, 0.97, 0},
		{"a single peer of 1 Gbit/s far away", func(s *sim) {
			s.SetMaxQueue(s.join(1000*mbit, 100*ms).id, 2000)
		}, 2.5, 1.2, 0.9, 0},
	}
	for _, tt := range tests {
		for _, piece := range []int64{1 * mib, 16 * mib} {
			t.Run(tt.name+", "+map[int64]string{1 * mib: "1 MiB", 16 * mib: "16 MiB"}[piece], func(t *testing.T) {
				s := newSim(t, 4<<30, piece)
				tt.peers(s)
				limit := s.limit(piece)
				first := s.read(50)
				var seeks durations
				for i := range 9 {
					s.runFor(200 * ms)
					seeks = append(seeks, s.read(60+i*10))
				}
				asked, wasted := s.asked, s.wasted
				const length = 64 * mib
				rate := s.stream(150, int(length/piece), int(max(2, 32*mib/piece)))
				blocks := float64(s.asked - asked)
				waste := float64(s.wasted-wasted) / length
				t.Logf("limit %v, first read %v, seek %v to %v, stream %.2f of %.2f MB/s, %.0f requests for %d blocks, %.1f %% wasted",
					limit.Round(ms), first.Round(ms), seeks.median().Round(ms), seeks.max().Round(ms),
					rate/1e6, length/s.limit(length).Seconds()/1e6, blocks, int64(length)/BlockSize, 100*waste)
				within(t, "first read", first, limit, tt.first)
				within(t, "seek", seeks.median(), limit, tt.seek)
				best := length / s.limit(length).Seconds() // a round trip included
				if rate < tt.stream*best {
					t.Errorf("stream %.2f MB/s, want %.2f", rate/1e6, tt.stream*best/1e6)
				}
				if waste > tt.waste {
					t.Errorf("%.1f %% of the blocks came twice, want at most %.1f %%", 100*waste, 100*tt.waste)
				}
				s.quiet()
			})
		}
	}
}

// within checks that something took at most factor times its limit, and not less
// than the limit: that would be a fault of the simulation.
func within(t *testing.T, what string, took, limit time.Duration, factor float64) {
	t.Helper()
	if most := time.Duration(float64(limit) * factor); took > most {
		t.Errorf("%s took %v, want at most %v", what, took.Round(ms), most.Round(ms))
	}
	if took < limit-10*time.Microsecond {
		t.Errorf("%s took %v, less than is possible: %v", what, took, limit)
	}
}

// quiet checks that nothing is left when nobody wants anything and every peer
// that works has answered.
func (s *sim) quiet() {
	s.t.Helper()
	s.readers = nil
	s.apply()
	s.schedule()
	asked := s.asked
	s.runFor(30 * time.Second)
	s.schedule()
	if s.asked != asked {
		s.t.Errorf("%d requests were sent though nobody wants anything", s.asked-asked)
	}
	if s.open != 0 {
		s.t.Errorf("%d requests are open though nobody wants anything", s.open)
	}
	for _, p := range s.order {
		if p.outstanding != 0 && len(p.queue) == 0 {
			s.t.Errorf("peer %d: %d bytes outstanding and no request", p.id, p.outstanding)
		}
	}
}
