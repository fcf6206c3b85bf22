package fetch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"magnetfs/swarm"
)

// store is the torrent as the swarm sees it, a swarm.Store.
type store struct{ t *Torrent }

// PieceVerified puts a piece into the cache and on the disk, and hands it to the
// reads that sleep on it, in this order: a read that registers in between finds it
// on one of the two. The bit in have is set before, so that a report of its eviction comes after.
func (s store) PieceVerified(piece int, data []byte) {
	t := s.t
	now := time.Now()
	t.mu.Lock()
	if t.left || t.info == nil || piece < 0 || piece >= t.info.NumPieces() || int64(len(data)) != t.info.PieceSize(piece) {
		t.mu.Unlock()
		return
	}
	t.have.Set(uint(piece))
	delete(t.unkept, piece)
	t.line.add(now, int64(len(data)))
	shelf := t.shelf
	t.mu.Unlock()

	kept := t.lib.cache.Put(t.key(piece), data)
	kept = shelf.put(piece, data) || kept

	t.mu.Lock()
	for _, w := range t.waiters[piece] {
		w.fill(piece, data)
	}
	delete(t.waiters, piece)
	if t.came != nil {
		close(t.came)
		t.came = nil
	}
	if !kept {
		t.have.Clear(uint(piece))
		t.unkept[piece] = true
	}
	left := t.left
	t.mu.Unlock()
	t.pokePins(piece)
	if left { // removed in between, after the cache dropped its pieces
		t.lib.cache.Drop(t.handle)
	}
}

// tellUnkept reports pieces that found no room in the cache, those among the given
// ones, or all. It is done when one is wanted again, and from time to time: told at
// once, the swarm would fetch it again for a read that has it, but whose wants
// have not been set anew yet.
func (t *Torrent) tellUnkept(wanted []int, all bool) {
	t.mu.Lock()
	var lost []int
	if all {
		wanted = slices.Collect(maps.Keys(t.unkept))
	}
	for _, p := range wanted {
		if t.unkept[p] {
			delete(t.unkept, p)
			lost = append(lost, p)
		}
	}
	sw := t.sw
	t.mu.Unlock()
	if len(lost) > 0 {
		sw.Evicted(lost...)
	}
}

// ReadPiece serves uploads from memory or the disk. What is read from the disk
// stays there: uploads do not displace what readers have in memory.
func (s store) ReadPiece(piece int) ([]byte, error) {
	data := s.t.lib.cache.Get(s.t.key(piece))
	if data == nil {
		data, _ = s.t.onDisk().get(context.Background(), piece)
	}
	if data == nil {
		return nil, fmt.Errorf("fetch: piece %d: %w", piece, swarm.ErrNotHave)
	}
	return data, nil
}

// evicted is told by the cache that pieces are gone from memory.
func (t *Torrent) evicted(pieces []int) { t.lost(t.onDisk().missing(pieces)) }

// await registers a read that lacks some of the pieces from first on. It looks
// into memory and on the disk once more after that, since a piece may have been delivered
// between the reader's look and the registration:
//
//	reader     Get: miss ─────────────────── register ── Get: hit
//	worker               Put, nobody waits
//
// What is still lacking will be handed over. It fails with the context's error, and
// nothing is registered then.
func (t *Torrent) await(ctx context.Context, r *Reader, now time.Time, off, to int64, first int, slots [][]byte) (w *waiter, lacking []int, err error) {
	w = &waiter{r: r, since: now, off: off, to: to, first: first, slots: slices.Clone(slots), done: make(chan struct{})}
	t.mu.Lock()
	for i, data := range slots {
		if data == nil {
			w.missing++
			lacking = append(lacking, first+i)
			t.waiters[first+i] = append(t.waiters[first+i], w)
		}
	}
	t.mu.Unlock()

	found := make([][]byte, len(lacking))
	for i, p := range lacking {
		if found[i], err = r.get(ctx, p); err != nil {
			t.unawait(w, lacking)
			return nil, nil, err
		}
	}

	t.mu.Lock()
	defer t.mu.Unlock()
	still := lacking[:0:0]
	for i, p := range lacking {
		if found[i] != nil {
			w.fill(p, found[i])
		}
		if w.slots[p-first] == nil {
			still = append(still, p)
		} else {
			t.drop(w, p)
		}
	}
	return w, still, nil
}

// refill looks on the disk again for what a waiter lacks: it may have been without
// file descriptors when it was asked.
func (t *Torrent) refill(ctx context.Context, w *waiter, lacking []int) {
	for _, p := range lacking {
		t.mu.Lock()
		here := w.slots[p-w.first] != nil
		t.mu.Unlock()
		if here || !w.r.shelf.contains(p) {
			continue
		}
		if data, _ := w.r.get(ctx, p); data != nil {
			t.mu.Lock()
			w.fill(p, data)
			t.mu.Unlock()
		}
	}
}

// unawait takes back the registration of a read that ends.
func (t *Torrent) unawait(w *waiter, pieces []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range pieces {
		t.drop(w, p)
	}
}

// drop removes a waiter from the list of a piece; mu is held.
func (t *Torrent) drop(w *waiter, piece int) {
	ws := t.waiters[piece]
	if i := slices.Index(ws, w); i >= 0 {
		ws = slices.Delete(ws, i, i+1)
	}
	if len(ws) == 0 {
		delete(t.waiters, piece)
	} else {
		t.waiters[piece] = ws
	}
}

// blocked lists the pieces that reads of a reader sleep on, who waits longest
// first, then by place.
func (t *Torrent) blocked(r *Reader) (steps []step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p, ws := range t.waiters {
		for _, w := range ws {
			if w.r == r {
				steps = append(steps, step{planned{p, w.since}, true})
				break // the first registered has waited longest
			}
		}
	}
	slices.SortFunc(steps, func(a, b step) int {
		return cmp.Or(a.deadline.Compare(b.deadline), cmp.Compare(a.piece, b.piece))
	})
	return steps
}

// stillMissing is the first piece that a waiter lacks, or piece if it lacks none.
func (t *Torrent) stillMissing(w *waiter, piece int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, data := range w.slots {
		if data == nil {
			return w.first + i
		}
	}
	return piece
}

func (t *Torrent) lineRate() float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.line.rate()
}

// stalledState is how the torrent is stalled, given what the swarm says now.
func (t *Torrent) stalledState(s swarm.Supply) verdict {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stall.why != waitOn && t.stall.over(s) {
		t.stall = stall{}
	}
	return t.stall.why
}

func (t *Torrent) setStalled(now time.Time, why verdict, s swarm.Supply, piece int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stall.why == waitOn {
		t.stall = stall{why, now, s.Peers, piece}
	}
}
