package swarm

import (
	"bytes"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/metainfo"
)

const (
	mbit = 1_000_000 / 8 // bytes per second
	mib  = 1 << 20
	ms   = time.Millisecond
)

// world is a session on a simulated network with seeders around it, in virtual
// time.
type world struct {
	t       *testing.T
	net     *simnet.Net
	tor     *swarmtest.Torrent
	peers   []string // addresses of the seeders
	seeders []*swarmtest.Seeder
	hosts   []*simnet.Host // of the seeders
	clients []*client
}

// client is one session with its torrent.
type client struct {
	w       *world
	host    *simnet.Host
	session *Session
	torrent *Torrent
	store   *shelf
	info    chan *metainfo.Info // takes what OnInfo says
}

// inWorld runs fn in virtual time.
func inWorld(t *testing.T, spec swarmtest.Spec, fn func(w *world)) {
	t.Helper()
	tor := torrentOf(t, spec)
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: simnet.New(1), tor: tor}
		defer w.close()
		fn(w)
	})
}

// torrents are those that were made, by what tells them apart. Large ones are the
// greater part of a short test.
var torrents sync.Map

func torrentOf(t *testing.T, spec swarmtest.Spec) *swarmtest.Torrent {
	t.Helper()
	key := fmt.Sprint(spec)
	if tor, ok := torrents.Load(key); ok {
		return tor.(*swarmtest.Torrent)
	}
	tor := swarmtest.MakeTorrent(t, spec)
	torrents.Store(key, tor)
	return tor
}

func (w *world) close() {
	for _, c := range w.clients {
		c.session.Close()
	}
	for _, s := range w.seeders {
		s.Close()
	}
	w.net.Close()
}

// host adds a host of a public address; a path between two of them has twice the
// delay of their links.
func (w *world) host(link simnet.Link, last int) *simnet.Host {
	return w.net.Host(link, netip.AddrFrom4([4]byte{203, 0, byte(113 + last>>8), byte(last)}))
}

// uplink is the link of a seeder with the given rate and the given round trip to a
// client.
func uplink(rate int, rtt time.Duration) simnet.Link {
	return simnet.Link{Up: rate, Delay: rtt/2 - clientDelay}
}

const clientDelay = time.Millisecond

// seed adds a seeder that clients made later will know.
func (w *world) seed(link simnet.Link, cfg swarmtest.SeederConfig) *swarmtest.Seeder {
	w.t.Helper()
	n := len(w.seeders) + 10
	cfg.Torrent = w.tor
	if cfg.Name == "" {
		cfg.Name = fmt.Sprint("seed ", n)
	}
	s := swarmtest.NewSeeder(cfg)
	h := w.host(link, n)
	if _, err := s.Listen(w.t.Context(), h, ":6881"); err != nil {
		w.t.Fatal(err)
	}
	w.seeders = append(w.seeders, s)
	w.hosts = append(w.hosts, h)
	w.peers = append(w.peers, netip.AddrPortFrom(h.Addr(), 6881).String())
	return s
}

// joins says how a client begins.
type joins struct {
	link   simnet.Link // zero: 100 Mbit/s down, 20 up
	info   bool        // it has the info already
	have   []int       // and these pieces
	peers  []string    // nil: all seeders
	max    int         // MaxPeers
	second bool        // it knows a hybrid torrent by the hash of version 2
	// limits of the session.
	limits Limits
	// network changes what the session sees of its host; nil for no change.
	network func(*simnet.Host) Network
}

// join starts a client.
func (w *world) join(j joins) *client {
	w.t.Helper()
	if j.link == (simnet.Link{}) {
		j.link = simnet.Link{Up: 20 * mbit, Down: 100 * mbit, Delay: clientDelay}
	}
	return w.joinFrom(w.host(j.link, len(w.clients)+1), j)
}

// joinFrom is join on a host that is there.
func (w *world) joinFrom(host *simnet.Host, j joins) *client {
	w.t.Helper()
	if j.peers == nil {
		j.peers = w.peers
	}
	c := &client{
		w:     w,
		host:  host,
		store: newShelf(w.tor),
		info:  make(chan *metainfo.Info, 1),
	}
	for _, i := range j.have {
		c.store.pieces[i] = w.tor.Piece(i)
	}
	var network Network = host
	if j.network != nil {
		network = j.network(host)
	}
	var err error
	c.session, err = NewSession(Config{
		Network: network, Port: 6881, MaxPeers: j.max, Limits: j.limits,
		DHT: DHTConfig{Disable: true}, DisableLPD: true,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.clients = append(w.clients, c)
	spec := AddSpec{
		InfoHash: w.tor.InfoHash, Name: "sim", Store: c.store, Peers: j.peers, Have: j.have,
		OnInfo: func(i *metainfo.Info) { c.info <- i },
	}
	if j.second {
		spec.InfoHash = w.tor.InfoHashV2.Truncated()
	}
	if j.info {
		spec.Info = w.tor.Info
	}
	if c.torrent, err = c.session.Add(spec); err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (c *client) addr() string { return netip.AddrPortFrom(c.host.Addr(), 6881).String() }

// read wants one piece and sleeps until it is there.
func (c *client) read(piece int) time.Duration {
	c.w.t.Helper()
	start := time.Now()
	c.torrent.SetWants(1, []Want{{Piece: piece, Deadline: start, Blocked: true}})
	c.await(piece, time.Minute)
	c.torrent.SetWants(1, nil)
	return time.Since(start)
}

// stream reads n pieces in order with a window of ahead pieces, and returns bytes
// per second.
func (c *client) stream(reader uint64, first, n, ahead int) float64 {
	c.w.t.Helper()
	start := time.Now()
	step := 80 * ms // as if measured
	since := start
	for i := first; i < first+n; i++ {
		if !c.store.has(i) {
			var ws []Want
			for j := i; j < min(i+ahead, first+n); j++ {
				if !c.store.has(j) {
					ws = append(ws, Want{Piece: j, Deadline: since.Add(time.Duration(j-i) * step), Blocked: i == j})
				}
			}
			c.torrent.SetWants(reader, ws)
			if !c.await(i, time.Minute) {
				break
			}
		}
		step += (time.Since(since) - step) / 8
		since = time.Now()
	}
	c.torrent.SetWants(reader, nil)
	return float64(int64(n)*c.w.tor.PieceLength) / time.Since(start).Seconds()
}

// await sleeps until the piece is there.
func (c *client) await(piece int, atMost time.Duration) bool {
	c.w.t.Helper()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	for {
		has, news := c.store.watch(piece)
		if has {
			return true
		}
		select {
		case <-news:
		case <-timer.C:
			c.w.t.Errorf("piece %d did not come within %v: %+v", piece, atMost, c.torrent.Status())
			return false
		}
	}
}

// shelf is a Store that keeps all pieces and checks each against the payload.
type shelf struct {
	tor *swarmtest.Torrent

	mu     sync.Mutex // guards all below
	pieces map[int][]byte
	at     map[int]time.Time
	wrong  []int         // pieces that are not what they should be
	twice  []int         // pieces that came although they were there
	reads  int           // of ReadPiece
	news   chan struct{} // closed when a piece comes
}

func newShelf(tor *swarmtest.Torrent) *shelf {
	return &shelf{tor: tor, pieces: map[int][]byte{}, at: map[int]time.Time{}, news: make(chan struct{})}
}

func (s *shelf) PieceVerified(index int, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !bytes.Equal(data, s.tor.Piece(index)) {
		s.wrong = append(s.wrong, index)
	}
	if s.pieces[index] != nil {
		s.twice = append(s.twice, index)
	}
	s.pieces[index] = s.tor.Piece(index) // the same, and in memory already
	s.at[index] = time.Now()
	close(s.news)
	s.news = make(chan struct{})
}

func (s *shelf) ReadPiece(index int) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if data := s.pieces[index]; data != nil {
		return data, nil
	}
	return nil, ErrNotHave
}

func (s *shelf) watch(piece int) (has bool, news <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pieces[piece] != nil, s.news
}

func (s *shelf) has(piece int) bool {
	has, _ := s.watch(piece)
	return has
}

// evict forgets pieces.
func (s *shelf) evict(pieces ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pieces {
		delete(s.pieces, p)
	}
}

// check fails the test if a byte was wrong or a piece came twice.
func (s *shelf) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) > 0 {
		return fmt.Errorf("wrong bytes in pieces %v", s.wrong)
	}
	if len(s.twice) > 0 {
		return fmt.Errorf("pieces %v came twice", s.twice)
	}
	return nil
}

func (s *shelf) readCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}
