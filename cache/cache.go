package cache

import (
	"fmt"
	"sync"
)

// recentPercent is the default share of the recent tier, from the simulation in
// sim_test.go: up to here a larger share finds more of both a jump back and the
// hot set; beyond, little is left for ristretto when windows are large.
const recentPercent = 25

// MinBytes is the smallest budget that New accepts.
const MinBytes = 1 << 20

// Config says how large a Cache is.
type Config struct {
	// Bytes is the budget: pinned pieces, those to come included, unpinned
	// pieces and reservations never exceed it together. The book-keeping of
	// some 200 bytes a piece is not counted.
	Bytes int64

	// RecentPercent is the share of the recent tier, 1 to 90; 0 means 25.
	RecentPercent int
}

// Cache keeps verified pieces in memory. All methods are safe for concurrent use
// and none waits for the network, a disk or the eviction callback.
type Cache struct {
	budget    int64
	recentCap int64
	slack     int64 // kept free of ristretto's pieces, so that Put rarely has to evict by itself

	policy *policy
	notify *notifier

	// mu is a leaf; it guards what follows and the items.
	mu       sync.Mutex
	items    map[Key]*item
	recent   list
	offered  list
	main     list  // least recently visited first
	pinned   int64 // bytes of pinned items, here or not
	missing  int64 // the part of pinned that is not here
	reserved int64
	torrents uint64 // handles given out
	closed   bool
}

// New returns an empty cache. Close ends its goroutines.
func New(cfg Config) (*Cache, error) {
	if cfg.Bytes < MinBytes {
		return nil, fmt.Errorf("cache: budget of %d bytes is below the minimum of %d", cfg.Bytes, MinBytes)
	}
	pct := cfg.RecentPercent
	if pct == 0 {
		pct = recentPercent
	}
	if pct < 1 || pct > 90 {
		return nil, fmt.Errorf("cache: recent share of %d %% is not between 1 and 90", pct)
	}
	c := &Cache{
		budget:    cfg.Bytes,
		recentCap: cfg.Bytes / 100 * int64(pct),
		slack:     cfg.Bytes / 32,
		items:     make(map[Key]*item),
	}
	c.recent.init()
	c.offered.init()
	c.main.init()
	p, err := newPolicy(c)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	c.policy = p
	c.notify = newNotifier(c)
	return c, nil
}

// NewTorrent returns a handle that no other torrent of this cache has had.
func (c *Cache) NewTorrent() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.torrents++
	return c.torrents
}

// OnEvict sets the function that is told which pieces are no longer here; it
// should be set before the first Put. Keys dropped by Drop are not reported, nor
// those that came back before the report. Calls follow one another, from a
// goroutine of the cache; Close waits for the last one.
func (c *Cache) OnEvict(f func(keys []Key)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notify.listener = f
}

// Put hands over a piece: data is immutable from now on. It is kept where its
// pins say. The answer tells whether it is kept: false if pins and reservations
// leave no room for it, if the key is out of range, or if the cache is closed. A
// piece that is here already is left as it is.
func (c *Cache) Put(key Key, data []byte) bool {
	id, ok := key.id()
	if !ok || len(data) == 0 {
		return false
	}
	size := int64(len(data))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	it := c.items[key]
	switch {
	case it == nil:
		if !c.makeRoom(size) {
			return false
		}
		it = &item{key: key, id: id, data: data, size: size}
		c.items[key] = it
		c.toRecent(it)
	case it.data == nil:
		if more := size - it.size; more != 0 { // its pin announced another size
			if more > 0 && !c.makeRoom(more) {
				return false
			}
			c.pinned += more
			c.missing += more
			it.size = size
		}
		it.data = data
		c.missing -= size
	}
	return true
}

// Get returns a piece, nil if it is not here. It does not count as a visit.
func (c *Cache) Get(key Key) []byte {
	c.mu.Lock()
	it := c.items[key]
	var data []byte
	if it != nil {
		data = it.data
	}
	c.mu.Unlock()
	return data
}

// Contains tells whether a piece is here.
func (c *Cache) Contains(key Key) bool { return c.Get(key) != nil }

// Missing appends to dst those of the pieces that are not here.
func (c *Cache) Missing(torrent uint64, pieces, dst []int) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range pieces {
		if it := c.items[Key{torrent, p}]; it == nil || it.data == nil {
			dst = append(dst, p)
		}
	}
	return dst
}

// Visit counts a use of a piece, here or not. ristretto keeps what is visited
// often; its counters end at 15, so that a piece read in 32 steps must count once
// and not 32 times: call it when a reader comes to a piece.
func (c *Cache) Visit(key Key) {
	id, ok := key.id()
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if it := c.items[key]; it != nil && it.at == main {
		c.main.remove(it)
		c.main.push(it)
	}
	if !c.closed {
		c.policy.visit(id)
	}
}

// Drop forgets all pieces of a torrent, without a report. Its pins stay, as of
// pieces to come, until they are unpinned.
func (c *Cache) Drop(torrent uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, it := range c.items {
		if key.Torrent != torrent || it.data == nil {
			continue
		}
		if it.at == pinned {
			it.data = nil
			c.missing += it.size
			continue
		}
		c.forget(it)
	}
}

// Discard forgets pieces of a torrent that are not pinned, without a report.
func (c *Cache) Discard(torrent uint64, pieces ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range pieces {
		if it := c.items[Key{torrent, p}]; it != nil && it.at != pinned {
			c.forget(it)
		}
	}
}

// Close forgets everything and ends the goroutines; evictions that are not
// reported yet are reported before. Afterwards Get finds nothing and Put keeps
// nothing. It may be called more than once, but not from the eviction callback.
func (c *Cache) Close() {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	c.policy.close()
	c.notify.close()
	if !first {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, it := range c.items {
		it.at, it.data = gone, nil
	}
	clear(c.items)
	c.recent, c.offered, c.main = list{}, list{}, list{}
	c.recent.init()
	c.offered.init()
	c.main.init()
	c.pinned, c.missing, c.reserved = 0, 0, 0
}
