package fetch

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Reader is one open handle of a file. Its methods are safe for concurrent use;
// reads in parallel, as a kernel's read-ahead makes them, count as one reader.
type Reader struct {
	t    *Torrent
	id   uint64 // among the readers of the library
	node *Node
	file span

	shelf  shelf // the torrent's
	closed chan struct{}

	mu      sync.Mutex // leaf; guards:
	win     window
	shut    bool
	visited [8]int // pieces whose visit was counted, as a ring
	visit   int
	failed  failure
	owner   string
	began   bool  // to read
	past    Mode  // see SetMode
	window  []int // pieces wanted, ascending; replaced, never changed
	turn    bool  // somebody is in sync's loop
	again   bool  // and shall go round once more

	// Owned by whoever has the turn, not by mu.
	pins    map[int]bool // in memory
	kept    map[int]bool // pinned on the disk
	wanting bool         // the swarm has wants of ours
	counted bool         // one of readers.players
}

// failure is the range of the last read that timed out. A kernel asks again for
// the parts of a failed read, down to single pages: these fail at once.
type failure struct {
	from, to int64
	at       time.Time
	err      error
}

// retryFor is how soon after a failure a part of the range is its retry.
const retryFor = 2 * time.Second

// Read returns the n bytes from offset off, or up to the end of the file, as
// slices of verified pieces, in order. The slices are shared: nobody may write to
// them, and they stay valid for ever. At or beyond the end it returns nothing and
// no error. It never returns less for any other reason.
//
// It waits until all of it is there, and hands out a film no faster than is good
// (see pace.go). It fails with the context's error,
// ErrTimeout, ErrRemoved, ErrClosed, what Library.FailReads was given, or
// ErrInvalid if off or n is negative.
func (r *Reader) Read(ctx context.Context, off int64, n int) ([][]byte, error) {
	if off < 0 || n < 0 {
		return nil, fmt.Errorf("fetch: read of %d bytes at %d: %w", n, off, ErrInvalid)
	}
	to := r.file.size
	if int64(n) < to-off {
		to = off + int64(n)
	}
	if off >= to {
		return nil, nil
	}
	if err := r.t.gone(); err != nil {
		return nil, err
	}
	now := time.Now()
	first, last := r.file.piece(off), r.file.piece(to-1)
	r.goOn(now)

	r.mu.Lock()
	if r.shut {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	changed := r.win.read(now, off, to)
	var visits []int
	for p := first; p <= last; p++ {
		if !r.seen(p) {
			visits = append(visits, p)
		}
	}
	r.mu.Unlock()
	defer r.answered()

	for _, p := range visits {
		r.t.lib.cache.Visit(r.t.key(p))
		r.shelf.visit(p)
	}
	slots := make([][]byte, last-first+1)
	missing := 0
	for i := range slots {
		data, err := r.get(ctx, first+i)
		if err != nil {
			return nil, err
		}
		if slots[i] = data; data == nil {
			missing++
		}
	}
	if missing > 0 {
		if err := r.wait(ctx, now, off, to, first, slots); err != nil {
			return nil, err
		}
	} else {
		if changed {
			r.sync(now)
		}
		r.pace(ctx, off, to)
	}
	return r.cut(slots, first, off, to)
}

// seen tells whether the visit of a piece was counted lately, and notes it; mu is
// held.
func (r *Reader) seen(piece int) bool {
	for _, v := range r.visited {
		if v == piece+1 {
			return true
		}
	}
	r.visited[r.visit%len(r.visited)] = piece + 1 // 0 is none
	r.visit++
	return false
}

func (r *Reader) answered() {
	now := time.Now()
	r.mu.Lock()
	r.win.answered(now)
	r.mu.Unlock()
}

// cut trims whole pieces to the range [off, to).
func (r *Reader) cut(slots [][]byte, first int, off, to int64) ([][]byte, error) {
	for i, data := range slots {
		begin := r.file.begin(first + i)
		lo, hi := max(0, off-begin), min(r.file.pieceLen, to-begin)
		if hi > int64(len(data)) {
			return nil, fmt.Errorf("fetch: piece %d of %s has %d bytes, want %d: %w", first+i, r.t.hash, len(data), hi, ErrIO)
		}
		slots[i] = data[lo:hi:hi]
	}
	return slots, nil
}

// Close ends the reader: its blocked reads fail with ErrClosed, its wants and
// pins are dropped. It may be called more than once.
func (r *Reader) Close() {
	r.mu.Lock()
	first := !r.shut
	r.shut = true
	r.mu.Unlock()
	if !first {
		return
	}
	close(r.closed)
	now := time.Now()
	r.t.lib.readers.remove(r)
	r.t.lib.readers.leave(r, now)
	r.sync(now)
	r.t.swarm().SetOpen(r.id, false)
	r.t.tellUnkept(nil, true)
}
