package table

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/dht/krpc"
)

// K is the size of a bucket and of a set of closest nodes (BEP 5).
const K = 8

// maxReplacements bounds the replacement cache of a bucket (libtorrent: one
// bucket size).
const maxReplacements = 8

// capacity returns the size of bucket i (libtorrent, extended routing table).
func capacity(i int) int {
	if i < 4 {
		return 16 * K >> i
	}
	return K
}

// Table is a routing table. It is owned by one goroutine.
type Table struct {
	own     krpc.ID
	local   func(netip.Addr) bool // exempt from the rules of diversity
	buckets [krpc.IDBits]bucket
	byAddr  map[netip.AddrPort]*Node
	perIP   map[netip.Addr]int // nodes in buckets (not replacements) by address
}

type bucket struct {
	nodes        []*Node   // oldest first
	replacements []*Node   // oldest answer first
	touched      time.Time // last time a node entered or answered
	refreshed    time.Time // last lookup of a random ID in it; zero: one is due
}

// New returns an empty table of the node called own. local tells which
// addresses are exempt from the rules of diversity.
func New(own krpc.ID, local func(netip.Addr) bool) *Table {
	return &Table{
		own:    own,
		local:  local,
		byAddr: make(map[netip.AddrPort]*Node),
		perIP:  make(map[netip.Addr]int),
	}
}

// Own returns our node ID.
func (t *Table) Own() krpc.ID { return t.own }

// Len returns the number of nodes, good or not, without replacements.
func (t *Table) Len() int { return len(t.byAddr) }

// Good counts the good nodes.
func (t *Table) Good(now time.Time) (n int) {
	for node := range t.all() {
		if node.Good(now) {
			n++
		}
	}
	return n
}

// bucketOf returns the bucket for id; nil for our own ID.
func (t *Table) bucketOf(id krpc.ID) (*bucket, int) {
	i := t.own.CommonBits(id)
	if i == krpc.IDBits {
		return nil, i
	}
	return &t.buckets[i], i
}

// Get returns the node at addr, or nil. The caller does not change it.
func (t *Table) Get(addr netip.AddrPort) *Node { return t.byAddr[addr] }

// Queried notes that a known node sent us a query. It returns false if the node
// is not in the table.
func (t *Table) Queried(n krpc.NodeInfo, now time.Time) bool {
	node := t.byAddr[n.Addr]
	if node == nil || node.ID != n.ID {
		return false
	}
	node.Queried = now
	return true
}

// Wants tells whether the table would take n, so that asking it is worth a
// ping.
func (t *Table) Wants(n krpc.NodeInfo) bool {
	b, i := t.bucketOf(n.ID)
	if b == nil || t.byAddr[n.Addr] != nil || !t.diverse(b, n.Addr.Addr()) {
		return false
	}
	if len(b.nodes) < capacity(i) {
		return true
	}
	if slices.ContainsFunc(b.replacements, func(r *Node) bool { return r.Addr == n.Addr }) {
		return false
	}
	newcomer := &Node{NodeInfo: n, Compliant: krpc.Compliant(n.ID, n.Addr.Addr())}
	return b.victim(i, newcomer) != nil
}

// diverse tells whether a node at a can enter b beside those that are there.
func (t *Table) diverse(b *bucket, a netip.Addr) bool {
	if t.local(a) {
		return true
	}
	if t.perIP[a] > 0 {
		return false
	}
	net := subnet(a)
	return !slices.ContainsFunc(b.nodes, func(n *Node) bool { return net.Contains(n.Addr.Addr()) })
}

// Replied notes that n answered a query of ours; rtt is how long that took. A
// new node enters the table or the replacement cache.
//
// An answer from a known address under another ID evicts the entry: either the
// node was restarted or somebody plays with IDs, and both prove themselves by
// the next answer (libtorrent and mldht do so as well).
func (t *Table) Replied(n krpc.NodeInfo, rtt time.Duration, router bool, now time.Time) {
	if node := t.byAddr[n.Addr]; node != nil {
		if node.ID != n.ID {
			t.remove(node)
			return
		}
		node.Replied, node.RTT, node.Fails, node.Tried = now, rtt, 0, time.Time{}
		b, _ := t.bucketOf(n.ID)
		b.touched = now
		return
	}
	b, i := t.bucketOf(n.ID)
	if b == nil {
		return
	}
	node := &Node{NodeInfo: n, Since: now, Replied: now, RTT: rtt, Router: router}
	node.Compliant = krpc.Compliant(n.ID, n.Addr.Addr())
	if !t.diverse(b, n.Addr.Addr()) {
		return
	}
	if len(b.nodes) >= capacity(i) {
		old := b.victim(i, node)
		if old == nil {
			b.spare(node)
			return
		}
		t.remove(old)
	}
	t.insert(b, node, now)
}

func (t *Table) insert(b *bucket, n *Node, now time.Time) {
	b.drop(n.Addr)
	b.nodes = append(b.nodes, n)
	b.touched = now
	t.byAddr[n.Addr] = n
	t.perIP[n.Addr.Addr()]++
}

// remove takes n out of its bucket, without a replacement.
func (t *Table) remove(n *Node) {
	b, _ := t.bucketOf(n.ID)
	b.nodes = slices.DeleteFunc(b.nodes, func(x *Node) bool { return x == n })
	delete(t.byAddr, n.Addr)
	ip := n.Addr.Addr()
	if t.perIP[ip]--; t.perIP[ip] == 0 {
		delete(t.perIP, ip)
	}
}

// Failed notes that the node at addr left a query unanswered. It is replaced
// if somebody waits for its place, and dropped after three failures.
func (t *Table) Failed(addr netip.AddrPort, now time.Time) {
	n := t.byAddr[addr]
	if n == nil {
		return
	}
	n.Fails++
	n.Tried = now
	b, _ := t.bucketOf(n.ID)
	at := slices.Index(b.nodes, n)
	t.remove(n) // its place counts as free for whoever replaces it
	for len(b.replacements) > 0 {
		last := len(b.replacements) - 1
		r := b.replacements[last]
		b.replacements = b.replacements[:last]
		if t.byAddr[r.Addr] == nil && t.diverse(b, r.Addr.Addr()) {
			t.insert(b, r, now)
			return
		}
	}
	if n.Fails < maxFails {
		t.insert(b, n, b.touched)
		copy(b.nodes[at+1:], b.nodes[at:len(b.nodes)-1])
		b.nodes[at] = n
	} else if len(b.nodes) < K/2 && now.Sub(b.refreshed) >= refillPause {
		b.refreshed = time.Time{}
	}
}

// refillPause is how often a bucket may be refreshed because its nodes die
// (guess).
const refillPause = 2 * time.Minute

// DropRouters removes bootstrap nodes: they serve everybody's first steps and
// are not to be asked once there are others (libtorrent keeps them out
// altogether, which leaves a DHT of a handful of nodes without any).
func (t *Table) DropRouters() {
	for _, n := range slices.Collect(t.all()) {
		if n.Router {
			t.remove(n)
			b, _ := t.bucketOf(n.ID)
			b.refreshed = time.Time{}
		}
	}
}

// Rekey changes our own ID. Nodes go to their new buckets, the oldest first;
// who does not fit becomes a replacement or is forgotten.
func (t *Table) Rekey(own krpc.ID, now time.Time) {
	nodes := t.Nodes()
	slices.SortStableFunc(nodes, func(a, b Node) int { return a.Since.Compare(b.Since) })
	*t = *New(own, t.local)
	for i := range nodes {
		n := &nodes[i]
		b, j := t.bucketOf(n.ID)
		switch {
		case b == nil || !t.diverse(b, n.Addr.Addr()):
		case len(b.nodes) < capacity(j):
			t.insert(b, n, now)
		default:
			b.spare(n)
		}
	}
}

// Nodes returns a copy of all nodes, the farthest buckets first.
func (t *Table) Nodes() []Node {
	nodes := make([]Node, 0, len(t.byAddr))
	for n := range t.all() {
		nodes = append(nodes, *n)
	}
	return nodes
}

// all iterates over the nodes, bucket by bucket. The table must not be changed
// meanwhile.
func (t *Table) all() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		for left, i := len(t.byAddr), 0; left > 0; i++ {
			for _, n := range t.buckets[i].nodes {
				left--
				if !yield(n) {
					return
				}
			}
		}
	}
}
