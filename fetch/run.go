package fetch

import (
	"slices"
	"time"
)

// slack is how far from its head a read still belongs to a run: a kernel's
// read-ahead arrives out of order within 1 MiB, with several requests in flight
// (measured on Linux 6.18 with read_ahead_kb up to 1024).
const slack = 1 << 20

// run is one place of a file that is read forward, with tolerance for order.
type run struct {
	start int64 // lowest byte read
	head  int64 // one behind the highest byte read
	read  int64 // distinct bytes read: how well the run is proven
	seen  ranges

	from, to int64 // the last read
	last     time.Time

	// live: the run's window is wanted. Off after a jump to elsewhere.
	live bool
	// planned is the head that the last plan was made for.
	planned int64
	played  bool // it was a player's after the last read
}

// near tells whether a read of [from, to) belongs to the run, and how far it is
// from the head.
func (r *run) near(from, to int64) (distance int64, ok bool) {
	switch {
	case from > r.head:
		distance = from - r.head
	case to < r.head:
		distance = r.head - to
	}
	return distance, distance <= slack
}

// add notes a read of [from, to) and returns how many of its bytes are new.
func (r *run) add(now time.Time, from, to int64) int64 {
	fresh := r.seen.add(from, to)
	r.read += fresh
	r.start = min(r.start, from)
	r.head = max(r.head, to)
	r.from, r.to, r.last = from, to, now
	if r.head-r.start > 2*r.read+slack {
		// Hops, not a stream: what was read before says nothing.
		*r = run{start: from, head: to, read: fresh, seen: ranges{{from, to}}, from: from, to: to, last: now, live: r.live, planned: r.planned}
	}
	return fresh
}

// ranges is a sorted set of byte ranges [0], [1). It is meant to be small: beyond
// maxRanges the lowest gap is taken as filled.
type ranges [][2]int64

const maxRanges = 16

// add inserts [from, to) and returns how many of its bytes were not in the set.
func (rs *ranges) add(from, to int64) (fresh int64) {
	s := *rs
	// The usual case: the read goes on where the last range ends.
	if n := len(s); n > 0 && s[n-1][1] == from {
		s[n-1][1] = to
		return to - from
	}
	i := 0
	for i < len(s) && s[i][1] < from {
		i++
	}
	j := i
	fresh = to - from
	lo, hi := from, to
	for j < len(s) && s[j][0] <= to {
		fresh -= max(0, min(to, s[j][1])-max(from, s[j][0]))
		lo, hi = min(lo, s[j][0]), max(hi, s[j][1])
		j++
	}
	s = slices.Replace(s, i, j, [2]int64{lo, hi})
	if len(s) > maxRanges {
		s[1][0] = s[0][0]
		s = slices.Delete(s, 0, 1)
	}
	*rs = s
	return fresh
}
