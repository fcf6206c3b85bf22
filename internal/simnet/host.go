package simnet

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Ephemeral ports, the range of RFC 6335.
const (
	firstEphemeral = 49152
	lastEphemeral  = 65535
)

// Host is a machine of the network. Its Listen, ListenPacket and Dial have the
// meaning of those in package net. Port 0 chooses a free port. An empty or
// unspecified address binds all addresses of the family: "0.0.0.0" those of
// IPv4; "" and "::" both families, unless network ends in 4 or 6. Loopback
// addresses and "localhost" mean the host itself.
type Host struct {
	net   *Net
	addrs []netip.Addr // fixed
	nat   *NAT         // nil = on the open network

	// Guarded by net.mu.
	link      Link
	up, down  queue
	isDown    bool
	unplugged bool
	parked    []func() // what streams do when the cable is back
	nextPort  uint16
	lan       int // 0 = none
	listeners []*Listener
	packets   []*PacketConn
	conns     map[*Conn]struct{}
	dials     []*attempt
	counters  Counters
}

// Counters count payload bytes and packets of one host since it was made.
// Segments of streams count as packets.
type Counters struct {
	SentBytes, SentPackets         int64
	ReceivedBytes, ReceivedPackets int64
	DroppedPackets                 int64 // sent by this host and lost on the way, or refused by the receiver
}

// Addrs returns the addresses of the host in the order given to Net.Host.
func (h *Host) Addrs() []netip.Addr { return append([]netip.Addr(nil), h.addrs...) }

// Addr returns the first address of the host.
func (h *Host) Addr() netip.Addr { return h.addrs[0] }

// Counters returns what the host sent and received so far.
func (h *Host) Counters() Counters {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.counters
}

// Link returns the description of the access link.
func (h *Host) Link() Link {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	return h.link
}

// SetLink replaces the access link. What is in a queue already keeps its times.
func (h *Host) SetLink(l Link) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.link = l
}

// Down takes the host off the network as a crash does: its streams are reset on
// both sides, what is in flight to it is lost, dials to it time out and dials
// from it fail. Its listeners and packet sockets stay bound but hear nothing.
func (h *Host) Down() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.isDown {
		return
	}
	h.isDown = true
	h.parked = nil
	for _, c := range h.sortedConns() {
		c.abort()
	}
}

// Up ends Down.
func (h *Host) Up() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.isDown = false
}

// Unplug pulls the cable: nothing is reset and nobody is told. Datagrams and
// connection attempts are lost; streams stall until Plug, when they resume.
func (h *Host) Unplug() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.unplugged = true
}

// Plug ends Unplug.
func (h *Host) Plug() {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.unplugged = false
	parked := h.parked
	h.parked = nil
	for _, fn := range parked {
		h.net.after(0, fn)
	}
}

// reachable reports whether packets pass this host's link at the moment.
func (h *Host) reachable() bool { return !h.isDown && !h.unplugged }

// park keeps fn until the cable of whichever host lacks it is back. It reports
// false when neither is unplugged.
func park(a, b *Host, fn func()) bool {
	for _, h := range [...]*Host{a, b} {
		if h.unplugged {
			h.parked = append(h.parked, fn)
			return true
		}
	}
	return false
}

// sortedConns returns the streams of the host, oldest first, so that what is
// done to all of them is done in a fixed order.
func (h *Host) sortedConns() []*Conn {
	out := make([]*Conn, 0, len(h.conns))
	for c := range h.conns {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *Conn) int { return cmp.Compare(a.serial, b.serial) })
	return out
}

// closeSockets ends everything on the host when the network closes.
func (h *Host) closeSockets() {
	for _, a := range append([]*attempt(nil), h.dials...) {
		a.finish(nil, net.ErrClosed)
	}
	for _, c := range h.sortedConns() {
		c.kill(net.ErrClosed)
	}
	for _, p := range append([]*PacketConn(nil), h.packets...) {
		p.close()
	}
	for _, l := range append([]*Listener(nil), h.listeners...) {
		l.close()
	}
}

// owns reports whether a is one of the host's addresses.
func (h *Host) owns(a netip.Addr) bool {
	for _, own := range h.addrs {
		if own == a {
			return true
		}
	}
	return a.IsLoopback()
}

// sourceFor returns the address that the host uses towards dst.
func (h *Host) sourceFor(dst netip.Addr) (netip.Addr, bool) {
	if h.owns(dst) {
		return dst, true
	}
	for _, own := range h.addrs {
		if own.Is4() == dst.Is4() {
			return own, true
		}
	}
	return netip.Addr{}, false
}

// binding is the local side of a listener or packet socket.
type binding struct {
	addr netip.Addr // unspecified = all of its family
	port uint16
	dual bool // addr is "::" and takes IPv4 as well
}

// matches reports how well the binding takes packets for dst: 0 not at all.
func (b binding) matches(dst netip.AddrPort) int {
	switch {
	case b.port != dst.Port():
		return 0
	case b.addr == dst.Addr():
		return 3
	case !b.addr.IsUnspecified():
		return 0
	case b.addr.Is4() == dst.Addr().Is4():
		return 2
	case b.dual:
		return 1
	}
	return 0
}

// conflicts reports whether two bindings cannot exist side by side: one port and
// either one address, or a wildcard over a family that both take.
func (b binding) conflicts(o binding) bool {
	if b.port != o.port || b.addr == o.addr {
		return b.port == o.port
	}
	if !b.addr.IsUnspecified() && !o.addr.IsUnspecified() {
		return false
	}
	return b.takes4() && o.takes4() || b.addr.Is6() && o.addr.Is6()
}

func (b binding) takes4() bool { return b.addr.Is4() || b.dual }

func (b binding) addrPort() netip.AddrPort { return netip.AddrPortFrom(b.addr, b.port) }

// bind parses addr and reserves a port among the sockets of one protocol.
// taken reports whether a binding conflicts with one of them.
func (h *Host) bind(network, addr string, taken func(binding) bool) (binding, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return binding{}, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return binding{}, &net.AddrError{Err: "invalid port", Addr: addr}
	}
	b := binding{port: uint16(port)}
	family := familyOf(network)
	switch host {
	case "":
		b.addr, b.dual = netip.IPv6Unspecified(), family == 0
		if family == 4 {
			b.addr = netip.IPv4Unspecified()
		}
	case "localhost":
		b.addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if family == 6 {
			b.addr = netip.IPv6Loopback()
		}
	default:
		a, err := netip.ParseAddr(host)
		if err != nil {
			return binding{}, &net.AddrError{Err: "not an address of this host", Addr: addr}
		}
		b.addr = a.WithZone("").Unmap()
		b.dual = family == 0 && b.addr == netip.IPv6Unspecified()
		if family != 0 && (family == 4) != b.addr.Is4() {
			return binding{}, &net.AddrError{Err: "address of another family", Addr: addr}
		}
		if !b.addr.IsUnspecified() && !b.addr.IsMulticast() && !h.owns(b.addr) {
			return binding{}, syscall.EADDRNOTAVAIL
		}
	}
	if b.port != 0 {
		if taken(b) {
			return binding{}, syscall.EADDRINUSE
		}
		return b, nil
	}
	for range lastEphemeral - firstEphemeral + 1 {
		b.port = h.takePort()
		if !taken(b) {
			return b, nil
		}
	}
	return binding{}, syscall.EADDRINUSE
}

// takePort returns the next ephemeral port, used or not.
func (h *Host) takePort() uint16 {
	p := h.nextPort
	if h.nextPort == lastEphemeral {
		h.nextPort = firstEphemeral
	} else {
		h.nextPort++
	}
	return p
}

// familyOf returns 4 or 6 for "tcp4", "udp6" and the like, else 0.
func familyOf(network string) int {
	switch {
	case strings.HasSuffix(network, "4"):
		return 4
	case strings.HasSuffix(network, "6"):
		return 6
	}
	return 0
}

// Listen opens a stream listener; network is "tcp", "tcp4" or "tcp6".
func (h *Host) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	if !strings.HasPrefix(network, "tcp") {
		return nil, &net.OpError{Op: "listen", Net: network, Err: net.UnknownNetworkError(network)}
	}
	if err := ctx.Err(); err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return h.listen(network, addr)
}

// ListenPacket opens a datagram socket; network is "udp", "udp4" or "udp6". The
// value returned is a *PacketConn. With a multicast group as address it joins
// that group and shares its port, like net.ListenMulticastUDP.
func (h *Host) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	if !strings.HasPrefix(network, "udp") {
		return nil, &net.OpError{Op: "listen", Net: network, Err: net.UnknownNetworkError(network)}
	}
	if err := ctx.Err(); err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return h.listenPacket(network, addr)
}

// Dial connects to addr, which is "address:port" or "name:port". network is one
// of those of Listen and ListenPacket; a "udp" connection is a *PacketConn with
// a fixed remote side.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return fail(err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return fail(&net.AddrError{Err: "invalid port", Addr: addr})
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	addrs, err := h.net.resolve(host)
	if err != nil {
		return fail(err)
	}
	family := familyOf(network)
	err = &net.AddrError{Err: "no suitable address", Addr: host}
	for _, a := range addrs {
		if family != 0 && (family == 4) != a.Is4() {
			continue
		}
		var c net.Conn
		dst := netip.AddrPortFrom(a, uint16(port))
		switch {
		case strings.HasPrefix(network, "tcp"):
			c, err = h.dialStream(ctx, network, dst)
		case strings.HasPrefix(network, "udp"):
			c, err = h.dialPacket(network, dst)
		default:
			return fail(net.UnknownNetworkError(network))
		}
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	if _, ok := err.(*net.OpError); ok {
		return nil, err
	}
	return fail(err)
}
