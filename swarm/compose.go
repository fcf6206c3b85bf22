package swarm

import "slices"

// Compositions of a piece's copies that may be right: those of witnesses who do not
// contradict each other, and where few blocks differ, all.

// plausible returns a set of witnesses that do not contradict each other and whose
// copies have not been tried together; nil if there is none. One that is complete,
// having copies of all blocks, can be tried at once and goes before others; of the
// others the one that lacks the fewest.
func (b *build) plausible(ws []*witness) (best []*witness, complete bool) {
	least := len(b.blocks)
	for _, first := range ws {
		set := around(first, ws)
		values, missing := b.of(set)
		if missing == 0 && !b.hasFailed(values) {
			return set, true
		}
		present := slices.ContainsFunc(set, func(w *witness) bool { return w.present })
		if missing > 0 && missing < least && present && len(set) > 1 {
			best, least = set, missing
		}
	}
	return best, false
}

// around grows a set without contradictions around a witness. The next is who agreed
// most with those that are in it, then the most believable. Somebody who was never
// compared with them comes last: if a liar were taken early for want of a comparison,
// he would keep out all the honest whom he contradicts.
func around(first *witness, ws []*witness) (set []*witness) {
	rest := slices.DeleteFunc(slices.Clone(ws), func(w *witness) bool { return w == first })
	agreed := map[*witness]int{}
	for next := first; next != nil; {
		set = append(set, next)
		rest = slices.DeleteFunc(rest, func(w *witness) bool { return w == next || w.contra[next.id] })
		joined := next
		next = nil
		for _, w := range rest {
			agreed[w] += w.with[joined.id]
			if next == nil || agreed[w] > agreed[next] {
				next = w
			}
		}
	}
	return set
}

// combine makes a composition that was not tried of the copies that differ, if these
// are so few that all can be: then somebody lies now and then only, and no set of
// witnesses is right but for some blocks.
//
// all says that all were tried in vain: of some block there is no right copy.
func (b *build) combine() (found, all bool) {
	var differ [][]int // the values of each block of which there are several
	var at []int
	n := 1
	for i := range b.blocks {
		bl := &b.blocks[i]
		var values []int
		for v := range bl.values {
			if bl.values[v] != nil && bl.sentBy(v) {
				values = append(values, v)
			}
		}
		if len(values) == 0 {
			return false, false
		}
		if len(values) > 1 {
			differ, at = append(differ, values), append(at, i)
			if n *= len(values); n > maxTries/2 {
				return false, false
			}
		}
	}
	values, _ := b.of(nil)
	for i := range b.blocks {
		values[i] = b.blocks[i].copies[0].value
	}
	for turn := range n {
		for k, i := range at {
			values[i] = differ[k][turn%len(differ[k])]
			turn /= len(differ[k])
		}
		if b.hasFailed(values) {
			continue
		}
		for i := range b.blocks {
			b.blocks[i].choose(values[i])
		}
		return true, false
	}
	return false, true
}

// choose makes a copy of the value the chosen one.
func (bl *built) choose(value int) {
	bl.chosen = slices.IndexFunc(bl.copies, func(c sent) bool { return c.value == value })
}

// of returns the composition that the copies of a set make, and how many blocks it
// lacks. Where they contradict each other the first in the set is believed.
func (b *build) of(set []*witness) (values []int, missing int) {
	values = make([]int, len(b.blocks))
	for i := range b.blocks {
		if j := b.blocks[i].copyOf(set); j != none {
			values[i] = b.blocks[i].copies[j].value
		} else {
			values[i] = none
			missing++
		}
	}
	return values, missing
}

// copyOf returns the copy of the first in the set who sent one, or none.
func (bl *built) copyOf(set []*witness) int {
	for _, w := range set {
		for j, c := range bl.copies {
			if c.from.id == w.id {
				return j
			}
		}
	}
	return none
}
