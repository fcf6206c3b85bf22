package utp

import (
	"net/netip"
	"syscall"
	"time"
)

// phase is how far a stream is.
//
//	synSent ──STATE──▶ established ──FIN acknowledged, reset, timeout──▶ ended
//	synReceived ──DATA──▶ established
type phase uint8

const (
	synSent phase = iota
	synReceived
	established
	ended
)

// timer is one of the moments at which a stream has to do something.
type timer int

const (
	timerResend    timer = iota // the oldest packet in flight was not acknowledged
	timerProbe                  // the last one was not
	timerPersist                // the peer has had no room for long
	timerKeepAlive              // a NAT may forget us
	timerEnd                    // not established, or not closed, in time
	timers
)

const (
	synTries     = 3
	finTries     = 2
	dataTries    = 6                // timeouts in a row; 31 s at least
	lifeHalfOpen = 10 * time.Second // of somebody who dials us
	lingerTime   = 10 * time.Second // after Close, for what is still to be sent
	keepAlive    = 29 * time.Second // libutp
	persistMax   = 15 * time.Second // libutp
	persistMin   = time.Second      // guess
	maxFlight    = 1000             // packets; a libutp keeps 1024 out of order
	oldAcks      = 3                // as old may an acknowledgement be (libutp)
	lostAfter    = 3                // later packets that arrived (BEP 29)
	maxSoundings = 3                // tries of longer packets; guess
	maxTolerance = 48               // the same, on paths that change the order; guess
	windowSlack  = 64 << 10         // bytes that we take beyond our window
)

// world is what all streams of an owner share.
type world struct {
	clock   clock
	out     *outbox
	window  int // bytes of Conn.in
	reorder int // bytes that may wait out of order, of all streams together
	sack    []byte
}

// sent is a packet in flight.
type sent struct {
	pos   int64  // in the stream of bytes
	size  int    // bytes of payload
	order uint32 // of its last transmission among all
	at    time.Time
	times int
	fin   bool
	acked bool // selectively
	lost  bool // to be sent again
	sound bool // when it was sent first, it was as long as a full packet
}

// stream is the state of one connection, owned by the goroutine of its socket, or
// by a test. Its methods do no I/O: packets go into the outbox, bytes into the
// buffers of the Conn.
type stream struct {
	w      *world
	conn   *Conn
	to     netip.AddrPort
	recvID uint16
	sendID uint16
	phase  phase
	dirty  bool // in the list of the owner
	at     [timers]time.Time

	// Sending. Packets una … seq-1 are in flight, in this order.
	seq        uint16 // of the next packet
	una        uint16
	flight     []sent
	acked      int64 // position of the first byte of Conn.out
	unacked    int   // bytes of flight
	pipe       int   // of those, the ones that are neither acknowledged nor lost
	lost       int   // packets that are to be sent again
	order      uint32
	newest     uint32 // of the packets that arrived, the latest transmission
	newestAt   time.Time
	tolerance  int32 // how many may overtake a packet that is not lost
	dups       int   // acknowledgements in a row that say nothing new
	probed     bool  // since the last acknowledgement of something
	finSent    bool
	finAcked   bool
	peerWindow int
	closedAt   time.Time // since when that is 0
	persist    time.Duration
	cong       ledbat
	full       bool // the congestion window kept us from sending
	fullSize   int  // bytes of payload that a packet may have if longer ones pass
	sounding   bool // a packet is under way that finds that out
	soundings  int
	rtt        roundTrips
	ours       delayHistory // of our packets, as the peer measures
	theirs     delayHistory
	diff       uint32 // what we tell the peer of its last packet

	// Receiving.
	ack     uint16 // the last packet in order
	early   reorder
	eof     bool   // the FIN came, perhaps out of order
	eofSeq  uint16 // its number
	done    bool   // the FIN came in order
	needAck bool
	woken   bool // there is something for the reader of the Conn
}

// dial begins a connection.
func (s *stream) dial(now time.Time, seq uint16) {
	s.phase = synSent
	s.una, s.seq = seq, seq+1
	s.sendSyn(now)
}

func (s *stream) sendSyn(now time.Time) {
	h := s.header(now, kindSyn, s.una)
	h.id, h.ack = s.recvID, 0
	s.w.out.add(s.to, h, nil, nil, nil)
	s.flight = append(s.flight[:0], sent{at: now, times: s.rtt.backoff + 1})
	s.at[timerResend] = now.Add(s.rtt.timeout())
}

// answer begins a connection that somebody asked for with p. Our first packet of
// data will have the number seq, and the answer shows it without using it up.
func (s *stream) answer(now time.Time, p packet, seq uint16) {
	s.phase = synReceived
	s.una, s.seq = seq, seq
	s.ack = p.seq
	s.peerWindow = int(min(p.window, 1<<30))
	s.hear(now, p)
	s.sendState(now)
	s.at[timerEnd] = now.Add(lifeHalfOpen)
}

// establish starts the transfer.
func (s *stream) establish(now time.Time) {
	s.phase = established
	s.at[timerEnd] = time.Time{}
	s.at[timerKeepAlive] = now.Add(keepAlive)
	s.conn.established()
}

// header makes the header of a packet.
func (s *stream) header(now time.Time, k kind, seq uint16) header {
	return header{kind: k, id: s.sendID, sent: s.w.clock.micros(now), diff: s.diff, window: s.conn.advertise(s.w.window), seq: seq, ack: s.ack}
}

// sendState acknowledges what came.
func (s *stream) sendState(now time.Time) {
	s.needAck = false
	s.w.sack = s.early.mask(s.w.sack[:0], s.ack+1)
	s.w.out.add(s.to, s.header(now, kindState, s.seq), s.w.sack, nil, nil)
	s.at[timerKeepAlive] = now.Add(keepAlive)
}

// sendReset tells the peer that the connection is no more.
func (s *stream) sendReset(now time.Time) {
	s.w.out.add(s.to, s.header(now, kindReset, s.seq), nil, nil, nil)
}

// end closes the stream; err is what the Conn says from now on, nil after a Close.
func (s *stream) end(err error) {
	s.phase = ended
	s.at = [timers]time.Time{}
	s.w.reorder += s.early.bytes
	s.early.clear()
	s.conn.ended(err)
}

// hear notes what every packet tells: the delay of the peer's packets, which is
// returned to it with ours.
func (s *stream) hear(now time.Time, p packet) {
	if p.sent == 0 {
		return
	}
	s.diff = s.w.clock.micros(now) - p.sent
	base, known := s.theirs.base, s.theirs.valid
	s.theirs.add(now, s.diff)
	// When its packets seem faster than ever, its clock may run slower than ours;
	// then our packets seem to it slower than they are (libutp).
	if drift := base - s.theirs.base; known && less(s.theirs.base, base) && drift <= 10_000 {
		s.ours.shift(drift)
	}
}

// handle takes a packet of the connection.
func (s *stream) handle(now time.Time, p packet) {
	news := ahead(p.ack, s.una-1)
	switch {
	case s.phase == ended:
		return
	case s.phase == synSent:
		s.connecting(now, p, news)
		return
	case p.kind == kindSyn:
		if s.phase == synReceived && p.seq == s.ack {
			s.needAck = true
		}
		return
	case p.kind == kindReset:
		// It may answer a STATE, which shows the number after those in flight.
		if news >= -oldAcks && news <= len(s.flight)+1 {
			s.end(syscall.ECONNRESET)
		}
		return
	case news < -oldAcks || news > len(s.flight):
		return // of another connection, or forged
	case s.phase == synReceived:
		if p.kind != kindData || news != 0 || len(p.payload) == 0 {
			return // nothing that proves the path
		}
		s.establish(now)
	}
	s.hear(now, p)
	s.acknowledged(now, p, news)
	if p.kind == kindData || p.kind == kindFin {
		s.receive(p)
	}
	if s.finAcked {
		s.end(nil)
	}
}

// connecting takes the answer to our SYN.
func (s *stream) connecting(now time.Time, p packet, news int) {
	switch {
	case news != 1: // not an answer to our SYN
	case p.kind == kindReset:
		s.end(syscall.ECONNREFUSED)
	case p.kind == kindState:
		if syn := s.flight[0]; syn.times == 1 {
			s.rtt.add(now.Sub(syn.at))
		}
		s.rtt.backoff = 0
		s.flight = s.flight[:0]
		s.una = s.seq
		s.ack = p.seq - 1 // it uses that number for its first data
		s.peerWindow = int(min(p.window, 1<<30))
		s.at[timerResend] = time.Time{}
		s.hear(now, p)
		s.establish(now)
	}
}

// receive takes the payload of a packet.
func (s *stream) receive(p packet) {
	s.needAck = true
	d := ahead(p.seq, s.ack+1)
	switch {
	case d < 0 || s.done:
		return // once more
	case p.kind == kindFin && !s.eof && d < reorderLen:
		s.eof, s.eofSeq = true, p.seq
		p.payload = nil
	}
	if s.eof && ahead(p.seq, s.eofSeq) > 0 {
		return // behind the end
	}
	if d > 0 {
		if len(p.payload) > s.w.reorder || s.early.bytes+len(p.payload) > s.w.window {
			return
		}
		if s.early.put(s.ack+1, p.seq, p.payload) {
			s.w.reorder -= len(p.payload)
		}
		return
	}
	for b := p.payload; ; {
		if !s.deliver(b) {
			return // no room: it will come again
		}
		if b = s.early.take(s.ack + 1); b == nil {
			return
		}
		s.w.reorder += len(b)
	}
}

// deliver takes the payload of the next packet in order.
func (s *stream) deliver(b []byte) bool {
	if len(b) > 0 && !s.conn.deliver(b, s.w.window+windowSlack) {
		return false
	}
	s.ack++
	if s.eof && s.ack == s.eofSeq {
		s.done = true
		s.w.reorder += s.early.bytes
		s.early.clear()
		s.conn.finished()
	}
	s.woken = true
	return true
}

// next is when tick has something to do; zero if never.
func (s *stream) next() (at time.Time) {
	for _, t := range s.at {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

// tick does what is due.
func (s *stream) tick(now time.Time) {
	for t := range s.at {
		at := s.at[t] // as those before have left it
		if at.IsZero() || now.Before(at) || s.phase == ended {
			continue
		}
		s.at[t] = time.Time{}
		switch timer(t) {
		case timerResend:
			s.timedOut(now)
		case timerProbe:
			s.probe(now)
		case timerPersist:
			s.persisted(now)
		case timerKeepAlive:
			s.conn.shrink()
			s.needAck = true
		case timerEnd:
			if s.phase != synReceived {
				s.sendReset(now)
			}
			s.end(syscall.ETIMEDOUT)
		}
	}
}
