package tracker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"magnetfs/swarm/endpoint"
)

// family is the address family over which we announce; each has its own UDP
// socket. anyFamily is used when a proxy does the resolving.
type family uint8

const (
	ipv4 family = iota
	ipv6
	anyFamily
	numFamilies
)

// network appends the family to "tcp" or "udp" as the net package wants it.
func (f family) network(proto string) string {
	switch f {
	case ipv4:
		return proto + "4"
	case ipv6:
		return proto + "6"
	}
	return proto
}

func familyOf(a netip.Addr) family {
	if a.Is4() {
		return ipv4
	}
	return ipv6
}

const (
	resolveTimeout = 10 * time.Second
	resolveKeep    = 5 * time.Minute // guess; the system's resolver has a cache of its own or not
	maxAddrs       = 8               // addresses used of one name
)

var (
	errNotFound  = errors.New("host not found")
	errForbidden = errors.New("address is not allowed")
)

// lookup returns the addresses of a tracker's host, v4-mapped ones unmapped.
func (c *Client) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	addrs, _, err := c.names.get(ctx, host, resolveKeep, func(ctx context.Context) ([]netip.Addr, error) {
		ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
		defer cancel()
		addrs, err := c.cfg.Resolve(ctx, host)
		if err != nil {
			return nil, err
		}
		var list []netip.Addr
		for _, a := range addrs[:min(len(addrs), maxAddrs)] {
			list = append(list, a.Unmap())
		}
		if len(list) == 0 {
			return nil, errNotFound
		}
		return list, nil
	})
	return addrs, err
}

// families returns the families in which host has addresses, in the order in
// which its first addresses of them came.
func (c *Client) families(ctx context.Context, host string) ([]family, error) {
	if c.cfg.RemoteNames {
		return []family{anyFamily}, nil
	}
	addrs, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	list := []family{familyOf(addrs[0])}
	for _, a := range addrs {
		if f := familyOf(a); f != list[0] {
			return append(list, f), nil
		}
	}
	return list, nil
}

// place is where a tracker's host turned out to be.
type place uint8

const (
	forbidden place = iota // nothing may be sent there
	local                  // this machine or a private network
	public
)

// placeOf judges an address after resolution.
func placeOf(a netip.Addr, port uint16) place {
	ap := netip.AddrPortFrom(a, port)
	switch {
	case endpoint.Dialable(ap, endpoint.FromMagnet, netip.Addr{}) != nil:
		return forbidden
	case endpoint.Dialable(ap, endpoint.FromTracker, netip.Addr{}) != nil:
		return local
	}
	return public
}

// hostPort is a net.Addr that a proxy resolves.
type hostPort struct{ host, port string }

func (hostPort) Network() string  { return "udp" }
func (h hostPort) String() string { return net.JoinHostPort(h.host, h.port) }

// udpAddrs returns the addresses in family f of a UDP tracker that may be used.
func (c *Client) udpAddrs(ctx context.Context, t target, f family) ([]netip.AddrPort, error) {
	addrs, err := c.lookup(ctx, t.host)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(t.port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%w: port %q", errBadURL, t.port)
	}
	err = errNotFound
	var list []netip.AddrPort
	for _, a := range addrs {
		if familyOf(a) != f {
			continue
		}
		if placeOf(a, uint16(port)) == forbidden {
			err = errForbidden
			continue
		}
		list = append(list, netip.AddrPortFrom(a, uint16(port)))
	}
	if len(list) == 0 {
		return nil, err
	}
	return list, nil
}
