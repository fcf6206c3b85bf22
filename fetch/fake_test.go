package fetch

import (
	"cmp"
	"crypto/sha1"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magnetfs/cache"
	"magnetfs/swarm"
	"magnetfs/swarm/benc"
	"magnetfs/swarm/metainfo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeFile is one file of a torrent made for tests.
type fakeFile struct {
	path string // slash-separated, below the torrent's folder
	size int64
	attr string // BEP 47
	link string // target from the root, with attr l
}

// fakeTorrent is a torrent with its payload.
type fakeTorrent struct {
	info    *metainfo.Info
	payload []byte
	raw     []byte // the .torrent file
}

// makeTorrent makes a v1 torrent with random contents, the same for the same name.
func makeTorrent(t testing.TB, name string, pieceLen int64, files ...fakeFile) *fakeTorrent {
	t.Helper()
	var total int64
	var list []any
	for _, f := range files {
		var path []string
		if f.path != "" {
			path = strings.Split(f.path, "/")
		}
		entry := map[string]any{"length": f.size, "path": path}
		if f.attr != "" {
			entry["attr"] = f.attr
		}
		if f.link != "" {
			entry["symlink path"] = strings.Split(f.link, "/")
		}
		list = append(list, entry)
		total += f.size
	}
	seed := sha1.Sum([]byte(name))
	rnd := rand.NewChaCha8([32]byte(append(seed[:], make([]byte, 12)...)))
	payload := make([]byte, total)
	_, _ = rnd.Read(payload)
	var at int64
	for _, f := range files {
		if strings.Contains(f.attr, "p") {
			clear(payload[at : at+f.size])
		}
		at += f.size
	}
	var pieces []byte
	for chunk := range slices.Chunk(payload, int(pieceLen)) {
		h := sha1.Sum(chunk)
		pieces = append(pieces, h[:]...)
	}
	dict := map[string]any{"name": name, "piece length": pieceLen, "pieces": string(pieces)}
	if len(files) == 1 && files[0].path == "" {
		dict["length"] = total
	} else {
		dict["files"] = list
	}
	raw, err := benc.Marshal(map[string]any{"info": dict, "announce": "udp://tracker.test:1"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := metainfo.ParseMetainfo(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &fakeTorrent{m.Info, payload, raw}
}

// file is the contents of a file.
func (ft *fakeTorrent) file(i int) []byte {
	f := ft.info.Files[i]
	return ft.payload[f.Offset : f.Offset+f.Length]
}

func (ft *fakeTorrent) magnet() string { return "magnet:?xt=urn:btih:" + ft.info.InfoHash.String() }

// fakeEngine joins swarms that know the given torrents.
type fakeEngine struct {
	latency time.Duration // from a want to the first byte, when idle
	rate    float64       // bytes per second of each swarm, 0: no limit

	mu       sync.Mutex
	torrents map[metainfo.InfoHash]*fakeTorrent
	swarms   map[metainfo.InfoHash]*fakeSwarm // the latest of each
	err      error                            // of Add
	adds     []swarm.AddSpec
}

func newFakeEngine(torrents ...*fakeTorrent) *fakeEngine {
	e := &fakeEngine{torrents: map[metainfo.InfoHash]*fakeTorrent{}, swarms: map[metainfo.InfoHash]*fakeSwarm{}}
	for _, ft := range torrents {
		e.torrents[ft.info.InfoHash] = ft
	}
	return e
}

func (e *fakeEngine) Add(spec swarm.AddSpec) (Swarm, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return nil, e.err
	}
	s := &fakeSwarm{
		spec:  spec,
		ft:    e.torrents[spec.InfoHash],
		delay: e.latency, rate: e.rate,
		peers: 1,
		wake:  make(chan struct{}, 1),
		stop:  make(chan struct{}),
		had:   map[int]bool{},
		wants: map[uint64][]swarm.Want{},
	}
	e.swarms[spec.InfoHash] = s
	e.adds = append(e.adds, spec)
	s.wg.Go(s.run)
	return s, nil
}

// of is the swarm of a torrent.
func (e *fakeEngine) of(ft *fakeTorrent) *fakeSwarm {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.swarms[ft.info.InfoHash]
}

// fakeSwarm delivers the wanted pieces one after the other, blocked ones and
// earlier deadlines first, at a rate. It believes that the store has what it
// delivered until it hears otherwise, as a real one does.
type fakeSwarm struct {
	spec  swarm.AddSpec
	ft    *fakeTorrent
	delay time.Duration
	rate  float64
	wake  chan struct{}
	stop  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup

	mu        sync.Mutex
	peers     int // connected peers that have everything
	connected int
	had       map[int]bool
	absent    map[int]bool // no peer has them
	wants     map[uint64][]swarm.Want
	open      map[uint64]bool
	calls     int // of SetWants
	delivered []int
	lastBlock time.Time
	added     []string // peers and trackers
	evictions []int
	closed    bool
}

func (s *fakeSwarm) run() {
	var idle = true
	for {
		piece, ok := s.next()
		if !ok {
			idle = true
			select {
			case <-s.wake:
				continue
			case <-s.stop:
				return
			}
		}
		wait := time.Duration(0)
		if idle {
			wait = s.delay
		}
		size := s.ft.info.PieceSize(piece)
		if s.rate > 0 {
			wait += time.Duration(float64(size) / s.rate * float64(time.Second))
		}
		if wait > 0 {
			select {
			case <-time.After(wait):
			case <-s.stop:
				return
			}
		}
		idle = false
		s.deliver(piece)
	}
}

// next is the piece to deliver now.
func (s *fakeSwarm) next() (int, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers == 0 || s.ft == nil {
		return 0, false
	}
	var all []swarm.Want
	for _, ws := range s.wants {
		all = append(all, ws...)
	}
	slices.SortFunc(all, func(a, b swarm.Want) int {
		return cmp.Or(a.Deadline.Compare(b.Deadline), cmp.Compare(a.Piece, b.Piece))
	})
	for _, w := range all {
		if !s.had[w.Piece] && !s.absent[w.Piece] {
			return w.Piece, true
		}
	}
	return 0, false
}

func (s *fakeSwarm) deliver(piece int) {
	begin := int64(piece) * s.ft.info.PieceLength
	data := slices.Clone(s.ft.payload[begin : begin+s.ft.info.PieceSize(piece)])
	s.mu.Lock()
	s.had[piece] = true
	s.delivered = append(s.delivered, piece)
	s.lastBlock = time.Now()
	s.mu.Unlock()
	s.spec.Store.PieceVerified(piece, data)
}

func (s *fakeSwarm) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *fakeSwarm) SetWants(reader uint64, wants []swarm.Want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if len(wants) == 0 {
		delete(s.wants, reader)
	} else {
		s.wants[reader] = wants
	}
	s.poke()
}

func (s *fakeSwarm) SetOpen(reader uint64, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[uint64]bool{}
	}
	if s.open[reader] = open; !open {
		delete(s.open, reader)
	}
}

func (s *fakeSwarm) Evicted(pieces ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pieces {
		delete(s.had, p)
	}
	s.evictions = append(s.evictions, pieces...)
	s.poke()
}

func (s *fakeSwarm) Held(pieces ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pieces {
		s.had[p] = true
	}
}

func (s *fakeSwarm) Supply(piece int) swarm.Supply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.absent[piece] {
		return swarm.Supply{Connected: 1, LastBlock: s.lastBlock}
	}
	return swarm.Supply{Connected: s.connected, Peers: s.peers, LastBlock: s.lastBlock}
}

func (s *fakeSwarm) Status() swarm.Status {
	return swarm.Status{InfoHash: s.spec.InfoHash, Name: s.spec.Name, State: swarm.StateActive}
}

func (s *fakeSwarm) AddPeers(addrs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = append(s.added, addrs...)
}

func (s *fakeSwarm) AddTrackers(tiers [][]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = append(s.added, slices.Concat(tiers...)...)
}

func (s *fakeSwarm) AddHash(hash metainfo.InfoHash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = append(s.added, hash.String())
}

func (s *fakeSwarm) Close() {
	s.once.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.stop)
	})
	s.wg.Wait()
}

// setPeers changes how many peers can deliver.
func (s *fakeSwarm) setPeers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = n
	s.poke()
}

// wanted draws all wants, one character a piece: '!' blocked, 'w' wanted, '+' had
// and wanted, '-' delivered, '.' nothing.
func (s *fakeSwarm) wanted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	pic := []byte(strings.Repeat(".", s.ft.info.NumPieces()))
	for p := range pic {
		if s.had[p] {
			pic[p] = '-'
		}
	}
	for _, ws := range s.wants {
		for _, w := range ws {
			switch {
			case s.had[w.Piece]:
				pic[w.Piece] = '+'
			case w.Blocked:
				pic[w.Piece] = '!'
			case pic[w.Piece] == '.':
				pic[w.Piece] = 'w'
			}
		}
	}
	return string(pic)
}

func (s *fakeSwarm) count() (delivered, calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.delivered), s.calls
}

// fixture is a library over a fake engine.
type fixture struct {
	t      testing.TB
	dir    string
	cache  *cache.Cache
	engine *fakeEngine
	lib    *Library
	cfg    Config
}

func newFixture(t testing.TB, budget int64, engine *fakeEngine) *fixture {
	t.Helper()
	c, err := cache.New(cache.Config{Bytes: budget})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, dir: t.TempDir(), cache: c, engine: engine}
	f.cfg = Config{Engine: engine, Cache: c, StateDir: f.dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	f.open()
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	lib, err := Open(f.cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.lib = lib
}

func (f *fixture) close() {
	f.t.Helper()
	if err := f.lib.Close(); err != nil {
		f.t.Errorf("close: %v", err)
	}
	f.cache.Close()
}

// add adds a torrent with its metadata.
func (f *fixture) add(ft *fakeTorrent) *Torrent {
	f.t.Helper()
	tor, _, err := f.lib.AddMetainfo(ft.raw)
	if err != nil {
		f.t.Fatal(err)
	}
	return tor
}

// reader opens a file by its path.
func (f *fixture) reader(t *Torrent, path string) *Reader {
	f.t.Helper()
	n := find(t.Root(), path)
	if n == nil {
		f.t.Fatalf("no %q in the tree", path)
	}
	r, err := t.Open(n)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func find(n *Node, path string) *Node {
	for name := range strings.SplitSeq(path, "/") {
		if n = n.Child(name); n == nil {
			return nil
		}
	}
	return n
}

// join makes one slice of the parts.
func join(parts [][]byte) []byte { return slices.Concat(parts...) }

func mustEqual[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}
