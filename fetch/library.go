package fetch

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"magnetfs/cache"
	"magnetfs/cache/disk"
	"magnetfs/swarm"
	"magnetfs/swarm/metainfo"
)

// The types of a status, so that a front end needs no import of swarm.
type (
	Status       = swarm.Status
	State        = swarm.State
	SourceStatus = swarm.SourceStatus
	PeerStatus   = swarm.PeerStatus
	WaitingPiece = swarm.WaitingPiece
)

// Engine joins swarms. *swarm.Session is one, behind an adapter that turns the
// result into a Swarm.
type Engine interface {
	// Add joins a torrent. It does not wait for the network.
	Add(spec swarm.AddSpec) (Swarm, error)
}

// Swarm is one joined torrent; *swarm.Torrent is one. Every method but Close may
// be called from any goroutine and returns within one turn of the torrent's loop.
type Swarm interface {
	// SetWants replaces the whole list of wants of one reader; an empty list
	// forgets the reader.
	SetWants(reader uint64, wants []swarm.Want)
	// SetOpen says that a reader is there, wanting something or not, or no longer.
	SetOpen(reader uint64, open bool)
	// Evicted says that the store no longer holds these pieces.
	Evicted(pieces ...int)
	// Held says that the store holds these pieces though they did not come from
	// the swarm.
	Held(pieces ...int)
	// Supply says what a piece can be expected from.
	Supply(piece int) swarm.Supply
	Status() swarm.Status
	AddPeers(addrs []string)
	AddTrackers(tiers [][]string)
	// AddHash tells the second info-hash of a hybrid torrent.
	AddHash(hash metainfo.InfoHash)
	// Close leaves the swarm; no callback of it runs afterwards. It may be
	// called more than once.
	Close()
}

// Config says how a Library works. Engine, Cache and StateDir are required.
type Config struct {
	Engine Engine

	// Cache keeps the pieces. The library sets its eviction callback and does
	// not close it; close it after the library and the engine.
	Cache *cache.Cache

	// Disk keeps the pieces beyond memory and restarts; nil: memory only. The
	// library does not close it; close it after the library.
	Disk *disk.Tier

	// StateDir is the folder of what outlives the process. It is created if
	// missing and locked against a second process.
	StateDir string

	Log *slog.Logger // nil: nothing is logged

	// NoPeersTimeout is how long a read waits while no connected peer can
	// deliver its piece: 0 means 60 s, negative for ever.
	NoPeersTimeout time.Duration

	// NoBlocksTimeout is how long a read waits without one new block of its
	// torrent: 0 means 300 s, negative for ever.
	NoBlocksTimeout time.Duration

	// PinCapacity returns how many bytes may be pinned; it may change. Nil: three
	// quarters of the disk's budget, or of the cache's if there is no disk, so that
	// readers keep a quarter.
	PinCapacity func() int64
}

// Library holds the torrents of one mount. All methods are safe for concurrent
// use.
type Library struct {
	engine   Engine
	cache    *cache.Cache
	disk     *disk.Tier // may be nil
	log      *slog.Logger
	noPeers  time.Duration
	noBlocks time.Duration

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	wg        sync.WaitGroup
	events    *events
	saver     *saver
	readers   *readers
	keeper    *keeper
	capacity  func() int64 // may be nil

	// editing holds one token: whoever has it adds, removes or replaces a
	// swarm. It is a channel and not a mutex since it is held during calls into
	// the engine.
	editing chan struct{}

	mu       sync.Mutex                     // leaf; guards:
	byHash   map[metainfo.InfoHash]*Torrent // v1, and v2 truncated, as far as known
	byName   map[string]*Torrent            // by the folder's name now
	aliases  map[string]*Torrent            // by spellings typed
	oldNames map[string]*Torrent            // by names a folder had, the latest owner
	byHandle map[uint64]*Torrent            // by the cache's handle
	fail     *failing
}

// failing is what the reads blocked at present fail with when ch closes.
type failing struct {
	ch  chan struct{}
	err error // set before ch is closed
}

// Open loads what an earlier process left in the state directory, and joins the
// torrents found there. All of them, with their names and trees, are in place
// when it returns.
//
// It fails with ErrLocked if another process uses the directory. A damaged
// database is put aside and rebuilt from the list kept beside it.
func Open(cfg Config) (*Library, error) {
	if cfg.Engine == nil || cfg.Cache == nil || cfg.StateDir == "" {
		return nil, errors.New("fetch: engine, cache and state directory are required")
	}
	l := &Library{
		engine:   cfg.Engine,
		cache:    cfg.Cache,
		disk:     cfg.Disk,
		log:      cfg.Log,
		noPeers:  cmp.Or(cfg.NoPeersTimeout, defaultNoPeers),
		noBlocks: cmp.Or(cfg.NoBlocksTimeout, defaultNoBlocks),
		capacity: cfg.PinCapacity,
		closing:  make(chan struct{}),
		editing:  make(chan struct{}, 1),
		byHash:   make(map[metainfo.InfoHash]*Torrent),
		byName:   make(map[string]*Torrent),
		aliases:  make(map[string]*Torrent),
		oldNames: make(map[string]*Torrent),
		byHandle: make(map[uint64]*Torrent),
		fail:     &failing{ch: make(chan struct{})},
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	d, found, err := openState(cfg.StateDir, l.log)
	if err != nil {
		return nil, err
	}
	l.events = newEvents()
	l.saver = newSaver(d, l.snapshot, l.log)
	l.readers = newReaders(l.cache.Budget())
	l.keeper = newKeeper(l)
	l.cache.OnEvict(l.evicted)
	l.restore(found)
	l.wg.Go(func() { l.events.run(l.closing) })
	l.wg.Go(func() { l.saver.run(l.closing) })
	l.wg.Go(func() { l.readers.run(l.closing) })
	l.wg.Go(func() { l.keeper.run(l.closing) })
	return l, nil
}

// restore puts the torrents of an earlier process in place.
func (l *Library) restore(found []stored) {
	slices.SortStableFunc(found, func(a, b stored) int {
		return cmp.Or(a.rec.Added.Compare(b.rec.Added), cmp.Compare(a.rec.Hash, b.rec.Hash))
	})
	for _, s := range found {
		hash, _ := metainfo.ParseInfoHash(s.rec.Hash) // checked when it was read
		if l.byHash[hash] != nil {
			continue
		}
		t := l.newTorrent(hash, s.rec)
		if s.info != nil {
			t.tree = newTree(s.info, t.openShelf(s.info))
			t.restoreHidden()
			t.restorePins()
			close(t.ready)
		}
		l.insert(t, s.rec.Name) // it stays what it was
		l.join(t)
	}
}

// newTorrent makes a torrent that is not in the library yet.
func (l *Library) newTorrent(hash metainfo.InfoHash, rec record) *Torrent {
	return &Torrent{
		lib:      l,
		hash:     hash,
		handle:   l.cache.NewTorrent(),
		ready:    make(chan struct{}),
		removed:  make(chan struct{}),
		rec:      rec,
		oldNames: rec.OldNames,
		labelled: rec.Labelled,
		sw:       outcast{},
		waiters:  make(map[int][]*waiter),
		unkept:   make(map[int]bool),
	}
}

// join gives a torrent its swarm. A torrent that cannot be joined stays listed,
// its status tells why.
func (l *Library) join(t *Torrent) {
	s := t.stored()
	rec := s.rec
	have := t.pieces()
	sw, err := l.engine.Add(swarm.AddSpec{
		InfoHash:   t.hash,
		SecondHash: rec.secondHash(t.hash),
		Name:       rec.Name,
		Info:       s.info,
		Peers:      rec.Peers,
		Trackers:   rec.Trackers,
		Store:      store{t},
		Have:       have,
		OnInfo:     func(info *metainfo.Info) { l.gotInfo(t, info) },
		OnLayers:   func(info *metainfo.Info) { l.gotLayers(t, info) },
	})
	if err != nil {
		l.log.Error("torrent cannot be joined", "name", rec.Name, "hash", rec.Hash, "err", err)
		sw = newOutcast(t.hash, err)
	}
	t.mu.Lock()
	t.sw = sw
	t.joins++
	found := s.info == nil && t.info != nil // the info was faster than we
	t.mu.Unlock()
	// What was lost since was told to the swarm before.
	t.tellLost(sw, have)
	if found {
		t.tellHeld()
	}
	l.keeper.poke(t)
}

// tellHeld tells the swarm what was found on the disk when the info came from it.
func (t *Torrent) tellHeld() {
	sw, held := t.swarm(), t.pieces()
	if len(held) == 0 {
		return
	}
	sw.Held(held...)
	t.tellLost(sw, held)
}

// tellLost tells the swarm which of the pieces that it was told of are gone since.
func (t *Torrent) tellLost(sw Swarm, pieces []int) {
	var lost []int
	t.mu.Lock()
	for _, p := range pieces {
		if !t.have.Test(uint(p)) {
			lost = append(lost, p)
		}
	}
	t.mu.Unlock()
	if len(lost) > 0 {
		sw.Evicted(lost...)
	}
}

// Close fails the blocked reads with ErrClosed, leaves all swarms, writes what is
// unsaved and unlocks the state directory. It may be called more than once.
func (l *Library) Close() error {
	l.closeOnce.Do(func() {
		close(l.closing)
		l.edit()
		defer l.endEdit()
		var wg sync.WaitGroup
		for _, t := range l.Torrents() {
			wg.Go(func() {
				t.swarm().Close()
				t.onDisk().close()
			})
		}
		wg.Wait()
		l.cache.OnEvict(nil)
		l.wg.Wait()
		l.closeErr = l.saver.close()
	})
	return l.closeErr
}

// Unsaved is why what was added, named and removed last cannot be written to the state
// directory, so that it would be lost with the process; nil if it is written. It is
// tried again and again.
func (l *Library) Unsaved() error { return l.saver.problem() }

func (l *Library) edit()    { l.editing <- struct{}{} }
func (l *Library) endEdit() { <-l.editing }
func (l *Library) open() bool {
	select {
	case <-l.closing:
		return false
	default:
		return true
	}
}

// FailReads makes every read that is blocked now return err. Later reads are not
// affected.
func (l *Library) FailReads(err error) {
	if err == nil {
		err = ErrClosed
	}
	l.mu.Lock()
	old := l.fail
	l.fail = &failing{ch: make(chan struct{})}
	l.mu.Unlock()
	old.err = err
	close(old.ch)
}

func (l *Library) failure() *failing {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fail
}

// Torrents returns all torrents, sorted by name.
func (l *Library) Torrents() []*Torrent {
	type named struct {
		name string
		t    *Torrent
	}
	l.mu.Lock()
	list := make([]named, 0, len(l.byName))
	for name, t := range l.byName {
		list = append(list, named{name, t})
	}
	l.mu.Unlock()
	slices.SortFunc(list, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	all := make([]*Torrent, len(list))
	for i, n := range list {
		all[i] = n.t
	}
	return all
}

// Lookup finds a torrent by its folder's name, by any spelling ever typed, by its
// info-hash in 40 lower-case hex digits, or by a name its folder had before; nil
// if there is none. It never waits.
func (l *Library) Lookup(name string) *Torrent {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := cmp.Or(l.byName[name], l.aliases[name]); t != nil {
		return t
	}
	if len(name) == 40 {
		if hash, err := metainfo.ParseInfoHash(name); err == nil && hash.String() == name && l.byHash[hash] != nil {
			return l.byHash[hash]
		}
	}
	return l.oldNames[name]
}

// evicted is the cache's callback.
func (l *Library) evicted(keys []cache.Key) {
	lost := make(map[uint64][]int)
	for _, k := range keys {
		lost[k.Torrent] = append(lost[k.Torrent], k.Piece)
	}
	for handle, pieces := range lost {
		l.mu.Lock()
		t := l.byHandle[handle]
		l.mu.Unlock()
		if t != nil {
			t.evicted(pieces)
		}
	}
}

// snapshot lists all torrents for the state directory, oldest first.
func (l *Library) snapshot() []stored {
	l.mu.Lock()
	all := make([]*Torrent, 0, len(l.byName))
	for _, t := range l.byName {
		all = append(all, t)
	}
	l.mu.Unlock()
	list := make([]stored, len(all))
	for i, t := range all {
		list[i] = t.stored()
	}
	slices.SortFunc(list, func(a, b stored) int {
		return cmp.Or(a.rec.Added.Compare(b.rec.Added), cmp.Compare(a.rec.Hash, b.rec.Hash))
	})
	return list
}

// stored is what is written of a torrent.
func (t *Torrent) stored() stored {
	t.lib.mu.Lock()
	name, old, labelled := t.name, slices.Clone(t.oldNames), t.labelled
	t.lib.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	rec := t.rec.clone()
	rec.Name, rec.OldNames, rec.Labelled = name, old, labelled
	return stored{rec, t.info}
}

// errGone is what methods answer after Close.
func (l *Library) errGone() error { return fmt.Errorf("fetch: library: %w", ErrClosed) }
