package disk

import "time"

// state is where a piece is in its life; see the package comment. Absent pieces
// have no entry.
type state uint8

const (
	queued  state = iota // in Tier.queue; data is in memory
	writing              // the writer has it; data is in memory
	dirty                // in its files, not synced
	clean                // synced; on the map or about to be
	suspect              // in its files, to be verified at first use
	leaving              // not served any more; the keeper frees its space
)

// entry is one piece. Its fields are guarded by Tier.mu.
type entry struct {
	t      *Torrent
	piece  int
	state  state
	stored bool   // counted in used, and in the torrent's live
	data   []byte // queued and writing: what is to be written
	cost   int64
	minute uint32 // last read
	seq    uint64 // order of the queue
	doomed bool   // writing: discard it afterwards
	load   *load  // a read of it under way

	in         *list
	prev, next *entry
}

// list is a ring of entries around a sentinel.
type list struct {
	head entry
	n    int
	cost int64
}

func (l *list) init() { l.head.prev, l.head.next = &l.head, &l.head }

func (l *list) oldest() *entry { return l.head.next }

// push makes an entry, which is in no list, the newest.
func (l *list) push(e *entry) { l.insert(e, &l.head) }

// insert puts an entry before another one.
func (l *list) insert(e, before *entry) {
	e.in = l
	e.prev, e.next = before.prev, before
	e.prev.next, e.next.prev = e, e
	l.n++
	l.cost += e.cost
}

// unlist takes an entry out of the list it is in, if any.
func (e *entry) unlist() {
	if e.in == nil {
		return
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.in.n--
	e.in.cost -= e.cost
	e.in, e.prev, e.next = nil, nil, nil
}

// The functions below are called with mu held.

// served tells whether Get would find the piece.
func (e *entry) served() bool { return e != nil && e.state != leaving && !e.doomed }

// settled tells whether the piece is in its files.
func (e *entry) settled() bool { return e.state == dirty || e.state == clean || e.state == suspect }

// rank puts a written piece where evictions look for it, unless it is pinned.
func (d *Tier) rank(e *entry) {
	if !e.settled() {
		return // it may be in the queue
	}
	e.unlist()
	if e.t.pins[e.piece] == 0 {
		d.lru.push(e)
	}
}

// touch notes that a piece was read.
func (d *Tier) touch(e *entry) {
	now := time.Now()
	e.minute = minuteOf(now)
	if e.in == &d.lru {
		d.rank(e)
	}
	if d.readSince.IsZero() {
		d.readSince = now
		d.kick(false)
	}
	e.t.readOf = true
}

// store counts a piece, which is about to be written or was found, in the budget.
func (d *Tier) store(e *entry) {
	e.stored = true
	d.used += e.cost
	for _, s := range e.t.lay.segments(e.piece) {
		e.t.live[s.file]++
	}
}

// unstore is the opposite of store. Files in which nothing is left are returned.
func (d *Tier) unstore(e *entry) (empty []int) {
	e.stored = false
	d.used -= e.cost
	for _, s := range e.t.lay.segments(e.piece) {
		if e.t.live[s.file]--; e.t.live[s.file] == 0 {
			delete(e.t.live, s.file)
			empty = append(empty, s.file)
		}
	}
	return empty
}

// drop gives up a piece, whatever its state; with report set its torrent is told.
func (d *Tier) drop(e *entry, report bool) {
	if !e.served() {
		return
	}
	t := e.t
	if report {
		d.report(e)
	}
	switch e.state {
	case queued:
		d.dequeue(e)
		t.entries[e.piece] = nil
	case writing:
		e.doomed = true
	default:
		d.leave(e)
	}
}

// leave hands a piece to the keeper to free its space. Its map entry goes first.
func (d *Tier) leave(e *entry) {
	e.unlist()
	e.state, e.data = leaving, nil
	d.leaving += e.cost
	e.t.leaving = append(e.t.leaving, e)
	e.t.mapOld = true
	d.work()
}

// work notes that the keeper has something to do by and by.
func (d *Tier) work() {
	if d.dirtySince.IsZero() {
		d.dirtySince = time.Now()
		d.kick(false)
	}
}

// dequeue takes a piece out of the queue.
func (d *Tier) dequeue(e *entry) {
	e.unlist()
	d.queued -= int64(len(e.data))
	e.t.queued--
	if e.t.gone && e.t.queued == 0 {
		d.kick(true) // its end waits for that
	}
	d.cond.Broadcast()
}

// evict gives up unpinned pieces and dormant torrents, least recently read first,
// until need bytes are on their way to be freed, and then as many more as fit into
// slack. It returns how many bytes that are.
func (d *Tier) evict(need, slack int64) (freed int64) {
	over := func(cost int64) bool { return freed >= need && freed+cost > need+slack }
	now := time.Now()
	asleep := d.oldestDormant(now)
	for e := d.lru.oldest(); ; {
		if asleep != nil && (e == &d.lru.head || asleep.last <= e.minute) {
			if over(asleep.cost) {
				break
			}
			asleep.doom = true
			d.leaving += asleep.cost
			freed += asleep.cost
			d.work()
			asleep = d.oldestDormant(now)
			continue
		}
		if e == &d.lru.head || over(e.cost) {
			break
		}
		next := e.next
		if e.load == nil {
			freed += e.cost
			d.stats.evicted++
			d.drop(e, true)
		}
		e = next
	}
	return freed
}

// oldestDormant is the dormant torrent that was not read for longest, nil if there
// is none to give up.
func (d *Tier) oldestDormant(now time.Time) (oldest *folder) {
	if now.Sub(d.start) < dormantFor {
		return nil
	}
	for _, f := range d.folders {
		if f.t == nil && !f.busy && !f.doom && (oldest == nil || f.last < oldest.last) {
			oldest = f
		}
	}
	return oldest
}
