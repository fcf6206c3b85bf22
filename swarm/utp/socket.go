package utp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// ErrTooMany is returned by Dial when the socket has all the connections that it
// may have.
var ErrTooMany = errors.New("utp: too many connections")

const (
	defaultMaxConns    = 400
	defaultMaxHalfOpen = 64
	defaultWindow      = 1 << 20
	// Sizes of UDP payload: what passes everywhere, as IPv6 has to carry 1280 with its
	// headers; and what passes nearly everywhere over IPv4 (libutp).
	packetSafe = 1232
	packetFull = 1402
	minSize    = 150 // of a packet; LT's smallest
)

// Config holds the settings of a socket. The zero value is useful.
type Config struct {
	// Other takes the datagrams that are not of uTP. It must not wait, nor keep b.
	// nil: they are dropped.
	Other func(b []byte, from netip.AddrPort)

	// NoAccept ignores those who dial us.
	NoAccept bool

	// MaxConns bounds the connections, of both directions; 0: 400.
	MaxConns int

	// MaxHalfOpen bounds those that others have begun and not proven; 0: 64.
	MaxHalfOpen int

	// Window bounds, for one connection, the bytes received and not yet read, and
	// those in flight; 0: 1 MiB.
	Window int

	// Packet is the size of UDP payload; 0: 1232, and over IPv4 1402 where that
	// proves to pass.
	Packet int
}

// payload is how much a packet carries at first, and how much when it is known that
// longer ones pass.
func (c *Config) payload(to netip.Addr) (safe, full int) {
	if c.Packet != 0 {
		n := max(c.Packet, minSize) - headerLen
		return n, n
	}
	safe, full = packetSafe-headerLen, packetFull-headerLen
	if to.Is6() {
		full = safe
	}
	return safe, full
}

// Socket speaks uTP on a UDP socket, which it reads alone but others may write to.
// It is a net.Listener, and dials. All methods may be called from any goroutine.
type Socket struct {
	pc     net.PacketConn
	io     packetIO
	cfg    Config
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	arrived chan *inbox  // from the reader
	free    chan *inbox  // to the reader
	work    chan *outbox // to the writer
	written chan *outbox // from the writer
	wake    chan struct{}
	backlog chan *Conn

	mu     sync.Mutex // guards what follows; a leaf
	kicked []*stream
	calls  []func(now time.Time)

	owner *owner // of the goroutine of run
}

// New starts a socket on pc, which stays open when the Socket is closed.
func New(pc net.PacketConn, cfg Config) *Socket {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	if cfg.MaxHalfOpen == 0 {
		cfg.MaxHalfOpen = defaultMaxHalfOpen
	}
	if cfg.Window == 0 {
		cfg.Window = defaultWindow
	}
	s := &Socket{
		pc:      pc,
		io:      newPacketIO(pc),
		cfg:     cfg,
		arrived: make(chan *inbox),
		free:    make(chan *inbox, 2),
		work:    make(chan *outbox, 1),
		written: make(chan *outbox, 1),
		wake:    make(chan struct{}, 1),
		backlog: make(chan *Conn, acceptQueue),
		owner:   newOwner(cfg, time.Now()),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.owner.kick = s.kick
	s.owner.accepted = func(c *Conn) bool {
		select {
		case s.backlog <- c:
			return true
		default:
			return false
		}
	}
	if a, ok := pc.LocalAddr().(*net.UDPAddr); ok {
		s.owner.local = unmap(a.AddrPort())
	}
	for range cap(s.free) {
		s.free <- s.io.newInbox()
	}
	s.written <- &outbox{}
	s.wg.Go(s.run)
	s.wg.Go(s.read)
	s.wg.Go(s.write)
	return s
}

// unmap makes IPv4 addresses that were written as IPv6 plain.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Dial connects to a peer. Without ctx it gives up after seven seconds, three
// tries. The error is a *net.OpError with ErrTooMany, net.ErrClosed,
// syscall.ECONNREFUSED, ETIMEDOUT or that of ctx.
func (s *Socket) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "utp", Addr: Addr{addr}, Err: err}
	}
	if !addr.IsValid() || addr.Port() == 0 || addr.Addr().IsUnspecified() {
		return fail(errors.New("no such address"))
	}
	begun := make(chan *stream, 1)
	s.call(func(now time.Time) { begun <- s.owner.dial(now, unmap(addr)) })
	select {
	case st := <-begun:
		if st == nil {
			return fail(ErrTooMany)
		}
		if err := st.conn.await(ctx); err != nil {
			return nil, err
		}
		return st.conn, nil
	case <-s.ctx.Done():
		return fail(net.ErrClosed)
	}
}

// Accept returns the next connection that a peer has dialled and proven to have.
func (s *Socket) Accept() (net.Conn, error) {
	select {
	case c := <-s.backlog:
		return c, nil
	case <-s.ctx.Done():
		return nil, &net.OpError{Op: "accept", Net: "utp", Addr: s.Addr(), Err: net.ErrClosed}
	}
}

// Addr returns the address of the UDP socket.
func (s *Socket) Addr() net.Addr { return Addr{s.owner.local} }

// Close ends all connections and the goroutines; it waits for neither peers nor
// the network.
func (s *Socket) Close() error {
	s.cancel()
	_ = s.pc.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	s.wg.Wait()
	return s.pc.SetReadDeadline(time.Time{})
}

// kick tells the owner to look at a stream.
func (s *Socket) kick(st *stream) {
	s.mu.Lock()
	s.kicked = append(s.kicked, st)
	s.mu.Unlock()
	s.rouse()
}

// call has the owner run f, unless the socket is closed.
func (s *Socket) call(f func(now time.Time)) {
	s.mu.Lock()
	s.calls = append(s.calls, f)
	s.mu.Unlock()
	s.rouse()
}

func (s *Socket) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine of the owner.
func (s *Socket) run() {
	defer close(s.work)
	o := s.owner
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var armed time.Time
	spare := <-s.written
	var kicked []*stream
	for {
		select {
		case in := <-s.arrived:
			for i := range in.n {
				o.datagram(in.at, in.list[i].b, in.list[i].from)
			}
			s.free <- in
		case <-s.wake:
			var calls []func(time.Time)
			s.mu.Lock()
			kicked, s.kicked = s.kicked, kicked[:0]
			calls, s.calls = s.calls, nil
			s.mu.Unlock()
			now := time.Now()
			for _, f := range calls {
				f(now)
			}
			for i, st := range kicked {
				o.kicked(st)
				kicked[i] = nil
			}
		case spare = <-s.written:
		case <-timer.C:
			armed = time.Time{}
		case <-s.ctx.Done():
			o.closeAll(time.Now())
			if spare == nil {
				<-s.written
			}
			s.work <- o.out
			return
		}
		now := time.Now()
		o.tick(now)
		at := o.flush(now)
		if spare != nil && len(o.out.list) > 0 {
			s.work <- o.out // does not wait: the writer is idle
			o.out, spare = spare, nil
			o.out.reset()
			if len(o.dirty) > 0 { // the new one has room
				at = o.flush(now)
			}
		}
		if !at.IsZero() && (armed.IsZero() || at.Before(armed)) {
			armed = at
			timer.Reset(max(0, time.Until(at)))
		}
	}
}

// read is the goroutine that reads.
func (s *Socket) read() {
	for {
		var in *inbox
		select {
		case in = <-s.free:
		case <-s.ctx.Done():
			return
		}
		for in.n = 0; in.n == 0; {
			err := s.io.read(in)
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				// Errors of single datagrams (ICMP) are not ours; a socket that gives
				// nothing else must not keep a processor busy.
				select {
				case <-s.ctx.Done():
					return
				case <-time.After(10 * time.Millisecond):
				}
				continue
			}
			in.at = time.Now()
			s.sort(in)
		}
		select {
		case s.arrived <- in:
		case <-s.ctx.Done():
			return
		}
	}
}

// sort gives away what is not ours; the rest moves to the front.
func (s *Socket) sort(in *inbox) {
	n := 0
	for i := range in.n {
		d := &in.list[i]
		if isUTP(d.b) {
			in.list[n], in.list[i] = in.list[i], in.list[n]
			n++
		} else if s.cfg.Other != nil && len(d.b) > 0 {
			s.cfg.Other(d.b, d.from)
		}
	}
	in.n = n
}

// write is the goroutine that writes.
func (s *Socket) write() {
	for o := range s.work {
		micros := s.owner.clock.micros(time.Now())
		for _, d := range o.list {
			stamp(o.mem[d.start:], micros)
		}
		s.io.write(o)
		s.written <- o
	}
}
