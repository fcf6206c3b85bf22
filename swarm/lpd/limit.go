package lpd

import (
	"net/netip"
	"time"
)

// Limits on reception. A newcomer on a LAN of 50 clients hears 50 answers
// within a second; a client with 1000 torrents starts with 40 packets. Both
// must pass. All numbers are guesses around these two.
const (
	burstAll    = 200
	refillAll   = 20 * time.Millisecond // 50 packets a second
	burstOne    = 50
	refillOne   = 100 * time.Millisecond // 10 packets a second
	maxSources  = 512
	sourceIdles = time.Minute // then its bucket is full again and need not be kept
)

// bucket is a token bucket; it is filled lazily.
type bucket struct {
	tokens, burst int
	refill        time.Duration // per token
	filled        time.Time     // up to when refill has been accounted
}

func newBucket(burst int, refill time.Duration) bucket {
	return bucket{tokens: burst, burst: burst, refill: refill}
}

// take takes one token if there is one.
func (b *bucket) take(now time.Time) bool {
	if n := now.Sub(b.filled) / b.refill; b.tokens+int(min(n, 1<<20)) >= b.burst {
		b.tokens, b.filled = b.burst, now
	} else if n > 0 {
		b.tokens += int(n)
		b.filled = b.filled.Add(n * b.refill)
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

// reserve takes the next token of a bucket in which there is none, and returns how
// long it has to be waited for.
func (b *bucket) reserve(now time.Time) time.Duration {
	b.filled = b.filled.Add(b.refill)
	return b.filled.Sub(now)
}

// limiter bounds the packets that are looked at, per source address and in
// all. The zero value is ready.
type limiter struct {
	all     bucket
	sources map[netip.Addr]*bucket
}

func (l *limiter) allow(now time.Time, src netip.Addr) bool {
	if l.sources == nil {
		l.all = newBucket(burstAll, refillAll)
		l.sources = make(map[netip.Addr]*bucket)
	}
	b := l.sources[src]
	if b == nil {
		if len(l.sources) >= maxSources {
			for a, s := range l.sources {
				if now.Sub(s.filled) > sourceIdles {
					delete(l.sources, a)
				}
			}
			if len(l.sources) >= maxSources {
				return false // a flood of forged sources
			}
		}
		n := newBucket(burstOne, refillOne)
		b = &n
		l.sources[src] = b
	}
	return b.take(now) && l.all.take(now)
}
