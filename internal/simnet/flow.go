package simnet

import (
	"math/rand/v2"
	"time"
)

const (
	// segmentMin is the payload of a full Ethernet frame over IPv4; also the
	// unit in which a congestion window grows.
	segmentMin = 1460
	// segmentMax keeps the number of events of a fast transfer low. It is what
	// segmentation offload does to real hosts.
	segmentMax = 16384
	// segmentTime is how long a segment may occupy the slower link, so that
	// small packets are not stuck behind it.
	segmentTime = 10 * time.Millisecond
	// sendBuffer is what a writer may have queued beyond the window.
	sendBuffer = 64 << 10

	windowMin = 256 << 10
	windowMax = 4 << 20

	// initialWindow is that of RFC 6928.
	initialWindow = 10 * segmentMin
	// lossRepeats bounds how often one segment is lost in a row, so that a link
	// that loses everything is slow, not an endless loop.
	lossRepeats = 16
)

// flow is one direction of a stream. Bytes move from unsent through the links,
// where segments may overtake each other, into recv, in order.
//
//	unsent → inflight → recv → reader
//
// charged counts inflight + recv plus what was read but whose acknowledgement is
// still on its way back. charged never exceeds the window. Guarded by Net.mu.
type flow struct {
	net      *Net
	from, to *Conn
	rnd      *rand.Rand
	dead     bool // reset; nothing moves any more

	// Sending side.
	unsent    [][]byte
	unsentLen int
	fin       bool // nothing follows unsent
	finSent   bool
	charged   int
	inflight  []*segment // sent and not yet in recv, in order
	resend    []*segment // dropped by a queue, part of inflight

	// Congestion control; used when a queue on the path is bounded.
	outstanding int   // bytes sent, neither acknowledged nor known to be dropped
	cwnd        int   // bytes; 0 = not started
	ssthresh    int   // bytes; 0 = none yet
	nextSeq     int64 // number of the next segment
	recoverSeq  int64 // losses before this segment belong to one congestion event

	// Receiving side.
	recv    [][]byte
	recvLen int
	eof     bool    // the FIN is in
	credit  *credit // the latest acknowledgement on its way
}

type segment struct {
	seq     int64
	data    []byte
	fin     bool
	arrived bool
}

// credit is an acknowledgement of bytes read, arriving at a moment.
type credit struct {
	at    time.Duration
	bytes int
}

func (f *flow) oneWay() time.Duration { return oneWay(f.from.host, f.to.host) }

// rate returns the rate of the slower link in bytes per second, 0 = no limit.
func (f *flow) rate() int {
	if f.from.host == f.to.host {
		return 0
	}
	up, down := f.from.host.link.Up, f.to.host.link.Down
	if up <= 0 || down > 0 && down < up {
		return max(0, down)
	}
	return up
}

// window returns the bytes that may be in flight or unread.
func (f *flow) window() int {
	if w := f.to.host.link.Window; w > 0 {
		return w
	}
	rate := f.rate()
	if rate == 0 {
		return windowMax
	}
	product := 2 * float64(rate) * (2 * f.oneWay()).Seconds()
	return int(min(max(product, windowMin), windowMax))
}

// bottleneck returns the smallest bound of a queue on the path, in bytes; 0 when
// there is none, and with it no congestion.
func (f *flow) bottleneck() int {
	if f.from.host == f.to.host {
		return 0
	}
	bound := 0
	if a := f.from.host.link; a.Up > 0 {
		bound = a.Queue
	}
	if b := f.to.host.link; b.Down > 0 && b.Queue > 0 && (bound <= 0 || b.Queue < bound) {
		bound = b.Queue
	}
	return max(0, bound)
}

// segmentSize returns the longest segment to send now.
func (f *flow) segmentSize(window int) int {
	size := segmentMax
	if rate := f.rate(); rate > 0 {
		perSegment := int64(rate) * int64(segmentTime) / int64(time.Second)
		size = int(min(max(perSegment, segmentMin), segmentMax))
	}
	return max(1, min(size, window/2))
}

// pump sends what window and congestion window allow.
func (f *flow) pump() {
	if f.dead {
		return
	}
	window := f.window()
	size := f.segmentSize(window)
	bound := f.bottleneck()
	congested := bound > 0
	if congested {
		if f.cwnd == 0 {
			f.cwnd = initialWindow
		}
		size = min(size, max(segmentMin, f.cwnd/4), bound) // a larger one would never pass
	}
	for len(f.resend) > 0 {
		s := f.resend[0]
		if congested && f.outstanding > 0 && f.outstanding+len(s.data) > f.cwnd {
			return
		}
		f.resend = f.resend[1:]
		f.transmit(s)
	}
	for f.unsentLen > 0 {
		n := min(size, f.unsentLen)
		if f.charged+n > window || congested && f.outstanding > 0 && f.outstanding+n > f.cwnd {
			return // whole segments only, or windows decay into crumbs
		}
		f.charged += n
		f.start(&segment{data: f.cut(n)})
		f.from.writable.Broadcast()
	}
	if f.fin && !f.finSent {
		f.finSent = true
		f.start(&segment{fin: true})
	}
}

// cut takes the next n bytes from unsent.
func (f *flow) cut(n int) []byte {
	f.unsentLen -= n
	if first := f.unsent[0]; len(first) >= n {
		if f.unsent[0] = first[n:]; len(first) == n {
			f.unsent[0] = nil
			f.unsent = f.unsent[1:]
		}
		return first[:n:n]
	}
	out := make([]byte, 0, n)
	for len(out) < n {
		first := f.unsent[0]
		k := copy(out[len(out):n], first)
		out = out[:len(out)+k]
		if f.unsent[0] = first[k:]; k == len(first) {
			f.unsent[0] = nil
			f.unsent = f.unsent[1:]
		}
	}
	return out
}

// start sends a segment for the first time.
func (f *flow) start(s *segment) {
	s.seq = f.nextSeq
	f.nextSeq++
	f.inflight = append(f.inflight, s)
	f.transmit(s)
}

// transmit puts a segment on the wire.
func (f *flow) transmit(s *segment) {
	if f.dead {
		return
	}
	from, to := f.from.host, f.to.host
	f.outstanding += len(s.data)
	if f.park(s) {
		return
	}
	extra := jitter(from, to, f.rnd)
	for i := 0; i < lossRepeats && lost(from, to, f.rnd); i++ {
		extra += 2 * f.oneWay()
		from.counters.DroppedPackets++
	}
	from.counters.SentBytes += int64(len(s.data))
	from.counters.SentPackets++
	f.net.send(from, to, len(s.data), extra,
		func() { f.arrived(s) },
		func(where place) { f.dropped(s, where) })
}

// park keeps a segment while one of the hosts is unplugged.
func (f *flow) park(s *segment) bool {
	return park(f.from.host, f.to.host, func() {
		f.outstanding -= len(s.data)
		f.transmit(s)
	})
}

// dropped makes the sender notice, when it can, that a queue had no room.
func (f *flow) dropped(s *segment, where place) {
	if f.dead {
		return
	}
	f.from.host.counters.DroppedPackets++
	notice := f.oneWay()
	if where == atUplink {
		notice *= 2
	}
	// On a path without delay the sender must not fill the queue again at once.
	f.net.after(max(notice, time.Millisecond), func() {
		f.outstanding -= len(s.data)
		if s.seq >= f.recoverSeq {
			f.ssthresh = max(f.cwnd/2, 2*segmentMin)
			f.cwnd = f.ssthresh
			f.recoverSeq = f.nextSeq
		}
		f.resend = append(f.resend, s)
		f.pump()
	})
}

// acknowledged opens the congestion window after size bytes have arrived.
func (f *flow) acknowledged(size int) {
	f.outstanding -= size
	switch {
	case f.cwnd == 0:
	case f.ssthresh == 0 || f.cwnd < f.ssthresh:
		f.cwnd = min(f.cwnd+size, windowMax)
	default:
		f.cwnd = min(f.cwnd+max(1, size*segmentMin/f.cwnd), windowMax)
	}
	f.pump()
}

// arrived takes a segment at the receiver and delivers what is now in order.
func (f *flow) arrived(s *segment) {
	if f.dead || f.park(s) {
		return
	}
	s.arrived = true
	if size := len(s.data); f.cwnd > 0 {
		f.net.after(f.oneWay(), func() { f.acknowledged(size) })
	} else {
		f.outstanding -= size
	}
	host := f.to.host
	for len(f.inflight) > 0 && f.inflight[0].arrived && !f.dead {
		s := f.inflight[0]
		f.inflight[0] = nil
		f.inflight = f.inflight[1:]
		host.counters.ReceivedBytes += int64(len(s.data))
		host.counters.ReceivedPackets++
		f.deliver(s)
	}
}

// deliver hands a segment to the socket.
func (f *flow) deliver(s *segment) {
	c := f.to
	switch {
	case s.fin:
		f.eof = true
		c.readable.Broadcast()
		c.forget()
		f.from.forget()
	case c.closed:
		c.abort()
	default:
		f.recv = append(f.recv, s.data)
		f.recvLen += len(s.data)
		c.readable.Broadcast()
	}
}

// read moves received bytes to b and acknowledges them.
func (f *flow) read(b []byte) int {
	total := 0
	for total < len(b) && f.recvLen > 0 {
		first := f.recv[0]
		k := copy(b[total:], first)
		total += k
		f.recvLen -= k
		if f.recv[0] = first[k:]; k == len(first) {
			f.recv[0] = nil
			f.recv = f.recv[1:]
		}
	}
	f.acknowledge(total)
	return total
}

// acknowledge gives bytes of window back to the sender, one way later. What is
// read at one instant travels together.
func (f *flow) acknowledge(n int) {
	if n == 0 || f.dead {
		return
	}
	at := f.net.now() + f.oneWay()
	if f.credit != nil && f.credit.at == at {
		f.credit.bytes += n
		return
	}
	c := &credit{at: at, bytes: n}
	f.credit = c
	f.net.schedule(at, func() {
		if f.credit == c {
			f.credit = nil
		}
		f.charged -= c.bytes
		f.pump()
	})
}
