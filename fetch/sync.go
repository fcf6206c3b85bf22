package fetch

import (
	"slices"
	"time"

	"magnetfs/swarm"
)

// rest gives up the window of a reader that has not read for long.
func (r *Reader) rest(now time.Time) {
	r.mu.Lock()
	changed := r.win.rest(now)
	r.mu.Unlock()
	if changed {
		r.sync(now)
	}
}

// sync makes pins and wants follow the window. Pins and wants are set outside of
// the lock, and must be set in the order in which they were decided: so only one
// caller at a time does it, has the turn, and whoever comes meanwhile leaves the
// work to it and does not wait.
//
//	A: sync, plans, sets wants ────────┐ sees again, plans anew, sets wants
//	B:      read elsewhere, sync: again┘ returns at once
func (r *Reader) sync(now time.Time) {
	r.mu.Lock()
	if r.turn {
		r.again = true
		r.mu.Unlock()
		return
	}
	r.turn = true
	for {
		r.again = false
		r.mu.Unlock()

		r.apply(r.plan(now))

		r.mu.Lock()
		if !r.again {
			r.turn = false
			r.mu.Unlock()
			return
		}
		now = time.Now()
	}
}

// step is a planned piece with what its blocked reads say.
type step struct {
	planned
	blocked bool
}

// plan is the window's plan, behind the blocked pieces.
func (r *Reader) plan(now time.Time) (steps []step, playing bool) {
	lim := r.t.lib.readers.limits(now)
	lim.line = r.t.lineRate()
	steps = r.t.blocked(r)
	first := make(map[int]bool, len(steps))
	for _, s := range steps {
		first[s.piece] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return nil, false
	}
	for _, p := range r.win.plan(now, lim) {
		if !first[p.piece] {
			steps = append(steps, step{p, false})
		}
	}
	return steps, r.win.playing()
}

// apply pins what the plan says, in memory and on the disk, unpins the rest, and
// sends the wants: for what is on neither. The caller has the turn.
func (r *Reader) apply(steps []step, playing bool) {
	lib := r.t.lib
	if playing != r.counted {
		r.counted = playing
		lib.readers.countPlayer(playing)
	}
	// A piece that is only to be kept needs no pin if it is not here.
	steps = slices.DeleteFunc(steps, func(s step) bool {
		return s.deadline.IsZero() && !r.here(s.piece)
	})
	keep := make(map[int]bool, len(steps))
	for _, s := range steps {
		keep[s.piece] = true
	}
	for p := range r.pins {
		if !keep[p] {
			lib.cache.Unpin(r.t.key(p))
			delete(r.pins, p)
		}
	}
	for p := range r.kept {
		if !keep[p] {
			r.shelf.unpin(p)
			delete(r.kept, p)
		}
	}
	full, squeezed := false, false
	pieces := make([]int, 0, len(steps))
	at := make(map[int]step, len(steps))
	for _, s := range steps {
		if !r.kept[s.piece] { // here or to come
			r.shelf.pin(s.piece)
			r.kept[s.piece] = true
		}
		onDisk := false
		switch {
		case r.pins[s.piece]:
		case !lib.cache.Contains(r.t.key(s.piece)) && r.shelf.contains(s.piece):
			onDisk = true // it takes memory when it is read
		case full && !s.blocked:
			continue
		case lib.cache.Pin(r.t.key(s.piece), r.t.pieceSize(s.piece)):
			r.pins[s.piece] = true
		default:
			// Pins fill the memory. What a read sleeps on is fetched
			// without one: the read gets it in any case.
			full = true
			squeezed = squeezed || s.blocked
		}
		if !s.deadline.IsZero() && (r.pins[s.piece] || s.blocked || onDisk) {
			pieces = append(pieces, s.piece)
			at[s.piece] = s
		}
	}
	r.setWindow(slices.Clone(pieces))
	pieces = r.shelf.missing(lib.cache.Missing(r.t.handle, pieces, pieces[:0:0]))
	wants := make([]swarm.Want, 0, len(pieces))
	for _, p := range pieces {
		s := at[p]
		wants = append(wants, swarm.Want{Piece: p, Deadline: s.deadline, Blocked: s.blocked})
	}
	r.t.tellUnkept(pieces, false)
	if len(wants) > 0 || r.wanting {
		r.t.swarm().SetWants(r.id, wants)
		r.wanting = len(wants) > 0
	}
	if squeezed {
		lib.readers.squeeze(time.Now())
	}
}
