package utp

import "time"

const (
	targetDelay = 100 * time.Millisecond // BEP 29
	maxGain     = 3000                   // bytes per round trip, BEP 29
	// cutPause is the least time between two halvings (libutp and libtorrent);
	// without it the bursts of losses of a fast path close the window for good.
	cutPause = 100 * time.Millisecond
	// initialWindow in packets, RFC 3390.
	initialWindow = 4
	// minWindow in packets, RFC 6817.
	minWindow = 2
)

// ledbat decides how many bytes may be in flight (RFC 6817, BEP 29).
type ledbat struct {
	window    float64 // bytes
	packet    int     // bytes of payload of a full packet
	most      int     // bytes, the largest window
	slowStart bool
	threshold float64 // slow start ends here; 0: nowhere yet
	lastCut   time.Time
}

func newLedbat(packet, most int) ledbat {
	return ledbat{window: float64(initialWindow * packet), packet: packet, most: most, slowStart: true}
}

// bytes is what may be in flight.
func (l *ledbat) bytes() int { return int(l.window) }

// acked takes the news that size bytes arrived, with a queueing delay. full tells
// whether the window was the reason not to send more; if not, it need not grow.
func (l *ledbat) acked(size int, queueing time.Duration, full bool) {
	off := float64(targetDelay-queueing) / float64(targetDelay)
	if l.slowStart && queueing >= targetDelay*9/10 {
		l.slowStart = false
		l.threshold = l.window / 2
	}
	var gain float64
	switch {
	case l.slowStart:
		gain = float64(size)
	default:
		off = max(off, -1)
		gain = maxGain * off * float64(size) / l.window
	}
	if gain > 0 && !full {
		return
	}
	l.window = min(max(l.window+gain, float64(minWindow*l.packet)), float64(l.most))
	if l.slowStart && l.threshold > 0 && l.window >= l.threshold {
		l.slowStart = false
	}
}

// lost takes the news that a packet sent at the given time did not arrive.
func (l *ledbat) lost(now, sent time.Time) {
	if !sent.After(l.lastCut) || now.Sub(l.lastCut) < cutPause {
		return
	}
	l.lastCut = now
	l.slowStart = false
	l.window = max(l.window/2, float64(minWindow*l.packet))
	l.threshold = l.window
}

// timedOut begins anew: nothing came back for a long time.
func (l *ledbat) timedOut(now time.Time) {
	l.lastCut = now
	l.threshold = max(l.window/2, float64(minWindow*l.packet))
	l.window = float64(l.packet)
	l.slowStart = true
}

const (
	initialTimeout = time.Second // BEP 29
	minTimeout     = 500 * time.Millisecond
	maxTimeout     = 30 * time.Second // guess
)

// roundTrips estimates the round-trip time (BEP 29, "timeouts").
type roundTrips struct {
	mean, dev time.Duration // 0: no sample yet
	backoff   int           // timeouts in a row
}

// add takes the round trip of a packet that was sent only once.
func (r *roundTrips) add(sample time.Duration) {
	if r.mean == 0 {
		r.mean, r.dev = max(sample, time.Microsecond), sample/2
		return
	}
	delta := r.mean - sample
	r.dev += (delta.Abs() - r.dev) / 4
	r.mean = max(r.mean-delta/8, time.Microsecond)
}

// timeout is how long to wait for an acknowledgement.
func (r *roundTrips) timeout() time.Duration {
	t := initialTimeout
	if r.mean > 0 {
		t = max(r.mean+4*r.dev, minTimeout)
	}
	return min(t<<min(r.backoff, 8), maxTimeout)
}

// probe is how long to wait before the last packet is sent once more, to find out
// whether the end of a burst was lost (RFC 8985, "tail loss probe").
func (r *roundTrips) probe() time.Duration {
	if r.mean == 0 {
		return initialTimeout
	}
	return max(2*r.mean, r.mean+4*r.dev) + 10*time.Millisecond
}
