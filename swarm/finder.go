package swarm

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"magnetfs/swarm/endpoint"
)

const (
	// announceEvery is how often the DHT is told about us, and asked.
	announceEvery = 15 * time.Minute
	// searchAgain is the first pause after a lookup that found few peers; it
	// doubles up to announceEvery.
	searchAgain = 20 * time.Second
	fewPeers    = 8
)

// finder finds candidates for one torrent: DHT, LPD, trackers. Its goroutines end
// with the torrent's context.
type finder struct {
	t   *Torrent
	log *slog.Logger

	mu  sync.Mutex // guards dht; a leaf
	dht dhtRow
}

// dhtRow is what the status table shows of the DHT.
type dhtRow struct {
	searching bool
	looked    bool      // a lookup has ended
	next      time.Time // zero while searching
	found     map[netip.AddrPort]time.Time
	seeds     int // BEP 33 estimate, -1 if unknown
	peers     int
}

func newFinder(t *Torrent, log *slog.Logger) *finder {
	return &finder{t: t, log: log, dht: dhtRow{found: map[netip.AddrPort]time.Time{}, seeds: -1, peers: -1}}
}

// start lets the discovery run.
func (f *finder) start() {
	s := f.t.session
	if s.lpd != nil && !f.isPrivate() {
		s.lpd.Add(f.t.spec.InfoHash)
		f.t.wg.Go(func() {
			select {
			case <-f.t.private:
			case <-f.t.ctx.Done():
			}
			s.lpd.Remove(f.t.spec.InfoHash)
		})
	}
	if s.dht != nil && !f.isPrivate() {
		f.t.wg.Go(f.searchDHT)
	}
}

func (f *finder) isPrivate() bool {
	select {
	case <-f.t.private:
		return true
	default:
		return false
	}
}

// addTrackers joins further trackers.
func (f *finder) addTrackers([][]string) {}

// lpdPeer takes a peer of the local network.
func (s *Session) lpdPeer(hash [20]byte, addr netip.AddrPort) {
	if t := s.torrent(hash); t != nil {
		t.post(event{msg: evCandidates{addrs: []netip.AddrPort{addr}, source: endpoint.FromLPD, informant: addr.Addr()}})
	}
}
