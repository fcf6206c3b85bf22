package swarm

import (
	"slices"

	"magnetfs/swarm/picker"
)

const (
	// opinions is from how many peers each block is asked before one peer has to
	// deliver the whole piece. Three, since two liars may agree.
	opinions = 3
	// maxTries compositions of a piece are tried before it is begun anew.
	maxTries = 64
)

// verdict is what to do after the hash of a piece was wrong.
type verdict struct {
	// ban is proven: the sender sent all of a composition whose hash was wrong.
	// Its copies are discarded already.
	ban []sender
	// again means that another composition of the copies at hand is now in
	// place and its hash is to be checked.
	again bool
	// refetch lists the blocks of the composition that are missing now, and of
	// whom to ask each.
	refetch []refetch
}

type refetch struct {
	block int
	rule  picker.Rule
}

// wrong decides what to do with a piece whose hash was wrong.
//
// Wrong blocks look like right ones, and those who send them may agree with each
// other. What is certain is the hash alone: it is cheap (a millisecond per MiB)
// and decides on a whole composition. So:
//
//  1. each block is asked of a second peer, all at the rate of the swarm. Where
//     somebody is proven, only the blocks of those who are not;
//  2. two peers contradict each other if they sent different copies of a block.
//     The honest never do, so they are together in a set without contradictions.
//     Such sets are tried, the most believable first; blocks of which a set has no
//     copy are asked of its members;
//  3. if none is right, a third opinion is asked, and then one peer at a time
//     delivers the whole piece. One that fails alone is a liar.
//
// When the piece is right in the end, comparing the copies names all liars.
func (b *build) wrong(peers standing) (v verdict) {
	b.failed = append(b.failed, b.values())
	if len(b.failed) > maxTries {
		b.reset()
	}
	rule := b.judge(&v, peers)
	for i := range b.blocks {
		if b.blocks[i].chosen == none {
			v.refetch = append(v.refetch, refetch{i, rule(i)})
		}
	}
	v.again = len(v.refetch) == 0
	return v
}

// standing is what the picker knows of peers.
type standing interface {
	// Proven says whether data of the peer was verified before.
	Proven(id picker.PeerID) bool
	// CanDeliver says whether the peer can be asked for the piece.
	CanDeliver(id picker.PeerID, piece int) bool
}

// judge bans who is proven to lie, changes the composition, and returns of whom to
// ask the blocks that it leaves missing.
func (b *build) judge(v *verdict, peers standing) (rule func(block int) picker.Rule) {
	ws := b.witnesses(peers)
	for {
		w := b.convicted(ws)
		if w == nil {
			break
		}
		v.ban = append(v.ban, w.sender)
		b.discard(w.id)
		ws = b.witnesses(peers)
	}
	only := func(set []*witness) func(int) picker.Rule {
		b.choose(set)
		return func(int) picker.Rule { return picker.Rule{Only: ids(set)} }
	}
	for n := 2; n <= opinions && len(ws) > 0; n++ {
		set, complete := b.plausible(ws)
		if complete {
			return only(set)
		}
		if b.needOpinions(ws, n) {
			return func(i int) picker.Rule { return b.another(i, ws) }
		}
		if set != nil {
			return only(set)
		}
	}
	// One peer alone. It has not failed yet, or it would be convicted.
	for _, w := range ws {
		if w.present {
			return only([]*witness{w})
		}
	}
	b.reset()
	return func(int) picker.Rule { return picker.Rule{} }
}

// witness is somebody of whom there are copies.
type witness struct {
	sender
	proven   bool
	present  bool // can be asked for more
	copies   int
	contra   map[picker.PeerID]bool // those whom it contradicts
	agrees   int                    // copies of others that equal its own
	position int                    // in the order of appearance, to be deterministic
}

// witnesses returns all senders of copies, the most believable first.
func (b *build) witnesses(peers standing) []*witness {
	by := map[picker.PeerID]*witness{}
	var ws []*witness
	for i := range b.blocks {
		copies := b.blocks[i].copies
		for j, c := range copies {
			w := by[c.from.id]
			if w == nil {
				w = &witness{
					sender: c.from, proven: peers.Proven(c.from.id), present: peers.CanDeliver(c.from.id, b.index),
					contra: map[picker.PeerID]bool{}, position: len(ws),
				}
				by[c.from.id] = w
				ws = append(ws, w)
			}
			w.copies++
			for _, o := range copies[:j] {
				switch {
				case o.value != c.value:
					w.contra[o.from.id] = true
					by[o.from.id].contra[c.from.id] = true
				case o.from.id != c.from.id:
					w.agrees++
					by[o.from.id].agrees++
				}
			}
		}
	}
	slices.SortFunc(ws, func(x, y *witness) int {
		switch {
		case x.proven != y.proven:
			if x.proven {
				return -1
			}
			return 1
		case len(x.contra) != len(y.contra):
			return len(x.contra) - len(y.contra)
		case x.agrees != y.agrees:
			return y.agrees - x.agrees
		case x.copies != y.copies:
			return y.copies - x.copies
		}
		return x.position - y.position
	})
	return ws
}

// convicted returns somebody who sent two copies of one block that differ, or
// copies of all blocks that were tried together in vain; nil if there is none.
func (b *build) convicted(ws []*witness) *witness {
	for _, w := range ws {
		if w.contra[w.id] {
			return w
		}
		if values, missing := b.of([]*witness{w}); missing == 0 && b.hasFailed(values) {
			return w
		}
	}
	return nil
}

// needOpinions takes out of the composition the blocks of which fewer than n copies
// came, and says whether there are any. A second opinion on blocks that somebody
// proven has sent can wait while others are not proven.
func (b *build) needOpinions(ws []*witness, n int) (any bool) {
	var known []*witness // the proven, if others are not
	if strangers := slices.IndexFunc(ws, func(w *witness) bool { return !w.proven }); strangers > 0 && n == 2 {
		known = ws[:strangers]
	}
	for i := range b.blocks {
		bl := &b.blocks[i]
		if len(bl.copies) < n && bl.copyOf(known) == none {
			bl.chosen = none
			any = true
		}
	}
	return any
}

// another is the rule for a further opinion on a block: from somebody who has not
// sent it, and rather from the proven if there are any.
func (b *build) another(i int, ws []*witness) picker.Rule {
	var r picker.Rule
	for _, c := range b.blocks[i].copies {
		r.Avoid = append(r.Avoid, c.from.id)
	}
	for _, w := range ws {
		if ws[0].proven && !w.proven {
			r.Avoid = append(r.Avoid, w.id)
		}
	}
	return r
}

// plausible returns a set of witnesses that do not contradict each other and whose
// copies have not been tried together; nil if there is none. Sets grow around one
// witness after the other, the most believable first. One that is complete, having
// copies of all blocks, can be tried at once and goes before others.
func (b *build) plausible(ws []*witness) (partly []*witness, complete bool) {
	for i, first := range ws {
		set, present := []*witness{first}, first.present
		for j, w := range ws {
			if j != i && !slices.ContainsFunc(set, func(o *witness) bool { return w.contra[o.id] }) {
				set = append(set, w)
				present = present || w.present
			}
		}
		values, missing := b.of(set)
		switch {
		case missing == 0 && !b.hasFailed(values):
			return set, true
		case missing > 0 && partly == nil && present && len(set) > 1:
			partly = set
		}
	}
	return partly, false
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

// choose makes the copies of a set the composition.
func (b *build) choose(set []*witness) {
	for i := range b.blocks {
		b.blocks[i].chosen = b.blocks[i].copyOf(set)
	}
}

// values is the composition, as the value of each block.
func (b *build) values() []int {
	out := make([]int, len(b.blocks))
	for i := range b.blocks {
		out[i] = b.blocks[i].value()
	}
	return out
}

func (b *build) hasFailed(values []int) bool {
	return slices.ContainsFunc(b.failed, func(f []int) bool { return slices.Equal(f, values) })
}

// reset forgets all copies and what was tried.
func (b *build) reset() {
	for i := range b.blocks {
		bl := &b.blocks[i]
		bl.copies, bl.chosen = nil, none
		b.release(bl)
		bl.values = nil
	}
	b.failed = nil
}

func ids(ws []*witness) (out []picker.PeerID) {
	for _, w := range ws {
		out = append(out, w.id)
	}
	return out
}
