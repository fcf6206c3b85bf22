package swarm

import (
	"slices"

	"magnetfs/swarm/picker"
)

const (
	// opinions is from how many peers each block is asked before one peer has to
	// deliver the whole piece. Three, since two liars may agree.
	opinions = 3
	// mostOpinions is the same where all that was sent is right but for a few blocks:
	// several who agree lie now and then.
	mostOpinions = 5
	// candidatesEach is how many may give a further opinion on one block.
	candidatesEach = 3
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
	for n := 2; len(ws) > 0; n++ {
		set, complete := b.plausible(ws)
		if complete {
			return only(set)
		}
		found, all := b.combine()
		if found {
			return nil
		}
		if n > opinions && (!all || n > mostOpinions || n > len(ws)) {
			break
		}
		if b.needOpinions(ws, n) {
			turns := map[picker.PeerID]int{}
			return func(i int) picker.Rule { return b.another(i, ws, turns) }
		}
		if set != nil && !all {
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
	with     map[picker.PeerID]int  // of whom, and how many
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
					contra: map[picker.PeerID]bool{}, with: map[picker.PeerID]int{}, position: len(ws),
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
					w.with[o.from.id]++
					by[o.from.id].agrees++
					by[o.from.id].with[c.from.id]++
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
// sent it, and rather from the proven if there are any. The blocks of one sender go
// round all others, a few candidates for each. Left alone, peers of equal rates take
// turns in the same order as the first time, and each is compared with one other
// only: liars who agree with each other then look like anybody else.
func (b *build) another(i int, ws []*witness, turns map[picker.PeerID]int) picker.Rule {
	var r picker.Rule
	for _, c := range b.blocks[i].copies {
		r.Avoid = append(r.Avoid, c.from.id)
	}
	var others []picker.PeerID
	for _, w := range ws {
		switch {
		case ws[0].proven && !w.proven:
			r.Avoid = append(r.Avoid, w.id)
		case w.present && !slices.Contains(r.Avoid, w.id):
			others = append(others, w.id)
		}
	}
	if len(others) > candidatesEach && len(b.blocks[i].copies) > 0 {
		first := b.blocks[i].copies[0].from.id
		for k := range candidatesEach {
			r.Only = append(r.Only, others[(turns[first]+k)%len(others)])
		}
		turns[first] += candidatesEach
	}
	return r
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
