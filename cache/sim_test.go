package cache

import (
	stdlist "container/list"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
)

// stream plays a film through a cache of 1024 pieces beside a hot set: a reader
// goes through 5000 pieces with a window of ahead pieces pinned, and every few
// pieces someone reads one of a hot set of 300 that moves on slowly (menus, the
// episodes' heads, a second viewer). At the end the reader jumps back.
type stream struct {
	lost               int // pieces of the window gone before they were read
	hot, near, far     int // per cent found: hot set, last 64, last 256 pieces
	hotReads, hotFound int
}

// keeper is the part of a cache that the simulation uses.
type keeper interface {
	fetch(piece int) // ensure it is here, count a visit; true if it was
	has(piece int) bool
	pin(piece int)
	unpin(piece int)
}

func (s *stream) run(k keeper) {
	const ahead, pieces, hotSet = 32, 5000, 300
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range ahead {
		k.pin(i)
		k.fetch(i)
	}
	for i := range pieces {
		k.pin(i + ahead)
		k.fetch(i + ahead)
		if !k.has(i) {
			s.lost++
		}
		k.fetch(i)
		if i > 0 {
			k.unpin(i - 1)
		}
		if i%2 == 0 {
			// Low numbers of the set are read more; the set moves by one
			// piece every 20.
			h := 100000 + i/20 + int(float64(hotSet)*rnd.Float64()*rnd.Float64())
			if i > 1000 {
				s.hotReads++
				if k.has(h) {
					s.hotFound++
				}
			}
			k.pin(h)
			k.fetch(h)
			k.unpin(h)
		}
	}
	found := func(n int) int {
		hits := 0
		for i := pieces - n; i < pieces; i++ {
			if k.has(i) {
				hits++
			}
		}
		return 100 * hits / n
	}
	s.hot, s.near, s.far = 100*s.hotFound/s.hotReads, found(64), found(256)
}

// ours is the cache under test.
type ours struct{ c *Cache }

func (o ours) key(p int) Key { return Key{Torrent: 1, Piece: p} }

func (o ours) fetch(p int) {
	o.c.Visit(o.key(p))
	if !o.c.Contains(o.key(p)) {
		o.c.Put(o.key(p), make([]byte, simPiece))
	}
	synctest.Wait() // as if pieces came slowly: ristretto's verdict is in
}
func (o ours) has(p int) bool { return o.c.Contains(o.key(p)) }
func (o ours) pin(p int)      { o.c.Pin(o.key(p), simPiece) }
func (o ours) unpin(p int)    { o.c.Unpin(o.key(p)) }

// lru is what to compare with: pins count, the rest is least recently used.
type lru struct {
	order *stdlist.List
	at    map[int]*stdlist.Element
	pins  map[int]int
}

func (l *lru) fetch(p int) {
	if e := l.at[p]; e != nil {
		l.order.MoveToFront(e)
		return
	}
	l.at[p] = l.order.PushFront(p)
	for e := l.order.Back(); e != nil && len(l.at) > simPieces; {
		prev := e.Prev()
		if v := e.Value.(int); l.pins[v] == 0 {
			l.order.Remove(e)
			delete(l.at, v)
		}
		e = prev
	}
}
func (l *lru) has(p int) bool { return l.at[p] != nil }
func (l *lru) pin(p int)      { l.pins[p]++ }
func (l *lru) unpin(p int)    { l.pins[p]-- }

const (
	simPieces = 1024
	simPiece  = 1 << 10
)

// TestStreamBesideHotSet holds the rates that docs/cache.md reports.
func TestStreamBesideHotSet(t *testing.T) {
	var l stream
	l.run(&lru{order: stdlist.New(), at: map[int]*stdlist.Element{}, pins: map[int]int{}})
	t.Logf("%-12s lost %d, hot %d %%, last 64 %d %%, last 256 %d %%", "LRU", l.lost, l.hot, l.near, l.far)
	for _, pct := range []int{5, 10, 15, 20, 25, 40} {
		t.Run(fmt.Sprintf("recent %d %%", pct), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(Config{Bytes: simPieces * simPiece, RecentPercent: pct})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				var s stream
				s.run(ours{c})
				t.Logf("%-12s lost %d, hot %d %%, last 64 %d %%, last 256 %d %%", fmt.Sprintf("recent %d %%", pct), s.lost, s.hot, s.near, s.far)
				if s.lost != 0 {
					t.Errorf("%d pieces of the window were gone before they were read", s.lost)
				}
				if pct >= 10 && s.near != 100 {
					t.Errorf("a jump back by 64 pieces found %d %%", s.near)
				}
				if pct == recentPercent && (s.hot < l.hot-10 || s.far < 70) {
					t.Errorf("hot %d %% (LRU %d %%), last 256 %d %%", s.hot, l.hot, s.far)
				}
			})
		})
	}
}

func BenchmarkGetHit(b *testing.B) {
	c := benchCache(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if c.Get(Key{Torrent: 1, Piece: i & 511}) == nil {
			b.Fatal("miss")
		}
		i++
	}
}

func BenchmarkGetHitParallel(b *testing.B) {
	c := benchCache(b)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.Get(Key{Torrent: 1, Piece: i & 511})
		}
	})
}

// BenchmarkStream is what a piece costs that comes into a window, is read and
// leaves it, with all tiers full: pin, put, visit, unpin and ristretto's verdict.
func BenchmarkStream(b *testing.B) {
	c := benchCache(b)
	data := make([]byte, 64<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	i := 0
	for b.Loop() {
		k := Key{Torrent: 2, Piece: i}
		c.Pin(k, int64(len(data)))
		c.Put(k, data)
		c.Visit(k)
		if i >= 32 {
			c.Unpin(Key{Torrent: 2, Piece: i - 32})
		}
		i++
	}
}

func benchCache(b *testing.B) *Cache {
	c, err := New(Config{Bytes: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	data := make([]byte, 64<<10)
	for i := range 512 {
		k := Key{Torrent: 1, Piece: i}
		c.Pin(k, 64<<10)
		c.Put(k, data)
	}
	return c
}
