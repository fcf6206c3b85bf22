package swarm

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"magnetfs/swarm/dht"
	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/tracker"
)

const (
	// hurryAfter a lookup ended, somebody in need may start the next one.
	hurryAfter = 5 * time.Second
	// knownFor is how long a peer found counts in the status table.
	knownFor = 30 * time.Minute
	// reportEvery is how often the trackers' announcer is told how far we are.
	reportEvery = 20 * time.Second
	// firstIdle spreads the first announces of torrents that nobody reads.
	firstIdle = 2 * time.Minute
)

// finder finds candidates for a torrent under one info-hash: DHT, LPD, trackers. Its
// goroutines end with the torrent or with stop.
type finder struct {
	t    *Torrent
	hash metainfo.InfoHash
	log  *slog.Logger

	ctx    context.Context // ends with the torrent, or before by stop
	public context.Context // ends with ctx, or when the torrent is known to be private
	cancel context.CancelFunc

	mu       sync.Mutex // guards what follows; a leaf
	searches []*dhtSearch
	tiers    [][]string
	trackers *tracker.Announcer // nil while there are none
	state    tracker.State      // that they were told last
	stopped  bool
}

// dhtSearch is what was found by one family's node.
type dhtSearch struct {
	server  *dht.Server
	hurry   chan struct{} // capacity 1: somebody is in need of peers
	running bool
	next    time.Time
	looked  bool
	found   map[netip.AddrPort]time.Time
	scrape  dht.ScrapeResult
}

// newFinder makes the finder of a torrent with the given beginning.
func newFinder(t *Torrent, hash metainfo.InfoHash, tiers [][]string, log *slog.Logger, st Status) *finder {
	f := &finder{t: t, hash: hash, log: log, tiers: tiers, state: trackerState(st)}
	f.state.NoPeers = false // whoever begins to read should not have to ask once more
	var endCtx, endPublic context.CancelFunc
	f.ctx, endCtx = context.WithCancel(t.ctx)
	f.public, endPublic = context.WithCancel(t.untilPrivate())
	f.cancel = func() {
		endPublic()
		endCtx()
	}
	return f
}

// start lets the discovery run. idle means that nobody waits for peers yet.
func (f *finder) start(idle bool) {
	s := f.t.session
	if s.lpd != nil && !f.t.isPrivate() {
		s.lpd.Add(f.hash)
		f.t.wg.Go(func() {
			<-f.public.Done()
			s.lpd.Remove(f.hash)
		})
	}
	if s.dht != nil && !f.t.isPrivate() {
		for _, srv := range s.dht.servers {
			ds := &dhtSearch{server: srv, hurry: make(chan struct{}, 1), found: map[netip.AddrPort]time.Time{}}
			if idle {
				ds.next = time.Now().Add(rand.N(firstIdle))
			}
			f.mu.Lock()
			f.searches = append(f.searches, ds)
			f.mu.Unlock()
			f.t.wg.Go(func() { f.search(ds) })
		}
	}
	f.track()
}

// needPeers asks for a search without delay.
func (f *finder) needPeers() {
	f.mu.Lock()
	for _, ds := range f.searches {
		select {
		case ds.hurry <- struct{}{}:
		default:
		}
	}
	a := f.trackers
	f.mu.Unlock()
	if a != nil {
		a.AnnounceNow()
	}
}

// search repeats lookups of one DHT until the torrent ends or turns out to be
// private.
func (f *finder) search(ds *dhtSearch) {
	ctx := f.public
	tries := 0
	for {
		f.mu.Lock()
		wait := time.Until(ds.next)
		f.mu.Unlock()
		if wait > 0 {
			hurried := f.pause(ctx, wait, ds)
			if ctx.Err() != nil {
				return
			}
			if hurried {
				tries = 0
			}
		}
		found := f.lookup(ctx, ds)
		if ctx.Err() != nil {
			return
		}
		if tries++; found >= dht.FewPeers {
			tries = 0
		}
		pause := dht.Again(found, tries)
		if f.t.Status().State == StateIdle {
			pause = dht.AnnounceInterval // whoever begins to read hurries
		}
		pause += rand.N(pause / 15)
		f.mu.Lock()
		ds.next = time.Now().Add(pause)
		f.mu.Unlock()
	}
}

// pause waits for the next lookup, and less if somebody is in need, which it
// returns. It ends with the context.
func (f *finder) pause(ctx context.Context, wait time.Duration, ds *dhtSearch) (hurried bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	began := time.Now()
	for {
		select {
		case <-timer.C:
			return hurried
		case <-ds.hurry:
			hurried = true
			f.mu.Lock()
			looked := ds.looked
			f.mu.Unlock()
			if !looked {
				return true
			}
			timer.Reset(max(0, min(wait, hurryAfter)-time.Since(began)))
		case <-ctx.Done():
			return hurried
		}
	}
}

// lookup does one lookup with announce and returns how many peers it found.
func (f *finder) lookup(ctx context.Context, ds *dhtSearch) int {
	f.mu.Lock()
	ds.running = true
	f.mu.Unlock()
	now := f.t.Status()
	port, implied := f.t.session.announces(ds.server)
	opts := dht.PeersOptions{
		Announce: true, Port: int(port), Seed: now.Pieces > 0 && now.HavePieces == now.Pieces,
		ImpliedPort: implied, // behind a NAT the port of our packets is where uTP is reached
	}
	st, err := ds.server.Peers(ctx, f.hash, opts,
		func(peers []netip.AddrPort, from netip.AddrPort) {
			f.t.post(event{msg: evCandidates{addrs: peers, source: endpoint.FromDHT, informant: from.Addr(), hash: f.hash}})
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, p := range peers {
				if len(ds.found) < maxPerSource {
					ds.found[p] = time.Now()
				}
			}
		})
	f.log.Debug("DHT lookup", "peers", st.Peers, "hops", st.Hops, "queries", st.Queries, "answers", st.Answers,
		"first", st.FirstPeers.Round(time.Millisecond), "took", st.Took.Round(time.Millisecond), "announced", st.Announced, "err", err)
	var scrape dht.ScrapeResult
	if err == nil {
		scrape, _ = ds.server.Scrape(ctx, f.hash)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ds.running, ds.looked = false, true
	if err == nil {
		ds.scrape = scrape
	}
	return st.Peers
}

// addTrackers joins further trackers.
func (f *finder) addTrackers(tiers [][]string) {
	f.mu.Lock()
	f.tiers = append(f.tiers, tiers...)
	a := f.trackers
	f.mu.Unlock()
	if a != nil {
		a.AddTrackers(tiers)
		return
	}
	f.track()
}

// track starts announcing to trackers if there are any.
func (f *finder) track() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.tiers) == 0 || f.trackers != nil || f.stopped {
		return
	}
	s := f.t.session
	a, err := tracker.New(tracker.Config{
		Client:   s.trackers,
		InfoHash: f.hash,
		PeerID:   s.peerID,
		Port:     s.port,
		PortNow:  s.reachedAt,
		Key:      s.key,
		Crypto:   trackerCrypto(s.encryption),
		Tiers:    f.tiers,
		Private:  f.t.isPrivate(),
		State:    f.state,
		OnPeers: func(p tracker.Peers) {
			f.t.post(event{msg: evCandidates{addrs: p.Addrs, source: endpoint.FromTracker, informant: p.From, hash: f.hash}})
		},
		OnExternal: s.seenAs,
		Log:        f.log,
	})
	if err != nil {
		f.log.Error("trackers", "err", err)
		return
	}
	f.trackers = a
	f.t.wg.Go(func() { f.report(a) })
}

// turnedPrivate makes the trackers one list (BEP 27); the rest ends by itself.
func (f *finder) turnedPrivate() {
	f.mu.Lock()
	old := f.trackers
	f.trackers = nil
	f.mu.Unlock()
	if old != nil {
		old.Stop(f.t.ctx)
	}
	f.track()
}

// report keeps a tracker's announcer informed of how far we are.
func (f *finder) report(a *tracker.Announcer) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-f.ctx.Done():
			return
		}
		if !f.tell(a) {
			return
		}
	}
}

// tell informs a tracker's announcer; false if it is not the one in use any more.
func (f *finder) tell(a *tracker.Announcer) bool {
	f.look()
	f.mu.Lock()
	current, state := f.trackers == a, f.state
	f.mu.Unlock()
	if current {
		a.SetState(state)
	}
	return current
}

// look finds out how far we are; for the last time before the torrent ends.
func (f *finder) look() {
	st := f.t.Status()
	if st.State == StateClosed {
		return
	}
	f.mu.Lock()
	f.state = trackerState(st)
	f.mu.Unlock()
}

func trackerState(st Status) tracker.State {
	return tracker.State{
		Uploaded:   st.Uploaded,
		Downloaded: st.Downloaded,
		Left:       st.Missing,
		Known:      st.Pieces > 0,
		NoPeers:    st.State == StateIdle,
	}
}

// stop ends the discovery and says good-bye to the trackers; bounded in time.
func (f *finder) stop() {
	f.cancel()
	f.mu.Lock()
	f.stopped = true
	a, state := f.trackers, f.state
	f.trackers = nil
	f.mu.Unlock()
	if a != nil {
		a.Finish(context.Background(), state)
	}
}
