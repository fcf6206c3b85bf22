package utp

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	maxHalfOpenIP = 8                // of one address
	resetMemory   = 1000             // answered strangers (libutp)
	resetTime     = 10 * time.Second // for so long (libutp)
	acceptQueue   = 32               // established connections that nobody accepted yet
	// maxReorder bounds the bytes that wait out of order, of all connections.
	maxReorder = 16 << 20
)

// key finds a stream.
type key struct {
	addr netip.AddrPort
	id   uint16 // by which the peer calls it
}

// owner has the state of all connections of a socket. Its methods are called from
// one goroutine and do no I/O.
type owner struct {
	world
	cfg      Config
	local    netip.AddrPort
	kick     func(*stream) // for the Conn of a new stream
	accepted func(*Conn) bool

	streams  map[key]*stream
	halfOpen []*stream // synReceived, oldest first
	dirty    []*stream // have something to send or to tell
	resets   map[key]time.Time
	wake     time.Time // before which no stream has a timer; zero: none has
	last     *stream   // of the packet before
	lastKey  key
}

func newOwner(cfg Config, now time.Time) *owner {
	return &owner{
		cfg:     cfg,
		streams: map[key]*stream{},
		resets:  map[key]time.Time{},
		world:   world{clock: clock{now}, out: &outbox{}, window: cfg.Window, reorder: maxReorder},
	}
}

// open makes a stream; the caller puts it into the table.
func (o *owner) open(to netip.AddrPort, recvID, sendID uint16) *stream {
	safe, full := o.cfg.payload(to.Addr())
	s := &stream{
		w:         &o.world,
		conn:      newConn(o.local, to, o.window),
		to:        to,
		recvID:    recvID,
		sendID:    sendID,
		tolerance: lostAfter,
		cong:      newLedbat(safe, o.cfg.Window),
		fullSize:  full,
	}
	s.conn.stream = s
	s.conn.kick = func() { o.kick(s) }
	o.streams[key{to, recvID}] = s
	return s
}

// dial begins a connection; nil if there are too many.
func (o *owner) dial(now time.Time, to netip.AddrPort) *stream {
	if len(o.streams) >= o.cfg.MaxConns {
		return nil
	}
	for range 16 {
		id := uint16(rand.Uint32())
		if o.streams[key{to, id}] != nil || o.streams[key{to, id + 1}] != nil {
			continue
		}
		s := o.open(to, id, id+1)
		s.dial(now, uint16(rand.Uint32()))
		o.mark(s)
		return s
	}
	return nil
}

// datagram takes what arrived.
func (o *owner) datagram(now time.Time, b []byte, from netip.AddrPort) {
	p, ok := parse(b)
	if !ok {
		return
	}
	k := key{from, p.id}
	if p.kind == kindSyn {
		k.id++
	}
	s := o.last
	if s == nil || k != o.lastKey {
		s = o.streams[k]
	}
	switch {
	case s != nil:
		o.last, o.lastKey = s, k
	case p.kind == kindSyn:
		o.asked(now, p, from)
		return
	case p.kind == kindReset:
		// Some put the other ID into it.
		for _, id := range [...]uint16{p.id - 1, p.id + 1} {
			if t := o.streams[key{from, id}]; t != nil && t.sendID == p.id {
				s = t
			}
		}
	}
	if s == nil {
		if p.kind != kindReset {
			o.refuse(now, p, from)
		}
		return
	}
	was := s.phase
	s.handle(now, p)
	if was == synReceived && s.phase == established {
		o.leaveHalfOpen(s)
		if !o.accepted(s.conn) {
			s.sendReset(now)
			s.end(nil)
		}
	}
	o.mark(s)
}

// asked takes a SYN.
func (o *owner) asked(now time.Time, p packet, from netip.AddrPort) {
	if o.cfg.NoAccept || len(o.streams) >= o.cfg.MaxConns || !from.IsValid() || from.Port() == 0 {
		return
	}
	same := 0
	for _, s := range o.halfOpen {
		if s.to.Addr() == from.Addr() {
			same++
		}
	}
	if same >= maxHalfOpenIP {
		return
	}
	if len(o.halfOpen) >= o.cfg.MaxHalfOpen {
		// In a flood the oldest goes: an honest peer needs one round trip.
		old := o.halfOpen[0]
		old.end(nil)
		o.remove(old)
	}
	s := o.open(from, p.id+1, p.id)
	s.answer(now, p, uint16(rand.Uint32()))
	o.halfOpen = append(o.halfOpen, s)
	o.mark(s)
}

// refuse answers a packet of a connection that we do not have, once in a while.
func (o *owner) refuse(now time.Time, p packet, from netip.AddrPort) {
	k := key{from, p.id}
	if at, ok := o.resets[k]; ok && now.Sub(at) < resetTime {
		return
	}
	if len(o.resets) >= resetMemory {
		for k, at := range o.resets {
			if now.Sub(at) >= resetTime {
				delete(o.resets, k)
			}
		}
		if len(o.resets) >= resetMemory {
			return
		}
	}
	o.resets[k] = now
	o.out.add(from, header{kind: kindReset, id: p.id, seq: uint16(rand.Uint32()), ack: p.seq}, nil, nil, nil)
}

// kicked looks at what the Conn of a stream wants.
func (o *owner) kicked(s *stream) {
	closed, update := s.conn.took()
	s.needAck = s.needAck || update && s.phase == established
	if closed && s.phase == synSent {
		s.end(nil)
	}
	o.mark(s)
}

// mark makes flush look at s.
func (o *owner) mark(s *stream) {
	if !s.dirty {
		s.dirty = true
		o.dirty = append(o.dirty, s)
	}
}

// tick lets timers expire.
func (o *owner) tick(now time.Time) {
	if o.wake.IsZero() || now.Before(o.wake) {
		return
	}
	o.wake = time.Time{}
	for _, s := range o.streams {
		if at := s.next(); !at.IsZero() && !now.Before(at) {
			s.tick(now)
			o.mark(s)
		} else {
			o.soonest(at)
		}
	}
}

func (o *owner) soonest(at time.Time) {
	if !at.IsZero() && (o.wake.IsZero() || at.Before(o.wake)) {
		o.wake = at
	}
}

// flush sends what the streams have to send, and returns when tick is due; zero if
// it is not. A stream that finds the outbox full stays marked.
func (o *owner) flush(now time.Time) time.Time {
	left := o.dirty[:0]
	for _, s := range o.dirty {
		s.pump(now)
		if s.needAck && s.phase != ended {
			s.sendState(now)
		}
		if s.woken {
			s.woken = false
			s.conn.wake()
		}
		if s.phase == ended {
			s.dirty = false
			o.remove(s)
			continue
		}
		o.soonest(s.next())
		if o.out.full() {
			left = append(left, s)
			continue
		}
		s.dirty = false
	}
	clear(o.dirty[len(left):])
	o.dirty = left
	return o.wake
}

// remove forgets a stream that has ended.
func (o *owner) remove(s *stream) {
	k := key{s.to, s.recvID}
	if o.streams[k] == s {
		delete(o.streams, k)
	}
	if o.last == s {
		o.last = nil
	}
	o.leaveHalfOpen(s)
}

func (o *owner) leaveHalfOpen(s *stream) {
	for i, h := range o.halfOpen {
		if h == s {
			o.halfOpen = append(o.halfOpen[:i], o.halfOpen[i+1:]...)
			return
		}
	}
}

// closeAll ends all connections: with a FIN those that have sent everything, with
// a reset the others.
func (o *owner) closeAll(now time.Time) {
	for _, s := range o.streams {
		if s.phase == established {
			_ = s.conn.Close() // fails if the program has closed it
			s.pump(now)
			if !s.finSent {
				s.sendReset(now)
			}
		}
		s.end(nil)
	}
	clear(o.streams)
	o.halfOpen, o.dirty, o.last = nil, nil, nil
}
