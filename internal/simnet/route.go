package simnet

import "net/netip"

// protocol tells the port spaces apart.
type protocol uint8

const (
	tcp protocol = iota
	udp
)

// route finds the host that dst means to a packet of h, the sender as that host
// sees it and the destination as that host knows it. It passes NATs on both ends
// and opens mappings on the way out. ok is false when the packet gets nowhere.
func (n *Net) route(proto protocol, h *Host, src, dst netip.AddrPort) (to *Host, seen, inside netip.AddrPort, ok bool) {
	if h.owns(dst.Addr()) {
		return h, src, dst, true
	}
	if peer := n.hosts[hostKey{h.nat, dst.Addr()}]; peer != nil {
		return peer, src, dst, true // both outside, or behind the same box
	}
	seen = src
	if h.nat != nil {
		if seen, ok = h.nat.outbound(proto, h, src, dst); !ok {
			return nil, seen, dst, false
		}
	}
	if box := n.nats[dst.Addr()]; box != nil {
		to, inside, ok = box.inbound(proto, seen, dst)
		return to, seen, inside, ok
	}
	to = n.hosts[hostKey{nil, dst.Addr()}]
	return to, seen, dst, to != nil
}
