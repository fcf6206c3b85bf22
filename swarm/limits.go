package swarm

import "time"

// Limits bound what a session takes and gives, all torrents together. The zero value
// has none.
type Limits struct {
	// Down and Up are bytes of pieces per second, to be kept over a few seconds;
	// 0: no limit. Handshakes, requests and the like do not count: they are a
	// thousandth of it.
	Down, Up int64
	// NoUpload keeps all peers choked, so that nobody gets a piece.
	NoUpload bool
}

// SetLimits changes the limits. They hold at once.
func (s *Session) SetLimits(l Limits) {
	now := time.Now()
	s.down.set(max(0, l.Down), now)
	s.up.set(max(0, l.Up), now)
	s.noUpload.Store(l.NoUpload)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.torrents {
		t.nudge()
	}
}

// nudge has the loop look at the limits.
func (t *Torrent) nudge() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

// limits are the loop's part of the session's limits. The zero value has none.
type limits struct {
	down, up *share
	off      func() bool // nobody is unchoked; nil: never

	isOff    bool // as it was when peers were last told
	unbooked int  // bytes received that no request is booked for
	serving  bool // some peer's requests may wait to be served
}

func (m *limits) noUpload() bool { return m.off != nil && m.off() }

// obey chokes all peers, or lets them in again, when uploading was switched.
func (l *loop) obey(now time.Time) {
	off := l.limits.noUpload()
	if off == l.limits.isOff {
		return
	}
	l.limits.isOff = off
	if !off {
		l.fillSlots(now)
		return
	}
	for _, r := range l.peers {
		l.setChoking(r, true)
	}
}

// ask has do make requests for no more than the limit lets pass.
func (l *loop) ask(now time.Time, do func()) {
	taken := l.limits.down.take(now)
	l.picker.Allow(taken)
	do()
	passed := l.picker.Spent() + l.limits.unbooked
	l.limits.unbooked = 0
	short := l.picker.Short()
	l.limits.down.settle(now, taken, passed, short, short && l.pressing(now))
}

// pressing tells whether a read waits, or will soon.
func (l *loop) pressing(now time.Time) bool {
	for _, w := range l.picker.Wants() {
		if !l.picker.Had(w.Piece) {
			return w.Blocked || w.Deadline.Sub(now) < pressingSoon
		}
	}
	return false
}

// pressingSoon is how close a deadline is for which a torrent goes before others: a
// reader that is given its share only when it sleeps, sleeps often. Guess.
const pressingSoon = 2 * time.Second

// serve hands requests of peers to the servers, one of each peer by turns, no more
// than the limit lets pass.
func (l *loop) serve(now time.Time) {
	if !l.limits.serving {
		return
	}
	var list []*remote
	for _, r := range l.peers {
		if r.servable() {
			list = append(list, r)
		}
	}
	taken := l.limits.up.take(now)
	passed, short, again := 0, false, true
	for again && !short {
		again = false
		for _, r := range list {
			if !r.servable() {
				continue
			}
			m := r.requests[0]
			if passed+int(m.Length) > taken {
				short = true
				break
			}
			passed += int(m.Length)
			r.requests = r.requests[1:]
			r.serving++
			again = true
			l.do.serve(r.id, r.conn, r.fast(), m)
		}
	}
	l.limits.serving = short
	l.limits.up.settle(now, taken, passed, short, false)
}

// servable tells whether a request of the peer can be handed on: not more than its
// socket takes.
func (r *remote) servable() bool {
	return len(r.requests) > 0 && r.serving < serveAhead && r.conn.Buffered() < serveBuffered
}
