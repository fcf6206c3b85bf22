package swarm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"magnetfs/swarm/blocklist"
	"magnetfs/swarm/dht"
	"magnetfs/swarm/lpd"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/mse"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/tracker"
	"magnetfs/swarm/utp"
	"magnetfs/swarm/wire"
)

// clientVersion is what peers are told we are.
const clientVersion = "magnetfs"

const (
	defaultMaxPeers = 60       // per torrent; more only costs memory at the rates of homes
	defaultMaxBuild = 64 << 20 // bytes
	maxHalfOpen     = 64       // dials under way, of all torrents
	maxHandshaking  = 64       // of those that dial us
)

// Config holds the settings of a session. The zero value is useful.
type Config struct {
	// Network is the world; nil for the system's sockets.
	Network Network

	// Fault tells why Network can send nothing at present by "tcp" or "udp", nil if
	// it can; for the status. It must not wait. Nil: never asked.
	Fault func(network string) error

	// RemoteNames leaves names to Network, as a proxy wants it: Dial takes them, and
	// so does WriteTo of its packet connections, in a net.Addr whose String is
	// host:port. Nobody can dial Port then, and nothing is said in the local network.
	RemoteNames bool

	// Blocked are no peers and no DHT nodes; SetBlocked replaces it. Trackers are not
	// looked up in it.
	Blocked *blocklist.List

	// Port is where TCP and UDP listen; 0 lets the system choose.
	Port int

	// MaxPeers bounds the connections of one torrent; 0: 60.
	MaxPeers int

	// MaxBuild bounds the bytes of unverified blocks that one torrent keeps;
	// 0: 64 MiB.
	MaxBuild int64

	// Limits bound the rates; SetLimits changes them.
	Limits Limits

	// Resolve looks a host name up; nil for the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// DisableUTP leaves TCP alone (BEP 29).
	DisableUTP bool

	// Encryption says which connections to peers are encrypted.
	Encryption mse.Policy

	// DHT configures the DHT node.
	DHT DHTConfig

	// LPD overrides the settings of local peer discovery; Port and OnPeer are
	// set by the session.
	LPD        lpd.Config
	DisableLPD bool

	Log *slog.Logger // nil: nothing is logged
}

// Session owns the sockets and the torrents. All methods may be called from any
// goroutine.
type Session struct {
	network    Network
	fault      func(network string) error
	remote     bool // Config.RemoteNames
	peerID     [20]byte
	port       uint16
	maxPeers   int
	maxBuild   int64
	encryption mse.Policy
	log        *slog.Logger
	resolve    func(ctx context.Context, host string) ([]netip.Addr, error)

	down, up throttle
	noUpload atomic.Bool

	blockList atomic.Pointer[blocklist.List]
	refused   atomic.Int64  // see Refused
	mapped    atomic.Uint32 // port that a router has mapped to ours; 0: none

	ctx       context.Context
	cancel    context.CancelFunc
	listeners []net.Listener
	packets   []net.PacketConn // IPv4, and IPv6 if the host has it
	utp       []*utp.Socket    // on packets; none if off
	halfOpen  *semaphore.Weighted
	shaking   *semaphore.Weighted
	hashers   *workers
	servers   *workers
	trackers  *tracker.Client
	key       uint32      // by which trackers know us (BEP 3)
	dht       *dhtNodes   // nil if off
	lpd       *lpd.Server // nil if off
	slots     slots
	wg        sync.WaitGroup
	reached   atomic.Bool // somebody from outside has connected to us

	mu       sync.Mutex                     // guards torrents, closed, and the second hashes of torrents; a leaf
	torrents map[metainfo.InfoHash]*Torrent // hybrid ones by both hashes
	closed   bool
}

// NewSession opens the sockets and starts the discovery of peers. It does not wait
// for the network.
func NewSession(cfg Config) (*Session, error) {
	s := &Session{
		network:    cfg.Network,
		fault:      cfg.Fault,
		remote:     cfg.RemoteNames,
		maxPeers:   cfg.MaxPeers,
		maxBuild:   cfg.MaxBuild,
		encryption: cfg.Encryption,
		log:        cfg.Log,
		resolve:    cfg.Resolve,
		halfOpen:   semaphore.NewWeighted(maxHalfOpen),
		shaking:    semaphore.NewWeighted(maxHandshaking),
		torrents:   map[metainfo.InfoHash]*Torrent{},
	}
	if s.network == nil {
		s.network = systemNetwork{}
	}
	if s.fault == nil {
		s.fault = func(string) error { return nil }
	}
	if s.maxPeers == 0 {
		s.maxPeers = defaultMaxPeers
	}
	if s.maxBuild == 0 {
		s.maxBuild = defaultMaxBuild
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.blockList.Store(cfg.Blocked)
	if s.remote {
		cfg.DisableLPD = true
		s.resolve = func(context.Context, string) ([]netip.Addr, error) { return nil, errRemoteNames }
	}
	if s.resolve == nil {
		s.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	s.SetLimits(cfg.Limits)
	copy(s.peerID[:], "-MF0001-")
	if _, err := io.ReadFull(rand.Reader, s.peerID[8:]); err != nil {
		return nil, fmt.Errorf("swarm: peer id: %w", err)
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.open(cfg); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open opens the sockets: one TCP and one UDP port of the same number, in both
// families where the host has them.
func (s *Session) open(cfg Config) error {
	s.hashers = newWorkers(runtime.GOMAXPROCS(0))
	s.servers = newWorkers(2)
	s.trackers = tracker.NewClient(tracker.ClientConfig{Network: s.network, Resolve: s.resolve, RemoteNames: s.remote})
	s.key = mrand.Uint32()
	port, packets, err := s.listen(cfg.Port)
	if err != nil {
		return err
	}
	s.port = port
	if err := s.openPackets(cfg, packets); err != nil {
		return err
	}
	if !cfg.DisableLPD {
		c := cfg.LPD
		c.Port, c.OnPeer, c.Log = int(port), s.lpdPeer, s.log
		if s.lpd, err = lpd.New(c); err != nil {
			return fmt.Errorf("swarm: local peer discovery: %w", err)
		}
	}
	for _, l := range s.listeners {
		s.wg.Go(func() { s.accept(l) })
	}
	return nil
}

// SetMapped says that others reach us by this port of IPv4, which a router has mapped to ours;
// 0: none has.
func (s *Session) SetMapped(port uint16) {
	was := s.reachedAt()
	s.mapped.Store(uint32(port))
	if s.reachedAt() == was {
		return
	}
	s.mu.Lock()
	torrents := slices.Collect(maps.Values(s.torrents))
	s.mu.Unlock()
	for _, t := range torrents {
		if t.Status().State != StateIdle { // others announce themselves when their time comes
			t.finders.needPeers()
		}
	}
}

// reachedAt is the port that others can dial by IPv4, as far as we know.
func (s *Session) reachedAt() uint16 {
	if p := s.mapped.Load(); p != 0 {
		return uint16(p)
	}
	return s.port
}

// announces is the port that a DHT node announces, and whether others should rather
// take the one that its packets come from, which behind a NAT is where uTP is reached.
func (s *Session) announces(srv *dht.Server) (port uint16, implied bool) {
	if srv == s.dht.servers[dht.IPv4] && s.mapped.Load() != 0 {
		return s.reachedAt(), false
	}
	return s.port, len(s.utp) > 0
}

func (t *Torrent) reachedAt() uint16 { return t.session.reachedAt() }

// Port returns where the session listens.
func (s *Session) Port() int { return int(s.port) }

// Add joins a torrent's swarm. It does not wait for the network.
func (s *Session) Add(spec AddSpec) (*Torrent, error) {
	t := &Torrent{
		session: s,
		spec:    spec,
		inbox:   make(chan event, inboxSize),
		done:    make(chan struct{}),
		told:    make(chan struct{}),
		more:    make(chan struct{}, 1),
	}
	if spec.Info != nil {
		close(t.told)
	}
	t.ctx, t.cancel = context.WithCancel(s.ctx)
	t.public, t.endPublic = context.WithCancel(t.ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		t.cancel()
		return nil, ErrClosed
	case s.has(spec.InfoHash):
		t.cancel()
		return nil, fmt.Errorf("swarm: torrent %v is there already", spec.InfoHash)
	}
	s.yield(spec.InfoHash)
	s.torrents[spec.InfoHash] = t
	_, _ = s.alsoKnown(t, spec.secondHash())
	t.sure = spec.Info != nil
	s.start(t)
	return t, nil
}

// start lets a torrent run. The order of its goroutines does not matter: all
// they do is post events.
func (s *Session) start(t *Torrent) {
	now := time.Now()
	l := &loop{
		hash:     t.spec.InfoHash,
		name:     t.spec.Name,
		peerID:   s.peerID,
		port:     s.port,
		dhtPort:  s.toldDHTPort(),
		maxPeers: s.maxPeers,
		maxBuild: s.maxBuild,
		encrypt:  s.encryption != mse.Allow,
		punch:    len(s.utp) > 0,
		log:      s.log.With("torrent", t.spec.InfoHash.String()[:8]),
		do:       t,
		build:    newAssembly(),
		peers:    map[picker.PeerID]*remote{},
		cands:    newCandidates(),
		readers:  map[uint64][]Want{},
		open:     map[uint64]struct{}{},
		since:    map[int]time.Time{},
		added:    now,
		lastWant: now,
		limits: limits{
			down:  &share{throttle: &s.down, more: t.more},
			up:    &share{throttle: &s.up, more: t.more},
			off:   s.noUpload.Load,
			isOff: s.noUpload.Load(),
		},
	}
	if t.spec.Info == nil {
		l.meta = newMetadata(t.spec.InfoHash)
	} else {
		if t.spec.Info.Private {
			t.endPublic()
		}
		l.setInfo(now, t.spec.Info)
		for _, p := range t.spec.Have {
			l.picker.SetHad(p, true)
		}
		l.lastWant = time.Time{} // nobody asked yet
	}
	t.finders = newFinders(t, l.log)
	st := l.status(now)
	t.wg.Go(func() { t.run(l) })
	if len(t.spec.Peers) > 0 {
		t.wg.Go(func() { t.resolvePeers(t.spec.Peers) })
	}
	idle := t.spec.Info != nil
	t.finders.add(t.spec.InfoHash, idle, st)
	if t.second != (metainfo.InfoHash{}) {
		t.finders.add(t.second, idle, st)
	}
}

// remove forgets a torrent, so that nobody finds it any more.
func (s *Session) remove(t *Torrent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.torrents, func(_ metainfo.InfoHash, other *Torrent) bool { return other == t })
}

// goes runs f as one of the torrent's goroutines unless the torrent is closed.
func (s *Session) goes(t *Torrent, f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.torrents[t.spec.InfoHash] == t {
		t.wg.Go(f)
	}
}

func (s *Session) torrent(hash metainfo.InfoHash) *Torrent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.torrents[hash]
}

// infoHashes are those of the torrents at the moment.
func (s *Session) infoHashes(yield func([20]byte) bool) {
	s.mu.Lock()
	hashes := slices.Collect(maps.Keys(s.torrents))
	s.mu.Unlock()
	for _, h := range hashes {
		if !yield(h) {
			return
		}
	}
}

// accept takes connections until the listener is closed.
func (s *Session) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.log.Warn("accept", "err", err)
			select {
			case <-time.After(100 * time.Millisecond): // out of descriptors, most likely
				continue
			case <-s.ctx.Done():
				return
			}
		}
		if s.blocksConn(nc) {
			nc.Close()
			continue
		}
		if !s.shaking.TryAcquire(1) {
			nc.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.shaking.Release(1)
			s.welcome(nc)
		})
	}
}

// welcome shakes hands with somebody who dialled us.
func (s *Session) welcome(nc net.Conn) {
	ctx, cancel := context.WithTimeout(s.ctx, peer.HandshakeTimeout) // for both handshakes
	defer cancel()
	c, err := mse.Accept(ctx, nc, s.encryption, s.infoHashes)
	if err != nil {
		s.log.Debug("incoming", "err", err)
		return
	}
	key, encrypted := c.Key()
	var t *Torrent
	link, err := peer.HandshakeIn(ctx, c, func(theirs wire.Handshake) (peer.Answer, bool) {
		if t = s.torrent(theirs.InfoHash); t == nil || encrypted && theirs.InfoHash != key {
			return peer.Answer{}, false
		}
		return peer.Answer{Handshake: t.handshake(theirs.InfoHash)}, true
	})
	if err != nil {
		s.log.Debug("incoming", "err", err)
		return
	}
	addr, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		link.Close()
		return
	}
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if !isLocal(addr.Addr()) && transportOf(nc) == overTCP {
		s.reached.Store(true) // by uTP it may have been a hole
	}
	t.offer(link, evConnected{addr: addr, method: c.Method(), via: transportOf(nc)})
}

// Close leaves all swarms, closes the sockets and returns when nothing of the
// session is left.
func (s *Session) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var wg sync.WaitGroup
	for _, t := range s.all() {
		wg.Go(t.Close) // each may have trackers to say good-bye to
	}
	wg.Wait()
	s.cancel()
	s.down.close()
	s.up.close()
	for _, l := range s.listeners {
		l.Close()
	}
	if s.lpd != nil {
		s.lpd.Close()
	}
	if s.dht != nil {
		s.dht.close()
	}
	_ = s.closePackets()
	if s.trackers != nil {
		s.trackers.Close()
	}
	s.wg.Wait()
	if s.hashers != nil {
		s.hashers.close()
		s.servers.close()
	}
	return nil
}

func isSelf(err error) bool { return errors.Is(err, peer.ErrSelf) }
