package picker

import (
	"math"
	"time"
)

const (
	// priorRate is assumed of a peer from which nothing was received while no
	// other peer's rate is known (guess: a home uplink).
	priorRate = 256 << 10 // bytes per second
	// priorRTT is assumed until a round trip was measured.
	priorRTT = 100 * time.Millisecond
	// rateMemory is how much busy time the rate remembers. Long enough to
	// average over the bursts in which TCP delivers, short enough to notice a
	// change within a few blocks of a slow peer.
	rateMemory = 600 * time.Millisecond
	// rttMemory is how long the lowest round trip is believed. Then it is measured
	// anew, with less asked than the pipe holds, so that no block waits in the
	// peer's queue (as BBR does).
	rttMemory = 15 * time.Second
	// pipeSlack is queued at a peer beyond its bandwidth-delay product, so that
	// the gap between a block's arrival and the next request leaving does not
	// drain it. Scheduling delays on both hosts, measured.
	pipeSlack = 15 * time.Millisecond
	// longWait is how long a peer has to let requests lie, on average, to be taken
	// for one that looks at them now and then.
	longWait = 100 * time.Millisecond
	// maxLate is the most that one late block counts.
	maxLate = time.Second
	// maxRate bounds the estimate: one block in less than the clock can tell.
	maxRate = 4 << 30
)

// link is the model of one peer: a server that answers requests in order, rate
// bytes per second, behind a round trip.
//
// The time that the server spent on a block is counted from when it could begin:
// when the previous block was finished, or when the request had reached it,
// whichever is later. So the rate is right although the pipe was not full.
type link struct {
	rtt       time.Duration // lowest seen lately; 0: unknown
	rttAt     time.Time     // when it was last seen, or nearly
	rttStale  bool          // it is to be measured anew
	bytes     float64       // decaying sum
	busy      float64       // seconds, decaying sum
	last      time.Time
	late      time.Duration // by how much blocks come after they were due, mean
	lead      time.Duration // how long nothing had come before the last block, if it may be the first of a bunch
	wait      time.Duration // how long the peer lets requests lie before it answers a bunch of them, mean
	bunch     int           // bytes of the bunch that is coming
	bunchAt   time.Time     // when it began
	drained   int           // bytes of the bunch before it, if nothing was left to answer then
	busyUntil time.Time     // when everything asked is expected to have arrived
}

func (l *link) known() bool { return l.busy > 0 }

// rate returns bytes per second, prior if nothing was measured.
func (l *link) rate(prior float64) float64 {
	if !l.known() {
		return prior
	}
	return min(l.bytes/l.busy, maxRate)
}

// roundTrip is how soon a request may be answered.
func (l *link) roundTrip() time.Duration {
	if l.rtt == 0 {
		return priorRTT
	}
	return l.rtt + l.wait
}

// observeWait finds peers that look at their requests now and then only and answer
// all of them at once: transmission does so twice a second. Their rate is what
// was asked, divided by that time; so long as only what this rate justifies is
// asked, it never grows (two blocks every half second, at a round trip of 2 ms).
// The signature is a pause, longer than the round trip, with requests open, and
// behind its first block others that the rate does not explain.
func (l *link) observeWait(size int, sent, now time.Time) {
	gap := now.Sub(l.last)
	bunched := l.known() && gap < seconds(float64(size)/l.rate(0)/4)
	if l.lead > 0 {
		sample := time.Duration(0)
		if bunched {
			sample = min(max(0, l.lead-l.rtt), maxLate)
		}
		if sample > l.wait {
			l.wait += (sample - l.wait) / 2
		} else {
			l.wait += (sample - l.wait) / 8
		}
		l.lead = 0
	}
	if !bunched {
		// If it had answered all that it was asked before, then what it delivers is
		// what it is asked, and tells nothing of what it could.
		l.drained = 0
		if l.wait > max(longWait, 2*l.rtt) && sent.After(l.bunchAt) {
			l.drained = l.bunch
		}
		l.bunch, l.bunchAt = 0, now
		l.lead = now.Sub(sent)
		if l.known() {
			l.lead = min(gap, l.lead)
		}
	}
	l.bunch += size
}

// observeRTT takes a round trip of a small message.
func (l *link) observeRTT(d time.Duration, now time.Time) {
	d = max(d, 20*time.Microsecond)
	if l.rtt == 0 || d < l.rtt || now.Sub(l.rttAt) > rttMemory {
		l.rtt, l.rttAt, l.rttStale = d, now, false
	}
}

// observeBlock takes what a block tells of the round trip. It took at least that;
// one that waited for no other took that and the time to send it, which at a slow
// peer is most of it.
func (l *link) observeBlock(took time.Duration, size int, alone bool, now time.Time) {
	took = max(took, 20*time.Microsecond)
	switch {
	case l.rtt == 0 || took < l.rtt:
		l.rtt, l.rttAt, l.rttStale = took, now, false
	case alone && l.known():
		est := took - seconds(float64(size)/l.rate(0))
		switch {
		case l.rttStale: // the rate may be wrong, so not too much at a time
			l.rtt, l.rttAt, l.rttStale = min(max(est, l.rtt/2), 4*l.rtt), now, false
		case est < l.rtt+l.rtt/8:
			l.rttAt = now
		}
	}
	if now.Sub(l.rttAt) > rttMemory {
		l.rttStale = true
	}
}

// received accounts for a block of size bytes that was asked at sent and expected
// at due; alone, if nothing that was asked before delayed it.
func (l *link) received(size int, sent, due time.Time, alone bool, now time.Time) {
	l.late += (min(max(0, now.Sub(due)), maxLate) - l.late) / 8
	l.observeBlock(now.Sub(sent), size, alone, now)
	l.observeWait(size, sent, now)
	start := sent.Add(l.rtt)
	if l.last.After(start) {
		start = l.last
	}
	service := now.Sub(start).Seconds()
	service = max(service, float64(size)/maxRate)
	keep := math.Exp(-service / rateMemory.Seconds())
	l.bytes = l.bytes*keep + float64(size)
	l.busy = l.busy*keep + service
	l.last = now
}

// resume begins anew after a silence that tells nothing of the rate.
func (l *link) resume(now time.Time) { l.last = now }

// arrival is when a block of size bytes asked now is expected.
func (l *link) arrival(size int, prior float64, now time.Time) time.Time {
	t := now.Add(l.roundTrip())
	if l.busyUntil.After(t) {
		t = l.busyUntil
	}
	return t.Add(seconds(float64(size) / l.rate(prior)))
}

// depth is how many bytes should be outstanding to keep the pipe full. Where
// blocks come late by loss or jitter, what is asked has to bridge that as well:
// with 1 % loss at 100 ms ten peers gave 7.5 MB/s without it, 9.9 with.
func (l *link) depth(prior float64) int {
	if l.rttStale {
		return int(l.rate(prior) * l.rtt.Seconds() / 2)
	}
	horizon := l.roundTrip() + l.roundTrip()/4 + pipeSlack + min(2*l.late, 2*l.roundTrip())
	return max(int(l.rate(prior)*horizon.Seconds()), 3*l.drained)
}

func seconds(s float64) time.Duration {
	if s > 1e6 {
		s = 1e6
	}
	return time.Duration(s * float64(time.Second))
}
