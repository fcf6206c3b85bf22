package picker

import (
	"slices"
	"time"
)

// yield is how long before its deadline a piece goes before what other readers
// sleep on. A reader that takes all it can get sleeps all the time; without this,
// one that needs little would have its share only by sleeping as well. Guess: a
// few times what a piece takes to come.
const yield = time.Second

// Want is a piece that somebody needs, and when.
type Want struct {
	Piece    int
	Deadline time.Time // since when it is waited for, if Blocked
	Blocked  bool      // a read waits for it
	// Reader tells who wants it from the others.
	Reader uint64
	// NotBefore is until when only near peers are asked; the zero time for none.
	NotBefore time.Time

	rank time.Time // the order of work
}

// SetWants replaces everything that is wanted. Requests for pieces that are no
// longer wanted are returned for cancelling; what was received of those pieces
// is kept until Forget. What was cancelled a moment ago and comes all the same is
// waited for, see recall.
func (p *Picker) SetWants(wants []Want, now time.Time) (cancel []Request) {
	p.wants = merge(p.wants[:0], wants, p.pieces, now)
	at := make(map[int]int, len(p.wants))
	for i, w := range p.wants {
		at[w.Piece] = i
	}
	for _, pp := range p.partials {
		if _, ok := at[pp.index]; ok {
			continue
		}
		for _, pr := range p.order {
			delete(pr.doubt, pp.index)
		}
		if pp.free < pp.left {
			cancel = p.cancelPiece(pp, now, cancel)
		}
	}
	for _, pr := range p.order {
		for _, r := range pr.queue {
			i, ok := at[r.block.Piece]
			if ok {
				p.recall(r, now)
			}
			r.setUrgent(ok && !r.cancelled && p.wants[i].Blocked)
		}
	}
	p.wake()
	return cancel
}

// merge appends the wants to out in the order of work, each piece once.
//
// What a reader sleeps on counts from the moment when it fell asleep, and its other
// pieces come after. The pieces of a reader that is awake come a little before
// their deadlines, unless these have passed: then it needs them less than it said.
func merge(out, wants []Want, pieces int, now time.Time) []Want {
	asleep := map[uint64]time.Time{}
	for _, w := range wants {
		if w.Blocked {
			asleep[w.Reader] = later(asleep[w.Reader], w.Deadline)
		}
	}
	seen := make(map[int]int, len(wants))
	for _, w := range wants {
		if w.Piece < 0 || w.Piece >= pieces {
			continue
		}
		w.rank = w.Deadline
		if since, ok := asleep[w.Reader]; ok {
			if !w.Blocked {
				w.rank = later(w.Deadline, since)
			}
		} else if w.rank = now; w.Deadline.After(now) {
			w.rank = w.Deadline.Add(-yield)
		}
		i, ok := seen[w.Piece]
		if !ok {
			seen[w.Piece] = len(out)
			out = append(out, w)
			continue
		}
		old := &out[i]
		old.Blocked = old.Blocked || w.Blocked
		if w.Deadline.Before(old.Deadline) {
			old.Deadline = w.Deadline
		}
		if w.NotBefore.Before(old.NotBefore) {
			old.NotBefore = w.NotBefore
		}
		if w.rank.Before(old.rank) {
			old.rank = w.rank
		}
	}
	slices.SortStableFunc(out, func(a, b Want) int {
		if c := a.rank.Compare(b.rank); c != 0 {
			return c
		}
		if a.Blocked != b.Blocked {
			if a.Blocked {
				return -1
			}
			return 1
		}
		return a.Deadline.Compare(b.Deadline)
	})
	return out
}

// Wanted says whether the piece is wanted.
func (p *Picker) Wanted(piece int) bool {
	for _, w := range p.wants {
		if w.Piece == piece {
			return true
		}
	}
	return false
}

// Wants returns the merged wants in the order of work. The caller must not change
// it.
func (p *Picker) Wants() []Want { return p.wants }
