package picker

import (
	"testing"
	"time"
)

// TestSimPulse reads from peers that answer twice a second, as transmission does.
// What they deliver is what was asked, so the queue has to grow by itself.
func TestSimPulse(t *testing.T) {
	const pulse = 500 * ms
	for _, tt := range []struct {
		name  string
		rtt   time.Duration
		peers int
	}{
		{"one nearby", 2 * ms, 1},
		{"one", 40 * ms, 1},
		{"one far away", 300 * ms, 1},
		{"four", 40 * ms, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, 4<<30, mib)
			for range tt.peers {
				s.proven(400*mbit, tt.rtt).pulse = pulse
			}
			first := s.stream(0, 16, 32)
			later := s.stream(50, 64, 32)
			t.Logf("16 MiB at %.2f MB/s, 64 MiB more at %.2f MB/s, %.1f %% wasted", first/1e6, later/1e6, 100*float64(s.wasted)/float64(s.bytes))
			// The largest queue is 250 blocks (join). It is sent once a pulse.
			best := 250 * BlockSize / (pulse + tt.rtt).Seconds() * float64(tt.peers)
			if first < best/5 {
				t.Errorf("first 16 MiB at %.2f MB/s, want %.2f", first/1e6, best/5/1e6)
			}
			if later < 0.8*best {
				t.Errorf("then %.2f MB/s, want %.2f", later/1e6, 0.8*best/1e6)
			}
			s.quiet()
		})
	}
}
