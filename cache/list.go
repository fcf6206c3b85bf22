package cache

// place is where an item is; see the package comment.
type place uint8

const (
	gone    place = iota // not in the map any more
	pinned               // data may still be missing
	recent               // member of Cache.recent
	offered              // member of Cache.offered
	main                 // member of Cache.main, and known to ristretto
)

// item is one piece, or the pin of a piece that is not here yet. All fields but
// key and id are guarded by Cache.mu.
type item struct {
	key  Key
	id   uint64
	data []byte // nil: not here
	size int64  // counted in the budget, len(data) if here
	pins int    // > 0 exactly in place pinned
	at   place
	turn uint64 // counts its offers, so that a verdict on an older one is known

	prev, next *item // neighbours in its list
}

// list is a ring of items with a sentinel, oldest first.
type list struct {
	root  item
	n     int
	bytes int64
}

func (l *list) init() { l.root.prev, l.root.next = &l.root, &l.root }

// oldest is nil if the list is empty.
func (l *list) oldest() *item {
	if l.n == 0 {
		return nil
	}
	return l.root.next
}

// push adds an item as the newest.
func (l *list) push(it *item) {
	it.prev, it.next = l.root.prev, &l.root
	it.prev.next, it.next.prev = it, it
	l.n++
	l.bytes += it.size
}

func (l *list) remove(it *item) {
	it.prev.next, it.next.prev = it.next, it.prev
	it.prev, it.next = nil, nil
	l.n--
	l.bytes -= it.size
}
