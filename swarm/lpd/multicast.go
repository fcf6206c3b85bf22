//go:build unix

package lpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// ttl keeps our packets on the link: who hears them should be a neighbour.
const ttl = 1

// openMulticast opens a socket on the group's port. It is bound to the
// wildcard address and shared with the other clients of this machine
// (SO_REUSEADDR and SO_REUSEPORT; each gets its own copy of a multicast), so
// Read looks at the destination of each datagram.
func openMulticast(f Family, device string, control func(string, string, syscall.RawConn) error) (Transport, error) {
	lc := net.ListenConfig{Control: func(network, address string, rc syscall.RawConn) error {
		if control != nil {
			if err := control(network, address, rc); err != nil {
				return err
			}
		}
		var err error
		if e := rc.Control(func(fd uintptr) { err = shareSocket(int(fd), device) }); e != nil {
			return e
		}
		return err
	}}
	network, host := "udp4", "0.0.0.0"
	if f == IPv6 {
		network, host = "udp6", "::"
	}
	pc, err := lc.ListenPacket(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(int(f.Group().Port()))))
	if err != nil {
		return nil, err
	}
	m := &multicast{group: net.UDPAddrFromAddrPort(f.Group()), addr: f.Group().Addr()}
	if f == IPv4 {
		m.link, err = newLink4(pc)
	} else {
		m.link, err = newLink6(pc)
	}
	if err != nil {
		pc.Close()
		return nil, err
	}
	return m, nil
}

// shareSocket lets other sockets bind the same port, and binds to the device.
func shareSocket(fd int, device string) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	if device != "" {
		return bindToDevice(fd, device)
	}
	return nil
}

// multicast is the Transport of real sockets.
type multicast struct {
	link  packetLink
	group *net.UDPAddr
	addr  netip.Addr
}

// packetLink hides that x/net has two types for the same thing.
type packetLink interface {
	JoinGroup(ifi *net.Interface, group net.Addr) error
	LeaveGroup(ifi *net.Interface, group net.Addr) error
	read(b []byte) (n, index int, src net.Addr, dst net.IP, err error)
	write(b []byte, ifi Interface, dst net.Addr) error
	Close() error
}

func (m *multicast) Join(ifi Interface) error {
	err := m.link.JoinGroup(&net.Interface{Index: ifi.Index, Name: ifi.Name}, m.group)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil // joined before
	}
	return err
}

func (m *multicast) Leave(ifi Interface) error {
	return m.link.LeaveGroup(&net.Interface{Index: ifi.Index, Name: ifi.Name}, m.group)
}

func (m *multicast) Read(b []byte) (n, index int, src netip.AddrPort, err error) {
	for {
		n, index, from, dst, err := m.link.read(b)
		if err != nil {
			return 0, 0, netip.AddrPort{}, err
		}
		to, _ := netip.AddrFromSlice(dst)
		if u, ok := from.(*net.UDPAddr); ok && to.Unmap() == m.addr {
			return n, index, u.AddrPort(), nil
		}
	}
}

func (m *multicast) Write(b []byte, ifi Interface) error {
	return m.link.write(b, ifi, m.group)
}

func (m *multicast) Close() error { return m.link.Close() }

type link4 struct{ *ipv4.PacketConn }

func newLink4(pc net.PacketConn) (link4, error) {
	p := ipv4.NewPacketConn(pc)
	return link4{p}, errors.Join(
		p.SetControlMessage(ipv4.FlagDst|ipv4.FlagInterface, true),
		p.SetMulticastTTL(ttl),
		p.SetMulticastLoopback(true),
	)
}

func (l link4) read(b []byte) (n, index int, src net.Addr, dst net.IP, err error) {
	n, cm, src, err := l.ReadFrom(b)
	if cm != nil {
		index, dst = cm.IfIndex, cm.Dst
	}
	return n, index, src, dst, err
}

// write names the source address: on the loopback interface Linux would take
// one of another interface, since 127.0.0.1 has too small a scope for it.
func (l link4) write(b []byte, ifi Interface, dst net.Addr) error {
	cm := &ipv4.ControlMessage{IfIndex: ifi.Index}
	for _, p := range ifi.Prefixes {
		if p.Addr().Is4() {
			cm.Src = p.Addr().AsSlice()
			break
		}
	}
	_, err := l.WriteTo(b, cm, dst)
	return err
}

type link6 struct{ *ipv6.PacketConn }

func newLink6(pc net.PacketConn) (link6, error) {
	p := ipv6.NewPacketConn(pc)
	return link6{p}, errors.Join(
		p.SetControlMessage(ipv6.FlagDst|ipv6.FlagInterface, true),
		p.SetMulticastHopLimit(ttl),
		p.SetMulticastLoopback(true),
	)
}

func (l link6) read(b []byte) (n, index int, src net.Addr, dst net.IP, err error) {
	n, cm, src, err := l.ReadFrom(b)
	if cm != nil {
		index, dst = cm.IfIndex, cm.Dst
	}
	return n, index, src, dst, err
}

// write leaves the source address to the kernel, which knows the temporary and
// deprecated ones (RFC 6724). Linux has no multicast route on the loopback
// interface unless someone adds one, so there this fails.
func (l link6) write(b []byte, ifi Interface, dst net.Addr) error {
	_, err := l.WriteTo(b, &ipv6.ControlMessage{IfIndex: ifi.Index}, dst)
	return err
}
