package simnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// acceptBacklog bounds the streams that wait for Accept, the listen backlog
	// of older Linux (net.core.somaxconn).
	acceptBacklog = 128
	// synRetries is tcp_syn_retries of Linux: with pauses that double from one
	// second a dial gives up after 127 s.
	synRetries = 6
)

// Listener takes streams. Accept returns *Conn values.
type Listener struct {
	host    *Host
	network string
	bound   binding
	cond    *sync.Cond // a stream, a deadline or Close

	// Guarded by host.net.mu.
	coming int // handshakes under way
	ready  []*Conn
	dl     deadline
	closed bool
}

var _ net.Listener = (*Listener)(nil)

func (h *Host) listen(network, addr string) (*Listener, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, opError("listen", network, nil, nil, net.ErrClosed)
	}
	b, err := h.bind(network, addr, func(b binding) bool {
		for _, l := range h.listeners {
			if l.bound.conflicts(b) {
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, opError("listen", network, nil, nil, sysError("bind", err))
	}
	l := &Listener{host: h, network: network, bound: b, cond: sync.NewCond(&n.mu)}
	h.listeners = append(h.listeners, l)
	return l, nil
}

// Accept waits for a stream.
func (l *Listener) Accept() (net.Conn, error) {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		switch {
		case l.closed:
			return nil, l.fail("accept", net.ErrClosed)
		case l.dl.expired():
			return nil, l.fail("accept", os.ErrDeadlineExceeded)
		case len(l.ready) > 0:
			c := l.ready[0]
			l.ready[0] = nil
			l.ready = l.ready[1:]
			return c, nil
		}
		l.cond.Wait()
	}
}

// Close stops listening and resets the streams nobody accepted.
func (l *Listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.closed {
		return l.fail("close", net.ErrClosed)
	}
	l.close()
	return nil
}

func (l *Listener) close() {
	l.closed = true
	l.dl.stop()
	l.host.listeners = remove(l.host.listeners, l)
	for _, c := range l.ready {
		c.abort()
	}
	l.ready = nil
	l.cond.Broadcast()
}

// Addr returns the bound *net.TCPAddr.
func (l *Listener) Addr() net.Addr { return tcpAddr(l.bound.addrPort()) }

// SetDeadline bounds present and future calls of Accept.
func (l *Listener) SetDeadline(t time.Time) error {
	l.host.net.mu.Lock()
	defer l.host.net.mu.Unlock()
	if l.closed {
		return l.fail("set", net.ErrClosed)
	}
	l.dl.set(t, l.cond)
	return nil
}

func (l *Listener) fail(op string, err error) error {
	return opError(op, l.network, nil, tcpAddr(l.bound.addrPort()), err)
}

// listenerFor returns who listens on dst, or nil.
func (h *Host) listenerFor(dst netip.AddrPort) *Listener {
	var best *Listener
	score := 0
	for _, l := range h.listeners {
		if s := l.bound.matches(dst); s > score {
			best, score = l, s
		}
	}
	return best
}

// attempt is a dial under way. Guarded by Net.mu, except done.
type attempt struct {
	net  *Net
	from *Host
	src  netip.AddrPort
	dst  netip.AddrPort
	done chan struct{} // closed when over
	over bool
	conn *Conn
	err  error
}

func (h *Host) dialStream(ctx context.Context, network string, dst netip.AddrPort) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, opError("dial", network, nil, tcpAddr(dst), err)
	}
	a := &attempt{net: h.net, from: h, dst: dst, done: make(chan struct{})}
	if err := a.begin(); err != nil {
		return nil, opError("dial", network, nil, tcpAddr(dst), err)
	}
	select {
	case <-a.done:
	case <-ctx.Done():
	}
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if !a.over {
		a.finish(nil, ctx.Err())
	}
	if a.err != nil {
		return nil, opError("dial", network, nil, tcpAddr(dst), a.err)
	}
	return a.conn, nil
}

func (a *attempt) begin() error {
	a.net.mu.Lock()
	defer a.net.mu.Unlock()
	if a.net.closed {
		return net.ErrClosed
	}
	src, ok := a.from.sourceFor(a.dst.Addr())
	if !ok || a.from.isDown || a.dst.Addr().IsUnspecified() || a.dst.Addr().IsMulticast() {
		return sysError("connect", syscall.ENETUNREACH)
	}
	a.src = netip.AddrPortFrom(src, a.from.takePort())
	a.from.dials = append(a.from.dials, a)
	a.syn(0)
	return nil
}

func (a *attempt) finish(c *Conn, err error) {
	a.conn, a.err, a.over = c, err, true
	a.from.dials = remove(a.from.dials, a)
	close(a.done)
}

// syn sends the first packet of the handshake and arranges for its repetition.
func (a *attempt) syn(try int) {
	if a.over {
		return
	}
	a.net.after(time.Second<<try, func() {
		if try < synRetries {
			a.syn(try + 1)
		} else if !a.over {
			a.finish(nil, sysError("connect", syscall.ETIMEDOUT))
		}
	})
	to, seen, inside, ok := a.net.route(tcp, a.from, a.src, a.dst)
	rnd := a.net.random(a.src, uint64(try))
	if !ok || !a.from.reachable() || lost(a.from, to, rnd) {
		return
	}
	a.net.after(oneWay(a.from, to)+jitter(a.from, to, rnd), func() { a.heard(to, seen, inside) })
}

// heard runs when the SYN is at the host that was dialled.
func (a *attempt) heard(to *Host, seen, inside netip.AddrPort) {
	if a.over || !to.reachable() {
		return
	}
	back := oneWay(a.from, to)
	l := to.listenerFor(inside)
	if l == nil {
		a.net.after(back, func() {
			if !a.over && a.from.reachable() {
				a.finish(nil, sysError("connect", syscall.ECONNREFUSED))
			}
		})
		return
	}
	if l.coming+len(l.ready) >= acceptBacklog {
		return
	}
	l.coming++
	a.net.after(back, func() { a.answered(l, seen, inside) })
}

// answered runs when the SYN-ACK is back: the dial is done, and its last packet
// goes to the listener.
func (a *attempt) answered(l *Listener, seen, inside netip.AddrPort) {
	if a.over || !a.from.reachable() || !l.host.reachable() {
		l.coming--
		return
	}
	client, server := a.net.newStream(a.from, l.host, a.src, seen, a.dst, inside)
	a.net.after(oneWay(a.from, l.host), func() {
		l.coming--
		if l.closed {
			server.abort()
			return
		}
		if server.err == nil {
			l.ready = append(l.ready, server)
			l.cond.Signal()
		}
	})
	a.finish(client, nil)
}
