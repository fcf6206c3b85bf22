package dht

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/endpoint"
)

// ErrClosed is returned by calls on a server that was closed.
var ErrClosed = errors.New("dht: closed")

// Server is a running DHT node. Its methods are safe for concurrent use.
type Server struct {
	cfg  Config
	log  *slog.Logger
	in   chan input
	send chan packet

	ctx   context.Context // ends with Close
	close context.CancelFunc
	wg    sync.WaitGroup

	// contacts are good nodes of the table, for the linked server of the other
	// family. Written by the owner; nil while not linked.
	contacts atomic.Pointer[[]krpc.NodeInfo]
	poor     atomic.Bool // fewer than k good nodes
	external atomic.Pointer[netip.Addr]
	lost     atomic.Uint64
	naming   chan struct{} // a place per lookup of AddHost
	byName   byName

	// Owned by the goroutine of run.
	core     *core
	boxes    map[uint64]*mailbox // of running lookups
	linked   *Server
	shared   time.Time  // when contacts was written
	told     netip.Addr // what external says
	resolver *resolver
}

// input is what reaches the owner: a packet, or a command.
type input struct {
	data []byte
	from netip.AddrPort
	do   func(now time.Time)
}

// Sizes of the queues. Packets that find a queue full are lost, as in any UDP
// queue.
const (
	inboxLen  = 512
	outboxLen = 512
	readLen   = 4096 // larger packets are no KRPC and are cut
)

// New starts a node. Close ends it.
func New(cfg Config) (*Server, error) {
	if cfg.Conn == nil {
		return nil, errors.New("dht: no connection given")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	var seed [32]byte
	if cfg.Seed != nil {
		seed = *cfg.Seed
	} else if _, err := rand.Read(seed[:]); err != nil {
		return nil, err
	}
	s := &Server{
		cfg:    cfg,
		log:    cfg.Log,
		in:     make(chan input, inboxLen),
		send:   make(chan packet, outboxLen),
		naming: make(chan struct{}, maxNamed),
		boxes:  make(map[uint64]*mailbox),
	}
	s.ctx, s.close = context.WithCancel(context.Background())
	s.resolver = newResolver(&cfg)
	if cfg.Names {
		s.resolver.ask = func(ctx context.Context, hostPort string) (netip.AddrPort, error) {
			return s.byName.ping(ctx, cfg.Conn, hostPort)
		}
	}
	// ChaCha8 is a cryptographic generator: transaction IDs cannot be guessed.
	s.core = newCore(&s.cfg, mrand.New(mrand.NewChaCha8(seed)), time.Now())
	s.poor.Store(true)
	s.wg.Add(2)
	go s.run()
	go s.write()
	if !cfg.Passive {
		s.wg.Add(1)
		go s.read()
	}
	return s, nil
}

// Close ends the node and waits for its goroutines. Running lookups return
// ErrClosed. The connection stays open.
func (s *Server) Close() error {
	s.close()
	if !s.cfg.Passive {
		_ = s.cfg.Conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	}
	s.wg.Wait()
	if !s.cfg.Passive {
		_ = s.cfg.Conn.SetReadDeadline(time.Time{})
	}
	return nil
}

// run is the owner: the only goroutine that touches the core.
func (s *Server) run() {
	defer s.wg.Done()
	s.core.start(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		s.flush()
		timer.Reset(time.Until(s.core.next()))
		select {
		case <-s.ctx.Done():
			return
		case in := <-s.in:
			s.accept(in)
			for range len(s.in) { // what waits already, before the timer is set again
				s.accept(<-s.in)
			}
		case <-timer.C:
		}
		s.core.tick(time.Now())
	}
}

func (s *Server) accept(in input) {
	if in.do != nil {
		in.do(time.Now())
		return
	}
	s.core.handle(in.data, in.from, time.Now())
}

// flush passes on what the core left to be done.
func (s *Server) flush() {
	out, notes, resolve := s.core.take()
	for _, p := range out {
		select {
		case s.send <- p:
		default:
			s.lost.Add(1)
		}
	}
	for _, n := range notes {
		if n.foreign != nil {
			s.linked.offer(n.foreign, s)
			continue
		}
		if box := s.boxes[n.lookup]; box != nil {
			box.put(n)
			if n.done != nil {
				delete(s.boxes, n.lookup)
			}
		}
	}
	if a := s.core.votes.current; a != s.told {
		s.told = a
		s.external.Store(&a)
	}
	if resolve {
		s.resolveRouters()
	}
	s.share(time.Now())
}

// read moves packets from the socket to the owner.
func (s *Server) read() {
	defer s.wg.Done()
	buf := make([]byte, readLen)
	for {
		n, from, err := s.cfg.Conn.ReadFrom(buf)
		if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Errors of single packets (ICMP) are not ours; a socket that only
			// gives errors must not keep a processor busy.
			if !s.pause(10 * time.Millisecond) {
				return
			}
			continue
		}
		s.HandlePacket(buf[:n], addrPort(from))
	}
}

// pause waits and returns false when the server was closed meanwhile.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// addrPort converts what ReadFrom returned.
func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort()
	}
	p, _ := netip.ParseAddrPort(a.String())
	return p
}

// HandlePacket feeds one datagram that arrived on the shared socket. It copies
// b and never blocks; when the owner is behind the packet is lost. Every
// datagram that begins with 'd' and is no uTP packet belongs here.
func (s *Server) HandlePacket(b []byte, from netip.AddrPort) {
	if len(b) < minPacket || len(b) > readLen || b[0] != 'd' {
		return
	}
	if s.byName.answers(b, from) {
		return
	}
	select {
	case s.in <- input{data: append([]byte(nil), b...), from: from}:
	default:
		s.lost.Add(1)
	}
}

// write moves packets from the owner to the socket.
func (s *Server) write() {
	defer s.wg.Done()
	type addrPortWriter interface {
		WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	}
	direct, _ := s.cfg.Conn.(addrPortWriter)
	for {
		select {
		case <-s.ctx.Done():
			return
		case p := <-s.send:
			var err error
			if direct != nil {
				_, err = direct.WriteToUDPAddrPort(p.data, p.to)
			} else {
				_, err = s.cfg.Conn.WriteTo(p.data, net.UDPAddrFromAddrPort(p.to))
			}
			if err != nil {
				s.log.Debug("DHT packet not sent", "to", p.to, "err", err)
			}
		}
	}
}

// do runs f in the owner. It returns false, without having run f, if ctx or the
// server ended before.
func (s *Server) do(ctx context.Context, f func(now time.Time)) error {
	select {
	case s.in <- input{do: f}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// call runs f in the owner and waits for it.
func (s *Server) call(ctx context.Context, f func(now time.Time)) error {
	done := make(chan struct{})
	if err := s.do(ctx, func(now time.Time) { f(now); close(done) }); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// AddNode tells of a node, as a peer's PORT message (BEP 5) or the user does.
// informant is the peer's address; the zero address means the user. It is
// queried before it is believed.
func (s *Server) AddNode(addr netip.AddrPort, informant netip.Addr) {
	src := endpoint.FromDHT
	if !informant.IsValid() {
		src = endpoint.FromMagnet
	}
	n := krpc.NodeInfo{Addr: endpoint.Unmap4(addr)}
	s.tryDo(func(now time.Time) { s.core.addNode(n, src, informant, now) })
}

// AddVote counts what somebody outside of the DHT says our external address is:
// a peer (yourip of BEP 10) or a tracker (BEP 24).
func (s *Server) AddVote(external, informant netip.Addr) {
	external, informant = external.Unmap(), informant.Unmap()
	if !s.cfg.Family.is(external) {
		return
	}
	s.tryDo(func(now time.Time) { s.core.vote(netip.AddrPortFrom(external, 1), informant, now) })
}

// Retry has nodes looked for at once if few are known: the network is back.
func (s *Server) Retry() {
	s.tryDo(func(now time.Time) {
		s.resolver.retry(now)
		s.core.boot.tries, s.core.boot.retryAt, s.core.upkeep.at = 0, now, now
	})
}

// External returns our address as the Internet sees it; the zero value while that
// is not known. It never waits.
func (s *Server) External() netip.Addr {
	if a := s.external.Load(); a != nil {
		return *a
	}
	return netip.Addr{}
}

// tryDo runs f in the owner unless its inbox is full: for hints that nobody
// waits for.
func (s *Server) tryDo(f func(now time.Time)) {
	select {
	case s.in <- input{do: f}:
	default:
		s.lost.Add(1)
	}
}

// State returns what a restarted node needs to go on without bootstrap hosts:
// the node ID and good nodes. Some 8 KiB at most (IPv6: 12).
func (s *Server) State() ([]byte, error) {
	var b []byte
	err := s.call(context.Background(), func(time.Time) { b = s.core.state() })
	return b, err
}
