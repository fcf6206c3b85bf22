package picker

import (
	"fmt"
	"testing"
	"time"
)

// TestSimWantedAgain: a reader gives up what it wants and wants it again a moment
// later, ten times a second, as one that opens a file anew for every request, or
// seeks to and fro. What was on its way is not asked a second time.
func TestSimWantedAgain(t *testing.T) {
	silent := func(p *simPeer) {
		p.fast = false
		p.s.SetChoking(p.id, false, false)
	}
	tests := []struct {
		peers  string
		change func(p *simPeer)
		pause  time.Duration
		rate   float64 // at least, of 12.5 MB/s
		vain   float64 // of what is received, at most
	}{
		{"reject what is cancelled", func(*simPeer) {}, 0, 12e6, 0.01},
		{"reject what is cancelled", func(*simPeer) {}, 5 * ms, 12e6, 0.01},
		{"reject what is cancelled", func(*simPeer) {}, 20 * ms, 12e6, 0.01},
		{"reject what is cancelled", func(*simPeer) {}, 50 * ms, 8e6, 0.15},
		{"ignore cancels", func(p *simPeer) { p.deaf = true }, 5 * ms, 12e6, 0.01},
		{"ignore cancels", func(p *simPeer) { p.deaf = true }, 50 * ms, 11e6, 0.01},
		// Of these nothing can be known.
		{"cancel in silence", silent, 5 * ms, 6e6, 0.5},
		{"cancel in silence", silent, 50 * ms, 6e6, 0.5},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s, %v", tt.peers, tt.pause), func(t *testing.T) {
			s := newSim(t, 4<<30, mib)
			for range 10 {
				tt.change(s.join(10*mbit, 40*ms))
			}
			r := s.reader(&simReader{end: s.Pieces(), ahead: 16})
			s.runFor(2 * time.Second)
			bytes, wasted, from := s.bytes, s.wasted, r.next
			for range 50 {
				s.readers = nil
				s.apply()
				s.schedule()
				s.runFor(tt.pause)
				s.readers = []*simReader{r}
				s.apply()
				s.schedule()
				s.runFor(100*ms - tt.pause)
			}
			share := float64(s.wasted-wasted) / float64(s.bytes-bytes)
			rate := float64(r.next-from) * mib / 5
			t.Logf("%.2f of 12.50 MB/s, %.1f %% in vain", rate/1e6, 100*share)
			if rate < tt.rate || share > tt.vain {
				t.Errorf("want %.1f MB/s, and %.0f %% in vain at most", tt.rate/1e6, 100*tt.vain)
			}
			s.readers = nil
			s.apply()
			s.quiet()
		})
	}
}
