package portmap

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"magnetfs/swarm/endpoint"
)

// outside is routed as everything else (RFC 5737). Nothing is sent there.
var outside = net.IPv4(198, 51, 100, 1)

// wayOut asks the kernel for the router, by that interface if one is named.
func wayOut(device string) (way, error) {
	var opts *netlink.RouteGetOptions
	if device != "" {
		opts = &netlink.RouteGetOptions{Oif: device}
	}
	routes, err := netlink.RouteGetWithOptions(outside, opts)
	if err != nil || len(routes) == 0 {
		return way{}, fmt.Errorf("%w: %w", errNoGateway, err)
	}
	gateway, ok := netip.AddrFromSlice(routes[0].Gw)
	local, haveLocal := netip.AddrFromSlice(routes[0].Src)
	if !ok || !haveLocal {
		return way{}, errNoGateway
	}
	w := way{gateway.Unmap(), local.Unmap()}
	if !endpoint.Private(w.local) {
		return w, errPublic
	}
	return w, nil
}
