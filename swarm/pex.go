package swarm

import (
	"net/netip"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/wire"
)

const (
	pexEvery = time.Minute // BEP 11
	// maxPexPerMinute messages are forgiven before the peer is closed.
	maxPexPerMinute = 6
	// maxPexFirst contacts are taken from a peer at once, since its first message may
	// tell of all whom it knows; after that as many a minute as BEP 11 allows.
	maxPexFirst = 200
)

// pexState is what was exchanged with one peer (BEP 11).
type pexState struct {
	next  time.Time
	told  map[netip.AddrPort]bool
	since time.Time // begin of the minute in which got are counted
	got   int
	taken int                              // contacts, since it is connected
	live  map[netip.AddrPort]wire.PexFlags // what the peer told us and did not take back
}

// gotPex takes contacts from a peer.
func (l *loop) gotPex(now time.Time, r *remote, data []byte) {
	if l.private() {
		l.fault(r, "peer exchange in a private torrent")
		return
	}
	if now.Sub(r.pex.since) > pexEvery {
		r.pex.since, r.pex.got = now, 0
	}
	if r.pex.got++; r.pex.got > maxPexPerMinute {
		r.conn.Close(peerFault("too many peer exchange messages"))
		return
	}
	p, err := wire.ParsePex(data)
	if err != nil {
		l.fault(r, err.Error())
		return
	}
	if r.pex.live == nil {
		r.pex.live = map[netip.AddrPort]wire.PexFlags{}
	}
	for _, a := range p.Dropped {
		delete(r.pex.live, a)
	}
	room := maxPexFirst + wire.MaxPexSend*int(now.Sub(r.since)/pexEvery) - r.pex.taken
	var addrs []netip.AddrPort
	for _, a := range p.Added {
		if len(addrs) >= room {
			break
		}
		// Those that may not be dialled go on to found, which says so in the log.
		addrs = append(addrs, a.Addr)
		if endpoint.Dialable(a.Addr, endpoint.FromPEX, r.addr.Addr()) == nil && !l.itself(a.Addr) {
			r.pex.live[a.Addr] = a.Flags
		}
	}
	r.pex.taken += len(addrs)
	l.found(now, evCandidates{addrs: addrs, source: endpoint.FromPEX, informant: r.addr.Addr(), hash: r.hs.InfoHash})
	for _, a := range p.Added[:len(addrs)] {
		l.cands.hint(a.Addr, a.Flags)
	}
}

// exchangePeers tells peers whom we are connected to, once a minute each.
func (l *loop) exchangePeers(now time.Time) {
	if l.private() {
		return
	}
	for _, r := range l.peers {
		id := r.ext.M[wire.UTPex]
		if id == 0 || now.Before(r.pex.next) {
			continue
		}
		m := l.pexFor(r)
		if len(m.Added)+len(m.Dropped) == 0 {
			continue
		}
		b, err := m.Marshal()
		if err != nil {
			l.log.Error("peer exchange", "err", err)
			continue
		}
		r.pex.next = now.Add(pexEvery)
		l.send(r, wire.Message{ID: wire.Extended, ExtID: id, Data: b})
	}
}

// pexFor returns what changed since the last message to r. Only addresses that
// can be dialled are told, and local ones only to local peers.
func (l *loop) pexFor(r *remote) (m wire.Pex) {
	if r.pex.told == nil {
		r.pex.told = map[netip.AddrPort]bool{}
	}
	now := map[netip.AddrPort]bool{}
	for _, q := range l.peers {
		a := q.listen
		if q == r || !a.IsValid() || a == r.listen || isLocal(a.Addr()) && !isLocal(r.addr.Addr()) {
			continue
		}
		now[a] = true
		if r.pex.told[a] || len(m.Added) >= wire.MaxPexSend {
			continue
		}
		var f wire.PexFlags
		if q.seed || q.ext.UploadOnly {
			f |= wire.PexSeed
		}
		if q.ext.Encrypt {
			f |= wire.PexEncryption
		}
		if q.via == overUTP {
			f |= wire.PexUTP
		}
		if punchable(q) {
			f |= wire.PexHolepunch
		}
		if q.outgoing {
			f |= wire.PexReachable
		}
		r.pex.told[a] = true
		m.Added = append(m.Added, wire.PexPeer{Addr: a, Flags: f})
	}
	for a := range r.pex.told {
		if !now[a] && len(m.Dropped) < wire.MaxPexSend {
			delete(r.pex.told, a)
			m.Dropped = append(m.Dropped, a)
		}
	}
	return m
}
