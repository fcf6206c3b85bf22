package lpd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	debounce = time.Second // interface changes come in flocks
	// poll is the period of looking at the interfaces unasked: netlink may be
	// missing or lose messages, a socket may have been refused, a send failed.
	poll = time.Minute
)

// Config says where and for whom peers are sought. Only Port is required.
type Config struct {
	// Port is where we listen for peers, 1-65535; it is what we announce.
	Port int
	// Device restricts discovery to the interface of that name, to which the
	// sockets are bound as well (SO_BINDTODEVICE). Empty: every suitable one.
	Device string
	// Loopback adds the loopback interface. Without it, loopback is used only
	// when no other interface is up.
	Loopback bool
	// OnPeer is called with each new announcer of one of our info-hashes, and
	// again about once a minute while it goes on announcing. It is called from
	// the reading goroutines and should not block for long; it may call the
	// Server, except for Close. Link-local peers carry a zone.
	OnPeer func(infoHash [20]byte, peer netip.AddrPort)
	// Control, if set, is called on each socket before it is bound.
	Control func(network, address string, c syscall.RawConn) error
	Log     *slog.Logger // nil: nothing is logged

	// Interfaces lists the interfaces to use, instead of those of the system.
	Interfaces func() ([]Interface, error)
	// Watch calls changed whenever Interfaces may have a new answer, until ctx
	// is done. Nil: netlink, where there is such a thing.
	Watch func(ctx context.Context, changed func()) error
	// Open opens the socket of a family. Nil: real multicast.
	Open func(f Family) (Transport, error)
}

// Transport sends and receives the multicast datagrams of one address family.
// Read is called by one goroutine, all else by another.
type Transport interface {
	// Join starts, Leave ends reception on an interface. Joining twice is no error.
	Join(ifi Interface) error
	Leave(ifi Interface) error
	// Read waits for a datagram that was sent to the group. Longer ones are cut
	// to len(b). The interface index is where it came in.
	Read(b []byte) (n int, index int, src netip.AddrPort, err error)
	// Write sends a datagram to the group through an interface.
	Write(b []byte, ifi Interface) error
	// Close ends a Read that waits.
	Close() error
}

// Stats tells what discovery does for a torrent.
type Stats struct {
	// Announcers is the number of distinct clients heard in the last 15 minutes,
	// however many addresses each has.
	Announcers int
	// Next is when it is announced next; zero if it is not announced at all.
	Next time.Time
	// Links is the number of interfaces joined, counted once per family. With
	// none, Err says why.
	Links int
	Err   error
}

// Server announces info-hashes on the local network and hears others do so.
// Its methods may be called from any goroutine.
type Server struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	kick   chan struct{} // core has something to send; capacity 1
	moved  chan struct{} // interfaces may have changed, or a socket broke; capacity 1

	mu    sync.Mutex // leaf; guards the rest
	core  *core
	links map[linkKey]Interface
	err   error

	// Owned by run, but for Read on the transports.
	conns [numFamilies]*openConn
}

// openConn is an open transport with what is joined on it.
type openConn struct {
	Transport
	joined map[int]Interface
	dead   chan struct{} // closed when its reader has ended
}

// New starts a server. Sockets that cannot be opened are no error here: they
// are tried again, and Stats tells.
func New(cfg Config) (*Server, error) {
	if cfg.Port < 1 || cfg.Port > 65535 {
		return nil, fmt.Errorf("lpd: port %d out of range", cfg.Port)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Interfaces == nil {
		cfg.Interfaces = func() ([]Interface, error) {
			all, err := systemInterfaces()
			return selectInterfaces(all, cfg.Device, cfg.Loopback), err
		}
	}
	if cfg.Watch == nil {
		cfg.Watch = watchInterfaces
	}
	if cfg.Open == nil {
		cfg.Open = func(f Family) (Transport, error) { return openMulticast(f, cfg.Device, cfg.Control) }
	}
	if cfg.OnPeer == nil {
		cfg.OnPeer = func([20]byte, netip.AddrPort) {}
	}
	var cookie [8]byte
	rand.Read(cookie[:]) // never fails
	s := &Server{
		cfg: cfg, log: cfg.Log,
		kick:  make(chan struct{}, 1),
		moved: make(chan struct{}, 1),
		core:  newCore(uint16(cfg.Port), hex.EncodeToString(cookie[:]), mrand.N[time.Duration]),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Go(s.run)
	s.wg.Go(s.watch)
	return s, nil
}

// Add starts announcing hash, at once; adding it again does nothing. Not for
// private torrents.
func (s *Server) Add(hash [20]byte) {
	s.mu.Lock()
	s.core.add(time.Now(), hash)
	s.mu.Unlock()
	signal(s.kick)
}

// Remove stops announcing hash and believing announces of it.
func (s *Server) Remove(hash [20]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.remove(hash)
}

// Stats tells what is known about a torrent, which has one info-hash, or two if it
// is a hybrid (BEP 52). It never waits.
func (s *Server) Stats(hashes ...[20]byte) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{Links: len(s.links), Err: s.err}
	st.Announcers, st.Next = s.core.stats(time.Now(), hashes...)
	return st
}

// Close ends the server and returns when all its goroutines have ended.
func (s *Server) Close() error {
	s.cancel()
	s.wg.Wait()
	return nil
}

// signal wakes the receiver of a channel of capacity 1.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run sends what is due and follows the interfaces.
func (s *Server) run() {
	defer s.closeConns()
	s.rescan()
	send := time.NewTimer(0)
	scan := time.NewTimer(poll)
	defer send.Stop()
	defer scan.Stop()
	soon := false // scan was set by moved; later changes do not put it off
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.moved:
			if !soon {
				soon = true
				scan.Reset(debounce)
			}
			continue
		case <-scan.C:
			soon = false
			s.rescan()
			scan.Reset(poll)
		case <-s.kick:
		case <-send.C:
		}
		if next := s.flush(); !next.IsZero() {
			send.Reset(time.Until(next))
		}
	}
}

// flush sends what is due and returns when to come again.
func (s *Server) flush() time.Time {
	s.mu.Lock()
	out, next := s.core.tick(time.Now())
	links := s.links
	s.mu.Unlock()
	for _, p := range out {
		ifi, c := links[p.link], s.conns[p.link.family]
		if c == nil {
			continue
		}
		if err := c.Write(p.data, ifi); err != nil {
			s.log.Debug("lpd: send", "interface", ifi.Name, "family", p.link.family, "err", err)
			s.mu.Lock()
			s.core.failed(p.link)
			s.mu.Unlock()
		}
	}
	return next
}

// rescan brings sockets and memberships in line with the interfaces there are.
func (s *Server) rescan() {
	list, err := s.cfg.Interfaces()
	if err == nil && len(list) == 0 {
		err = errors.New("lpd: no suitable interface")
	}
	links := make(map[linkKey]Interface)
	for f := range numFamilies {
		if e := s.joinAll(f, list, links); e != nil && err == nil {
			err = e
		}
	}
	if len(links) > 0 {
		err = nil
	}
	s.mu.Lock()
	old := s.err
	s.links, s.err = links, err
	s.core.setLinks(time.Now(), links)
	s.mu.Unlock()
	if err != nil && (old == nil || old.Error() != err.Error()) {
		s.log.Warn("local peer discovery does not work", "err", err)
	}
}

// joinAll joins the interfaces of list that have addresses of family f, leaves
// the others, and notes the joined ones in links.
func (s *Server) joinAll(f Family, list []Interface, links map[linkKey]Interface) error {
	c := s.conns[f]
	if c != nil {
		select {
		case <-c.dead:
			c.Close()
			c, s.conns[f] = nil, nil
		default:
		}
	}
	wanted := make(map[int]Interface)
	for _, ifi := range list {
		if ifi.has(f) {
			wanted[ifi.Index] = ifi
		}
	}
	if c != nil && s.cfg.Device != "" && !covers(c.joined, wanted) {
		// The socket is bound to the number of an interface that is gone.
		c.Close()
		c, s.conns[f] = nil, nil
	}
	if c == nil {
		if len(wanted) == 0 {
			return nil
		}
		var err error
		if c, err = s.open(f); err != nil {
			return err
		}
	}
	for i, ifi := range c.joined {
		if now, ok := wanted[i]; !ok || now.Name != ifi.Name {
			c.Leave(ifi) // fails if the interface is gone, which is as good
			delete(c.joined, i)
		}
	}
	var failed error
	for i, ifi := range wanted {
		// Joined again each time: an interface that went down and came up
		// under the same index between two scans has forgotten us.
		if err := c.Join(ifi); err != nil {
			failed = fmt.Errorf("lpd: join %s on %s: %w", f, ifi.Name, err)
			continue
		}
		c.joined[i] = ifi
		links[linkKey{f, i}] = ifi
	}
	return failed
}

// covers tells whether all interfaces that are wanted have been joined before.
func covers(joined, wanted map[int]Interface) bool {
	for i := range wanted {
		if _, ok := joined[i]; !ok {
			return false
		}
	}
	return true
}

// open opens the transport of a family and starts its reader.
func (s *Server) open(f Family) (*openConn, error) {
	t, err := s.cfg.Open(f)
	if err != nil {
		return nil, fmt.Errorf("lpd: open %s: %w", f, err)
	}
	c := &openConn{Transport: t, joined: make(map[int]Interface), dead: make(chan struct{})}
	s.conns[f] = c
	s.wg.Go(func() {
		defer close(c.dead)
		s.read(f, t)
	})
	return c, nil
}

// read hands datagrams to core until the transport fails or is closed.
func (s *Server) read(f Family, t Transport) {
	buf := make([]byte, maxPacket+1)
	for {
		n, index, src, err := t.Read(buf)
		if err != nil {
			if s.ctx.Err() == nil {
				s.log.Debug("lpd: receive", "family", f, "err", err)
				signal(s.moved)
			}
			return
		}
		s.mu.Lock()
		out := s.core.packet(time.Now(), linkKey{f, index}, src, buf[:n])
		s.mu.Unlock()
		signal(s.kick) // an answer may be due
		for _, p := range out {
			s.cfg.OnPeer(p.hash, p.peer)
		}
	}
}

// watch passes on interface changes, and begins anew if the watcher fails.
func (s *Server) watch() {
	for s.ctx.Err() == nil {
		err := s.cfg.Watch(s.ctx, func() { signal(s.moved) })
		if errors.Is(err, errors.ErrUnsupported) {
			return // poll must do
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(poll):
		}
	}
}

func (s *Server) closeConns() {
	for f, c := range s.conns {
		if c != nil {
			c.Close()
			s.conns[f] = nil
		}
	}
}
