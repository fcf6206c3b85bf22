package simnet

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Net is a network. All methods of Net, Host and the sockets are safe for use by
// any goroutine of the bubble in which New was called.
type Net struct {
	seed  int64
	epoch time.Time

	mu      sync.Mutex // guards everything below and the state of all hosts and sockets
	events  eventHeap
	seq     uint64
	running bool // run is working through due events
	closed  bool
	timer   *time.Timer // fires at the earliest event
	hosts   map[hostKey]*Host
	nats    map[netip.Addr]*NAT
	names   map[string][]netip.Addr
	lans    int    // number of LANs made so far
	conns   uint64 // number of streams made so far
}

// hostKey finds a host: addresses behind different NATs may be equal.
type hostKey struct {
	nat  *NAT // nil = the open network
	addr netip.Addr
}

// New returns an empty network. Equal seeds give equal decisions about loss and
// jitter.
func New(seed int64) *Net {
	n := &Net{
		seed:  seed,
		epoch: time.Now(),
		hosts: make(map[hostKey]*Host),
		nats:  make(map[netip.Addr]*NAT),
		names: make(map[string][]netip.Addr),
	}
	n.timer = time.AfterFunc(time.Hour, n.run)
	n.timer.Stop()
	return n
}

// Addr parses an IP address and panics when it is none: a short name for
// netip.MustParseAddr, since set-ups are full of addresses.
func Addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// Host adds a host with one access link and at least one address. It panics
// when an address is in use, for that is a mistake in the test.
func (n *Net) Host(link Link, addrs ...netip.Addr) *Host { return n.host(nil, link, addrs) }

func (n *Net) host(nat *NAT, link Link, addrs []netip.Addr) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(addrs) == 0 {
		panic("simnet: host without an address")
	}
	h := &Host{net: n, nat: nat, link: link, nextPort: firstEphemeral}
	for _, a := range addrs {
		a = a.Unmap()
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
			panic(fmt.Sprintf("simnet: %v cannot be the address of a host", a))
		}
		if n.hosts[hostKey{nat, a}] != nil || n.nats[a] != nil {
			panic(fmt.Sprintf("simnet: address %v in use", a))
		}
		n.hosts[hostKey{nat, a}] = h
		h.addrs = append(h.addrs, a)
	}
	return h
}

// SetName makes name resolve to addrs, in that order, for every host. No
// addresses: the name is unknown again.
func (n *Net) SetName(name string, addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name] = addrs
}

// Close closes every socket of the network and forgets all packets in flight.
func (n *Net) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	n.timer.Stop()
	n.events = nil
	for _, h := range n.hosts {
		h.closeSockets()
	}
	return nil
}

// now returns the network time.
func (n *Net) now() time.Duration { return time.Since(n.epoch) }

// schedule runs fn at network time at, or at once when that is past. The caller
// holds n.mu.
func (n *Net) schedule(at time.Duration, fn func()) {
	if n.closed {
		return
	}
	n.seq++
	e := event{at: at, seq: n.seq, fn: fn}
	n.events.push(e)
	if !n.running && n.events[0].seq == e.seq {
		n.timer.Reset(max(0, at-n.now()))
	}
}

// after runs fn when d has passed.
func (n *Net) after(d time.Duration, fn func()) { n.schedule(n.now()+d, fn) }

// run executes the events that are due and sets the timer for the next one.
func (n *Net) run() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running {
		return // a stale firing of the timer met a running one
	}
	n.running = true
	for !n.closed && len(n.events) > 0 && n.events[0].at <= n.now() {
		n.events.pop().fn()
	}
	n.running = false
	if !n.closed && len(n.events) > 0 {
		n.timer.Reset(max(0, n.events[0].at-n.now()))
	}
}

// random returns the generator of one socket. serial tells successive sockets
// with one address apart.
func (n *Net) random(local netip.AddrPort, serial uint64) *rand.Rand {
	h := fnv.New64a()
	b, _ := local.MarshalBinary()
	h.Write(b)
	return rand.New(rand.NewPCG(uint64(n.seed), h.Sum64()+serial))
}

// resolve returns the addresses that a host name or address literal stands for.
func (n *Net) resolve(host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	addrs := n.names[host]
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return addrs, nil
}

// LookupNetIP resolves a name set by SetName. network is "ip", "ip4" or "ip6",
// as for net.Resolver. It takes no time.
func (h *Host) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, err := h.net.resolve(host)
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, a := range all {
		if network == "ip" || (network == "ip4") == a.Is4() {
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		return nil, &net.DNSError{Err: "no suitable address", Name: host, IsNotFound: true}
	}
	return out, nil
}
