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

// Due returns up to n nodes that are to be checked, those first that have
// waited longest, and when to look again. The time is zero if the table is
// empty.
func (t *Table) Due(n int, now time.Time) (nodes []*Node, next time.Time) {
	var since []time.Time // of nodes, earliest first
	more := false
	for node := range t.all() {
		at := node.due()
		if at.After(now) {
			if next.IsZero() || at.Before(next) {
				next = at
			}
			continue
		}
		i, _ := slices.BinarySearchFunc(since, at, time.Time.Compare)
		if i == n {
			more = true
			continue
		}
		if len(nodes) == n {
			more = true
			nodes, since = nodes[:n-1], since[:n-1]
		}
		nodes, since = slices.Insert(nodes, i, node), slices.Insert(since, i, at)
	}
	if more {
		next = now
	}
	return nodes, next
}

// LastHeard returns the node without failures that answered or queried us last,
// or nil.
func (t *Table) LastHeard() (last *Node) {
	for n := range t.all() {
		if n.Fails == 0 && (last == nil || n.heard().After(last.heard())) {
			last = n
		}
	}
	return last
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

// Room returns how many more nodes the bucket of id takes.
func (t *Table) Room(id krpc.ID) int {
	b, i := t.bucketOf(id)
	if b == nil {
		return 0
	}
	return capacity(i) - len(b.nodes)
}

// Roomy returns a random node of a random one of the large buckets that have room,
// one as often as it has much of it; nil if there is none. A small network may have
// nobody for the last places of a bucket, who looks for them learns nothing.
func (t *Table) Roomy(rng *rand.Rand) (node *Node) {
	room := 0
	for i := 0; capacity(i) > K; i++ {
		nodes := t.buckets[i].nodes
		if len(nodes) == 0 || len(nodes) >= capacity(i) {
			continue
		}
		room += capacity(i) - len(nodes)
		if rng.IntN(room) < capacity(i)-len(nodes) {
			node = nodes[rng.IntN(len(nodes))]
		}
	}
	return node
}

// Stale returns a bucket with fewer than K nodes in which a lookup of a random
// ID may find more: it was never refreshed so, or not since before and nobody in
// it answered since then either. ok is false if there is none. Buckets deeper
// than the deepest with a node do not count: they are empty because nobody is
// there.
func (t *Table) Stale(before time.Time) (depth int, ok bool) {
	deepest := -1
	for i := range t.buckets {
		if len(t.buckets[i].nodes) > 0 {
			deepest = i
		}
	}
	for i := 0; i <= deepest; i++ {
		b := &t.buckets[i]
		if len(b.nodes) < K && b.refreshed.Before(before) && (b.refreshed.IsZero() || b.touched.Before(before)) {
			return i, true
		}
	}
	return 0, false
}

// Refreshed notes that bucket i is being refreshed.
func (t *Table) Refreshed(i int, now time.Time) { t.buckets[i].refreshed = now }
