package utp

import (
	"syscall"
	"time"
)

// pump sends what the windows allow: what was lost first, then new bytes, then the
// FIN.
func (s *stream) pump(now time.Time) {
	if s.phase != established {
		return
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	window := s.cong.bytes()
	for i := 0; s.lost > 0 && i < len(s.flight); i++ {
		p := &s.flight[i]
		if !p.lost {
			continue
		}
		// The oldest goes at once: the peer cannot go on without it.
		if s.full = i > 0 && s.pipe > 0 && s.pipe+p.size > window; s.full || s.w.out.full() {
			return
		}
		p.lost = false
		s.lost--
		s.pipe += p.size
		s.transmit(now, i)
	}
	s.full = false
	for !s.finSent && len(s.flight) < maxFlight && !s.w.out.full() {
		n := min(c.out.size-s.unacked, s.cong.packet)
		if n == 0 && !c.closed {
			break
		}
		if s.full = s.pipe > 0 && s.pipe+n > window; s.full {
			break
		}
		if room := s.peerWindow - s.unacked; n > room {
			if len(s.flight) > 0 {
				break
			}
			if n = room; n <= 0 { // and nothing is under way that would be answered
				s.awaitRoom(now)
				break
			}
		}
		s.add(now, n)
	}
	if c.closed && s.at[timerEnd].IsZero() {
		s.at[timerEnd] = now.Add(lingerTime)
	}
	c.setLimit(2 * window)
}

// add sends a new packet of n bytes; with none of them, the FIN. The lock of the
// Conn is held.
func (s *stream) add(now time.Time, n int) {
	p := sent{pos: s.acked + int64(s.unacked), size: n, fin: n == 0}
	// Packets cannot be split later, since the peer may have them. So whether longer
	// ones pass is found out with one that is filled up, and has no more than others.
	if n == s.cong.packet && n < s.fullSize && !s.sounding && s.soundings < maxSoundings {
		p.sound, s.sounding = true, true
		s.soundings++
	}
	s.flight = append(s.flight, p)
	s.finSent = n == 0
	s.seq++
	s.unacked += n
	s.pipe += n
	s.transmit(now, len(s.flight)-1)
}

// transmit sends the packet i of those in flight. The lock of the Conn is held.
func (s *stream) transmit(now time.Time, i int) {
	p := &s.flight[i]
	s.order++
	p.order, p.at = s.order, now
	p.times++
	k := kindData
	if p.fin {
		k = kindFin
	}
	a, b := s.conn.out.view(int(p.pos-s.acked), p.size)
	h := header{kind: k, id: s.sendID, diff: s.diff, window: s.conn.advertiseLocked(s.w.window), seq: s.una + uint16(i), ack: s.ack}
	h.sent = s.w.clock.micros(now)
	if p.sound && p.times == 1 {
		h.pad = s.fullSize - p.size - 2
	}
	s.w.out.add(s.to, h, nil, a, b)
	s.needAck = s.needAck && s.early.count > 0 // what came out of order needs a packet of its own
	if s.at[timerResend].IsZero() {
		s.at[timerResend] = now.Add(s.rtt.timeout())
	}
	if !s.probed {
		s.at[timerProbe] = now.Add(s.rtt.probe())
	}
	s.at[timerKeepAlive] = now.Add(keepAlive)
	s.at[timerPersist] = time.Time{}
}

// awaitRoom arms the timer after which a packet is sent although the peer has no
// room: its word of having some again may have been lost.
func (s *stream) awaitRoom(now time.Time) {
	if !s.at[timerPersist].IsZero() {
		return
	}
	s.persist = min(max(2*s.persist, persistMin), persistMax)
	s.at[timerPersist] = now.Add(s.persist)
}

// persisted probes a peer without room.
func (s *stream) persisted(now time.Time) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if n := min(s.conn.out.size-s.unacked, s.cong.packet); n > 0 && len(s.flight) == 0 {
		s.add(now, n)
	}
}

// probe sends the last packet in flight once more. Its acknowledgement, or what it
// says of those before, comes sooner than the timeout. That there are packets known
// to be lost is no reason not to: if they wait, then for room in the window, and what
// fills it may be lost as well.
func (s *stream) probe(now time.Time) {
	if s.w.out.full() {
		return
	}
	for i := len(s.flight) - 1; i >= 0; i-- {
		if f := &s.flight[i]; !f.acked {
			if f.lost {
				f.lost = false
				s.lost--
				s.pipe += f.size
			}
			s.probed = true
			s.conn.mu.Lock()
			s.transmit(now, i)
			s.conn.mu.Unlock()
			return
		}
	}
}

// timedOut takes everything in flight for lost.
func (s *stream) timedOut(now time.Time) {
	s.rtt.backoff++
	if s.phase == synSent {
		if s.rtt.backoff >= synTries {
			s.end(syscall.ETIMEDOUT)
			return
		}
		s.sendSyn(now)
		return
	}
	if len(s.flight) == 0 {
		s.rtt.backoff = 0
		return
	}
	if f := s.flight[0]; f.fin && f.times >= finTries {
		s.end(nil) // whoever is gone does not answer
		return
	}
	if s.rtt.backoff >= dataTries {
		s.sendReset(now)
		s.end(syscall.ETIMEDOUT)
		return
	}
	for i := range s.flight {
		if p := &s.flight[i]; !p.acked && !p.lost {
			s.markLost(p)
		}
	}
	if s.peerWindow > 0 {
		s.cong.timedOut(now)
	}
	s.dups = 0
	s.at[timerProbe] = time.Time{}
	s.at[timerResend] = now.Add(s.rtt.timeout())
}

func (s *stream) markLost(p *sent) {
	p.lost = true
	s.lost++
	s.pipe -= p.size
}

// acknowledged takes the acknowledgements of a packet, of which the first news
// packets in flight are told in order.
func (s *stream) acknowledged(now time.Time, p packet, news int) {
	if news < 0 {
		return // older than what we know
	}
	s.setPeerWindow(now, int(min(p.window, 1<<30)))
	size, dropped, arrived := 0, 0, false
	for i := range news {
		f := &s.flight[i]
		if !f.acked {
			size += s.arrived(now, f)
			arrived = true
		}
		dropped += f.size
		s.finAcked = s.finAcked || f.fin
	}
	if news > 0 {
		s.unacked -= dropped
		s.acked += int64(dropped)
		s.conn.sent(dropped)
		s.flight = s.flight[news:]
		s.una += uint16(news)
	}
	sackBits(p.sack, func(bit int) {
		if i := bit + 1; i < len(s.flight) && !s.flight[i].acked {
			size += s.arrived(now, &s.flight[i])
			arrived = true
		}
	})
	if arrived {
		s.progress(now, p, size)
	}
	s.findLost(now, p, news)
}

// setPeerWindow notes how much room the peer has.
func (s *stream) setPeerWindow(now time.Time, room int) {
	was := s.peerWindow
	s.peerWindow = room
	switch {
	case room == 0 && was > 0:
		s.closedAt = now
	case room == 0:
		s.rtt.backoff = min(s.rtt.backoff, 4) // it lives, so it is waited for
	case was == 0:
		s.persist = 0
		s.at[timerPersist] = time.Time{}
		for i := range s.flight { // what was sent without room was in vain
			if f := &s.flight[i]; !f.acked && !f.lost && f.at.After(s.closedAt) {
				s.markLost(f)
			}
		}
	}
}

// arrived notes that the peer has a packet, and returns its size.
func (s *stream) arrived(now time.Time, f *sent) int {
	if took := now.Sub(f.at); f.times == 1 {
		s.rtt.add(took)
	} else if took < s.rtt.mean/2 {
		// It is the one before that arrived, and was not lost: the path changes the
		// order. What really is lost is found a little later then.
		s.tolerance = min(2*s.tolerance, maxTolerance)
	}
	if f.lost {
		f.lost = false
		s.lost--
	} else {
		s.pipe -= f.size
	}
	f.acked = true
	if f.sound {
		s.sounding = false
		if f.times == 1 {
			s.cong.packet = s.fullSize
		}
	}
	if int32(f.order-s.newest) > 0 {
		s.newest, s.newestAt = f.order, f.at
	}
	return f.size
}

// progress is what follows when size bytes more are known to have arrived.
func (s *stream) progress(now time.Time, p packet, size int) {
	if p.diff != 0 {
		s.ours.add(now, p.diff)
		// No queue is longer than the round trip (libutp).
		if q := s.ours.queueing(); s.rtt.mean > 0 && q > s.rtt.mean+4*s.rtt.dev {
			s.ours.shift(uint32((q - s.rtt.mean - 4*s.rtt.dev).Microseconds()))
		}
	}
	s.cong.acked(size, s.ours.queueing(), s.full)
	s.rtt.backoff = 0
	s.probed = false
	s.at[timerProbe], s.at[timerResend] = time.Time{}, time.Time{}
	if len(s.flight) > 0 {
		s.at[timerProbe] = now.Add(s.rtt.probe())
		s.at[timerResend] = now.Add(s.rtt.timeout())
	}
}

// findLost finds packets that were overtaken by others: by three of them, or by
// one that was sent so much later that it is no mere change of order (RFC 8985).
func (s *stream) findLost(now time.Time, p packet, news int) {
	if news > 0 || len(s.flight) == 0 {
		s.dups = 0
	} else if p.kind == kindState && len(p.sack) == 0 {
		s.dups++ // of a peer that tells nothing more
	}
	for i := range s.flight {
		f := &s.flight[i]
		if f.acked || f.lost {
			continue
		}
		behind := int32(s.newest - f.order)
		late := behind > 0 && s.newestAt.Sub(f.at) >= max(s.rtt.mean/2, 10*time.Millisecond)
		if behind >= s.tolerance || late || i == 0 && s.dups == lostAfter {
			s.markLost(f)
			if !f.sound || f.times > 1 { // else it was too long, most likely
				s.cong.lost(now, f.at)
			}
		}
	}
}
