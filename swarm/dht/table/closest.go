package table

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/dht/krpc"
)

// Closest returns up to n nodes in order of their distance to target, suspects
// only if there are not enough others. keep filters; nil takes all.
func (t *Table) Closest(target krpc.ID, n int, keep func(*Node) bool) []krpc.NodeInfo {
	found := make([]*Node, 0, 2*n+K)
	// Whoever shares bit `at` with the target and differs there from us is
	// closer than the deeper buckets, and these are closer than the shallower
	// ones: the walk sees classes of distance in order and can stop early.
	take := func(i int) {
		for _, node := range t.buckets[i].nodes {
			if keep == nil || keep(node) {
				found = append(found, node)
			}
		}
	}
	healthy := func() (c int) {
		for _, node := range found {
			if node.Fails == 0 {
				c++
			}
		}
		return c
	}
	at := min(t.own.CommonBits(target), krpc.IDBits-1)
	take(at)
	if healthy() < n {
		for i := at + 1; i < krpc.IDBits; i++ {
			take(i)
		}
	}
	for i := at - 1; i >= 0 && healthy() < n; i-- {
		take(i)
	}
	slices.SortFunc(found, func(a, b *Node) int {
		if sa, sb := a.Fails > 0, b.Fails > 0; sa != sb {
			if sb {
				return -1
			}
			return 1
		}
		return target.Compare(a.ID, b.ID)
	})
	if len(found) > n {
		found = found[:n]
	}
	infos := make([]krpc.NodeInfo, len(found))
	for i, node := range found {
		infos[i] = node.NodeInfo
	}
	return infos
}

// Due returns the node that has waited longest for a check, and when the next
// check is due; nil and that time if none is due yet. With an empty table the
// time is zero.
func (t *Table) Due(now time.Time) (n *Node, at time.Time) {
	for node := range t.all() {
		if due := node.due(); n == nil || due.Before(at) {
			n, at = node, due
		}
	}
	if n == nil || at.After(now) {
		return nil, at
	}
	return n, at
}

// Asked notes that the node at addr is sent a query, so that Due does not name
// it again before the answer or the failure.
func (t *Table) Asked(addr netip.AddrPort, now time.Time) {
	if n := t.byAddr[addr]; n != nil {
		n.asked = now
	}
}

// RefreshTarget returns a random ID of the bucket that id is in: asking a node
// for it checks the node and refreshes its bucket at the same time.
func (t *Table) RefreshTarget(id krpc.ID, rng *rand.Rand) krpc.ID {
	_, i := t.bucketOf(id)
	if i == krpc.IDBits {
		return id
	}
	return krpc.RandomSharing(t.own, i, rng)
}

// Stale returns a bucket that has room and was not touched since before: a
// lookup of a random ID in it may fill it. ok is false if there is none.
// Buckets deeper than the deepest with a node are not counted: they are empty
// because nobody is there.
func (t *Table) Stale(before time.Time) (depth int, ok bool) {
	deepest := -1
	for i := range t.buckets {
		if len(t.buckets[i].nodes) > 0 {
			deepest = i
		}
	}
	for i := 0; i <= deepest; i++ {
		b := &t.buckets[i]
		if len(b.nodes) < K && b.touched.Before(before) {
			return i, true
		}
	}
	return 0, false
}

// Touch notes that bucket i was just refreshed.
func (t *Table) Touch(i int, now time.Time) { t.buckets[i].touched = now }
