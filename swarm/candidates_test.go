package swarm

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/wire"
)

func TestCandidatesOrder(t *testing.T) {
	now := metadataEpoch
	c := newCandidates()
	lan, pex, dht, typed := ap("192.168.1.9:1"), ap("198.51.100.1:1"), ap("198.51.100.2:1"), ap("198.51.100.3:1")
	c.add(pex, endpoint.FromPEX, now)
	c.add(dht, endpoint.FromDHT, now)
	c.add(typed, endpoint.FromMagnet, now)
	c.add(lan, endpoint.FromLPD, now)
	for i, want := range []netip.AddrPort{lan, typed, dht, pex} {
		d := c.next(now)
		if d == nil || d.addr != want {
			t.Fatalf("%d: got %v, want %v", i, d, want)
		}
	}
	if d := c.next(now); d != nil {
		t.Errorf("%v twice", d.addr)
	}
}

// What PEX says of peers decides among those that are alike otherwise: whom others
// could dial comes first, and seeds do when somebody waits for data; but every second
// one is from elsewhere.
func TestCandidatesFlags(t *testing.T) {
	now := metadataEpoch
	plain, reachable, seed, both, dht := ap("98.0.0.1:1"), ap("98.0.0.2:1"), ap("98.0.0.3:1"), ap("98.0.0.4:1"), ap("98.0.0.5:1")
	for _, tt := range []struct {
		waits bool
		want  []netip.AddrPort
	}{
		{false, []netip.AddrPort{dht, reachable}},
		{true, []netip.AddrPort{both, dht, seed, reachable, plain}},
	} {
		c := newCandidates()
		c.waits = tt.waits
		for a, f := range map[netip.AddrPort]wire.PexFlags{
			plain: 0, reachable: wire.PexReachable, seed: wire.PexSeed, both: wire.PexSeed | wire.PexReachable,
		} {
			if tt.waits || f&wire.PexSeed == 0 {
				c.add(a, endpoint.FromPEX, now)
				c.hint(a, f)
			}
		}
		c.add(dht, endpoint.FromDHT, now)
		c.hint(ap("98.0.0.9:1"), wire.PexSeed) // unknown: nothing happens
		for i, want := range tt.want {
			if d := c.next(now); d == nil || d.addr != want {
				t.Errorf("waits %v, %d: got %v, want %v", tt.waits, i, d, want)
			}
		}
	}
}

// Among equals the canonical priority decides, by our address of the same family
// and as soon as we know it.
func TestCandidatesPriority(t *testing.T) {
	now := metadataEpoch
	c := newCandidates()
	selves := [2]netip.AddrPort{ap("123.213.32.10:1"), ap("[2001:db8::1]:1")}
	var addrs []netip.AddrPort
	for i := range 8 {
		addrs = append(addrs, ap(fmt.Sprintf("98.%d.54.32:1", 70+i)), ap(fmt.Sprintf("[2001:db8:%d::2]:1", 9+i)))
	}
	for _, a := range addrs[:8] {
		c.add(a, endpoint.FromDHT, now)
	}
	c.weAre(selves)
	for _, a := range addrs[8:] {
		c.add(a, endpoint.FromDHT, now)
	}
	slices.SortFunc(addrs, func(a, b netip.AddrPort) int {
		of := func(a netip.AddrPort) uint32 {
			if a.Addr().Is4() {
				return endpoint.Priority(selves[0], a)
			}
			return endpoint.Priority(selves[1], a)
		}
		return cmp.Compare(of(b), of(a))
	})
	for i, want := range addrs {
		if d := c.next(now); d == nil || d.addr != want {
			t.Fatalf("%d: got %v, want %v", i, d, want)
		}
	}
}

func TestCandidatesFailures(t *testing.T) {
	now := metadataEpoch
	c := newCandidates()
	a := ap("198.51.100.1:1")
	c.add(a, endpoint.FromDHT, now)
	for i := range maxFailures {
		d := c.next(now)
		if d == nil {
			t.Fatalf("try %d: nothing", i)
		}
		c.ended(a, false, now)
		if i < maxFailures-1 && c.next(now) != nil {
			t.Fatalf("try %d: again at once", i)
		}
		now = now.Add(time.Hour)
	}
	if len(c.list) != 0 {
		t.Error("not forgotten")
	}
}

func TestCandidatesBanAndSelf(t *testing.T) {
	now := metadataEpoch
	c := newCandidates()
	bad, me, local := ap("198.51.100.1:1"), ap("198.51.100.2:1"), ap("127.0.0.1:1")
	for _, a := range []netip.AddrPort{bad, me, local, ap("127.0.0.1:2")} {
		c.add(a, endpoint.FromMagnet, now)
	}
	c.ban(bad, now)
	c.itself(me)
	c.ban(local, now)
	if c.add(ap("198.51.100.1:77"), endpoint.FromTracker, now) {
		t.Error("another port of a banned address")
	}
	if c.add(me, endpoint.FromTracker, now) {
		t.Error("own address")
	}
	if d := c.next(now); d == nil || d.addr != ap("127.0.0.1:2") {
		t.Errorf("got %v; on loopback only the port is banned", d)
	}
	if !c.add(bad, endpoint.FromDHT, now.Add(banTime)) {
		t.Error("banned for ever")
	}
}

func TestCandidatesBounded(t *testing.T) {
	c := newCandidates()
	for i := range 2 * maxPerSource {
		c.add(ap(fmt.Sprintf("198.51.%d.%d:1", i/250, i%250+1)), endpoint.FromPEX, metadataEpoch)
	}
	if len(c.list) != maxPerSource {
		t.Errorf("%d candidates of one source, want %d", len(c.list), maxPerSource)
	}
	if !c.add(ap("203.0.113.1:1"), endpoint.FromTracker, metadataEpoch) {
		t.Error("another source is shut out")
	}
}

// However many seeds are told of, and however many ports of one host: whom the user
// named is dialled next.
func TestCandidatesAmongLies(t *testing.T) {
	c := newCandidates()
	c.waits = true
	for i := range 200 {
		c.add(ap(fmt.Sprintf("98.0.1.%d:1", i)), endpoint.FromPEX, metadataEpoch)
		c.hint(ap(fmt.Sprintf("98.0.1.%d:1", i)), wire.PexSeed|wire.PexReachable)
		c.add(ap(fmt.Sprintf("98.0.2.1:%d", i+1)), endpoint.FromPEX, metadataEpoch)
	}
	if n := c.hosts[ap("98.0.2.1:1").Addr()]; n != maxPerAddr || len(c.list) != 200+maxPerAddr {
		t.Errorf("%d ports of one host, %d candidates", n, len(c.list))
	}
	named, tracked := ap("98.0.2.1:6881"), ap("98.0.3.1:6881")
	c.add(tracked, endpoint.FromTracker, metadataEpoch)
	if !c.add(named, endpoint.FromMagnet, metadataEpoch) {
		t.Error("what the user names is refused")
	}
	var next []netip.AddrPort
	for range 3 {
		next = append(next, c.next(metadataEpoch).addr)
	}
	if next[0] != named || next[1] != tracked {
		t.Errorf("dialled %v", next)
	}
	for a := range c.list {
		c.remove(a)
	}
	if len(c.hosts) != 0 {
		t.Errorf("%d hosts are left", len(c.hosts))
	}
}

func ap(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
