package store

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/dht/krpc"
)

// Bounds of the peer store. Zero fields mean the defaults.
type Limits struct {
	Hashes  int           // info-hashes; 2,000 (libtorrent)
	PerHash int           // peers of one info-hash; 500 (libtorrent)
	Total   int           // peers in all; 20,000 (guess: some 4 MiB)
	Life    time.Duration // after which an announce is forgotten; 45 min (libtorrent)
}

// perAddress is how many ports of one IP address may be announced under one
// info-hash: several clients behind one NAT, but no flood. The newest win.
const perAddress = 4

// Peers holds the peers that were announced. It is owned by one goroutine.
type Peers struct {
	lim    Limits
	local  func(netip.Addr) bool
	swarms map[krpc.ID]*swarm
	order  []*swarm // all swarms, for random samples
	fair   ledger[*entry]
}

type swarm struct {
	hash    krpc.ID
	at      int // index in order
	entries []*entry
}

type entry struct {
	swarm *swarm
	addr  netip.AddrPort
	seed  bool
	at    time.Time
	place place
}

func (e *entry) placed() *place { return &e.place }

// NewPeers returns an empty store. local tells which addresses are exempt from
// the limit of ports per address; nil for none.
func NewPeers(lim Limits, local func(netip.Addr) bool) *Peers {
	if lim.Hashes == 0 {
		lim.Hashes = 2000
	}
	if lim.PerHash == 0 {
		lim.PerHash = 500
	}
	if lim.Total == 0 {
		lim.Total = 20000
	}
	if lim.Life == 0 {
		lim.Life = 45 * time.Minute
	}
	if local == nil {
		local = func(netip.Addr) bool { return false }
	}
	return &Peers{lim: lim, local: local, swarms: make(map[krpc.ID]*swarm)}
}

// Hashes returns the number of info-hashes, Len that of peers.
func (p *Peers) Hashes() int { return len(p.order) }

// Len returns the number of peers of all info-hashes.
func (p *Peers) Len() int { return p.fair.len }

// Announce stores a peer, or renews it. The caller has checked the token.
func (p *Peers) Announce(hash krpc.ID, addr netip.AddrPort, seed bool, now time.Time) {
	sw := p.swarms[hash]
	if sw == nil {
		if !p.roomForHash(addr.Addr()) {
			return
		}
		sw = &swarm{hash: hash, at: len(p.order)}
		p.swarms[hash] = sw
		p.order = append(p.order, sw)
	}
	if i := slices.IndexFunc(sw.entries, func(e *entry) bool { return e.addr == addr }); i >= 0 {
		e := sw.entries[i]
		e.seed, e.at = seed, now
		p.fair.renew(e)
		return
	}
	p.roomInSwarm(sw, addr.Addr())
	if p.fair.len >= p.lim.Total {
		p.remove(p.fair.victim(addr.Addr()))
	}
	if p.swarms[hash] == nil { // the victim was its last peer
		sw.at = len(p.order)
		p.swarms[hash] = sw
		p.order = append(p.order, sw)
	}
	e := &entry{swarm: sw, addr: addr, seed: seed, at: now}
	sw.entries = append(sw.entries, e)
	p.fair.add(e, addr.Addr())
}

// roomForHash makes room for one more info-hash, at the expense of the network
// that holds most. Its peers may share swarms with others, so that a few may
// have to go until a swarm is empty.
func (p *Peers) roomForHash(from netip.Addr) bool {
	for tries := 0; len(p.order) >= p.lim.Hashes; tries++ {
		if tries == 64 {
			return false
		}
		p.remove(p.fair.victim(from))
	}
	return true
}

// roomInSwarm makes room for one more peer of sw: the oldest with the same
// address if that has too many, or the oldest of all if the swarm is full.
func (p *Peers) roomInSwarm(sw *swarm, ip netip.Addr) {
	var oldest, same *entry
	n := 0
	for _, e := range sw.entries {
		if oldest == nil || e.at.Before(oldest.at) {
			oldest = e
		}
		if e.addr.Addr() == ip {
			if n++; same == nil || e.at.Before(same.at) {
				same = e
			}
		}
	}
	switch {
	case n >= perAddress && !p.local(ip):
		p.remove(same)
	case len(sw.entries) >= p.lim.PerHash && same != nil:
		p.remove(same)
	case len(sw.entries) >= p.lim.PerHash:
		p.remove(oldest)
	}
}

// remove forgets e, and its swarm if that is empty then.
func (p *Peers) remove(e *entry) {
	p.fair.remove(e)
	sw := e.swarm
	i := slices.Index(sw.entries, e)
	last := len(sw.entries) - 1
	sw.entries[i] = sw.entries[last]
	sw.entries[last] = nil
	sw.entries = sw.entries[:last]
	if last > 0 {
		return
	}
	delete(p.swarms, sw.hash)
	end := len(p.order) - 1
	p.order[sw.at] = p.order[end]
	p.order[sw.at].at = sw.at
	p.order[end] = nil
	p.order = p.order[:end]
}

// Expire forgets what was announced too long ago.
func (p *Peers) Expire(now time.Time) {
	p.fair.expire(func(e *entry) bool { return now.Sub(e.at) >= p.lim.Life }, p.remove)
}

// Has tells whether anything is stored under hash.
func (p *Peers) Has(hash krpc.ID) bool { return p.swarms[hash] != nil }

// Get returns up to n peers of hash, a random choice if there are more. With
// noSeed, seeds come only after all others (BEP 33).
func (p *Peers) Get(hash krpc.ID, n int, noSeed bool, now time.Time, rng *rand.Rand) []netip.AddrPort {
	sw := p.swarms[hash]
	if sw == nil {
		return nil
	}
	var peers, seeds []netip.AddrPort
	for _, e := range sw.entries {
		switch {
		case now.Sub(e.at) >= p.lim.Life:
		case noSeed && e.seed:
			seeds = append(seeds, e.addr)
		default:
			peers = append(peers, e.addr)
		}
	}
	rng.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	peers = append(peers, seeds...)
	return peers[:min(n, len(peers))]
}

// Filters returns the Bloom filters of BEP 33 for hash: addresses with a seed,
// and the others.
func (p *Peers) Filters(hash krpc.ID, now time.Time) (seeds, peers Filter) {
	sw := p.swarms[hash]
	if sw == nil {
		return
	}
	isSeed := make(map[netip.Addr]bool, len(sw.entries))
	for _, e := range sw.entries {
		if e.seed && now.Sub(e.at) < p.lim.Life {
			isSeed[e.addr.Addr()] = true
			seeds.Insert(e.addr.Addr())
		}
	}
	for _, e := range sw.entries {
		if now.Sub(e.at) < p.lim.Life && !isSeed[e.addr.Addr()] {
			peers.Insert(e.addr.Addr())
		}
	}
	return
}

// Sample returns up to n info-hashes, a random choice (BEP 51).
func (p *Peers) Sample(n int, rng *rand.Rand) []krpc.ID {
	n = min(n, len(p.order))
	hashes := make([]krpc.ID, n)
	for i := range n { // a partial shuffle
		j := i + rng.IntN(len(p.order)-i)
		a, b := p.order[i], p.order[j]
		p.order[i], p.order[j] = b, a
		a.at, b.at = j, i
		hashes[i] = b.hash
	}
	return hashes
}
