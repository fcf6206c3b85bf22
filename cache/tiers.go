package cache

// The functions of this file are called with mu held.

func (c *Cache) used() int64 {
	return c.pinned + c.recent.bytes + c.offered.bytes + c.main.bytes + c.reserved
}

// mainLimit is what ristretto may keep.
func (c *Cache) mainLimit() int64 {
	return c.budget - c.pinned - c.reserved - c.recentCap - c.slack
}

// makeRoom evicts until size more bytes fit: first what ristretto keeps, least
// recently visited first, then what waits for its verdict, then recent pieces. If
// they cannot fit it evicts nothing and answers false.
//
// ristretto has no say here: it evicts only when something better comes along,
// and never because its limit sank.
func (c *Cache) makeRoom(size int64) bool {
	over := c.used() + size - c.budget
	if over <= 0 {
		return true
	}
	if over > c.main.bytes+c.offered.bytes+c.recent.bytes {
		return false
	}
	for _, l := range []*list{&c.main, &c.offered, &c.recent} {
		for over > 0 && l.n > 0 {
			it := l.oldest()
			over -= it.size
			c.evict(it)
		}
	}
	return true
}

// toRecent makes an item, which is in no list, the newest of the recent ones, and
// offers the oldest to ristretto. One is kept even if it exceeds the tier's share.
func (c *Cache) toRecent(it *item) {
	it.at = recent
	c.recent.push(it)
	for c.recent.bytes > c.recentCap && c.recent.n > 1 {
		old := c.recent.oldest()
		c.unlist(old)
		old.at = offered
		old.turn++
		c.offered.push(old)
		c.policy.offer(old)
	}
}

// unlist takes an unpinned item out of its list. It is then nowhere, until the
// caller puts it somewhere.
func (c *Cache) unlist(it *item) {
	switch it.at {
	case recent:
		c.recent.remove(it)
	case offered:
		c.offered.remove(it)
	case main:
		c.main.remove(it)
	}
	it.at = gone
}

// take is unlist, and makes ristretto forget the item too.
func (c *Cache) take(it *item) {
	if it.at == main {
		c.policy.remove(it.id)
	}
	c.unlist(it)
}

// evict forgets an unpinned item and reports it.
func (c *Cache) evict(it *item) {
	c.forget(it)
	c.notify.add(it.key)
}

// forget removes an item from the map. Its data is let go here, since ristretto
// may hold the item itself a little longer.
func (c *Cache) forget(it *item) {
	c.take(it)
	delete(c.items, it.key)
	it.data, it.pins = nil, 0
}
