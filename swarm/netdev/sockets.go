package netdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
)

// held is a socket that is opened anew when the interface is another one.
type held[S io.Closer] struct {
	d    *Device
	open func() (S, error)

	mu     sync.Mutex // leaf; guards the rest
	sock   S          // if has
	has    bool
	index  int // of the interface that sock was opened on
	closed bool
	failed string        // why it could not be opened, told once
	moved  chan struct{} // closed and replaced at each change
	opened func(S)       // called with mu held, for each new one; may be nil
}

// settle implements settler.
func (h *held[S]) settle(index int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.has && h.index == index || !h.has && index == 0 {
		return
	}
	if h.has {
		h.sock.Close()
		h.has = false
	}
	if index != 0 {
		sock, err := h.open()
		switch {
		case err == nil:
			h.sock, h.has, h.index, h.failed = sock, true, index, ""
			if h.opened != nil {
				h.opened(sock)
			}
		case !isGone(err) && err.Error() != h.failed:
			h.failed = err.Error()
			h.d.log.Warn("a socket cannot be opened", "err", err)
		}
	}
	h.change()
}

// change wakes those who wait. The caller holds mu.
func (h *held[S]) change() {
	close(h.moved)
	h.moved = make(chan struct{})
}

// current returns the socket, if there is one, and what is closed when that changes.
func (h *held[S]) current() (sock S, has bool, moved <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		err = net.ErrClosed
	}
	return h.sock, h.has, h.moved, err
}

// Close ends it.
func (h *held[S]) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return net.ErrClosed
	}
	h.closed = true
	h.change()
	if h.has {
		h.has = false
		return h.sock.Close()
	}
	return nil
}

// first opens a socket for the first time: what is wrong with its address is to be
// said now. at is its address; while there is no interface it has no socket, and a
// port that is chosen here, since somebody will be told of it. addr is IP:port.
func (h *held[S]) first(addr string, open func(addr string) (S, error), addrOf func(S) net.Addr) (at netip.AddrPort, err error) {
	at, err = netip.ParseAddrPort(addr)
	if err != nil {
		return at, fmt.Errorf("netdev: listen on %q: %w", addr, err)
	}
	h.d.mu.Lock()
	index := h.d.now.index
	h.d.mu.Unlock()
	sock, err := open(addr)
	switch {
	case err == nil:
		port := netip.MustParseAddrPort(addrOf(sock).String()).Port()
		at = netip.AddrPortFrom(at.Addr(), port)
		h.sock, h.has, h.index = sock, true, index
	case !isGone(err):
		return at, err
	case at.Port() == 0:
		at = netip.AddrPortFrom(at.Addr(), uint16(minPort+rand.N(ports)))
	}
	h.moved = make(chan struct{})
	h.open = func() (S, error) { return open(at.String()) }
	h.d.hold(h)
	return at, nil
}

// Ports chosen while the interface is missing: below those that the system gives
// away by itself.
const (
	minPort = 16 << 10
	ports   = 16 << 10
)

// Listen opens a listener for TCP. addr is IP:port.
func (d *Device) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	ctx = context.WithoutCancel(ctx) // it is opened again later
	lc := net.ListenConfig{Control: d.control}
	l := &listener{held: held[net.Listener]{d: d}}
	open := func(addr string) (net.Listener, error) { return lc.Listen(ctx, network, addr) }
	at, err := l.held.first(addr, open, net.Listener.Addr)
	if err != nil {
		return nil, err
	}
	l.addr = net.TCPAddrFromAddrPort(at)
	return l, nil
}

// listener is a net.Listener that follows the interface.
type listener struct {
	held held[net.Listener]
	addr net.Addr
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		sock, has, moved, err := l.held.current()
		if err != nil {
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: err}
		}
		if !has {
			<-moved
			continue
		}
		nc, err := sock.Accept()
		if err == nil {
			l.held.d.track(nc)
			return nc, nil
		}
		if !errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		<-moved // it was closed for that
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.held.d.release(&l.held)
	return l.held.close()
}

// Dial connects through the interface.
func (d *Device) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := d.Fault(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	dialer := net.Dialer{Control: d.control, KeepAlive: -1, Resolver: d.names} // peers have keep-alives of their own
	nc, err := dialer.DialContext(ctx, network, addr)
	if err == nil {
		d.track(nc)
	}
	return nc, err
}

// Resolve looks a name up, asking through the interface.
func (d *Device) Resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	return d.names.LookupNetIP(ctx, "ip", host)
}

// dialServer connects to a server of names. server is the one of /etc/resolv.conf
// whose turn it is.
func (d *Device) dialServer(ctx context.Context, network, server string) (net.Conn, error) {
	if n := len(d.cfg.Servers); n > 0 {
		d.mu.Lock()
		server = d.cfg.Servers[d.next%n].String()
		d.next++
		d.mu.Unlock()
	}
	if err := d.Fault(); err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	dialer := net.Dialer{Control: d.control}
	return dialer.DialContext(ctx, network, server)
}
