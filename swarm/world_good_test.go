package swarm

import (
	"slices"
	"testing"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
)

// TestSwarmRates compares whole sessions with what links and round trips allow:
// the first piece after a magnet was added, cold seeks, and a sequential stream.
func TestSwarmRates(t *testing.T) {
	const piece = mib
	equal := func(link simnet.Link) func(w *world) {
		return func(w *world) {
			for range 10 {
				w.seed(link, swarmtest.SeederConfig{})
			}
		}
	}
	lossy := uplink(10*mbit, 100*ms)
	lossy.Loss = 0.01
	queued := uplink(10*mbit, 40*ms)
	queued.Queue = 10 * mbit * 100 / 1000 // 100 ms
	jittery := uplink(10*mbit, 40*ms)
	jittery.Jitter = 20 * ms
	tests := []struct {
		name  string
		seeds func(w *world)
		down  int           // bytes per second
		rate  float64       // that can be reached
		rtt   time.Duration // to the nearest
		// Multiples of the limit for the first piece and the median seek, and
		// the share of the rate that the stream must have.
		first, seek, stream float64
	}{
		{"10 equal", equal(uplink(10*mbit, 40*ms)), 0, 100 * mbit, 40 * ms, 1.2, 1.15, 0.95},
		{"10 equal, 100 ms of queue before them", equal(queued), 0, 100 * mbit, 40 * ms, 2, 1.15, 0.95},
		{"10 equal, half of their rate at home", equal(uplink(10*mbit, 40*ms)), 50 * mbit, 50 * mbit, 40 * ms, 1.6, 1.15, 0.95},
		{"10 equal, round trip 100 ms", equal(uplink(10*mbit, 100*ms)), 0, 100 * mbit, 100 * ms, 1.2, 1.15, 0.93},
		{"10 equal, round trip 100 ms, 1 % loss", equal(lossy), 0, 100 * mbit, 100 * ms, 2, 1.6, 0.8},
		{"10 equal, jitter 20 ms", equal(jittery), 0, 100 * mbit, 40 * ms, 2.4, 1.45, 0.9},
		{"rates of 0.1 to 40 Mbit/s", func(w *world) {
			for _, r := range []float64{.1, .3, 1, 2, 3, 5, 8, 13, 20, 40} {
				w.seed(uplink(int(r*mbit), 40*ms), swarmtest.SeederConfig{})
			}
		}, 0, 92.4 * mbit, 40 * ms, 2, 1.3, 0.9},
		{"1 fast, 9 slow", func(w *world) {
			w.seed(uplink(80*mbit, 40*ms), swarmtest.SeederConfig{})
			for range 9 {
				w.seed(uplink(1*mbit, 40*ms), swarmtest.SeederConfig{})
			}
		}, 0, 89 * mbit, 40 * ms, 2.2, 1.3, 0.9},
		{"a single one", func(w *world) { w.seed(uplink(50*mbit, 40*ms), swarmtest.SeederConfig{}) }, 0, 50 * mbit, 40 * ms, 1.2, 1.1, 0.95},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, swarmtest.Spec{Length: 48 * mib, PieceLength: piece}, func(w *world) {
				tt.seeds(w)
				j := joins{}
				if tt.down > 0 {
					j.link = simnet.Link{Up: 20 * mbit, Down: tt.down, Delay: clientDelay, Queue: tt.down / 10}
				}
				limit := tt.rtt + time.Duration(piece/tt.rate*float64(time.Second))
				start := time.Now()
				c := w.join(j)
				<-c.info
				metadata := time.Since(start)
				c.read(5)
				first := time.Since(start)
				var seeks []time.Duration
				for i := range 9 {
					time.Sleep(200 * ms)
					seeks = append(seeks, c.read(7+2*i))
				}
				slices.Sort(seeks)
				before := c.torrent.Status().Wasted
				rate := c.stream(1, 26, 22, 16)
				waste := float64(c.torrent.Status().Wasted-before) / (22 * piece)
				t.Logf("metadata after %v, first piece %v, seek %v to %v (limit %v), stream %.2f of %.2f MB/s, %.1f %% wasted",
					metadata.Round(ms), first.Round(ms), seeks[len(seeks)/2].Round(ms), seeks[len(seeks)-1].Round(ms), limit.Round(ms), rate/1e6, tt.rate/1e6, 100*waste)
				// A round trip each to connect, for both handshakes, and for
				// the metadata; another two may be lost.
				if most := 3*tt.rtt + 2*limit; metadata > most {
					t.Errorf("metadata after %v, want at most %v", metadata, most)
				}
				if most := metadata + time.Duration(tt.first*float64(limit)); first > most {
					t.Errorf("first piece after %v, want at most %v", first, most)
				}
				if most := time.Duration(tt.seek * float64(limit)); seeks[len(seeks)/2] > most {
					t.Errorf("seek takes %v, want at most %v", seeks[len(seeks)/2], most)
				}
				if rate < tt.stream*tt.rate {
					t.Errorf("stream %.2f MB/s, want %.2f", rate/1e6, tt.stream*tt.rate/1e6)
				}
				if waste > 0.03 {
					t.Errorf("%.1f %% of the bytes were wasted", 100*waste)
				}
				if err := c.store.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSwarmBigPieces: all seeds work on the one piece of 16 MiB that a read waits
// for.
func TestSwarmBigPieces(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 48 * mib, PieceLength: 16 * mib}, func(w *world) {
		for range 10 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{})
		<-c.info
		first := c.read(0)
		limit := 40*ms + 16*mib*time.Second/(100*mbit)
		seek := c.read(2)
		t.Logf("first piece %v, seek %v, limit %v", first.Round(ms), seek.Round(ms), limit.Round(ms))
		if most := limit * 11 / 10; first > most || seek > most {
			t.Errorf("first piece %v, seek %v, want at most %v", first, seek, most)
		}
	})
}

// TestSwarmRateChanges: seeds whose links change in the middle of a stream, and one
// that is unplugged while a read waits for its blocks.
func TestSwarmRateChanges(t *testing.T) {
	t.Run("half of the seeds slow down to a tenth", func(t *testing.T) {
		inWorld(t, swarmtest.Spec{Length: 64 * mib, PieceLength: mib}, func(w *world) {
			var hosts []*simnet.Host
			for i := range 10 {
				w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
				hosts = append(hosts, w.hosts[i])
			}
			c := w.join(joins{})
			<-c.info
			c.stream(1, 0, 16, 16)
			for _, h := range hosts[:5] {
				h.SetLink(uplink(1*mbit, 40*ms))
			}
			c.stream(1, 16, 6, 6) // notices
			rate := c.stream(1, 22, 32, 16)
			t.Logf("%.2f of %.2f MB/s", rate/1e6, 55*mbit/1e6)
			if rate < 0.9*55*mbit {
				t.Errorf("%.2f MB/s", rate/1e6)
			}
		})
	})
	t.Run("one is unplugged", func(t *testing.T) {
		inWorld(t, swarmtest.Spec{Length: 48 * mib, PieceLength: mib}, func(w *world) {
			for range 10 {
				w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
			}
			c := w.join(joins{})
			<-c.info
			c.stream(1, 0, 16, 16)
			var worst time.Duration
			for i := range 8 {
				time.Sleep(500 * ms)
				time.AfterFunc(time.Duration(i)*15*ms, w.hosts[i].Unplug)
				worst = max(worst, c.read(20+2*i))
			}
			// Two seeds are left in the end: 40 ms and 420 ms at best.
			t.Logf("at most %v", worst.Round(ms))
			if worst > 650*ms {
				t.Errorf("a read took %v", worst)
			}
		})
	})
}
