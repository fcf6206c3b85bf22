package swarm

import (
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
)

// A hybrid torrent (BEP 52) has two info-hashes, and so two swarms: clients that
// know nothing of version 2 are in the one, those that were given only the hash of
// version 2 in the other, all others in both. It is one torrent to us. We look for
// peers and announce ourselves under both, answer to both, and call each peer by
// the one under which it was found.

// secondHash returns the other info-hash of a hybrid torrent, zero if it has none.
func secondHash(own metainfo.InfoHash, info *metainfo.Info) metainfo.InfoHash {
	switch {
	case !info.V1 || !info.V2:
		return metainfo.InfoHash{}
	case own == info.InfoHash:
		return info.InfoHashV2.Truncated()
	}
	return info.InfoHash
}

// secondHash is what is known of it: by the link, which may be wrong, until the
// info is there.
func (s *AddSpec) secondHash() metainfo.InfoHash {
	if s.Info != nil {
		return secondHash(s.InfoHash, s.Info)
	}
	return s.SecondHash
}

// alsoKnown lets a torrent be found by a second info-hash instead of the one that it
// had, which is returned; false if it has it already, or was removed. A zero hash, or
// one that another torrent has, takes the second one away. s.mu is held.
func (s *Session) alsoKnown(t *Torrent, hash metainfo.InfoHash) (old metainfo.InfoHash, changed bool) {
	old = t.second
	if owner := s.torrents[hash]; owner != nil && owner != t {
		hash = metainfo.InfoHash{}
	}
	if s.torrents[t.spec.InfoHash] != t || hash == old {
		return old, false
	}
	delete(s.torrents, old)
	t.second = hash
	if hash != (metainfo.InfoHash{}) {
		s.torrents[hash] = t
	}
	return old, true
}

// all returns the torrents, each of them once.
func (s *Session) all() (ts []*Torrent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for hash, t := range s.torrents {
		if hash == t.spec.InfoHash {
			ts = append(ts, t)
		}
	}
	return ts
}

// has tells whether a torrent of this very info-hash is there. s.mu is held.
func (s *Session) has(hash metainfo.InfoHash) bool {
	t := s.torrents[hash]
	return t != nil && t.spec.InfoHash == hash
}

// yield takes an info-hash away from the torrent that has it as its second one, for
// a torrent that has no other. s.mu is held.
func (s *Session) yield(hash metainfo.InfoHash) {
	t := s.torrents[hash]
	if t == nil {
		return
	}
	t.second = metainfo.InfoHash{}
	t.wg.Go(func() { t.finders.drop(hash) })
	delete(s.torrents, hash)
}

// AddHash tells of a second info-hash of the torrent, that of the other version. It
// counts until the info says what is true.
func (t *Torrent) AddHash(hash metainfo.InfoHash) {
	t.session.goes(t, func() { t.setSecond(hash, false) })
}

// setSecond replaces the second info-hash; zero means that there is none. Unless it
// is sure, it does not replace another one.
func (t *Torrent) setSecond(hash metainfo.InfoHash, sure bool) {
	s := t.session
	s.mu.Lock()
	if !sure && (t.sure || t.second != (metainfo.InfoHash{})) {
		s.mu.Unlock()
		return
	}
	t.sure = sure
	old, changed := s.alsoKnown(t, hash)
	hash = t.second
	s.mu.Unlock()
	if !changed {
		return
	}
	if old != (metainfo.InfoHash{}) {
		t.finders.log.Info("the link has another second info-hash than the torrent", "link", old, "torrent", hash)
		t.finders.drop(old)
	}
	if hash != (metainfo.InfoHash{}) {
		t.finders.add(hash, false, t.Status())
	}
}

// hashes are the info-hashes that a peer may know the torrent by, first before the
// other one; if that is none of them, the torrent's own.
func (t *Torrent) hashes(first metainfo.InfoHash) [][20]byte {
	t.session.mu.Lock()
	second := t.second
	t.session.mu.Unlock()
	own := t.spec.InfoHash
	switch {
	case second == metainfo.InfoHash{}:
		return [][20]byte{own}
	case first == second:
		return [][20]byte{second, own}
	}
	return [][20]byte{own, second}
}

// lpdPeer takes a peer of the local network.
func (s *Session) lpdPeer(hash [20]byte, addr netip.AddrPort) {
	if t := s.torrent(hash); t != nil {
		t.post(event{msg: evCandidates{
			addrs: []netip.AddrPort{addr}, source: endpoint.FromLPD, informant: addr.Addr(), hash: hash,
		}})
	}
}

// finders find candidates for a torrent: one finder for each of its info-hashes.
type finders struct {
	t   *Torrent
	log *slog.Logger

	mu      sync.Mutex // guards what follows; a leaf
	list    []*finder  // that of the torrent's own hash first
	tiers   [][]string
	stopped bool
}

func newFinders(t *Torrent, log *slog.Logger) *finders {
	return &finders{t: t, log: log, tiers: t.spec.Trackers}
}

// all returns a list that does not change.
func (fs *finders) all() []*finder {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return slices.Clone(fs.list)
}

// add starts looking under another info-hash, for a torrent of this status. It must be called by a goroutine of
// the torrent, or before there are any.
func (fs *finders) add(hash metainfo.InfoHash, idle bool, st Status) {
	fs.mu.Lock()
	if fs.stopped {
		fs.mu.Unlock()
		return
	}
	f := newFinder(fs.t, hash, slices.Clone(fs.tiers), fs.log, st)
	fs.list = append(fs.list, f)
	fs.mu.Unlock()
	f.start(idle)
}

// drop ends looking under an info-hash.
func (fs *finders) drop(hash metainfo.InfoHash) {
	fs.mu.Lock()
	var dropped []*finder
	fs.list = slices.DeleteFunc(fs.list, func(f *finder) bool {
		if f.hash == hash {
			dropped = append(dropped, f)
		}
		return f.hash == hash
	})
	fs.mu.Unlock()
	for _, f := range dropped {
		f.stop()
	}
}

func (fs *finders) needPeers() {
	for _, f := range fs.all() {
		f.needPeers()
	}
}

func (fs *finders) addTrackers(tiers [][]string) {
	fs.mu.Lock()
	fs.tiers = append(fs.tiers, tiers...)
	fs.mu.Unlock()
	for _, f := range fs.all() {
		f.addTrackers(tiers)
	}
}

func (fs *finders) turnedPrivate() {
	for _, f := range fs.all() {
		f.turnedPrivate()
	}
}

func (fs *finders) look() {
	for _, f := range fs.all() {
		f.look()
	}
}

func (fs *finders) stop() {
	fs.mu.Lock()
	fs.stopped = true
	fs.mu.Unlock()
	var wg sync.WaitGroup
	for _, f := range fs.all() {
		wg.Go(f.stop)
	}
	wg.Wait()
}
