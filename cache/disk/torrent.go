package disk

import (
	"math"
	"time"
)

// Options say what a torrent looks like.
type Options struct {
	Layout Layout

	// Verify tells whether data is what the torrent says about a piece. It is
	// called from goroutines of the tier, several at a time. nil: what would
	// have to be verified is thrown away.
	Verify func(piece int, data []byte) error

	// OnLost is told which pieces are no longer here though Put took them or
	// Have listed them: evicted, found damaged, or never written. Calls follow
	// one another, from a goroutine of the tier, and may call back, but for
	// Close of the tier. Pieces that were discarded, and those that came back in
	// between, are not reported. May be nil.
	OnLost func(pieces []int)
}

// Torrent is the part of a tier that belongs to a torrent. All methods are safe for
// concurrent use. After Close or Purge it is empty and takes nothing.
type Torrent struct {
	d    *Tier
	id   ID
	lay  *layout
	opts Options

	// Guarded by Tier.mu.
	entries []*entry      // by piece; nil: absent
	pins    map[int]int   // by piece, here or not
	live    map[int]int   // by stored file: pieces that have bytes in it
	queued  int           // pieces in the queue
	busy    bool          // the writer is at it
	prune   bool          // the keeper removes a file of it; the writer waits
	dirty   []*entry      // written since the last sync
	leaving []*entry      // to be freed
	touched map[int]bool  // files changed since the last sync
	stamps  map[int]stamp // of the files as the map has them, or will
	mapOld  bool          // the map does not say what the entries say
	readOf  bool          // pieces were read since the map was written
	flaw    error         // why nothing can be written: a name that is too long, …
	gone    bool          // closed or purged
	ended   ending
}

// ending is how a torrent is left, a job for the keeper.
type ending uint8

const (
	staying ending = iota
	closing        // write the map, keep the data
	purging        // remove all of it
)

// OpenTorrent makes the pieces of a torrent available. It reads the disk if there
// is something of it (see NeedsRead), and waits for a Close or Purge of the same
// torrent under way. What is damaged is left out, with a log line.
//
// It fails with ErrOpen, ErrClosed, or if the layout is impossible.
func (d *Tier) OpenTorrent(id ID, opts Options) (*Torrent, error) {
	lay, err := newLayout(opts.Layout)
	if err != nil {
		return nil, err
	}
	opts.Layout = Layout{} // not needed any more
	t := &Torrent{
		d:       d,
		id:      id,
		lay:     lay,
		opts:    opts,
		entries: make([]*entry, lay.pieces),
		pins:    make(map[int]int),
		live:    make(map[int]int),
		touched: make(map[int]bool),
		stamps:  make(map[int]stamp),
	}
	d.mu.Lock()
	for !d.closed && d.folders[id] != nil && (d.folders[id].busy || d.folders[id].doom) {
		if d.folders[id].doom {
			d.kick(true)
		}
		d.cond.Wait()
	}
	f := d.folders[id]
	switch {
	case d.closed:
		err = ErrClosed
	case f != nil && f.t != nil:
		err = ErrOpen
	case f == nil:
		d.folders[id] = &folder{t: t}
	}
	if f == nil || err != nil {
		d.mu.Unlock()
		return t.orError(err)
	}
	f.busy = true
	d.opening++
	d.mu.Unlock()

	found := t.inspect()

	d.mu.Lock()
	defer d.mu.Unlock()
	d.opening--
	f.busy, f.t = false, t
	d.used -= f.cost
	f.cost = 0
	t.adopt(found)
	if d.closed {
		t.end(closing) // the keeper is there still: Close waits for this
		err = ErrClosed
	}
	d.cond.Broadcast()
	return t.orError(err)
}

func (t *Torrent) orError(err error) (*Torrent, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

// at returns the entry of a piece, nil if it is not served; mu is held.
func (t *Torrent) at(piece int) *entry {
	if piece < 0 || piece >= len(t.entries) || t.gone || !t.entries[piece].served() {
		return nil
	}
	return t.entries[piece]
}

// Put hands over a verified piece: data is immutable from now on. It does not wait.
// The answer tells whether the piece is here now; it can still be lost, which
// OnLost reports. It is refused if the size is not the piece's, if the tier is off
// or closed, if it is larger than the budget, or if its place is just being freed.
func (t *Torrent) Put(piece int, data []byte) bool {
	d := t.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if piece < 0 || piece >= len(t.entries) || t.gone || d.closed || t.flaw != nil || d.off.now() {
		return false
	}
	if e := t.entries[piece]; e != nil {
		return e.served()
	}
	size := int64(len(data))
	if size == 0 || size != t.lay.size(piece) {
		return false
	}
	e := &entry{t: t, piece: piece, state: queued, data: data, cost: t.lay.cost(piece), minute: minuteOf(time.Now())}
	if e.cost > d.cfg.Bytes {
		return false
	}
	for d.queue.n > 0 && d.queued+size > d.cfg.QueueBytes {
		d.stats.dropped++
		d.drop(d.queue.oldest(), true)
	}
	d.seq++
	e.seq = d.seq
	d.queue.push(e)
	d.queued += size
	t.queued++
	t.entries[piece] = e
	d.stats.puts++
	d.cond.Broadcast()
	return true
}

// Contains tells whether a piece is here, verified or not.
func (t *Torrent) Contains(piece int) bool {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	return t.at(piece) != nil
}

// Missing appends to dst those of the pieces that are not here.
func (t *Torrent) Missing(pieces, dst []int) []int {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	for _, p := range pieces {
		if t.at(p) == nil {
			dst = append(dst, p)
		}
	}
	return dst
}

// Have lists the pieces that are here, in order. Those that are still to be
// verified, after a crash, are among them: hardly one of them will be found wrong,
// and OnLost tells.
func (t *Torrent) Have() (pieces []int) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	for p := range t.entries {
		if t.at(p) != nil {
			pieces = append(pieces, p)
		}
	}
	return pieces
}

// Visit notes a use of a piece that was served from elsewhere, from memory, so that
// it counts as lately read.
func (t *Torrent) Visit(piece int) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	if e := t.at(piece); e != nil {
		t.d.touch(e)
	}
}

// Pin keeps a piece, here or to come, from being evicted until it is unpinned as
// often. It does not keep it from being dropped off a full queue.
func (t *Torrent) Pin(piece int) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.pin(piece)
}

func (t *Torrent) pin(piece int) {
	if piece < 0 || piece >= len(t.entries) {
		return
	}
	t.pins[piece]++
	if e := t.entries[piece]; e != nil && e.in == &t.d.lru {
		e.unlist()
	}
}

// Unpin takes back one Pin. One too many is ignored.
func (t *Torrent) Unpin(piece int) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.unpin(piece)
}

func (t *Torrent) unpin(piece int) {
	switch t.pins[piece] {
	case 0:
		return
	case 1:
		delete(t.pins, piece)
		if e := t.at(piece); e != nil {
			t.d.rank(e)
		}
	default:
		t.pins[piece]--
	}
}

// Discard gives up pieces, pinned or not, without a report: of a file that the user
// removed, for example. Files that are open by OpenFile keep their pieces.
func (t *Torrent) Discard(pieces ...int) {
	d := t.d
	d.mu.Lock()
	defer d.mu.Unlock()
	backed := d.backed(t.id)
	for _, p := range pieces {
		if e := t.at(p); e != nil && !backed[p] {
			d.drop(e, false)
		}
	}
}

// Used is what the torrent takes of the budget.
func (t *Torrent) Used() (bytes int64) {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	return t.cost()
}

func (t *Torrent) cost() (bytes int64) {
	for _, e := range t.entries {
		if e != nil && e.stored {
			bytes += e.cost
		}
	}
	return bytes
}

// Close lets the torrent go dormant: what is queued is written, then the map. It
// does not wait for that. It may be called more than once.
func (t *Torrent) Close() {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.end(closing)
}

// Purge removes the torrent from the disk. It does not wait for that. Files open by
// OpenFile stay readable.
func (t *Torrent) Purge() {
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.end(purging)
}

// end begins the end of a torrent; mu is held.
func (t *Torrent) end(how ending) {
	d := t.d
	f := d.folders[t.id]
	if f == nil || f.t != t || t.ended == purging || t.ended == how {
		return
	}
	t.ended = how
	t.gone = true
	f.busy = true
	if !d.closed {
		delete(d.lost, t)
	}
	for _, e := range t.entries {
		switch {
		case e == nil:
		case how == closing:
			if e.in == &d.lru {
				e.unlist()
			}
		case e.state == queued:
			d.drop(e, false)
		case e.state == writing:
			e.doomed = true
		default:
			e.unlist()
		}
	}
	d.kick(true)
}

// Purge removes a torrent that is not open from the disk, or an open one as
// Torrent.Purge does. It does not wait for that.
func (d *Tier) Purge(id ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.folders[id]
	switch {
	case f == nil:
	case f.t != nil:
		f.t.end(purging)
	case !f.busy && !f.doom:
		f.doom = true
		d.leaving += f.cost
		d.kick(true)
	}
}

// Clear evicts all that is not pinned, dormant torrents included, and waits until
// the space is free. Losses are reported.
func (d *Tier) Clear() error {
	err := d.Flush() // what is queued would come after
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.folders {
		if f.t == nil && !f.busy && !f.doom {
			f.doom = true
			d.leaving += f.cost
		}
	}
	d.evict(0, math.MaxInt64)
	d.turn()
	return err
}
