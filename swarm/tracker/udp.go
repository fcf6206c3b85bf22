package tracker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// connKeep is how long a connection ID may be used (BEP 15).
const connKeep = time.Minute

// udpWaits are the times waited for an answer after each transmission. BEP 15
// asks for 15·2^n s up to an hour; like other clients we give up sooner and
// leave the rest to the back-off between announces. The first is short because
// a reader may be waiting and packets do get lost.
var udpWaits = []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second}

// stopWaits are those of a stopped event, for which nobody wants to wait.
var stopWaits = []time.Duration{time.Second, 2 * time.Second, 2 * time.Second}

// udpTries bounds the connection IDs tried for one request.
const udpTries = 3

// errTimeout is what an exchange without an answer ends with.
var errTimeout = os.ErrDeadlineExceeded

// connKey names a connection ID: it belongs to our socket and to the address
// that gave it. addr is a netip.AddrPort, or a hostPort through a proxy.
type connKey struct {
	family family
	addr   any
}

// udpSocket is a socket shared by all announces over one family.
type udpSocket struct {
	conn net.PacketConn

	mu      sync.Mutex       // leaf; guards the rest
	pending map[uint32]*call // by transaction ID
	err     error            // set once the socket is of no use
}

// call waits for the answer to one request.
type call struct {
	addr   netip.AddrPort // who may answer; invalid: anyone (a proxy hides it)
	action uint32         // besides actionError
	reply  chan udpReply  // capacity 1
}

// udpReply is a datagram whose header fits its call.
type udpReply struct {
	data []byte
	v6   bool // it came from an IPv6 address
	err  error
}

// socket returns the shared socket of a family, opening it if need be.
func (c *Client) socket(ctx context.Context, f family) (*udpSocket, error) {
	const forever = 1 << 62
	s, _, err := c.socks.get(ctx, f, forever, func(ctx context.Context) (*udpSocket, error) {
		host := "0.0.0.0"
		if f == ipv6 {
			host = "::"
		}
		conn, err := c.cfg.Network.ListenPacket(ctx, f.network("udp"), net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		s := &udpSocket{conn: conn, pending: make(map[uint32]*call)}
		return s, c.serve(s, f)
	})
	return s, err
}

// serve starts reading from a new socket. It ends with the client, at the
// latest.
func (c *Client) serve(s *udpSocket, f family) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		s.conn.Close()
		return net.ErrClosed
	}
	stop := context.AfterFunc(c.ctx, func() { s.close(net.ErrClosed) })
	c.wg.Go(func() {
		defer stop()
		s.close(s.read())
		c.socks.forget(f)
	})
	return nil
}

// read hands datagrams to the calls they belong to until the socket fails.
func (s *udpSocket) read() error {
	buf := make([]byte, 20+maxPeers*18)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		var src netip.AddrPort
		if u, ok := from.(*net.UDPAddr); ok {
			src = u.AddrPort()
			src = netip.AddrPortFrom(src.Addr().Unmap(), src.Port())
		}
		s.deliver(src, buf[:n])
	}
}

// deliver finds the call of a datagram; one that nobody waits for, from another
// address or with the wrong action, is dropped.
func (s *udpSocket) deliver(src netip.AddrPort, b []byte) {
	action, tid, ok := parseHeader(b)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.pending[tid]
	if c == nil || c.addr.IsValid() && c.addr != src || action != c.action && action != actionError {
		return
	}
	delete(s.pending, tid)
	r := udpReply{v6: src.Addr().Is6()}
	if action == actionError {
		r.err = parseError(b)
	} else {
		r.data = append([]byte(nil), b...)
	}
	c.reply <- r
}

// close fails all calls. Later ones fail at once.
func (s *udpSocket) close(err error) {
	s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	for tid, c := range s.pending {
		delete(s.pending, tid)
		c.reply <- udpReply{err: err}
	}
}

// register enters a call under a new random transaction ID, which off-path
// attackers cannot guess.
func (s *udpSocket) register(c *call) (tid uint32, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	for {
		var b [4]byte
		rand.Read(b[:]) // never fails
		tid = binary.BigEndian.Uint32(b[:])
		if _, taken := s.pending[tid]; !taken {
			s.pending[tid] = c
			return tid, nil
		}
	}
}

func (s *udpSocket) unregister(tid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pending, tid)
}

// exchange sends a request, again after each wait, and returns the answer.
// packet makes the request for a transaction ID. to is a netip.AddrPort or a
// hostPort.
func (s *udpSocket) exchange(ctx context.Context, to any, action uint32, waits []time.Duration, packet func(tid uint32) []byte) (udpReply, error) {
	c := &call{action: action, reply: make(chan udpReply, 1)}
	var dst net.Addr
	switch a := to.(type) {
	case netip.AddrPort:
		c.addr, dst = a, net.UDPAddrFromAddrPort(a)
	case hostPort:
		dst = a
	}
	tid, err := s.register(c)
	if err != nil {
		return udpReply{}, err
	}
	defer s.unregister(tid)
	b := packet(tid)
	for _, wait := range waits {
		if _, err := s.conn.WriteTo(b, dst); err != nil {
			return udpReply{}, err
		}
		timer := time.NewTimer(wait)
		select {
		case r := <-c.reply:
			timer.Stop()
			return r, r.err
		case <-ctx.Done():
			timer.Stop()
			return udpReply{}, context.Cause(ctx)
		case <-timer.C:
		}
	}
	return udpReply{}, errTimeout
}

// request does one exchange under a connection ID, obtaining that first if none
// is at hand. A remembered one may have been forgotten by the tracker: then a
// refusal or silence is a reason to get a new one and try again.
func (c *Client) request(ctx context.Context, t target, f family, action uint32, waits []time.Duration, packet func(conn uint64, tid uint32) []byte) (udpReply, netip.Addr, error) {
	to, from, err := c.udpTarget(ctx, t, f)
	if err != nil {
		return udpReply{}, from, err
	}
	key := connKey{f, to}
	for try := 1; ; try++ {
		s, err := c.socket(ctx, f)
		if err != nil {
			return udpReply{}, from, err
		}
		conn, fresh, err := c.conns.get(ctx, key, connKeep, func(ctx context.Context) (uint64, error) {
			r, err := s.exchange(ctx, to, actionConnect, waits, func(tid uint32) []byte {
				return appendConnect(nil, tid)
			})
			if err != nil {
				return 0, err
			}
			return parseConnect(r.data)
		})
		if err != nil {
			return udpReply{}, from, err
		}
		patience := waits
		if !fresh {
			patience = waits[:2]
		}
		r, err := s.exchange(ctx, to, action, patience, func(tid uint32) []byte { return packet(conn, tid) })
		if err == nil {
			return r, from, nil
		}
		c.conns.forget(key)
		var refused *Failure
		if fresh || try == udpTries || ctx.Err() != nil || !errors.As(err, &refused) && !isTimeout(err) {
			return udpReply{}, from, err
		}
	}
}

// udpTarget chooses one of the tracker's addresses; another try may choose
// another.
func (c *Client) udpTarget(ctx context.Context, t target, f family) (to any, from netip.Addr, err error) {
	if f == anyFamily {
		return hostPort{t.host, t.port}, netip.Addr{}, nil
	}
	list, err := c.udpAddrs(ctx, t, f)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	a := list[mrand.IntN(len(list))]
	return a, a.Addr(), nil
}

func (c *Client) announceUDP(ctx context.Context, t target, f family, r Request) (answer, error) {
	waits := udpWaits
	if r.Event == Stopped {
		waits = stopWaits
	}
	re, from, err := c.request(ctx, t, f, actionAnnounce, waits, func(conn uint64, tid uint32) []byte {
		return appendUDPAnnounce(make([]byte, 0, 128), conn, tid, r, t.request())
	})
	if err != nil {
		return answer{}, err
	}
	reply, err := parseUDPAnnounce(re.data, re.v6)
	return answer{reply, from}, err
}

func (c *Client) scrapeUDP(ctx context.Context, t target, f family, hash [20]byte) (Counts, error) {
	re, _, err := c.request(ctx, t, f, actionScrape, udpWaits, func(conn uint64, tid uint32) []byte {
		return appendUDPScrape(nil, conn, tid, [][20]byte{hash})
	})
	if err != nil {
		return noCounts, err
	}
	list, err := parseUDPScrape(re.data, 1)
	if err != nil {
		return noCounts, err
	}
	return list[0], nil
}
