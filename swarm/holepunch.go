package swarm

import (
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/wire"
)

// Two peers behind NATs cannot dial each other, but when both send at the same time
// each opens its own NAT for the other (BEP 55). Somebody who is connected to both
// gives the sign: the relay. The one that wants to connect asks it (rendezvous), and
// it tells both to dial (connect). That works over uTP only.

const (
	// punchAgain is how long a relay is not asked for the same peer again. A guess:
	// longer than the pauses between dials.
	punchAgain = 10 * time.Minute
	// introduceAgain is how long we, as a relay, do not introduce the same two again.
	// libtorrent dials again after a minute.
	introduceAgain = 50 * time.Second
	// punchRelays is how many relays are asked for one peer.
	punchRelays = 2
	// maxPunches is what one peer may have us do in punchWindow: whom it wants to
	// be introduced to, and whom we shall dial without having asked. Such a message
	// is an order to send packets to somebody.
	maxPunches  = 8
	punchWindow = time.Minute
	// punchAfter is how long a dial takes before relays are asked. A guess: longer
	// than most round trips.
	punchAfter = time.Second
)

// punches is what holepunching there was with one peer.
type punches struct {
	asked      map[netip.AddrPort]bool      // it was asked for these, and has not answered
	introduced map[netip.AddrPort]time.Time // whom it was introduced to, and when
	since      time.Time                    // begin of the window in which count counts
	count      int
}

// allow counts an order of the peer, and says whether it is obeyed.
func (p *punches) allow(now time.Time) bool {
	if now.Sub(p.since) > punchWindow {
		p.since, p.count = now, 0
	}
	p.count++
	return p.count <= maxPunches
}

// punchable says whether the peer speaks the extension.
func punchable(r *remote) bool { return r.ext.M[wire.UTHolepunch] != 0 }

// punchAddr is where others find the peer: over uTP the hole in its NAT.
func punchAddr(r *remote) netip.AddrPort {
	if r.via == overUTP || !r.listen.IsValid() {
		return r.addr
	}
	return r.listen
}

// askRelays asks those who told us of a peer that could not be dialled to introduce
// us.
func (l *loop) askRelays(now time.Time, addr netip.AddrPort) {
	d := l.cands.list[addr]
	if !l.punch || d == nil || d.flags&wire.PexHolepunch == 0 || l.private() || !l.wantPeers(now) ||
		!d.punchedAt.IsZero() && now.Sub(d.punchedAt) < punchAgain {
		return
	}
	var relays, byTCP []*remote
	for _, r := range l.peers {
		switch {
		case !punchable(r) || r.pex.live[addr]&wire.PexHolepunch == 0:
		case r.via == overUTP:
			relays = append(relays, r)
		default:
			byTCP = append(byTCP, r)
		}
	}
	if len(relays)+len(byTCP) == 0 {
		return
	}
	d.punchedAt = now
	if len(relays) == 0 {
		if i := slices.IndexFunc(byTCP, func(r *remote) bool { return l.switchable(now, r) }); i >= 0 {
			l.switchToUTP(byTCP[i], addr)
			return
		}
	}
	for _, r := range slices.Concat(relays, byTCP)[:min(punchRelays, len(relays)+len(byTCP))] {
		l.askRelay(r, addr)
	}
}

// askRelay asks one peer to introduce us to another.
func (l *loop) askRelay(r *remote, addr netip.AddrPort) {
	if r.punches.asked == nil {
		r.punches.asked = map[netip.AddrPort]bool{}
	}
	r.punches.asked[addr] = true
	l.sendHolepunch(r, wire.Holepunch{Type: wire.HolepunchRendezvous, Addr: addr})
}

// punchEarly asks for introductions while dials are still being tried: those that
// succeed mostly do so within a round trip.
func (l *loop) punchEarly(now time.Time) {
	if !l.punch || l.dialing == 0 {
		return
	}
	for addr, d := range l.cands.list {
		if d.dials > 0 && d.flags&wire.PexHolepunch != 0 && now.Sub(d.dialledAt) >= punchAfter {
			l.askRelays(now, addr)
		}
	}
}

func (l *loop) sendHolepunch(r *remote, h wire.Holepunch) {
	l.send(r, wire.Message{ID: wire.Extended, ExtID: r.ext.M[wire.UTHolepunch], Data: h.Append(nil)})
}

// gotHolepunch takes a message of the extension.
func (l *loop) gotHolepunch(now time.Time, r *remote, data []byte) {
	h, err := wire.ParseHolepunch(data)
	if err != nil {
		l.fault(r, err.Error())
		return
	}
	if !l.punch || l.private() || !punchable(r) {
		return
	}
	switch h.Type {
	case wire.HolepunchRendezvous:
		l.introduce(now, r, h.Addr)
	case wire.HolepunchConnect:
		l.punchThrough(now, r, h.Addr)
	case wire.HolepunchError:
		l.log.Debug("holepunch refused", "relay", r.addr, "peer", h.Addr, "code", h.Code)
		delete(r.punches.asked, h.Addr)
	}
}

// introduce tells two of our peers to dial each other.
func (l *loop) introduce(now time.Time, r *remote, addr netip.AddrPort) {
	if !r.punches.allow(now) {
		return
	}
	if at, ok := r.punches.introduced[addr]; ok && now.Sub(at) < introduceAgain {
		return
	}
	refuse := func(c wire.HolepunchCode) {
		l.sendHolepunch(r, wire.Holepunch{Type: wire.HolepunchError, Addr: addr, Code: c})
	}
	if l.cands.own[addr] || l.itself(addr) {
		refuse(wire.HolepunchNoSelf)
		return
	}
	if endpoint.Dialable(addr, endpoint.FromHolepunch, r.addr.Addr()) != nil {
		refuse(wire.HolepunchNoSuchPeer)
		return
	}
	var to *remote
	for _, q := range l.peers {
		if q != r && (q.listen == addr || q.addr == addr) {
			to = q
		}
	}
	switch {
	case to == nil, isLocal(to.addr.Addr()) != isLocal(r.addr.Addr()):
		refuse(wire.HolepunchNotConnected)
		return
	case !punchable(to):
		refuse(wire.HolepunchNoSupport)
		return
	}
	if len(r.punches.introduced) >= maxPerSource || r.punches.introduced == nil {
		r.punches.introduced = map[netip.AddrPort]time.Time{}
	}
	r.punches.introduced[addr] = now
	l.log.Debug("holepunch relayed", "from", r.addr, "to", to.addr)
	l.sendHolepunch(to, wire.Holepunch{Type: wire.HolepunchConnect, Addr: punchAddr(r)})
	l.sendHolepunch(r, wire.Holepunch{Type: wire.HolepunchConnect, Addr: addr})
}

// punchThrough dials a peer over uTP that dials us at the same time.
func (l *loop) punchThrough(now time.Time, r *remote, addr netip.AddrPort) {
	asked := r.punches.asked[addr]
	delete(r.punches.asked, addr)
	if !asked && !r.punches.allow(now) {
		return
	}
	if err := endpoint.Dialable(addr, endpoint.FromHolepunch, r.addr.Addr()); err != nil {
		l.fault(r, err.Error())
		return
	}
	if l.do.blocks(addr.Addr()) {
		return
	}
	for _, q := range l.peers {
		if q.addr == addr || q.listen == addr {
			return
		}
	}
	l.cands.add(addr, endpoint.FromHolepunch, now)
	d := l.cands.list[addr]
	if d == nil || d.punching || len(l.peers)+l.dialing >= l.maxPeers {
		return // ourselves, banned, being done, or too many
	}
	l.dial(now, d, overUTP)
}
