package socks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// retryFirst and retryLast bound the pause before an association is asked for
	// again; refusedPause is that after the proxy said that it has none.
	retryFirst   = time.Second
	retryLast    = time.Minute
	refusedPause = 10 * time.Minute
	// maxDatagram is more than anybody sends, with the header.
	maxDatagram = 64 << 10
)

// ListenPacket returns a socket for UDP through the proxy. addr is IP:port, of which only
// the port is made use of, as its own. One for both families, "udp", is there when it
// returns, or the error says why not; others are not waited for.
func (p *Proxy) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	at, err := chooseAddr(addr)
	if err != nil {
		return nil, err
	}
	first := make(chan error, 1)
	c := &packetConn{p: p, first: first, addr: net.UDPAddrFromAddrPort(at), moved: make(chan struct{}), silent: network == "udp6"}
	life, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.wg.Go(func() { c.keep(life) })
	if network != "udp" {
		return c, nil
	}
	select {
	case err = <-first:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// packetConn is a net.PacketConn over one association after the other.
type packetConn struct {
	p      *Proxy
	addr   *net.UDPAddr
	silent bool // Fault does not tell of it: not every proxy has IPv6
	cancel context.CancelFunc
	wg     sync.WaitGroup
	first  chan<- error // capacity 1: what became of the first association

	mu       sync.Mutex // leaf; guards the rest
	relay    net.Conn   // nil: there is no association
	closed   bool
	deadline time.Time     // of reads
	moved    chan struct{} // closed and replaced at each change

	readBuf []byte // of ReadFrom, which one goroutine calls
}

// keep holds an association.
func (c *packetConn) keep(ctx context.Context) {
	pause := retryFirst
	for {
		a, err := c.p.associate(ctx)
		if ctx.Err() != nil {
			if err == nil {
				a.close()
			}
			return
		}
		if err == nil {
			c.set(a.relay)
			c.note(nil)
			began := time.Now()
			err = untilEnd(ctx, a.control)
			c.set(nil)
			a.close()
			if ctx.Err() != nil {
				return
			}
			if time.Since(began) > retryLast {
				pause = retryFirst
			}
		}
		c.note(err)
		wait := pause
		if errors.Is(err, ErrNoUDP) || errors.Is(err, ErrLogin) {
			wait = refusedPause
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		pause = min(2*pause, retryLast)
	}
}

// note tells of an association.
func (c *packetConn) note(err error) {
	select {
	case c.first <- err:
	default:
	}
	if !c.silent {
		c.p.note(&c.p.udp, err)
	}
}

// untilEnd waits for the end of the connection that an association lives with.
func untilEnd(ctx context.Context, control net.Conn) error {
	stop := context.AfterFunc(ctx, func() { control.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var b [64]byte
	for {
		if _, err := control.Read(b[:]); err != nil {
			return fmt.Errorf("%w any more: %w", ErrUnreachable, err)
		}
	}
}

// set takes another relay, or none.
func (c *packetConn) set(relay net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.relay = relay
	if relay != nil {
		_ = relay.SetReadDeadline(c.deadline)
	}
	c.change()
}

// change wakes ReadFrom. The caller holds mu.
func (c *packetConn) change() {
	close(c.moved)
	c.moved = make(chan struct{})
}

// ReadFrom waits for a datagram, and for an association while there is none.
func (c *packetConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.readBuf == nil {
		c.readBuf = make([]byte, maxDatagram)
	}
	for {
		c.mu.Lock()
		relay, closed, moved, deadline := c.relay, c.closed, c.moved, c.deadline
		c.mu.Unlock()
		if closed {
			return 0, nil, c.failed("read", net.ErrClosed)
		}
		if relay == nil {
			if err := await(moved, deadline); err != nil {
				return 0, nil, c.failed("read", err)
			}
			continue
		}
		n, err := relay.Read(c.readBuf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				await(moved, time.Time{}) // it was closed for that
				continue
			}
			return 0, nil, err
		}
		if data, from, ok := unwrap(c.readBuf[:n]); ok {
			return copy(b, data), net.UDPAddrFromAddrPort(from), nil
		}
	}
}

// await waits for a change, or the deadline, if there is one.
func await(moved <-chan struct{}, deadline time.Time) error {
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
		return os.ErrDeadlineExceeded
	}
}

// headers are buffers for datagrams with their header.
var headers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// WriteTo sends a datagram. to may be a name: any net.Addr whose String is host:port.
func (c *packetConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	relay, closed := c.relay, c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return 0, c.failed("write", net.ErrClosed)
	case relay == nil:
		err := c.p.Fault("udp")
		if err == nil {
			err = errAsking
		}
		return 0, c.failed("write", err)
	}
	buf := headers.Get().(*[]byte)
	defer headers.Put(buf)
	whole, err := wrap((*buf)[:0], to, b)
	if err != nil {
		return 0, c.failed("write", err)
	}
	*buf = whole
	if _, err := relay.Write(whole); err != nil {
		if errors.Is(err, net.ErrClosed) {
			err = errAsking // of this association, not of ours
		}
		return 0, c.failed("write", err)
	}
	return len(b), nil
}

// WriteToUDPAddrPort is WriteTo for an address.
func (c *packetConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.WriteTo(b, net.UDPAddrFromAddrPort(to))
}

func (c *packetConn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "udp", Source: c.addr, Err: err}
}

func (c *packetConn) LocalAddr() net.Addr { return c.addr }

// Close ends the association.
func (c *packetConn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.change()
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// SetReadDeadline bounds ReadFrom, also over associations that come later.
func (c *packetConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.deadline = t
	if c.relay != nil {
		return c.relay.SetReadDeadline(t)
	}
	c.change()
	return nil
}

// SetWriteDeadline does nothing: writing does not wait.
func (c *packetConn) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is SetReadDeadline.
func (c *packetConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }
