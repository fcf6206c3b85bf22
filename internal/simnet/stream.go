package simnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Conn is one end of a stream. Like *net.TCPConn it has CloseWrite, SetLinger
// and SetNoDelay.
type Conn struct {
	net           *Net
	host          *Host
	serial        uint64 // order of creation
	local, remote netip.AddrPort
	peer          *Conn
	out, in       *flow

	readable, writable *sync.Cond // over net.mu

	// Guarded by net.mu.
	rdl, wdl deadline
	closed   bool  // Close was called
	err      error // why the stream broke; nil while it has not
	linger0  bool
}

var _ net.Conn = (*Conn)(nil)

// newStream makes both ends of a connection from a to b. seen is a's address as b
// sees it, dialled is b's as a sees it, inside is b's own. The caller holds n.mu.
func (n *Net) newStream(a, b *Host, own, seen, dialled, inside netip.AddrPort) (client, server *Conn) {
	end := func(h *Host, local, remote netip.AddrPort) *Conn {
		n.conns++
		c := &Conn{
			net: n, host: h, serial: n.conns, local: local, remote: remote,
			readable: sync.NewCond(&n.mu), writable: sync.NewCond(&n.mu),
		}
		if h.conns == nil {
			h.conns = make(map[*Conn]struct{})
		}
		h.conns[c] = struct{}{}
		return c
	}
	client = end(a, own, dialled)
	server = end(b, inside, seen)
	client.peer, server.peer = server, client
	client.out = &flow{net: n, from: client, to: server, rnd: n.random(own, 1)}
	server.out = &flow{net: n, from: server, to: client, rnd: n.random(inside, uint64(own.Port()))}
	client.in, server.in = server.out, client.out
	return client, server
}

// Read waits for data. It returns what is there, up to len(b) bytes.
func (c *Conn) Read(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, c.fail("read", net.ErrClosed)
		case c.rdl.expired():
			return 0, c.fail("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case c.in.recvLen > 0:
			return c.in.read(b), nil
		case c.in.eof:
			return 0, io.EOF
		case c.err != nil:
			return 0, c.broken("read")
		}
		c.readable.Wait()
	}
}

// Write queues b and waits while the send buffer is full.
func (c *Conn) Write(b []byte) (int, error) {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	for total := 0; ; {
		switch {
		case c.closed:
			return total, c.fail("write", net.ErrClosed)
		case c.err != nil:
			return total, c.broken("write")
		case c.out.fin:
			return total, c.fail("write", sysError("write", syscall.EPIPE))
		case c.wdl.expired():
			return total, c.fail("write", os.ErrDeadlineExceeded)
		case total == len(b):
			return total, nil
		}
		if room := sendBuffer - c.out.unsentLen; room > 0 {
			k := min(room, len(b)-total)
			c.out.unsent = append(c.out.unsent, append([]byte(nil), b[total:total+k]...))
			c.out.unsentLen += k
			total += k
			c.out.pump()
			if total == len(b) {
				return total, nil
			}
			continue
		}
		c.writable.Wait()
	}
}

// Close ends both directions. Data written before is still sent.
func (c *Conn) Close() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.closed = true
	c.rdl.stop()
	c.wdl.stop()
	if c.linger0 {
		c.abort()
	} else {
		c.out.fin = true
		c.out.pump()
	}
	// Nobody will read what waits here. The sender gets its window back, so that
	// it finds out by a reset and not by waiting for ever.
	unread := c.in.recvLen
	c.in.recv, c.in.recvLen = nil, 0
	c.in.acknowledge(unread)
	c.wake()
	c.forget()
	return nil
}

// CloseWrite sends FIN after what was written; reading goes on.
func (c *Conn) CloseWrite() error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.fail("close", net.ErrClosed)
	}
	c.out.fin = true
	c.out.pump()
	return nil
}

// SetLinger with 0 makes Close a reset, as for *net.TCPConn. Other values mean
// the default.
func (c *Conn) SetLinger(sec int) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	c.linger0 = sec == 0
	return nil
}

// SetNoDelay does nothing: streams never wait for more to send.
func (c *Conn) SetNoDelay(bool) error { return nil }

// LocalAddr returns this end's *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return tcpAddr(c.local) }

// RemoteAddr returns the other end's *net.TCPAddr, as seen from here.
func (c *Conn) RemoteAddr() net.Addr { return tcpAddr(c.remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds present and future reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.rdl, c.readable, t) }

// SetWriteDeadline bounds present and future writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.wdl, c.writable, t) }

func (c *Conn) setDeadline(d *deadline, cond *sync.Cond, t time.Time) error {
	c.net.mu.Lock()
	defer c.net.mu.Unlock()
	if c.closed {
		return c.fail("set", net.ErrClosed)
	}
	d.set(t, cond)
	return nil
}

// abort breaks the stream here now, and at the other end when the reset gets
// there. The caller holds net.mu, as for all below.
func (c *Conn) abort() {
	if c.err != nil {
		return
	}
	peer := c.peer
	reset := func() { peer.kill(syscall.ECONNRESET) }
	c.kill(syscall.ECONNRESET)
	if !park(c.host, peer.host, reset) {
		c.net.after(oneWay(c.host, peer.host), reset)
	}
}

// kill ends the stream at this end with err. Received data stays readable.
func (c *Conn) kill(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.out.die()
	c.in.dead = true
	c.wake()
	delete(c.host.conns, c)
}

// die drops what was not sent.
func (f *flow) die() {
	f.dead = true
	f.unsent, f.unsentLen, f.inflight, f.resend = nil, 0, nil, nil
}

// forget takes a stream that ended in both directions off the host's list.
func (c *Conn) forget() {
	if c.closed && c.in.eof && c.out.eof {
		delete(c.host.conns, c)
	}
}

func (c *Conn) wake() {
	c.readable.Broadcast()
	c.writable.Broadcast()
}

func (c *Conn) fail(op string, err error) error {
	return opError(op, "tcp", tcpAddr(c.local), tcpAddr(c.remote), err)
}

func (c *Conn) broken(op string) error {
	if errno, ok := c.err.(syscall.Errno); ok {
		return c.fail(op, sysError(op, errno))
	}
	return c.fail(op, c.err)
}
