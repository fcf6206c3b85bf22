package cache

// Pin keeps a piece until as many Unpins follow. If the piece is not here yet,
// size bytes (its length) are reserved for it. It answers false, and pins nothing,
// if pins and reservations leave no room: the caller has to want less. A pin on a
// piece that is here never fails.
func (c *Cache) Pin(key Key, size int64) bool {
	id, ok := key.id()
	if !ok || size <= 0 {
		return false
	}
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
		it = &item{key: key, id: id, size: size}
		c.items[key] = it
		c.missing += size
		c.pinned += size
	case it.at != pinned:
		c.take(it)
		c.pinned += it.size
	}
	it.at = pinned
	it.pins++
	return true
}

// Unpin takes back one Pin. The piece stays for a while among the recent ones.
func (c *Cache) Unpin(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	it := c.items[key]
	if it == nil || it.pins == 0 { // closed in between
		return
	}
	it.pins--
	if it.pins > 0 {
		return
	}
	c.pinned -= it.size
	if it.data == nil {
		c.missing -= it.size
		c.forget(it)
		return
	}
	c.toRecent(it)
}

// Reserve takes bytes out of the budget for data that is not in the cache, such
// as partial pieces that no pin covers. False: there is no room.
func (c *Cache) Reserve(bytes int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if bytes < 0 || c.closed || !c.makeRoom(bytes) {
		return false
	}
	c.reserved += bytes
	return true
}

// Release gives reserved bytes back.
func (c *Cache) Release(bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reserved = max(0, c.reserved-bytes)
}

// Budget is the bound on everything.
func (c *Cache) Budget() int64 { return c.budget }

// Stats are the sizes of a cache, in bytes unless the name says otherwise.
type Stats struct {
	Budget   int64
	Pinned   int64 // pinned pieces, those to come included
	Missing  int64 // the part of Pinned that is still to come
	Recent   int64
	Offered  int64
	Main     int64
	Reserved int64
	Pieces   int // here
}

// Used is what counts against the budget.
func (s Stats) Used() int64 { return s.Pinned + s.Recent + s.Offered + s.Main + s.Reserved }

// Stats returns a snapshot.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Stats{
		Budget: c.budget, Pinned: c.pinned, Missing: c.missing, Recent: c.recent.bytes,
		Offered: c.offered.bytes, Main: c.main.bytes, Reserved: c.reserved,
	}
	for _, it := range c.items {
		if it.data != nil {
			s.Pieces++
		}
	}
	return s
}

// Used is what counts against the budget: pieces here, pieces to come that are
// pinned, reservations.
func (c *Cache) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used()
}

// Pinned is how much of Used cannot be evicted for the sake of another pin.
func (c *Cache) Pinned() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pinned
}
