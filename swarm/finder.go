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
	"magnetfs/swarm/tracker"
)

const (
	// announceEvery is how often the DHT is told about us, and asked.
	announceEvery = 15 * time.Minute
	// searchAgain is the first pause after a lookup that found few peers; it
	// doubles up to announceEvery.
	searchAgain = 15 * time.Second
	fewPeers    = 8
	// hurryAfter a lookup ended, somebody in need may start the next one.
	hurryAfter = 5 * time.Second
	// knownFor is how long a peer found counts in the status table.
	knownFor = 30 * time.Minute
	// reportEvery is how often the trackers' announcer is told how far we are.
	reportEvery = 20 * time.Second
	// firstIdle spreads the first announces of torrents that nobody reads.
	firstIdle = 2 * time.Minute
)

// finder finds candidates for one torrent: DHT, LPD, trackers. Its goroutines end
// with the torrent's context.
type finder struct {
	t     *Torrent
	log   *slog.Logger
	hurry chan struct{} // capacity 1: somebody is in need of peers

	mu       sync.Mutex // guards what follows; a leaf
	searches []*dhtSearch
	tiers    [][]string
	trackers *tracker.Announcer // nil while there are none
	stopped  bool
}

// dhtSearch is what was found by one family's node.
type dhtSearch struct {
	server  *dht.Server
	running bool
	next    time.Time
	err     error // of the last lookup
	looked  bool
	found   map[netip.AddrPort]time.Time
	scrape  dht.ScrapeResult
}

func newFinder(t *Torrent, log *slog.Logger) *finder {
	return &finder{t: t, log: log, hurry: make(chan struct{}, 1), tiers: t.spec.Trackers}
}

// start lets the discovery run. idle means that nobody waits for peers yet.
func (f *finder) start(idle bool) {
	s := f.t.session
	if s.lpd != nil && !f.t.isPrivate() {
		s.lpd.Add(f.t.spec.InfoHash)
		f.t.wg.Go(func() {
			<-f.t.untilPrivate().Done()
			s.lpd.Remove(f.t.spec.InfoHash)
		})
	}
	if s.dht != nil && !f.t.isPrivate() {
		for _, srv := range s.dht.servers {
			ds := &dhtSearch{server: srv, found: map[netip.AddrPort]time.Time{}}
			if idle {
				ds.next = time.Now().Add(rand.N(firstIdle))
			}
			f.searches = append(f.searches, ds)
			f.t.wg.Go(func() { f.search(ds) })
		}
	}
	f.track()
}

// needPeers asks for a search without delay.
func (f *finder) needPeers() {
	select {
	case f.hurry <- struct{}{}:
	default:
	}
	f.mu.Lock()
	a := f.trackers
	f.mu.Unlock()
	if a != nil {
		a.AnnounceNow()
	}
}

// search repeats lookups of one DHT until the torrent ends or turns out to be
// private.
func (f *finder) search(ds *dhtSearch) {
	ctx := f.t.untilPrivate()
	again := searchAgain
	for {
		f.mu.Lock()
		wait := time.Until(ds.next)
		f.mu.Unlock()
		if wait > 0 && !f.pause(ctx, wait, ds) {
			return
		}
		found := f.lookup(ctx, ds)
		if ctx.Err() != nil {
			return
		}
		pause := announceEvery + rand.N(time.Minute)
		if found < fewPeers {
			pause = again
			again = min(2*again, announceEvery)
		} else {
			again = searchAgain
		}
		f.mu.Lock()
		ds.next = time.Now().Add(pause)
		f.mu.Unlock()
	}
}

// pause waits for the next lookup, or until somebody is in need; false if the
// context ended.
func (f *finder) pause(ctx context.Context, wait time.Duration, ds *dhtSearch) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	began := time.Now()
	for {
		select {
		case <-timer.C:
			return true
		case <-f.hurry:
			f.mu.Lock()
			looked := ds.looked
			f.mu.Unlock()
			if !looked {
				return true
			}
			timer.Reset(max(0, hurryAfter-time.Since(began)))
		case <-ctx.Done():
			return false
		}
	}
}

// lookup does one lookup with announce and returns how many peers it found.
func (f *finder) lookup(ctx context.Context, ds *dhtSearch) int {
	f.mu.Lock()
	ds.running = true
	f.mu.Unlock()
	st, err := ds.server.Peers(ctx, f.t.spec.InfoHash, dht.PeersOptions{Announce: true, Port: f.t.session.Port()},
		func(peers []netip.AddrPort, from netip.AddrPort) {
			f.t.post(event{msg: evCandidates{addrs: peers, source: endpoint.FromDHT, informant: from.Addr()}})
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
		scrape, _ = ds.server.Scrape(ctx, f.t.spec.InfoHash)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	ds.running, ds.err, ds.looked = false, err, true
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
		InfoHash: f.t.spec.InfoHash,
		PeerID:   s.peerID,
		Port:     s.port,
		Key:      s.key,
		Crypto:   trackerCrypto(s.encryption),
		Tiers:    f.tiers,
		Private:  f.t.isPrivate(),
		OnPeers: func(p tracker.Peers) {
			f.t.post(event{msg: evCandidates{addrs: p.Addrs, source: endpoint.FromTracker, informant: p.From}})
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
		case <-f.t.ctx.Done():
			return
		}
		f.mu.Lock()
		current := f.trackers == a
		f.mu.Unlock()
		if !current {
			return
		}
		st := f.t.Status()
		if st.State == StateClosed {
			return
		}
		a.SetState(tracker.State{
			Uploaded:   st.Uploaded,
			Downloaded: st.Downloaded,
			Left:       st.Missing,
			Known:      st.Pieces > 0,
			NoPeers:    st.State == StateIdle,
		})
	}
}

// stop says good-bye to the trackers; bounded in time.
func (f *finder) stop() {
	f.mu.Lock()
	f.stopped = true
	a := f.trackers
	f.trackers = nil
	f.mu.Unlock()
	if a != nil {
		a.Stop(context.Background())
	}
}

// lpdPeer takes a peer of the local network.
func (s *Session) lpdPeer(hash [20]byte, addr netip.AddrPort) {
	if t := s.torrent(hash); t != nil {
		t.post(event{msg: evCandidates{addrs: []netip.AddrPort{addr}, source: endpoint.FromLPD, informant: addr.Addr()}})
	}
}
