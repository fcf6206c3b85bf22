package picker

import (
	"math"
	"testing"
	"time"
)

// pipe is a sender that works through requests one after the other.
type pipe struct {
	rate    float64 // bytes per second
	rtt     time.Duration
	free    time.Time
	inOrder []pipeBlock
}

type pipeBlock struct {
	sent, due, arrives time.Time
	alone              bool
}

func (p *pipe) ask(l *link, now time.Time) {
	start := later(now.Add(p.rtt/2), p.free)
	p.free = start.Add(seconds(BlockSize / p.rate))
	due := l.arrival(BlockSize, priorRate, now)
	l.busyUntil = due
	alone := float64(len(p.inOrder)*BlockSize) <= l.rate(0)*l.rtt.Seconds()
	p.inOrder = append(p.inOrder, pipeBlock{now, due, p.free.Add(p.rtt / 2), alone})
}

// transfer keeps depth blocks asked until n have come, and returns the time. each
// is called after every block.
func (p *pipe) transfer(l *link, now time.Time, depth, n int, each func(i int)) time.Time {
	for i := 0; i < n; {
		for len(p.inOrder) < depth {
			p.ask(l, now)
		}
		b := p.inOrder[0]
		p.inOrder = p.inOrder[1:]
		now = b.arrives
		l.received(BlockSize, b.sent, b.due, b.alone, now)
		i++
		if each != nil {
			each(i)
		}
	}
	return now
}

func near(got, want, share float64) bool { return math.Abs(got-want) <= share*want }

// TestLinkRate: the estimate is right whether the pipe is full or nearly empty.
func TestLinkRate(t *testing.T) {
	for _, rate := range []float64{10e3, 125e3, 1.25e6, 12.5e6, 125e6, 1.25e9} {
		for _, rtt := range []time.Duration{200 * time.Microsecond, 20 * ms, 300 * ms} {
			for _, depth := range []int{1, 2, 8, 100} {
				p := &pipe{rate: rate, rtt: rtt}
				var l link
				l.observeRTT(rtt, simStart)
				p.transfer(&l, simStart, depth, 20, nil)
				if got := l.rate(0); !near(got, rate, 0.02) {
					t.Errorf("%.0f B/s behind %v, %d blocks asked: estimate %.0f", rate, rtt, depth, got)
				}
				if l.rtt != rtt {
					t.Errorf("%.0f B/s behind %v, %d blocks asked: round trip %v", rate, rtt, depth, l.rtt)
				}
			}
		}
	}
}

// TestLinkUnknownRoundTrip: without a measured round trip the first block gives it,
// too long by its own time; the following ones must not make it worse, and the rate
// comes out right where the pipe is full.
func TestLinkUnknownRoundTrip(t *testing.T) {
	p := &pipe{rate: 1.25e6, rtt: 40 * ms}
	var l link
	if l.known() || l.roundTrip() != priorRTT || l.rate(7) != 7 {
		t.Errorf("a new link knows something: %+v", l)
	}
	p.transfer(&l, simStart, 8, 40, nil)
	if most := 40*ms + seconds(BlockSize/1.25e6); l.rtt > most {
		t.Errorf("round trip %v, want at most %v", l.rtt, most)
	}
	if got := l.rate(0); !near(got, 1.25e6, 0.05) {
		t.Errorf("rate %.0f", got)
	}
}

// TestLinkRateChanges: how many blocks, and how long, until a change is noticed.
func TestLinkRateChanges(t *testing.T) {
	tests := []struct {
		name     string
		from, to float64       // bytes per second
		within   time.Duration // until the estimate is within 20 % of the new rate
		blocks   int           // or so many blocks, whichever is later
	}{
		{"twice as fast", 1e6, 2e6, 1200 * ms, 0},
		{"ten times as fast, the pipe three quarters empty", 1e6, 10e6, 3 * time.Second, 0},
		{"half as fast", 2e6, 1e6, 1200 * ms, 0},
		{"a tenth", 1e6, 1e5, 0, 16},
		{"a hundredth", 1e6, 1e4, 0, 2},
		{"from slow to fast", 2e4, 2e6, 3 * time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := &pipe{rate: tt.from, rtt: 40 * ms}
			var l link
			l.observeRTT(p.rtt, simStart)
			now := p.transfer(&l, simStart, 8, 200, nil)
			p.rate = tt.to
			now = p.transfer(&l, now, 8, 8, nil) // those were on their way
			start, n := now, 0
			for !near(l.rate(0), tt.to, 0.2) && n < 10000 {
				now = p.transfer(&l, now, 8, 1, nil)
				n++
			}
			t.Logf("%d blocks, %v", n, now.Sub(start).Round(ms))
			if n > tt.blocks && now.Sub(start) > tt.within {
				t.Errorf("noticed after %d blocks, %v", n, now.Sub(start))
			}
		})
	}
}

// TestLinkBursts: TCP delivers in bursts; blocks that come at once must not make
// the rate look boundless, nor the pause before them make it look low.
func TestLinkBursts(t *testing.T) {
	var l link
	l.observeRTT(40*ms, simStart)
	now := simStart
	low, high := math.Inf(1), 0.
	for i := range 100 {
		sent := now
		now = now.Add(100 * ms)
		for range 10 { // 10 blocks each 100 ms: 1.6 MB/s
			l.received(BlockSize, sent.Add(-100*ms), now, false, now)
			now = now.Add(10 * time.Microsecond)
		}
		if i > 20 {
			low, high = min(low, l.rate(0)), max(high, l.rate(0))
		}
	}
	if low < 1.2e6 || high > 2.2e6 {
		t.Errorf("the estimate moves between %.0f and %.0f, want about %.0f", low, high, 10*BlockSize/0.1)
	}
}

// TestLinkRoundTrip: the lowest of a while counts.
func TestLinkRoundTrip(t *testing.T) {
	var l link
	at := func(d time.Duration) time.Time { return simStart.Add(d) }
	for _, step := range []struct {
		at, see, want time.Duration
	}{
		{0, 80 * ms, 80 * ms},
		{1 * time.Second, 40 * ms, 40 * ms},
		{2 * time.Second, 90 * ms, 40 * ms}, // waited in a queue
		{rttMemory, 90 * ms, 40 * ms},
		{rttMemory + 2*time.Second, 90 * ms, 90 * ms}, // nobody has seen 40 ms for long
		{rttMemory + 3*time.Second, 0, 20 * time.Microsecond},
	} {
		l.observeRTT(step.see, at(step.at))
		if l.rtt != step.want {
			t.Errorf("after %v seen at %v: %v, want %v", step.see, step.at, l.rtt, step.want)
		}
	}
}

// TestLinkDepth: the pipe is kept full, and not much more than full.
func TestLinkDepth(t *testing.T) {
	for _, rate := range []float64{10e3, 1.25e6, 125e6} {
		for _, rtt := range []time.Duration{1 * ms, 40 * ms, 300 * ms} {
			var l link
			l.observeRTT(rtt, simStart)
			l.bytes, l.busy = rate, 1
			full := rate * rtt.Seconds()
			if got := float64(l.depth(0)); got < full || got > 1.25*full+rate*0.016+1 {
				t.Errorf("%.0f B/s behind %v: %.0f bytes, the pipe holds %.0f", rate, rtt, got, full)
			}
		}
	}
}

// TestLinkArrival: behind what was asked before, or after a round trip.
func TestLinkArrival(t *testing.T) {
	var l link
	l.observeRTT(40*ms, simStart)
	l.bytes, l.busy = 100*BlockSize, 1
	if got := l.arrival(BlockSize, 0, simStart).Sub(simStart); got != 50*ms {
		t.Errorf("empty queue: %v", got)
	}
	l.busyUntil = simStart.Add(30 * ms)
	if got := l.arrival(BlockSize, 0, simStart).Sub(simStart); got != 50*ms {
		t.Errorf("queue that is empty before the request is there: %v", got)
	}
	l.busyUntil = simStart.Add(200 * ms)
	if got := l.arrival(BlockSize, 0, simStart).Sub(simStart); got != 210*ms {
		t.Errorf("behind 200 ms of work: %v", got)
	}
	l.bytes = 0.001 // no division by almost nothing may overflow
	if got := l.arrival(BlockSize, 0, simStart).Sub(simStart); got <= 0 {
		t.Errorf("a peer that hardly moves: %v", got)
	}
}
