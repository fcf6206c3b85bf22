package simnet

import (
	"fmt"
	"net/netip"
	"time"
)

// NATKind says which packets from outside a NAT lets in, in the words of RFC
// 3489.
type NATKind uint8

const (
	// FullCone lets in whatever is sent to a mapped port.
	FullCone NATKind = iota
	// RestrictedCone lets in packets from addresses that were sent to.
	RestrictedCone
	// PortRestricted lets in packets from addresses and ports that were sent to.
	PortRestricted
	// Symmetric is PortRestricted with another outside port per destination.
	Symmetric
)

// NAT is a box with one outside address and a private network behind it. It
// translates UDP and TCP; it has no link of its own. Packets from inside to its
// outside address are turned around (hairpin) under the same filter.
type NAT struct {
	net  *Net
	kind NATKind
	addr netip.Addr

	// Idle is how long a mapping lives after the last packet from inside; 0 =
	// for ever. Set it before use. Established streams are not cut.
	Idle time.Duration

	// Guarded by net.mu.
	nextPort uint16
	byInside map[natKey]*mapping
	byPort   map[natPort]*mapping
}

type natKey struct {
	proto  protocol
	inside netip.AddrPort
	dst    netip.AddrPort // only of a Symmetric NAT
}

type natPort struct {
	proto protocol
	port  uint16
}

// mapping joins one inside socket and one outside port.
type mapping struct {
	host    *Host
	inside  netip.AddrPort
	port    uint16
	sent    map[netip.AddrPort]struct{} // destinations, for the filter
	fixed   bool                        // by Forward: never ends, lets all in
	touched time.Duration               // network time of the last packet from inside
}

// NAT adds a box with the given outside address.
func (n *Net) NAT(kind NATKind, outside netip.Addr) *NAT {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[hostKey{nil, outside}] != nil || n.nats[outside] != nil {
		panic(fmt.Sprintf("simnet: address %v in use", outside))
	}
	b := &NAT{
		net:      n,
		kind:     kind,
		addr:     outside,
		nextPort: firstEphemeral,
		byInside: make(map[natKey]*mapping),
		byPort:   make(map[natPort]*mapping),
	}
	n.nats[outside] = b
	return b
}

// Host adds a host behind the box. Its addresses mean something there only.
func (b *NAT) Host(link Link, addrs ...netip.Addr) *Host { return b.net.host(b, link, addrs) }

// Addr returns the outside address.
func (b *NAT) Addr() netip.Addr { return b.addr }

// Forward maps an outside port of TCP and UDP to a port of a host inside, as port
// mapping by UPnP does.
func (b *NAT) Forward(outside uint16, h *Host, inside uint16) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	for _, proto := range [...]protocol{tcp, udp} {
		m := &mapping{host: h, inside: netip.AddrPortFrom(h.addrs[0], inside), port: outside, fixed: true}
		b.byPort[natPort{proto, outside}] = m
		if b.kind != Symmetric {
			b.byInside[natKey{proto: proto, inside: m.inside}] = m
		}
	}
}

// outbound returns the outside address of a packet from src to dst.
func (b *NAT) outbound(proto protocol, h *Host, src, dst netip.AddrPort) (netip.AddrPort, bool) {
	if src.Addr().Is4() != b.addr.Is4() {
		return netip.AddrPort{}, false
	}
	key := natKey{proto: proto, inside: src}
	if b.kind == Symmetric {
		key.dst = dst
	}
	m := b.byInside[key]
	if m == nil || b.stale(m) {
		port, ok := b.freePort(proto)
		if !ok {
			return netip.AddrPort{}, false
		}
		m = &mapping{host: h, inside: src, port: port, sent: make(map[netip.AddrPort]struct{})}
		b.byInside[key] = m
		b.byPort[natPort{proto, port}] = m
	}
	m.touched = b.net.now()
	if !m.fixed {
		m.sent[dst] = struct{}{}
	}
	return netip.AddrPortFrom(b.addr, m.port), true
}

// inbound returns who gets a packet from src to the outside port of dst.
func (b *NAT) inbound(proto protocol, src, dst netip.AddrPort) (*Host, netip.AddrPort, bool) {
	m := b.byPort[natPort{proto, dst.Port()}]
	if m == nil || b.stale(m) || !b.lets(m, src) {
		return nil, dst, false
	}
	return m.host, m.inside, true
}

func (b *NAT) lets(m *mapping, src netip.AddrPort) bool {
	if m.fixed {
		return true
	}
	switch b.kind {
	case FullCone:
		return true
	case RestrictedCone:
		for dst := range m.sent {
			if dst.Addr() == src.Addr() {
				return true
			}
		}
		return false
	}
	_, ok := m.sent[src]
	return ok
}

func (b *NAT) stale(m *mapping) bool {
	return b.Idle > 0 && !m.fixed && b.net.now()-m.touched > b.Idle
}

func (b *NAT) freePort(proto protocol) (uint16, bool) {
	for range lastEphemeral - firstEphemeral + 1 {
		port := b.nextPort
		if b.nextPort++; port == lastEphemeral {
			b.nextPort = firstEphemeral
		}
		if m := b.byPort[natPort{proto, port}]; m == nil || b.stale(m) {
			return port, true
		}
	}
	return 0, false
}
