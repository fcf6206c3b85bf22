package simnet

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// maxDatagram is the longest UDP payload over IPv4.
	maxDatagram = 65507
	// receiveBuffer bounds the bytes a socket keeps unread; the default of
	// Linux (net.core.rmem_default).
	receiveBuffer = 212992
	// datagramCost is what a waiting datagram counts beside its payload, so
	// that empty ones are bounded too (about the skb overhead of Linux).
	datagramCost = 512
)

// PacketConn is a UDP socket. It is a net.PacketConn and, when it was dialled, a
// net.Conn, like *net.UDPConn.
type PacketConn struct {
	host    *Host
	network string
	bound   binding
	remote  netip.AddrPort // valid when connected
	cond    *sync.Cond     // a datagram, a deadline or Close

	// Guarded by host.net.mu.
	rnd      *rand.Rand
	inbox    []datagram
	size     int // cost of inbox in bytes
	rdl, wdl deadline
	closed   bool
	groups   map[netip.Addr]struct{}
	loopback bool // own multicasts come back
}

type datagram struct {
	from netip.AddrPort
	data []byte
}

var (
	_ net.PacketConn = (*PacketConn)(nil)
	_ net.Conn       = (*PacketConn)(nil)
)

func (h *Host) listenPacket(network, addr string) (*PacketConn, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, opError("listen", network, nil, nil, net.ErrClosed)
	}
	b, err := h.bind(network, addr, h.packetTaken)
	if err != nil {
		return nil, opError("listen", network, nil, nil, sysError("bind", err))
	}
	p := h.newPacketConn(network, b)
	if b.addr.IsMulticast() {
		p.groups = map[netip.Addr]struct{}{b.addr: {}}
	}
	return p, nil
}

func (h *Host) dialPacket(network string, dst netip.AddrPort) (*PacketConn, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, net.ErrClosed
	}
	src, ok := h.sourceFor(dst.Addr())
	if !ok {
		return nil, sysError("connect", syscall.ENETUNREACH)
	}
	b := binding{addr: src}
	for range lastEphemeral - firstEphemeral + 1 {
		b.port = h.takePort()
		if !h.packetTaken(b) {
			p := h.newPacketConn(network, b)
			p.remote = dst
			return p, nil
		}
	}
	return nil, sysError("connect", syscall.EADDRNOTAVAIL)
}

func (h *Host) newPacketConn(network string, b binding) *PacketConn {
	p := &PacketConn{
		host:     h,
		network:  network,
		bound:    b,
		cond:     sync.NewCond(&h.net.mu),
		rnd:      h.net.random(netip.AddrPortFrom(h.addrs[0], b.port), 0),
		loopback: true,
	}
	h.packets = append(h.packets, p)
	return p
}

// packetTaken reports whether b conflicts with a socket of the host. Sockets on
// a multicast group share it.
func (h *Host) packetTaken(b binding) bool {
	for _, p := range h.packets {
		if b.addr.IsMulticast() || p.bound.addr.IsMulticast() {
			continue
		}
		if p.bound.conflicts(b) {
			return true
		}
	}
	return false
}

// WriteTo sends one datagram. It never blocks: what the network has no room for
// is lost, as UDP is.
func (p *PacketConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	var dst netip.AddrPort
	switch a := addr.(type) {
	case *net.UDPAddr:
		dst = a.AddrPort()
	default:
		ap, err := netip.ParseAddrPort(addr.String())
		if err != nil {
			return 0, opError("write", p.network, p.LocalAddr(), addr, err)
		}
		dst = ap
	}
	return p.WriteToUDPAddrPort(b, dst)
}

// WriteToUDPAddrPort is WriteTo for a netip.AddrPort.
func (p *PacketConn) WriteToUDPAddrPort(b []byte, dst netip.AddrPort) (int, error) {
	if p.remote.IsValid() {
		return 0, opError("write", p.network, p.LocalAddr(), udpAddr(dst), net.ErrWriteToConnected)
	}
	return p.write(b, dst)
}

// Write sends to the remote side of a dialled socket.
func (p *PacketConn) Write(b []byte) (int, error) {
	if !p.remote.IsValid() {
		return 0, opError("write", p.network, p.LocalAddr(), nil, sysError("write", syscall.EDESTADDRREQ))
	}
	return p.write(b, p.remote)
}

func (p *PacketConn) write(b []byte, dst netip.AddrPort) (int, error) {
	dst = netip.AddrPortFrom(dst.Addr().WithZone("").Unmap(), dst.Port())
	n := p.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := p.transmit(b, dst); err != nil {
		return 0, opError("write", p.network, udpAddr(p.bound.addrPort()), udpAddr(dst), err)
	}
	return len(b), nil
}

// transmit sends one datagram or says why it cannot even leave.
func (p *PacketConn) transmit(b []byte, dst netip.AddrPort) error {
	h := p.host
	switch {
	case p.closed:
		return net.ErrClosed
	case p.wdl.expired():
		return os.ErrDeadlineExceeded
	case len(b) > maxDatagram:
		return sysError("sendto", syscall.EMSGSIZE)
	case !dst.IsValid() || dst.Port() == 0 || dst.Addr().IsUnspecified():
		return sysError("sendto", syscall.EINVAL)
	case h.isDown:
		return sysError("sendto", syscall.ENETUNREACH)
	}
	src, ok := p.source(dst.Addr())
	if !ok {
		return sysError("sendto", syscall.ENETUNREACH)
	}
	data := append([]byte(nil), b...)
	if dst.Addr().IsMulticast() {
		p.multicast(data, src, dst)
		return nil
	}
	h.counters.SentBytes += int64(len(b))
	h.counters.SentPackets++
	to, seen, inside, ok := h.net.route(udp, h, src, dst)
	if !ok {
		h.counters.DroppedPackets++
		return nil
	}
	p.carry(to, datagram{from: seen, data: data}, inside)
	return nil
}

// carry sends d over the links to another host.
func (p *PacketConn) carry(to *Host, d datagram, dst netip.AddrPort) {
	h := p.host
	drop := func(place) { h.counters.DroppedPackets++ }
	if !h.reachable() || lost(h, to, p.rnd) || tooLong(h, to, len(d.data)) {
		drop(atUplink)
		return
	}
	h.net.send(h, to, len(d.data), jitter(h, to, p.rnd), func() {
		if !to.reachable() || !to.receive(d, dst) {
			h.counters.DroppedPackets++
		}
	}, drop)
}

func tooLong(from, to *Host, size int) bool {
	return from != to && (from.link.MTU > 0 && size > from.link.MTU || to.link.MTU > 0 && size > to.link.MTU)
}

// source returns the address and port the datagram leaves with.
func (p *PacketConn) source(dst netip.Addr) (netip.AddrPort, bool) {
	a := p.bound.addr
	if a.IsUnspecified() || a.IsMulticast() {
		if a.Is4() != dst.Is4() && !p.bound.dual {
			return netip.AddrPort{}, false
		}
		var ok bool
		if a, ok = p.host.sourceFor(dst); !ok {
			return netip.AddrPort{}, false
		}
	}
	return netip.AddrPortFrom(a, p.bound.port), a.Is4() == dst.Is4()
}

// receive hands a datagram to the socket that fits best and reports whether one
// took it.
func (h *Host) receive(d datagram, dst netip.AddrPort) bool {
	var best *PacketConn
	score := 0
	for _, p := range h.packets {
		if p.remote.IsValid() && p.remote != d.from {
			continue
		}
		s := p.bound.matches(dst)
		if s > 0 && p.remote.IsValid() {
			s += 3
		}
		if s > score {
			best, score = p, s
		}
	}
	return best != nil && best.take(d)
}

func (p *PacketConn) take(d datagram) bool {
	cost := len(d.data) + datagramCost
	if p.size+cost > receiveBuffer {
		return false
	}
	p.inbox = append(p.inbox, d)
	p.size += cost
	p.host.counters.ReceivedBytes += int64(len(d.data))
	p.host.counters.ReceivedPackets++
	p.cond.Signal()
	return true
}

// ReadFrom waits for a datagram. One that is longer than b is cut.
func (p *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.ReadFromUDPAddrPort(b)
	if err != nil {
		return 0, nil, err
	}
	return n, udpAddr(from), nil
}

// Read is ReadFrom without the sender.
func (p *PacketConn) Read(b []byte) (int, error) {
	n, _, err := p.ReadFromUDPAddrPort(b)
	return n, err
}

// ReadFromUDPAddrPort is ReadFrom without allocation. IPv4 senders are plain IPv4
// addresses on every kind of socket.
func (p *PacketConn) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	n := p.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		var err error
		switch {
		case p.closed:
			err = net.ErrClosed
		case p.rdl.expired():
			err = os.ErrDeadlineExceeded
		case len(p.inbox) > 0:
			d := p.inbox[0]
			p.inbox[0] = datagram{}
			p.inbox = p.inbox[1:]
			p.size -= len(d.data) + datagramCost
			return copy(b, d.data), d.from, nil
		}
		if err != nil {
			return 0, netip.AddrPort{}, opError("read", p.network, udpAddr(p.bound.addrPort()), nil, err)
		}
		p.cond.Wait()
	}
}

// Close unbinds the socket and wakes its readers.
func (p *PacketConn) Close() error {
	n := p.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.closed {
		return opError("close", p.network, udpAddr(p.bound.addrPort()), nil, net.ErrClosed)
	}
	p.close()
	return nil
}

func (p *PacketConn) close() {
	p.closed = true
	p.inbox, p.size = nil, 0
	p.rdl.stop()
	p.wdl.stop()
	p.host.packets = remove(p.host.packets, p)
	p.cond.Broadcast()
}

// remove returns s without x; the order of the others stays.
func remove[T comparable](s []T, x T) []T {
	for i, v := range s {
		if v == x {
			return append(s[:i:i], s[i+1:]...)
		}
	}
	return s
}

// LocalAddr returns the bound *net.UDPAddr.
func (p *PacketConn) LocalAddr() net.Addr { return udpAddr(p.bound.addrPort()) }

// RemoteAddr returns the other side of a dialled socket, else nil.
func (p *PacketConn) RemoteAddr() net.Addr {
	if !p.remote.IsValid() {
		return nil
	}
	return udpAddr(p.remote)
}

// SetDeadline sets both deadlines.
func (p *PacketConn) SetDeadline(t time.Time) error {
	if err := p.SetReadDeadline(t); err != nil {
		return err
	}
	return p.SetWriteDeadline(t)
}

// SetReadDeadline bounds present and future reads.
func (p *PacketConn) SetReadDeadline(t time.Time) error { return p.setDeadline(&p.rdl, t) }

// SetWriteDeadline makes writes after t fail; writes never wait.
func (p *PacketConn) SetWriteDeadline(t time.Time) error { return p.setDeadline(&p.wdl, t) }

func (p *PacketConn) setDeadline(d *deadline, t time.Time) error {
	p.host.net.mu.Lock()
	defer p.host.net.mu.Unlock()
	if p.closed {
		return opError("set", p.network, udpAddr(p.bound.addrPort()), nil, net.ErrClosed)
	}
	d.set(t, p.cond)
	return nil
}

// SetReadBuffer and SetWriteBuffer exist for callers that tune a *net.UDPConn;
// they change nothing.
func (p *PacketConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing; see SetReadBuffer.
func (p *PacketConn) SetWriteBuffer(int) error { return nil }
