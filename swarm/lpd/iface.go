package lpd

import (
	"fmt"
	"net"
	"net/netip"
)

// Family is an address family of multicast: each has its own group.
type Family uint8

// The two families of BEP 14.
const (
	IPv4 Family = iota
	IPv6
	numFamilies
)

// groups are the multicast addresses of BEP 14: organisation-local for IPv4,
// site-local for IPv6.
var groups = [numFamilies]netip.AddrPort{
	IPv4: netip.MustParseAddrPort("239.192.152.143:6771"),
	IPv6: netip.MustParseAddrPort("[ff15::efc0:988f]:6771"),
}

// Group returns the multicast address and port of f.
func (f Family) Group() netip.AddrPort { return groups[f] }

// String names f as the net package does, without the protocol.
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// Interface is one network interface on which peers are sought.
type Interface struct {
	Index    int            // as in net.Interface
	Name     string         // also the zone of its link-local addresses
	Prefixes []netip.Prefix // own addresses, each with the length of its subnet; not masked, not mapped
	Loopback bool
}

// has reports whether the interface has an address of family f.
func (i Interface) has(f Family) bool {
	for _, p := range i.Prefixes {
		if p.Addr().Is4() == (f == IPv4) {
			return true
		}
	}
	return false
}

// owns reports whether a, without zone, is an address of the interface itself.
func (i Interface) owns(a netip.Addr) bool {
	for _, p := range i.Prefixes {
		if p.Addr() == a {
			return true
		}
	}
	return false
}

var sharedAddressSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// local reports whether a packet from a, received on the interface, may come
// from the local network: private (RFC 1918, RFC 4193), shared or link-local
// addresses, and whatever lies in a subnet of the interface. What comes over
// the loopback interface was sent by this machine, from whichever of its
// addresses; nothing else may come from a loopback address. a has no zone and
// is not v4-mapped.
func (i Interface) local(a netip.Addr) bool {
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
		return false
	case i.Loopback || a.IsLoopback():
		return i.Loopback
	case a.IsPrivate(), a.IsLinkLocalUnicast(), sharedAddressSpace.Contains(a):
		return true
	}
	for _, p := range i.Prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// selectInterfaces picks from all those that LPD uses. With a device named it
// is that one or nothing, whatever its kind. Otherwise: up, able to multicast,
// not point-to-point; loopback if asked for, or if nothing else is left.
func selectInterfaces(all []candidate, device string, loopback bool) []Interface {
	var picked, loop []Interface
	for _, c := range all {
		switch {
		case c.flags&net.FlagUp == 0 || len(c.Prefixes) == 0:
		case device != "":
			if c.Name == device {
				picked = append(picked, c.Interface)
			}
		case c.flags&net.FlagLoopback != 0:
			// Linux does not give lo the multicast flag, yet it works.
			loop = append(loop, c.Interface)
		case c.flags&net.FlagMulticast != 0 && c.flags&net.FlagPointToPoint == 0:
			picked = append(picked, c.Interface)
		}
	}
	if device == "" && (loopback || len(picked) == 0) {
		picked = append(picked, loop...)
	}
	return picked
}

// candidate is an interface of the system with the flags that decide about it.
type candidate struct {
	Interface
	flags net.Flags
}

// systemInterfaces lists the interfaces of this machine with their addresses.
func systemInterfaces() ([]candidate, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("lpd: list interfaces: %w", err)
	}
	all := make([]candidate, 0, len(list))
	for _, ifi := range list {
		addrs, err := ifi.Addrs()
		if err != nil {
			continue // it went away between the two calls
		}
		c := candidate{flags: ifi.Flags, Interface: Interface{
			Index: ifi.Index, Name: ifi.Name, Loopback: ifi.Flags&net.FlagLoopback != 0,
		}}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			addr, ok := netip.AddrFromSlice(n.IP)
			if !ok {
				continue
			}
			addr = addr.Unmap()
			ones, bits := n.Mask.Size()
			if bits != addr.BitLen() { // a v4 address with a v6 mask
				ones -= bits - addr.BitLen()
			}
			if p := netip.PrefixFrom(addr, ones); p.IsValid() {
				c.Prefixes = append(c.Prefixes, p)
			}
		}
		all = append(all, c)
	}
	return all, nil
}
