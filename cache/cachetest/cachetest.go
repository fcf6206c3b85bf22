// Package cachetest holds the checks that every tier of the cache must pass, and
// the data they use.
package cachetest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"

	"magnetfs/cache"
)

// Tier is what the tiers have in common.
type Tier interface {
	Put(key cache.Key, data []byte) bool
	Get(key cache.Key) []byte
	Contains(key cache.Key) bool
	Drop(torrent uint64)
	Used() int64
	Budget() int64
	OnEvict(f func(keys []cache.Key))
	Close()
}

// Data is the content of a piece in tests: it begins with its key.
func Data(key cache.Key, size int) []byte {
	b := make([]byte, max(size, 16))
	binary.BigEndian.PutUint64(b, key.Torrent)
	binary.BigEndian.PutUint64(b[8:], uint64(key.Piece))
	return b
}

// Check fails if data is not what Data made for the key.
func Check(t testing.TB, key cache.Key, data []byte) {
	t.Helper()
	if want := Data(key, len(data)); !bytes.Equal(data, want) {
		t.Fatalf("piece %v holds the bytes of another: % x", key, data[:16])
	}
}

// Run checks a tier. open returns an empty one with the given budget; the suite
// closes it.
func Run(t *testing.T, open func(t *testing.T, budget int64) Tier) {
	const piece = 64 << 10
	const budget = 64 * piece

	t.Run("what was put is found", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		for i := range 10 {
			key := cache.Key{Torrent: 1 + uint64(i%2), Piece: i}
			if c.Contains(key) || c.Get(key) != nil {
				t.Fatalf("%v is there before Put", key)
			}
			if !c.Put(key, Data(key, piece)) {
				t.Fatalf("%v was refused", key)
			}
			if !c.Contains(key) {
				t.Fatalf("%v is not there after Put", key)
			}
			Check(t, key, c.Get(key))
		}
		if got := c.Used(); got < 10*piece || got > c.Budget() {
			t.Errorf("used %d, want at least %d and at most %d", got, 10*piece, c.Budget())
		}
	})

	t.Run("put twice counts once", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		key := cache.Key{Torrent: 1}
		for range 3 {
			if !c.Put(key, Data(key, piece)) {
				t.Fatal("refused")
			}
		}
		if got := c.Used(); got >= 2*piece {
			t.Errorf("used %d for one piece of %d", got, piece)
		}
	})

	t.Run("odd keys and sizes are refused", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		for _, key := range []cache.Key{{Torrent: 0}, {Torrent: 1, Piece: -1}, {Torrent: 1 << 32}, {Torrent: 1, Piece: 1 << 32}} {
			if c.Put(key, make([]byte, piece)) || c.Contains(key) {
				t.Errorf("%v was taken", key)
			}
		}
		if c.Put(cache.Key{Torrent: 1}, nil) {
			t.Error("an empty piece was taken")
		}
		if c.Put(cache.Key{Torrent: 1}, make([]byte, budget+1)) {
			t.Error("a piece above the budget was taken")
		}
	})

	t.Run("drop forgets one torrent, without a report", func(t *testing.T) {
		c := open(t, budget)
		report := listen(c)
		for i := range 8 {
			for torrent := uint64(1); torrent <= 2; torrent++ {
				key := cache.Key{Torrent: torrent, Piece: i}
				c.Put(key, Data(key, piece))
			}
		}
		c.Drop(1)
		for i := range 8 {
			if c.Contains(cache.Key{Torrent: 1, Piece: i}) {
				t.Errorf("piece %d of the dropped torrent is there", i)
			}
			key := cache.Key{Torrent: 2, Piece: i}
			Check(t, key, c.Get(key))
		}
		c.Close()
		if lost := report(); len(lost) != 0 {
			t.Errorf("reported %v", lost)
		}
	})

	t.Run("the bound holds and every loss is reported", func(t *testing.T) {
		c := open(t, budget)
		report := listen(c)
		var put []cache.Key
		for i := range 1000 {
			key := cache.Key{Torrent: 1, Piece: i}
			if c.Put(key, Data(key, piece/2+i%3*piece/4)) {
				put = append(put, key)
			}
			if used := c.Used(); used > c.Budget() {
				t.Fatalf("used %d of %d after %d pieces", used, c.Budget(), i)
			}
		}
		here := make(map[cache.Key]bool)
		for _, key := range put {
			if data := c.Get(key); data != nil {
				Check(t, key, data)
				here[key] = true
			}
		}
		c.Close() // reports what is not reported yet
		lost := report()
		for _, key := range put {
			if !here[key] && !lost[key] {
				t.Fatalf("%v is gone without a report", key)
			}
		}
	})

	t.Run("many at once", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		c.OnEvict(func(keys []cache.Key) {
			for _, key := range keys { // may call back
				c.Contains(key)
			}
		})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(1, uint64(g)))
				for range 2000 {
					key := cache.Key{Torrent: 1, Piece: rnd.IntN(200)}
					if data := c.Get(key); data != nil {
						Check(t, key, data)
					} else {
						c.Put(key, Data(key, piece))
					}
					if used := c.Used(); used > c.Budget() {
						t.Errorf("used %d of %d", used, c.Budget())
						return
					}
				}
			})
		}
		wg.Wait()
	})

	t.Run("closed", func(t *testing.T) {
		c := open(t, budget)
		key := cache.Key{Torrent: 1}
		c.Put(key, Data(key, piece))
		data := c.Get(key)
		c.Close()
		c.Close()
		if c.Put(cache.Key{Torrent: 1, Piece: 1}, Data(key, piece)) {
			t.Error("took a piece after Close")
		}
		if c.Contains(key) {
			t.Error("holds a piece after Close")
		}
		Check(t, key, data) // a slice once given stays valid
	})
}

// listen collects what the tier reports.
func listen(c Tier) (report func() map[cache.Key]bool) {
	var mu sync.Mutex
	lost := make(map[cache.Key]bool)
	c.OnEvict(func(keys []cache.Key) {
		mu.Lock()
		defer mu.Unlock()
		for _, key := range keys {
			lost[key] = true
		}
	})
	return func() map[cache.Key]bool {
		mu.Lock()
		defer mu.Unlock()
		return lost
	}
}
