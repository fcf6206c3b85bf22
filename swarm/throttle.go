package swarm

import (
	"slices"
	"sync"
	"time"

	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

const (
	// burstTime is how long a rate that nobody uses is saved up, so that a pause
	// between two events costs nothing. A limit is kept over a few seconds.
	burstTime = 250 * time.Millisecond
	// grantTime is how much of the rate one torrent is given at a time, in whole
	// blocks: short beside the patience of a reader, long beside a timer's.
	grantTime = 15 * time.Millisecond
	// pressingShare is how many bytes torrents that a read waits for are given for
	// each byte of the others, while both want more than there is. Guess.
	pressingShare = 7

	unlimited = picker.Unlimited
)

// throttle divides a rate of bytes among the torrents of a session. Nobody sleeps in
// it: who may do less than he has to is granted more later, and gets word of that.
//
// It holds back what is asked, and what is served, not what arrives or lies in a
// socket already. So what is not urgent is never in the way of what is, peers are
// measured as they are, and messages do not wait. Rate limiters that make callers
// sleep (golang.org/x/time/rate) can do neither that nor take back what was not used.
//
// A leaf: nothing is called with the lock held.
type throttle struct {
	mu     sync.Mutex
	rate   int64       // bytes per second; 0: no limit
	tokens float64     // bytes that may pass; negative if too many have
	at     time.Time   // when tokens was right
	queue  [2][]*share // who is to be granted more: those that press, and the others
	ahead  int         // bytes granted to those that press while others waited
	timer  *time.Timer // nil until it is needed
}

// share is what one torrent has of a throttle. All but more is guarded by the
// throttle's lock. A nil share is without limits.
type share struct {
	throttle *throttle
	more     chan<- struct{} // of capacity 1: told that there is more
	granted  int
	queued   bool
	pressing bool
}

// set changes the rate; 0 for no limit. Those that wait look again.
func (t *throttle) set(bytesPerSec int64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refill(now)
	t.rate, t.at = bytesPerSec, now
	t.tokens = min(t.tokens, t.burst())
	for class, list := range t.queue {
		for _, s := range list {
			s.queued = false
			s.tell()
		}
		t.queue[class] = nil
	}
	t.ahead = 0
	if t.timer != nil {
		t.timer.Stop()
	}
}

// take returns how many bytes may pass now. settle must follow.
func (s *share) take(now time.Time) int {
	if s == nil {
		return unlimited
	}
	t := s.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	n := s.granted
	s.granted = 0
	if t.rate == 0 {
		return unlimited
	}
	others := len(t.queue[0]) + len(t.queue[1])
	if s.queued {
		others--
	}
	if others == 0 {
		t.refill(now)
		if free := int(t.tokens); free > 0 {
			t.tokens -= float64(free)
			n += free
		}
	}
	return n
}

// settle says how many bytes of those taken have passed; more than taken if some
// could not be held back, negative if earlier ones will not come. short means that
// there was work for more, pressing that a read waits for it.
func (s *share) settle(now time.Time, taken, passed int, short, pressing bool) {
	if s == nil {
		return
	}
	t := s.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rate == 0 {
		return
	}
	if taken == unlimited { // the limit is newer
		taken = 0
		short = true
	}
	t.refill(now)
	// What strangers send unasked is not made up for without end.
	t.tokens = min(max(t.tokens+float64(taken-passed), -t.burst()), t.burst())
	if s.queued && (!short || s.pressing != pressing) {
		t.drop(s)
	}
	if short && !s.queued {
		s.queued, s.pressing = true, pressing
		t.queue[s.class()] = append(t.queue[s.class()], s)
	}
	t.pump(now)
}

// leave gives back what was granted, for good.
func (s *share) leave(now time.Time) {
	if s == nil {
		return
	}
	t := s.throttle
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.queued {
		t.drop(s)
	}
	if t.rate > 0 {
		t.refill(now)
		t.tokens = min(t.tokens+float64(s.granted), t.burst())
		t.pump(now)
	}
	s.granted = 0
}

func (s *share) class() int {
	if s.pressing {
		return 0
	}
	return 1
}

// tell wakes the torrent without waiting for it.
func (s *share) tell() {
	select {
	case s.more <- struct{}{}:
	default: // it was told, and has not looked yet
	}
}

func (t *throttle) drop(s *share) {
	list := &t.queue[s.class()]
	*list = slices.DeleteFunc(*list, func(o *share) bool { return o == s })
	s.queued = false
}

func (t *throttle) burst() float64 {
	return max(2*wire.BlockSize, float64(t.rate)*burstTime.Seconds())
}

// grant is how many bytes are granted at a time.
func (t *throttle) grant() int {
	blocks := int(float64(t.rate)*grantTime.Seconds()) / wire.BlockSize
	return max(1, blocks) * wire.BlockSize
}

func (t *throttle) refill(now time.Time) {
	if d := now.Sub(t.at); d > 0 {
		t.tokens = min(t.tokens+d.Seconds()*float64(t.rate), t.burst())
		t.at = now
	}
}

// pump grants what there is, and sees to it that it is called again if that is not
// enough for all.
func (t *throttle) pump(now time.Time) {
	n := t.grant()
	for {
		s := t.next(n)
		if s == nil {
			return
		}
		if lack := float64(n) - t.tokens; lack > 0 {
			t.wakeIn(time.Duration(lack / float64(t.rate) * float64(time.Second)))
			return
		}
		t.tokens -= float64(n)
		others := len(t.queue[1]) > 0
		t.drop(s)
		switch {
		case !s.pressing || !others:
			t.ahead = 0
		default:
			t.ahead += n
		}
		s.granted += n
		s.tell()
	}
}

// next is whose turn it is, nil if nobody waits.
func (t *throttle) next(grant int) *share {
	press, others := t.queue[0], t.queue[1]
	switch {
	case len(press) == 0 && len(others) == 0:
		return nil
	case len(press) == 0, len(others) > 0 && t.ahead >= pressingShare*grant:
		return others[0]
	}
	return press[0]
}

func (t *throttle) wakeIn(d time.Duration) {
	d++ // rounded up
	if t.timer != nil {
		t.timer.Reset(d)
		return
	}
	t.timer = time.AfterFunc(d, func() {
		now := time.Now()
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.rate > 0 {
			t.refill(now)
			t.pump(now)
		}
	})
}

// close ends the timer.
func (t *throttle) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
	}
}
