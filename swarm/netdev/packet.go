package netdev

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// ListenPacket opens a UDP socket. addr is IP:port.
func (d *Device) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	ctx = context.WithoutCancel(ctx) // it is opened again later
	lc := net.ListenConfig{Control: d.control}
	p := &packetConn{held: held[net.PacketConn]{d: d}}
	p.held.opened = func(sock net.PacketConn) { _ = sock.SetReadDeadline(p.deadline) }
	open := func(addr string) (net.PacketConn, error) { return lc.ListenPacket(ctx, network, addr) }
	at, err := p.held.first(addr, open, net.PacketConn.LocalAddr)
	if err != nil {
		return nil, err
	}
	p.addr = net.UDPAddrFromAddrPort(at)
	return p, nil
}

// packetConn is a net.PacketConn that follows the interface.
type packetConn struct {
	held     held[net.PacketConn]
	addr     *net.UDPAddr
	deadline time.Time // of reads; guarded by held.mu
}

// ReadFrom waits for a datagram, and for the interface while there is none.
func (p *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		sock, has, moved, err := p.held.current()
		if err != nil {
			return 0, nil, &net.OpError{Op: "read", Net: "udp", Source: p.addr, Err: err}
		}
		if !has {
			if err := p.await(moved); err != nil {
				return 0, nil, err
			}
			continue
		}
		n, from, err := sock.ReadFrom(b)
		if errors.Is(err, net.ErrClosed) {
			<-moved // it was closed for that
			continue
		}
		return n, from, err
	}
}

// await waits for a change, or the deadline.
func (p *packetConn) await(moved <-chan struct{}) error {
	p.held.mu.Lock()
	deadline := p.deadline
	p.held.mu.Unlock()
	var over <-chan time.Time
	if !deadline.IsZero() {
		t := time.NewTimer(time.Until(deadline))
		defer t.Stop()
		over = t.C
	}
	select {
	case <-moved:
		return nil
	case <-over:
		return &net.OpError{Op: "read", Net: "udp", Source: p.addr, Err: os.ErrDeadlineExceeded}
	}
}

func (p *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	sock, err := p.writable(to)
	if err != nil {
		return 0, err
	}
	return sock.WriteTo(b, to)
}

// WriteToUDPAddrPort is WriteTo without the allocation.
func (p *packetConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	sock, err := p.writable(nil)
	if err != nil {
		return 0, err
	}
	return sock.(*net.UDPConn).WriteToUDPAddrPort(b, to)
}

// writable returns the socket to write to.
func (p *packetConn) writable(to net.Addr) (net.PacketConn, error) {
	sock, has, _, err := p.held.current()
	if err == nil && !has {
		err = p.held.d.Fault()
		if err == nil {
			err = ErrDown // it is being opened
		}
	}
	if err != nil {
		return nil, &net.OpError{Op: "write", Net: "udp", Source: p.addr, Addr: to, Err: err}
	}
	return sock, nil
}

func (p *packetConn) LocalAddr() net.Addr { return p.addr }

func (p *packetConn) Close() error {
	p.held.d.release(&p.held)
	return p.held.close()
}

// SetReadDeadline bounds ReadFrom, also on a socket that is opened later.
func (p *packetConn) SetReadDeadline(t time.Time) error {
	p.held.mu.Lock()
	defer p.held.mu.Unlock()
	if p.held.closed {
		return net.ErrClosed
	}
	p.deadline = t
	if p.held.has {
		return p.held.sock.SetReadDeadline(t)
	}
	p.held.change()
	return nil
}

// SetWriteDeadline does nothing: writing does not wait.
func (p *packetConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (p *packetConn) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }
