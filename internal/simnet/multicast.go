package simnet

import (
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// LAN puts hosts on one local network: multicasts of one reach the others.
// Everything else stays as it was. A host is on one LAN at most, the last one.
func (n *Net) LAN(hosts ...*Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lans++
	for _, h := range hosts {
		h.lan = n.lans
	}
}

// JoinGroup makes the socket receive what is sent to a multicast group and its
// own port. The interface is ignored: a host has one link. The signature is that
// of ipv4.PacketConn and ipv6.PacketConn.
func (p *PacketConn) JoinGroup(_ *net.Interface, group net.Addr) error {
	return p.group(group, true)
}

// LeaveGroup ends JoinGroup.
func (p *PacketConn) LeaveGroup(_ *net.Interface, group net.Addr) error {
	return p.group(group, false)
}

func (p *PacketConn) group(group net.Addr, join bool) error {
	u, ok := group.(*net.UDPAddr)
	if !ok {
		return opError("set", p.network, p.LocalAddr(), group, syscall.EINVAL)
	}
	a := u.AddrPort().Addr().WithZone("").Unmap()
	if !a.IsMulticast() {
		return opError("set", p.network, p.LocalAddr(), group, syscall.EINVAL)
	}
	p.host.net.mu.Lock()
	defer p.host.net.mu.Unlock()
	if p.closed {
		return opError("set", p.network, p.LocalAddr(), group, net.ErrClosed)
	}
	if !join {
		delete(p.groups, a)
		return nil
	}
	if p.groups == nil {
		p.groups = make(map[netip.Addr]struct{})
	}
	p.groups[a] = struct{}{}
	return nil
}

// SetMulticastLoopback says whether sockets of this host, this one included, get
// what the socket multicasts. It is on at first, as on Linux.
func (p *PacketConn) SetMulticastLoopback(on bool) error {
	p.host.net.mu.Lock()
	defer p.host.net.mu.Unlock()
	p.loopback = on
	return nil
}

// multicast sends data to every member of the group on the LAN. It passes the
// uplink once per receiving host, an error in the sender's disfavour that only
// matters on slow links.
func (p *PacketConn) multicast(data []byte, src, dst netip.AddrPort) {
	from := p.host
	from.counters.SentBytes += int64(len(data))
	from.counters.SentPackets++
	d := datagram{from: src, data: data}
	if p.loopback {
		from.net.after(0, func() { from.receiveGroup(d, dst) })
	}
	if from.lan == 0 || !from.reachable() {
		return
	}
	for _, to := range from.net.lanHosts(from.lan) {
		if to == from || lost(from, to, p.rnd) || tooLong(from, to, len(data)) {
			continue
		}
		from.net.send(from, to, len(data), jitter(from, to, p.rnd), func() {
			if to.reachable() {
				to.receiveGroup(d, dst)
			}
		}, func(place) {})
	}
}

// lanHosts returns the hosts of a LAN in the order of their first address.
func (n *Net) lanHosts(lan int) []*Host {
	var out []*Host
	for key, h := range n.hosts {
		if h.lan == lan && key.addr == h.addrs[0] {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *Host) int { return a.addrs[0].Compare(b.addrs[0]) })
	return out
}

// receiveGroup gives a multicast to every socket of the host that joined the
// group and has the port.
func (h *Host) receiveGroup(d datagram, dst netip.AddrPort) {
	for _, p := range h.packets {
		if _, ok := p.groups[dst.Addr()]; ok && p.bound.port == dst.Port() {
			p.take(datagram{from: d.from, data: append([]byte(nil), d.data...)})
		}
	}
}
