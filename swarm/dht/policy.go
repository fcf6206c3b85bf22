package dht

import (
	"net/netip"

	"magnetfs/swarm/endpoint"
)

var localNets = []netip.Prefix{
	netip.MustParsePrefix("100.64.0.0/10"), // RFC 6598, carrier-grade NAT
	netip.MustParsePrefix("198.18.0.0/15"), // RFC 2544, laboratories
}

// isLocal tells whether a is of a network in which many nodes share a subnet or
// even an address, so that the rules of diversity do not apply.
func isLocal(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() {
		return true
	}
	for _, n := range localNets {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// isPrivate tells whether a means nothing to somebody outside of its network.
func isPrivate(a netip.Addr) bool {
	return a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || localNets[0].Contains(a)
}

// tunnels are IPv6 ranges that stand for an IPv4 address. Nodes there are
// better reached over IPv4 (BEP 32).
var tunnels = []netip.Prefix{
	netip.MustParsePrefix("2001::/32"), // Teredo
	netip.MustParsePrefix("2002::/16"), // 6to4
}

// usable tells whether a node at a may be asked, when informant named it. An
// informant may always name itself.
func (c *core) usable(a netip.AddrPort, src endpoint.Source, informant netip.Addr) bool {
	ip := a.Addr()
	if !c.family.is(ip) || ip.Zone() != "" || ip.Is4In6() {
		return false
	}
	for _, t := range tunnels {
		if t.Contains(ip) {
			return false
		}
	}
	return !c.shunned(ip) && endpoint.Dialable(a, src, informant) == nil
}
