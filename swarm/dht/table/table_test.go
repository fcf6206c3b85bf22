package table

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"magnetfs/swarm/dht/krpc"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func never(netip.Addr) bool  { return false }
func always(netip.Addr) bool { return true }

// fixture is a table whose own ID is 0, so that bucket i holds the IDs whose
// first one bit is bit i.
type fixture struct {
	*Table
	rng *rand.Rand
	now time.Time
	ip  uint32
}

func newFixture(local func(netip.Addr) bool) *fixture {
	return &fixture{New(krpc.ID{}, local), rand.New(rand.NewPCG(1, 0)), start, 0x08000001}
}

// node makes a node for bucket i, at an address of a /24 of its own. Its ID does
// not fit the address, but for one in two million.
func (f *fixture) node(i int) krpc.NodeInfo {
	f.ip += 256
	b := [4]byte{byte(f.ip >> 24), byte(f.ip >> 16), byte(f.ip >> 8), byte(f.ip)}
	addr := netip.AddrPortFrom(netip.AddrFrom4(b), 6881)
	return krpc.NodeInfo{ID: krpc.RandomSharing(f.Own(), i, f.rng), Addr: addr}
}

// compliant makes a node for bucket i whose ID fits its address.
func (f *fixture) compliant(i int) krpc.NodeInfo {
	for {
		n := f.node(i)
		n.ID = krpc.SecureID(n.Addr.Addr(), f.rng)
		if f.Own().CommonBits(n.ID) == i {
			return n
		}
	}
}

func (f *fixture) reply(n krpc.NodeInfo) { f.Replied(n, 40*time.Millisecond, false, f.now) }

func (f *fixture) has(n krpc.NodeInfo) bool { return f.Get(n.Addr) != nil }

// fill fills bucket i and returns its nodes, oldest first.
func (f *fixture) fill(i int) (nodes []krpc.NodeInfo) {
	for len(f.buckets[i].nodes) < capacity(i) {
		n := f.node(i)
		f.reply(n)
		nodes = append(nodes, n)
		f.now = f.now.Add(time.Millisecond)
	}
	return nodes
}

func TestCapacities(t *testing.T) {
	f := newFixture(never)
	for i, want := range []int{128, 64, 32, 16, 8, 8} {
		for range 400 {
			f.reply(f.node(i))
		}
		if got := len(f.buckets[i].nodes); got != want {
			t.Errorf("bucket %d holds %d nodes, want %d", i, got, want)
		}
		if got := len(f.buckets[i].replacements); got > maxReplacements {
			t.Errorf("bucket %d has %d replacements", i, got)
		}
	}
	f.check(t)
}

// check verifies that the indices agree with the buckets.
func (f *fixture) check(t *testing.T) {
	t.Helper()
	n := 0
	ips := map[netip.Addr]int{}
	for i := range f.buckets {
		for _, node := range f.buckets[i].nodes {
			n++
			ips[node.Addr.Addr()]++
			if f.Own().CommonBits(node.ID) != i {
				t.Errorf("%v is in bucket %d", node.ID, i)
			}
			if f.byAddr[node.Addr] != node {
				t.Errorf("%v is not found by its address", node.Addr)
			}
		}
	}
	if n != f.Len() {
		t.Errorf("Len is %d, buckets hold %d", f.Len(), n)
	}
	if fmt.Sprint(ips) != fmt.Sprint(f.perIP) {
		t.Errorf("addresses counted wrongly: %v, want %v", f.perIP, ips)
	}
}

func TestOwnIDStaysOut(t *testing.T) {
	f := newFixture(never)
	n := f.node(3)
	n.ID = f.Own()
	if f.Wants(n) {
		t.Error("own ID is wanted")
	}
	f.reply(n)
	if f.Len() != 0 || f.Room(n.ID) != 0 {
		t.Error("own ID is in the table")
	}
}

func TestOldNodesStay(t *testing.T) {
	f := newFixture(never)
	old := f.fill(5)
	b := &f.buckets[5]
	for range 200 {
		f.reply(f.node(5))
	}
	// Newcomers may only have taken the places of those who shared a branch.
	branches := map[int]int{}
	for _, n := range b.nodes {
		branches[branch(n, 5, 3)]++
	}
	stayed := 0
	for _, n := range old {
		if f.has(n) {
			stayed++
		}
	}
	if stayed == 0 {
		t.Error("all old nodes were replaced")
	}
	f.check(t)
}

// TestSpread: compliant newcomers fill empty branches until all eight branches
// of a bucket have one node, and then nobody is replaced any more.
func TestSpread(t *testing.T) {
	f := newFixture(always)
	for range 500 {
		n := f.node(5)
		n.Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(f.ip >> 16), byte(f.ip >> 8), 1}), 6881)
		f.reply(n)
	}
	seen := map[int]bool{}
	for _, n := range f.buckets[5].nodes {
		seen[branch(n, 5, 3)] = true
	}
	if len(seen) != 8 {
		t.Errorf("nodes are spread over %d branches of 8", len(seen))
	}
}

func TestCompliantNodesArePreferred(t *testing.T) {
	f := newFixture(never)
	for len(f.buckets[2].nodes) < capacity(2) {
		n := f.node(2)
		if !krpc.Compliant(n.ID, n.Addr.Addr()) {
			f.reply(n)
		}
	}
	newcomers := 0
	for range capacity(2) {
		n := f.compliant(2)
		if !f.Wants(n) {
			t.Fatal("a compliant node is not wanted")
		}
		f.reply(n)
		if f.has(n) {
			newcomers++
		}
	}
	if newcomers != capacity(2) {
		t.Errorf("%d of %d compliant nodes entered", newcomers, capacity(2))
	}
	other := f.node(2)
	if krpc.Compliant(other.ID, other.Addr.Addr()) {
		t.Fatal("test needs a node that does not comply")
	}
	if f.Wants(other) {
		t.Error("a node that does not comply is wanted")
	}
	f.check(t)
}

func TestDiversity(t *testing.T) {
	at := func(id byte, addr string) krpc.NodeInfo {
		return krpc.NodeInfo{ID: krpc.ID{0: 0x80, 19: id}, Addr: netip.MustParseAddrPort(addr)}
	}
	deeper := func(id byte, addr string) krpc.NodeInfo {
		n := at(id, addr)
		n.ID[0] = 0x40
		return n
	}
	for _, c := range []struct {
		name   string
		local  func(netip.Addr) bool
		second krpc.NodeInfo
		want   bool
	}{
		{"same IP in the bucket", never, at(2, "8.8.8.8:2"), false},
		{"same IP in another bucket", never, deeper(2, "8.8.8.8:2"), false},
		{"same /24 in the bucket", never, at(2, "8.8.8.9:1"), false},
		{"same /24 in another bucket", never, deeper(2, "8.8.8.9:1"), true},
		{"another /24", never, at(2, "8.8.9.8:1"), true},
		{"same IP, local", always, at(2, "8.8.8.8:2"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(c.local)
			f.reply(at(1, "8.8.8.8:1"))
			if f.Wants(c.second) != c.want {
				t.Errorf("Wants is %v", !c.want)
			}
			f.reply(c.second)
			if f.has(c.second) != c.want {
				t.Errorf("in the table: %v", !c.want)
			}
			f.check(t)
		})
	}
	t.Run("same IPv6 /64", func(t *testing.T) {
		f := newFixture(never)
		f.reply(at(1, "[2001:db8::1]:1"))
		f.reply(at(2, "[2001:db8::2]:1"))
		f.reply(at(3, "[2001:db8:0:1::1]:1"))
		if f.Len() != 2 {
			t.Errorf("%d nodes, want 2", f.Len())
		}
	})
}

func TestChangedIDEvicts(t *testing.T) {
	f := newFixture(never)
	n := f.node(1)
	f.reply(n)
	other := n
	other.ID = f.node(2).ID
	f.reply(other)
	if f.Len() != 0 {
		t.Fatal("an address with two IDs stays")
	}
	f.reply(other)
	if !f.has(other) {
		t.Error("the new ID did not prove itself by the next answer")
	}
	f.check(t)
}

func TestFailures(t *testing.T) {
	f := newFixture(never)
	nodes := f.fill(6)
	n := nodes[3]
	f.Failed(n.Addr, f.now)
	f.Failed(n.Addr, f.now)
	if !f.has(n) {
		t.Fatal("dropped after two failures, with nobody to replace it")
	}
	if f.buckets[6].nodes[3].Addr != n.Addr {
		t.Error("a failure changed the order of age")
	}
	f.reply(n)
	if f.Get(n.Addr).Fails != 0 {
		t.Fatal("an answer does not clear the failures")
	}
	for range maxFails {
		f.Failed(n.Addr, f.now)
	}
	if f.has(n) {
		t.Error("still there after three failures")
	}
	f.Failed(n.Addr, f.now) // unknown by now
	f.check(t)
}

func TestReplacement(t *testing.T) {
	f := newFixture(never)
	nodes := f.fill(6)
	spare := f.node(6)
	for f.buckets[6].victim(6, &Node{NodeInfo: spare, Compliant: krpc.Compliant(spare.ID, spare.Addr.Addr())}) != nil {
		spare = f.node(6)
	}
	f.reply(spare)
	if f.has(spare) {
		t.Fatal("a full bucket took another node")
	}
	if f.Wants(spare) {
		t.Error("a waiting replacement is wanted again")
	}
	f.Failed(nodes[0].Addr, f.now)
	if f.has(nodes[0]) || !f.has(spare) {
		t.Error("the replacement did not take the place of the failed node")
	}
	f.check(t)
}

func TestSuspectGivesWay(t *testing.T) {
	f := newFixture(never)
	nodes := f.fill(6)
	f.Failed(nodes[2].Addr, f.now)
	n := f.node(6)
	if !f.Wants(n) {
		t.Error("nobody is wanted in the place of a suspect")
	}
	f.reply(n)
	if f.has(nodes[2]) || !f.has(n) {
		t.Error("the suspect stayed")
	}
	f.check(t)
}

func TestGood(t *testing.T) {
	f := newFixture(never)
	n := f.node(0)
	f.reply(n)
	good := func() bool { return f.Get(n.Addr).Good(f.now) }
	f.now = start.Add(GoodFor - 1)
	if !good() || f.Good(f.now) != 1 {
		t.Error("not good within 15 minutes")
	}
	f.now = start.Add(GoodFor)
	if good() {
		t.Error("good after 15 minutes of silence")
	}
	if !f.Table.Queried(n, f.now) {
		t.Fatal("a known node is not recognised")
	}
	if !good() {
		t.Error("not good although it queried us")
	}
	f.Failed(n.Addr, f.now)
	if good() {
		t.Error("good after a failure")
	}
	other := n
	other.ID[19]++
	if f.Table.Queried(other, f.now) {
		t.Error("another ID is recognised")
	}
}

func TestDue(t *testing.T) {
	f := newFixture(never)
	if nodes, next := f.Due(4, start); len(nodes) != 0 || !next.IsZero() {
		t.Error("an empty table has something due")
	}
	a, b := f.node(0), f.node(1)
	f.reply(a)
	f.now = start.Add(time.Minute)
	f.reply(b)
	if nodes, next := f.Due(4, f.now); len(nodes) != 0 || next != start.Add(GoodFor) {
		t.Errorf("due at %v", next)
	}
	f.now = start.Add(time.Hour)
	nodes, _ := f.Due(1, f.now)
	if len(nodes) != 1 || nodes[0].Addr != a.Addr {
		t.Fatalf("the one that waited longest is not first: %v", nodes)
	}
	f.Asked(a.Addr, f.now)
	if nodes, _ := f.Due(1, f.now); len(nodes) != 1 || nodes[0].Addr != b.Addr {
		t.Error("a node that was just asked is due again")
	}
	f.Asked(b.Addr, f.now)
	f.Failed(a.Addr, f.now.Add(10*time.Second))
	nodes, next := f.Due(4, f.now.Add(11*time.Second))
	if len(nodes) != 0 || next != f.now.Add(SuspectPause) {
		t.Errorf("got %v, %v", nodes, next)
	}
	if nodes, _ := f.Due(4, f.now.Add(10*time.Second+SuspectPause)); len(nodes) != 2 {
		t.Errorf("suspects are not due: %v", nodes)
	}
}

func TestLastHeard(t *testing.T) {
	f := newFixture(never)
	if f.LastHeard() != nil {
		t.Error("somebody was heard in an empty table")
	}
	a, b := f.node(0), f.node(1)
	f.reply(a)
	f.now = f.now.Add(time.Second)
	f.reply(b)
	if n := f.LastHeard(); n.Addr != b.Addr {
		t.Errorf("heard %v last", n.Addr)
	}
	f.Failed(b.Addr, f.now)
	if n := f.LastHeard(); n.Addr != a.Addr {
		t.Errorf("a suspect was heard last: %v", n.Addr)
	}
}

func TestClosestIsExact(t *testing.T) {
	f := newFixture(always)
	rng := rand.New(rand.NewPCG(2, 0))
	f.Table = New(krpc.RandomID(rng), always)
	for range 2000 {
		f.reply(f.node(min(rng.IntN(12), rng.IntN(12))))
	}
	for range 300 {
		target := krpc.RandomSharing(f.Own(), rng.IntN(20), rng)
		if rng.IntN(10) == 0 {
			target = f.Own()
		}
		n := 1 + rng.IntN(20)
		all := f.Nodes()
		slices.SortFunc(all, func(a, b Node) int { return target.Compare(a.ID, b.ID) })
		got := f.Closest(target, n, nil)
		if len(got) != min(n, len(all)) {
			t.Fatalf("%d nodes, want %d", len(got), n)
		}
		for i := range got {
			if got[i] != all[i].NodeInfo {
				t.Fatalf("place %d of %d: %v, want %v", i, n, got[i].ID, all[i].ID)
			}
		}
	}
}

func TestClosestPutsSuspectsLast(t *testing.T) {
	f := newFixture(never)
	var nodes []krpc.NodeInfo
	for i := range 12 {
		n := f.node(i)
		f.reply(n)
		nodes = append(nodes, n)
	}
	closest := nodes[11]
	f.Failed(closest.Addr, f.now)
	got := f.Closest(krpc.ID{}, 8, nil)
	if slices.Contains(got, closest) || len(got) != 8 {
		t.Errorf("a suspect is named although there are others: %v", got)
	}
	got = f.Closest(krpc.ID{}, 12, nil)
	if len(got) != 12 || got[11] != closest {
		t.Errorf("the suspect is not last: %v", got)
	}
	got = f.Closest(krpc.ID{}, 12, func(n *Node) bool { return n.Addr != nodes[3].Addr })
	if len(got) != 11 || slices.Contains(got, nodes[3]) {
		t.Errorf("the filter was not applied: %v", got)
	}
}

func TestStale(t *testing.T) {
	f := newFixture(never)
	before := func() time.Time { return f.now.Add(-GoodFor) }
	if _, ok := f.Stale(before()); ok {
		t.Error("an empty table has a stale bucket")
	}
	f.reply(f.node(2))
	for want := range 3 {
		i, ok := f.Stale(before())
		if !ok || i != want {
			t.Fatalf("stale: %d, %v; want %d", i, ok, want)
		}
		f.Refreshed(i, f.now)
	}
	if i, ok := f.Stale(before()); ok {
		t.Fatalf("bucket %d, behind the last node or just refreshed, is stale", i)
	}
	f.now = f.now.Add(GoodFor + 1)
	f.reply(f.node(1)) // touches bucket 1
	if i, ok := f.Stale(before()); !ok || i != 0 {
		t.Errorf("stale: %d, %v; want 0", i, ok)
	}
	f.Refreshed(0, f.now)
	if i, ok := f.Stale(before()); !ok || i != 2 {
		t.Errorf("stale: %d, %v; want 2, since 1 was touched", i, ok)
	}
}

func TestDyingBucketIsRefilled(t *testing.T) {
	f := newFixture(never)
	nodes := f.fill(6)
	for i := range 7 {
		f.Refreshed(i, f.now)
	}
	f.now = f.now.Add(refillPause)
	if _, ok := f.Stale(f.now.Add(-GoodFor)); ok {
		t.Fatal("stale before anybody died")
	}
	for _, n := range nodes[:5] {
		for range maxFails {
			f.Failed(n.Addr, f.now)
		}
	}
	if i, ok := f.Stale(f.now.Add(-GoodFor)); !ok || i != 6 {
		t.Errorf("stale: %d, %v; want 6, which lost most of its nodes", i, ok)
	}
}

func TestRouters(t *testing.T) {
	f := newFixture(never)
	r, n := f.node(0), f.node(0)
	f.Replied(r, 0, true, f.now)
	f.reply(n)
	f.Refreshed(0, f.now)
	f.DropRouters()
	if f.has(r) || !f.has(n) {
		t.Error("not exactly the router was dropped")
	}
	if _, ok := f.Stale(f.now.Add(-GoodFor)); !ok {
		t.Error("a bucket that lost its router is not refreshed")
	}
	f.check(t)
}

func TestRekey(t *testing.T) {
	f := newFixture(never)
	for i := range 10 {
		for range 200 {
			f.reply(f.node(i))
		}
	}
	before := f.Len()
	own := krpc.RandomID(f.rng)
	f.Rekey(own, f.now)
	if f.Own() != own {
		t.Fatal("own ID did not change")
	}
	if f.Len() == 0 || f.Len() > before {
		t.Errorf("%d nodes of %d", f.Len(), before)
	}
	f.check(t)
}

func TestRefreshTarget(t *testing.T) {
	f := newFixture(never)
	for i := range 20 {
		n := f.node(i)
		if got := f.Own().CommonBits(f.RefreshTarget(n.ID, f.rng)); got != i {
			t.Errorf("target for bucket %d is in bucket %d", i, got)
		}
	}
	if f.RefreshTarget(f.Own(), f.rng) != f.Own() {
		t.Error("own ID has another target")
	}
}

// TestRandomOperations lets strangers do what they can and checks the indices.
func TestRandomOperations(t *testing.T) {
	f := newFixture(func(a netip.Addr) bool { return a.As4()[3]%2 == 0 })
	var known []krpc.NodeInfo
	for range 20000 {
		f.now = f.now.Add(time.Second)
		switch f.rng.IntN(6) {
		case 0, 1:
			n := f.node(f.rng.IntN(8))
			known = append(known, n)
			f.Replied(n, 0, f.rng.IntN(20) == 0, f.now)
		case 2:
			if len(known) > 0 {
				n := known[f.rng.IntN(len(known))]
				if f.rng.IntN(10) == 0 {
					n.ID = krpc.RandomID(f.rng)
				}
				f.reply(n)
			}
		case 3, 4:
			if len(known) > 0 {
				f.Failed(known[f.rng.IntN(len(known))].Addr, f.now)
			}
		case 5:
			switch f.rng.IntN(200) {
			case 0:
				f.Rekey(krpc.RandomID(f.rng), f.now)
			case 1:
				f.DropRouters()
			}
		}
	}
	f.check(t)
}

func BenchmarkClosest(b *testing.B) {
	f := newFixture(never)
	for i := range 12 {
		for range 300 {
			f.reply(f.node(i))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Closest(krpc.RandomID(f.rng), K, nil)
	}
}

// TestRoomy: nodes come from large buckets that have room from each of them, the more
// often the more room it has.
func TestRoomy(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	tab := New(krpc.ID{}, func(netip.Addr) bool { return true })
	if n := tab.Roomy(rng); n != nil {
		t.Fatalf("%+v of an empty table", n)
	}
	enter := func(depth, count int) {
		for i := range count {
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(depth), byte(i), 1}), 1)
			tab.Replied(krpc.NodeInfo{ID: krpc.RandomSharing(krpc.ID{}, depth, rng), Addr: a}, 0, false, time.Time{})
		}
	}
	enter(1, capacity(1)) // full
	enter(6, 3)           // small
	if n := tab.Roomy(rng); n != nil {
		t.Fatalf("%+v of no roomy bucket", n)
	}
	enter(0, capacity(0)-8)
	enter(3, capacity(3)-2)
	seen := map[int]int{}
	for range 1000 {
		seen[krpc.ID{}.CommonBits(tab.Roomy(rng).ID)]++
	}
	rooms := []int{tab.Room(krpc.RandomSharing(krpc.ID{}, 0, rng)), tab.Room(krpc.RandomSharing(krpc.ID{}, 3, rng))}
	want := 1000 * rooms[0] / (rooms[0] + rooms[1])
	if len(seen) != 2 || seen[0] < want-60 || seen[0] > want+60 {
		t.Errorf("asked by bucket: %v, with room for %v", seen, rooms)
	}
}
