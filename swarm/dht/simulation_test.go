package dht

import (
	"context"
	"flag"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/dht/krpc"
)

var (
	simNodes = flag.Int("dht.nodes", 1000, "nodes of the DHT simulations")
)

// fewer is the size of simulations whose cost is the traffic of all nodes over
// many minutes: less under the race detector, which makes them ten times slower.
func fewer() int { return *simNodes / simSlow }

// figures collects what lookups cost.
type figures struct {
	lookups, complete, some int // complete: all peers found; some: at least one
	hops, queries, answers  []int
	first, took             []time.Duration // round trips of 40 ms
	firstHops               []int
}

func (f *figures) add(st LookupStats, want int) {
	f.lookups++
	if st.Peers == want {
		f.complete++
	}
	if st.Peers > 0 {
		f.some++
		f.first = append(f.first, st.FirstPeers)
		f.firstHops = append(f.firstHops, st.FirstPeersHops)
	}
	f.hops = append(f.hops, st.Hops)
	f.queries = append(f.queries, st.Queries)
	f.answers = append(f.answers, st.Answers)
	f.took = append(f.took, st.Took)
}

// at returns the value below which the part q of the list lies.
func at[T int | time.Duration](list []T, q float64) T {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return list[min(len(list)-1, int(q*float64(len(list))))]
}

func (f *figures) log(t *testing.T, name string) {
	t.Helper()
	t.Logf("%s: %d lookups, %d found all peers, %d some; median (90 %%): first peers after %v (%v), %d (%d) hops; "+
		"done after %v (%v), %d (%d) hops, %d (%d) queries, %d answers", name, f.lookups, f.complete, f.some,
		at(f.first, 0.5), at(f.first, 0.9), at(f.firstHops, 0.5), at(f.firstHops, 0.9), at(f.took, 0.5), at(f.took, 0.9),
		at(f.hops, 0.5), at(f.hops, 0.9), at(f.queries, 0.5), at(f.queries, 0.9), at(f.answers, 0.5))
}

// swarmPeers is how many peers are announced under each hash.
const swarmPeers = 3

// announce announces swarmPeers under each of n new hashes, all at once, from
// nodes of the world.
func (w *world) announce(n int) (hashes []krpc.ID) {
	var wg sync.WaitGroup
	for range n {
		hash := krpc.RandomID(w.rng)
		hashes = append(hashes, hash)
		for i, node := range w.some(swarmPeers) {
			wg.Go(func() {
				if _, err := node.Announce(w.t.Context(), hash, PeersOptions{Port: 7000 + i}); err != nil {
					w.t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	return hashes
}

// look announces n hashes and looks each up from another node.
func (w *world) look(n int) figures {
	return w.find(w.announce(n), func() *simNode { return w.some(1)[0] })
}

// find looks up the hashes, all at once, each from a node that from returns.
func (w *world) find(hashes []krpc.ID, from func() *simNode) (f figures) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, h := range hashes {
		node := from()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
			defer cancel()
			st, _ := node.Peers(ctx, h, PeersOptions{}, nil)
			mu.Lock()
			defer mu.Unlock()
			f.add(st, swarmPeers)
		})
	}
	wg.Wait()
	return f
}

// simulate runs f in a bubble of its own.
func simulate(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 42)
		defer w.close()
		f(t, w)
	})
}

// TestSimulateLookups: tables as they are in the long run. Everything is found,
// within two or three round trips; by nodes that know nothing but five bootstrap
// hosts as well, and when one packet in ten is lost.
func TestSimulateLookups(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.warm(*simNodes)
		complete := func(f figures) {
			t.Helper()
			if f.complete != f.lookups {
				t.Errorf("%d of %d lookups found all peers", f.complete, f.lookups)
			}
		}
		f := w.look(100)
		f.log(t, "warm tables")
		complete(f)
		if at(f.first, 0.5) > 80*time.Millisecond || at(f.queries, 0.5) > 25 {
			t.Error("slower than two round trips, or more than 25 queries")
		}

		f = w.find(w.announce(50), func() *simNode { return w.add(nil) })
		f.log(t, "empty tables")
		complete(f)
		if at(f.first, 0.5) > 80*time.Millisecond || at(f.first, 0.9) > 120*time.Millisecond {
			t.Error("median over two round trips, or one in ten over three")
		}

		link := simLink
		link.Loss = 0.05 // on each side of a path
		for _, n := range w.nodes {
			n.host.SetLink(link)
		}
		f = w.look(40)
		f.log(t, "one packet in ten lost")
		complete(f)
	})
}

// TestSimulateGrowth: all nodes join one after the other by five bootstrap
// hosts; then everything is found.
func TestSimulateGrowth(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.grow(fewer(), 50*time.Millisecond)
		f := w.look(50)
		f.log(t, "just joined")
		if f.complete != f.lookups {
			t.Errorf("%d of %d lookups found all peers", f.complete, f.lookups)
		}
		var sizes []int
		for _, n := range w.nodes {
			sizes = append(sizes, n.Stats().Good)
		}
		t.Logf("good nodes in a table: median %d, 10 %% have fewer than %d", at(sizes, 0.5), at(sizes, 0.1))
	})
}

// TestSimulateHalfVanishes: half of the nodes go at once. What was announced
// before is found as far as a holder is left; what is announced then is found
// at once, more slowly; a quarter of an hour later all is as before.
func TestSimulateHalfVanishes(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.warm(fewer())
		hashes := w.announce(40)
		for _, n := range w.some(len(w.nodes) / 2) {
			n.vanish()
		}
		f := w.find(hashes, func() *simNode { return w.some(1)[0] })
		f.log(t, "announced before, looked up right after")
		if f.some < f.lookups-1 { // all eight holders of a hash may be gone: 1 in 256
			t.Errorf("%d of %d lookups found a peer", f.some, f.lookups)
		}
		f = w.look(40)
		f.log(t, "announced right after")
		if f.complete != f.lookups {
			t.Errorf("%d of %d lookups found all peers", f.complete, f.lookups)
		}
		time.Sleep(20 * time.Minute)
		f = w.look(40)
		f.log(t, "20 minutes later")
		if f.complete != f.lookups || at(f.first, 0.9) > 120*time.Millisecond {
			t.Errorf("%d of %d lookups found all peers", f.complete, f.lookups)
		}
		dead, all := 0, 0
		byAddr := map[netip.AddrPort]*simNode{}
		for _, n := range w.nodes {
			byAddr[n.addr] = n
		}
		for _, n := range w.some(50) {
			_ = n.call(t.Context(), func(time.Time) {
				for _, x := range n.core.table.Nodes() {
					all++
					if o := byAddr[x.Addr]; o != nil && o.gone {
						dead++
					}
				}
			})
		}
		t.Logf("dead nodes in the tables after 20 minutes: %d of %d", dead, all)
		if dead*20 > all {
			t.Error("more than one in twenty")
		}
	})
}

// TestSimulateHostile: one node in five is hostile, in one of four ways; and one
// more in twenty is a sybil, which the hostile ones name.
func TestSimulateHostile(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		n := *simNodes
		for range n - n/5 {
			w.add(nil)
		}
		h := &hostiles{world: w}
		for range n / 20 {
			h.sybils = append(h.sybils, h.add(sybil).addr)
		}
		for i := range n / 5 {
			w.nodes = append(w.nodes, h.add(hostility(i%4)))
		}
		for i := range 5 {
			w.boot = append(w.boot, w.nodes[i].addr.String())
		}
		w.fillTables()
		f := w.look(60)
		f.log(t, "one in five hostile")
		if f.complete != f.lookups {
			t.Errorf("%d of %d lookups found all peers", f.complete, f.lookups)
		}
		t.Logf("sybils were told of %d announces, of %d", h.caught.Load(), 60*swarmPeers*k)
		h.close()
	})
}

// hostility is how a hostile node behaves.
type hostility int

const (
	mute     hostility = iota // answers nothing
	liar                      // names nodes that do not exist, next to the target
	eclipser                  // names sybils
	hoarder                   // answers in time, with a token, and keeps nothing
	sybil                     // calls itself what is asked for, but for two bytes; names other sybils
)

// hostiles are the hostile nodes of a world. They answer without a server.
type hostiles struct {
	*world
	conns  []net.PacketConn
	sybils []netip.AddrPort
	caught atomic.Int64 // announces that sybils got
	wg     sync.WaitGroup
}

func (h *hostiles) add(kind hostility) *simNode {
	n := h.host()
	n.listen(h.world)
	n.id = krpc.SecureID(n.addr.Addr(), h.rng)
	h.conns = append(h.conns, n.conn)
	rng := rand.New(rand.NewPCG(uint64(len(h.conns)), 1))
	h.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			size, from, err := n.conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q, err := krpc.Decode(buf[:size])
			if err != nil || q.Kind != krpc.Query || kind == mute {
				continue
			}
			if kind == sybil && q.Method == krpc.AnnouncePeer {
				h.caught.Add(1)
			}
			r := h.lie(kind, n, &q, rng)
			_, _ = n.conn.WriteTo(r.Append(nil), from)
		}
	})
	return n
}

// lie makes the answer of a hostile node.
func (h *hostiles) lie(kind hostility, n *simNode, q *krpc.Message, rng *rand.Rand) krpc.Message {
	r := krpc.Message{Kind: krpc.Response, T: q.T, ID: n.id, HasID: true, Token: []byte("trust me")}
	if kind == sybil {
		r.ID = sybilID(q.Target, n.addr)
	}
	for i := range 16 {
		switch kind {
		case liar:
			a := netip.AddrFrom4([4]byte{byte(1 + rng.IntN(200)), byte(rng.Uint32()), byte(rng.Uint32()), 1})
			id := krpc.RandomSharing(q.Target, 40+rng.IntN(100), rng)
			if i%2 == 0 {
				id = krpc.SecureID(a, rng)
			}
			r.Nodes = append(r.Nodes, krpc.NodeInfo{ID: id, Addr: netip.AddrPortFrom(a, 1)})
		case eclipser, sybil:
			a := h.sybils[rng.IntN(len(h.sybils))]
			r.Nodes = append(r.Nodes, krpc.NodeInfo{ID: sybilID(q.Target, a), Addr: a})
		}
	}
	return r
}

// sybilID is what the sybil at a calls itself when asked for target.
func sybilID(target krpc.ID, a netip.AddrPort) krpc.ID {
	ip := a.Addr().As4()
	target[18] ^= ip[1]
	target[19] ^= ip[2] | 1
	return target
}

func (h *hostiles) close() {
	for _, c := range h.conns {
		c.Close()
	}
	h.wg.Wait()
}

// TestSimulateIdle measures what a node costs that does nothing but be there.
func TestSimulateIdle(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.warm(fewer())
		time.Sleep(5 * time.Minute) // the large buckets are filled up
		const span = 5
		var first []Stats
		for _, n := range w.nodes {
			first = append(first, n.Stats())
		}
		time.Sleep(span * time.Minute)
		var queries, out, in []int
		for i, n := range w.nodes {
			st := n.Stats()
			queries = append(queries, int(st.QueriesOut-first[i].QueriesOut)/span)
			out = append(out, int(st.BytesOut-first[i].BytesOut)/span)
			in = append(in, int(st.BytesIn-first[i].BytesIn)/span)
		}
		t.Logf("an idle node, median (90 %%): %d (%d) queries, %d (%d) bytes out, %d (%d) bytes in per minute",
			at(queries, 0.5), at(queries, 0.9), at(out, 0.5), at(out, 0.9), at(in, 0.5), at(in, 0.9))
		if at(out, 0.5) > 10_000 {
			t.Error("more than 10 kB per minute")
		}
	})
}

// TestSimulateRestart: bootstrap hosts are gone. A node with saved nodes finds
// peers at once; one without waits until somebody tells it of a node.
func TestSimulateRestart(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.warm(fewer())
		hash := w.announce(1)[0]
		old := w.nodes[99]
		state, err := old.State()
		if err != nil {
			t.Fatal(err)
		}
		old.Close()
		old.conn.Close()
		for _, n := range w.nodes[:5] {
			n.vanish()
		}
		old.start(w, func(c *Config) { c.State = state })
		st, err := old.Peers(t.Context(), hash, PeersOptions{}, nil)
		if err != nil || st.Peers != swarmPeers || st.FirstPeers > 200*time.Millisecond {
			t.Errorf("with saved nodes: %+v, %v", st, err)
		}
		if old.Stats().ID != old.id {
			t.Error("the node ID changed")
		}
		t.Logf("restart without bootstrap hosts: first peers after %v", st.FirstPeers)

		lost := w.add(nil)
		time.AfterFunc(time.Minute, func() { lost.AddNode(w.nodes[50].addr, w.nodes[50].addr.Addr()) })
		st, err = lost.Peers(t.Context(), hash, PeersOptions{}, nil)
		if err != nil || st.Peers != swarmPeers || st.FirstPeers < time.Minute || st.FirstPeers > time.Minute+200*time.Millisecond {
			t.Errorf("without: %+v, %v", st, err)
		}
	})
}

// TestSimulateScrape: a swarm of 200, a quarter of them seeds, is estimated.
func TestSimulateScrape(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.warm(max(400, fewer()))
		hash := krpc.RandomID(w.rng)
		var wg sync.WaitGroup
		for i, n := range w.some(200) {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond) // else the limits of answers show
				if _, err := n.Announce(t.Context(), hash, PeersOptions{Port: 7000, Seed: i%4 == 0}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		r, err := w.nodes[3].Scrape(t.Context(), hash)
		if err != nil || !r.Known() || r.Seeds < 45 || r.Seeds > 55 || r.Peers < 140 || r.Peers > 160 || r.AtLeast {
			t.Errorf("estimate %+v, %v; want about 50 and 150", r, err)
		}
		if r, err = w.nodes[3].Scrape(t.Context(), krpc.RandomID(w.rng)); err != nil || r.Known() {
			t.Errorf("estimate of nothing: %+v, %v", r, err)
		}
		// Whoever has announced itself does not count itself.
		pair := krpc.RandomID(w.rng)
		for _, n := range w.nodes[:2] {
			if _, err := n.Announce(t.Context(), pair, PeersOptions{Port: simPort}); err != nil {
				t.Fatal(err)
			}
		}
		st, err := w.nodes[0].Announce(t.Context(), pair, PeersOptions{Port: simPort})
		if r, err2 := w.nodes[0].Scrape(t.Context(), pair); err != nil || err2 != nil || st.Peers != 1 || r.Peers != 1 || r.Seeds != 0 {
			t.Errorf("of us and another: %d found, estimate %+v, %v, %v", st.Peers, r, err, err2)
		}
	})
}

// TestSimulateNAT: a node behind a NAT that lets no strangers in finds peers and
// is found as one, and calls itself read-only after a while.
func TestSimulateNAT(t *testing.T) {
	simulate(t, func(t *testing.T, w *world) {
		w.warm(60)
		nat := w.net.NAT(simnet.PortRestricted, w.newAddr())
		inside := netip.MustParseAddr("192.168.0.2")
		n := &simNode{host: nat.Host(simLink, inside), addr: netip.AddrPortFrom(inside, simPort)}
		n.start(w, func(c *Config) { c.External = netip.Addr{} })
		w.nodes = append(w.nodes, n)
		hash := krpc.RandomID(w.rng)
		if st, err := n.Announce(t.Context(), hash, PeersOptions{Port: 7000, ImpliedPort: true}); err != nil || st.Announced != k {
			t.Fatalf("%+v, %v", st, err)
		}
		var found []netip.AddrPort
		st, err := w.nodes[7].Peers(t.Context(), hash, PeersOptions{}, func(p []netip.AddrPort, _ netip.AddrPort) { found = append(found, p...) })
		if err != nil || len(found) != 1 || found[0].Addr() != nat.Addr() {
			t.Errorf("found %v: %+v, %v", found, st, err)
		}
		time.Sleep(12 * time.Minute)
		if st := n.Stats(); !st.ReadOnly || st.External != nat.Addr() || !krpc.Compliant(st.ID, nat.Addr()) {
			t.Errorf("behind a NAT: %+v", st)
		}
		if st := w.nodes[7].Stats(); st.ReadOnly {
			t.Error("a reachable node calls itself read-only")
		}
	})
}
