package simnet

import (
	"math/rand/v2"
	"time"
)

// Link describes the access link of a host. The zero value is a perfect link.
type Link struct {
	Up   int // bytes per second sent; 0 = no limit
	Down int // bytes per second received; 0 = no limit

	Delay  time.Duration // one way, this host's side; a path has the sum of both
	Jitter time.Duration // each packet gets up to this much extra, evenly spread

	// Loss is the probability, 0 to 1, that this side loses a packet. A lost
	// datagram is gone; a lost segment of a stream arrives a round trip later.
	Loss float64

	// Queue bounds the bytes waiting for Up, and those waiting for Down. What
	// does not fit is dropped. 0 = no bound.
	Queue int

	// Window bounds what a stream towards this host may have in flight or
	// unread, in bytes. 0 = twice the bandwidth-delay product of the path, at
	// least 256 KiB, at most 4 MiB.
	Window int

	// MTU is the longest UDP payload that passes; a longer datagram vanishes,
	// as one with the don't-fragment bit does. 0 = 65507, all that UDP can.
	MTU int
}

// queue is one direction of an access link: a FIFO served at the rate of the
// link. Only its end is known, which is all that a FIFO needs.
type queue struct {
	busy  time.Duration // network time at which the last byte accepted has left
	carry int64         // remainder of the last division, in bytes × ns/s
}

// enter appends size bytes at network time now and returns when the first byte
// starts and the last one has left. ok is false when they do not fit limit.
func (q *queue) enter(now time.Duration, size, rate, limit int) (start, end time.Duration, ok bool) {
	if rate <= 0 {
		return now, now, true
	}
	if limit > 0 && q.backlog(now, rate)+int64(size) > int64(limit) {
		return 0, 0, false
	}
	if q.busy < now {
		q.busy, q.carry = now, 0
	}
	start = q.busy
	work := int64(size)*int64(time.Second) + q.carry
	q.busy += time.Duration(work / int64(rate))
	q.carry = work % int64(rate)
	return start, q.busy, true
}

// backlog returns the bytes waiting at network time now.
func (q *queue) backlog(now time.Duration, rate int) int64 {
	if q.busy <= now || rate <= 0 {
		return 0
	}
	left := q.busy - now
	sec := int64(left / time.Second)
	frac := int64(left % time.Second)
	return sec*int64(rate) + frac*int64(rate)/int64(time.Second)
}

// oneWay returns the propagation delay between two hosts. A host reaches itself
// in no time.
func oneWay(a, b *Host) time.Duration {
	if a == b {
		return 0
	}
	return a.link.Delay + b.link.Delay
}

// jitter draws the extra delay of one packet between two hosts.
func jitter(a, b *Host, r *rand.Rand) time.Duration {
	if a == b {
		return 0
	}
	var d time.Duration
	for _, j := range [...]time.Duration{a.link.Jitter, b.link.Jitter} {
		if j > 0 {
			d += time.Duration(r.Int64N(int64(j)))
		}
	}
	return d
}

// lost draws whether one packet between two hosts is lost.
func lost(a, b *Host, r *rand.Rand) bool {
	if a == b {
		return false
	}
	for _, p := range [...]float64{a.link.Loss, b.link.Loss} {
		if p > 0 && r.Float64() < p {
			return true
		}
	}
	return false
}

// place says where a packet was dropped.
type place uint8

const (
	atUplink place = iota
	atDownlink
)

// send carries size bytes from one host to another and calls arrived at the
// moment the last byte is there, or dropped when a queue on the way is full. Both
// run as events; extra is added to the delay. The caller holds Net.mu.
func (n *Net) send(from, to *Host, size int, extra time.Duration, arrived func(), dropped func(place)) {
	now := n.now()
	if from == to {
		n.schedule(now, arrived)
		return
	}
	start, end, ok := from.up.enter(now, size, from.link.Up, from.link.Queue)
	if !ok {
		n.schedule(now, func() { dropped(atUplink) })
		return
	}
	delay := oneWay(from, to) + extra
	if to.link.Down <= 0 {
		n.schedule(end+delay, arrived)
		return
	}
	last := end + delay
	n.schedule(start+delay, func() {
		_, done, ok := to.down.enter(n.now(), size, to.link.Down, to.link.Queue)
		if !ok {
			dropped(atDownlink)
			return
		}
		n.schedule(max(done, last), arrived)
	})
}
