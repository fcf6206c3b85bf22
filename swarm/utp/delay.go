package utp

import "time"

const (
	delaySlots  = 3           // of a minute: the base delay is that of the last two (BEP 29)
	delayFilter = 3           // samples of which the smallest counts
	slotTime    = time.Minute // guess; so has libutp
)

// delayHistory turns one-way delays between two clocks that do not agree into
// queueing delays: what a delay is above the smallest one of the last minutes, the
// base delay. All values are µs modulo 2^32. The zero value is empty.
type delayHistory struct {
	valid  bool
	slots  [delaySlots]uint32 // smallest sample of each minute
	slot   int                // the one of this minute
	since  time.Time          // its begin
	base   uint32
	recent [delayFilter]uint32 // queueing delays
	next   int                 // in recent
}

// less compares modulo 2^32.
func less(a, b uint32) bool { return int32(a-b) < 0 }

// add takes a sample.
func (d *delayHistory) add(now time.Time, sample uint32) {
	if !d.valid {
		d.valid, d.since, d.base = true, now, sample
		for i := range d.slots {
			d.slots[i] = sample
		}
	}
	if n := now.Sub(d.since) / slotTime; n > 0 {
		for range min(n, delaySlots) {
			d.slot = (d.slot + 1) % delaySlots
			d.slots[d.slot] = sample
		}
		d.since = now
		d.refresh()
	}
	if less(sample, d.slots[d.slot]) {
		d.slots[d.slot] = sample
	}
	if less(sample, d.base) {
		d.base = sample
	}
	d.recent[d.next] = sample - d.base
	d.next = (d.next + 1) % delayFilter
}

func (d *delayHistory) refresh() {
	d.base = d.slots[0]
	for _, s := range d.slots[1:] {
		if less(s, d.base) {
			d.base = s
		}
	}
}

// shift raises the base delay: the clocks moved against each other, or part of
// what looked like a queue cannot be one.
func (d *delayHistory) shift(by uint32) {
	for i := range d.slots {
		d.slots[i] += by
	}
	d.base += by
}

// queueing is the smallest of the last queueing delays.
func (d *delayHistory) queueing() time.Duration {
	least := d.recent[0]
	for _, r := range d.recent[1:] {
		least = min(least, r)
	}
	return time.Duration(least) * time.Microsecond
}
