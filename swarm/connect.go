package swarm

import (
	"errors"
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

var (
	errIdle      = errors.New("nobody reads the torrent")
	errDuplicate = errors.New("connected twice")
	errFull      = errors.New("enough connections")
	errSilent    = errors.New("owes blocks and sends nothing")
)

// connected takes a connection whose handshakes are done.
func (l *loop) connected(now time.Time, m evConnected) {
	if m.outgoing {
		l.dialled(m.addr)
	}
	if err := l.admit(now, m); err != nil {
		l.log.Debug("connection refused", "peer", m.addr, "why", err)
		m.abandon()
		if m.outgoing {
			l.over(now, m.addr, false)
		}
		return
	}
	l.lastID++
	r := &remote{
		id:          l.lastID,
		addr:        m.addr,
		source:      endpoint.FromIncoming,
		outgoing:    m.outgoing,
		since:       now,
		hs:          m.hs,
		method:      m.method,
		via:         m.via,
		amChoking:   true,
		peerChoking: true,
	}
	if m.outgoing {
		r.listen = m.addr
		if c := l.cands.list[m.addr]; c != nil {
			r.source = c.source
		}
		l.cands.setWay(m.addr, wayOf(m.method))
		l.cands.setVia(m.addr, m.via)
		l.cands.setHash(m.addr, m.hs.InfoHash)
	}
	r.conn = m.start(r.id)
	l.peers[r.id] = r
	l.log.Debug("connected", "peer", r.addr, "source", r.source, "outgoing", r.outgoing, "via", r.via, "encryption", r.method, "client", r.client())
	if l.picker != nil {
		l.picker.AddPeer(r.id, wire.DefaultReqq, m.roundTrip, now)
		l.picker.SetNear(r.id, l.neighbour(r))
	}
	r.roundTrip = m.roundTrip
	l.offerLayers(r)
	l.greet(r)
	l.setInterest(r, now)
}

// admit says why a new connection is not wanted, nil if it is.
func (l *loop) admit(now time.Time, m evConnected) error {
	if l.cands.isBanned(m.addr, now) {
		return peerFault("banned")
	}
	if l.do.blocks(m.addr.Addr()) {
		return errBlocked // the list is newer than the dial
	}
	for _, r := range l.peers {
		if r.hs.PeerID != m.hs.PeerID {
			continue
		}
		// Both ends must drop the same one: the one that was dialled by the
		// greater peer id stays.
		keepOurs := slices.Compare(l.peerID[:], m.hs.PeerID[:]) > 0
		if r.outgoing != m.outgoing && m.outgoing == keepOurs {
			r.conn.Close(errDuplicate)
			return nil
		}
		return errDuplicate
	}
	// A few places are kept for those that dial us.
	if len(l.peers) < l.maxPeers+l.maxPeers/5 {
		return nil
	}
	if r := l.lesser(m.addr); r != nil {
		r.leaving = true
		r.conn.Close(errFull)
		return nil
	}
	return errFull
}

// lesser returns the connected peer that gives way to one at addr: of those that are
// not proven the one with the lowest priority (BEP 40), if that is lower, or if addr
// is of our own network.
func (l *loop) lesser(addr netip.AddrPort) (least *remote) {
	for id, r := range l.peers {
		if r.leaving || l.picker != nil && l.picker.Proven(id) || isLocal(r.addr.Addr()) {
			continue
		}
		if least == nil || l.cands.priority(r.addr) < l.cands.priority(least.addr) {
			least = r
		}
	}
	if least != nil && (isLocal(addr.Addr()) || l.cands.priority(addr) > l.cands.priority(least.addr)) {
		return least
	}
	return nil
}

// greet sends what follows the handshake: what we have (first, BEP 6), the
// extension handshake (BEP 10) and our DHT port (BEP 5).
func (l *loop) greet(r *remote) {
	had, n := 0, 0
	if l.picker != nil {
		had, n = l.picker.HadCount(), l.picker.Pieces()
	}
	switch {
	case r.fast() && had == 0:
		l.send(r, wire.Message{ID: wire.HaveNone})
	case r.fast() && had == n:
		l.send(r, wire.Message{ID: wire.HaveAll})
	case had > 0:
		l.send(r, wire.Message{ID: wire.Bitfield, Data: bitfieldOf(l.picker.HadSet(), n)})
	}
	if r.hs.Reserved.Extended() {
		l.sendExtHandshake(r)
	}
	if r.hs.Reserved.DHT() && l.dhtPort != 0 && !l.private() {
		l.send(r, wire.Message{ID: wire.Port, Port: l.dhtPort})
	}
}

func (l *loop) private() bool { return l.info != nil && l.info.Private }

func (l *loop) sendExtHandshake(r *remote) {
	port := l.port
	if r.addr.Addr().Unmap().Is4() {
		port = l.do.reachedAt()
	}
	h := wire.ExtHandshake{
		M: map[string]uint8{
			wire.UTMetadata: wire.IDMetadata,
			wire.LTDontHave: wire.IDDontHave,
			wire.UploadOnly: wire.IDUploadOnly,
		},
		Port:    port,
		Version: clientVersion,
		Reqq:    maxServeQueue,
		YourIP:  r.addr.Addr().Unmap(),
		Encrypt: l.encrypt,
	}
	if !l.private() {
		h.M[wire.UTPex] = wire.IDPex
		if l.punch {
			h.M[wire.UTHolepunch] = wire.IDHolepunch
		}
	}
	if l.info != nil {
		h.MetadataSize = len(l.info.Raw)
	}
	b, err := h.Marshal()
	if err != nil {
		l.log.Error("extension handshake", "err", err)
		return
	}
	l.send(r, wire.Message{ID: wire.Extended, Data: b})
}

// send queues a message; it leaves at the end of the batch.
func (l *loop) send(r *remote, m wire.Message) {
	r.conn.Send(m)
	if !r.dirty {
		r.dirty = true
		l.dirty = append(l.dirty, r)
	}
}

func (l *loop) sendAll() {
	for i, r := range l.dirty {
		r.dirty = false
		r.conn.Flush()
		l.dirty[i] = nil
	}
	l.dirty = l.dirty[:0]
}

// peerEvent takes what a connection reports.
func (l *loop) peerEvent(now time.Time, id picker.PeerID, ev peer.Event) {
	r := l.peers[id]
	if r == nil {
		wire.PutBlock(ev.Msg.Data)
		return
	}
	switch ev.Kind {
	case peer.Received:
		l.message(now, r, ev.Msg)
	case peer.Drained:
		l.limits.serving = true
	case peer.Closed:
		l.disconnected(now, r, ev.Err)
	}
}

func (l *loop) disconnected(now time.Time, r *remote, err error) {
	l.log.Debug("disconnected", "peer", r.addr, "client", r.client(), "err", err)
	delete(l.peers, r.id)
	l.claim(r, noClaim)
	if l.meta != nil {
		l.meta.gone(r.id)
	}
	if l.layers != nil {
		l.layers.gone(r.id)
	}
	if l.picker != nil {
		l.picker.RemovePeer(r.id)
	}
	if r.listen.IsValid() {
		var fault peerFault
		l.over(now, r.listen, r.downloaded > 0 && !errors.As(err, &fault))
		if r.downloaded > 0 && errors.Is(err, errSilent) {
			l.cands.again(r.listen, now) // a read waits
		}
		l.switchOver(now, r.listen)
	}
	l.fillSlots(now)
}

// dial connects to a candidate that next, or somebody else, has chosen.
func (l *loop) dial(now time.Time, c *candidate, only transport) {
	c.busy, c.dialledAt = true, now
	c.dials++
	c.punching = c.punching || only == overUTP
	l.dialing++
	l.do.dial(target{addr: c.addr, way: c.way, via: c.via, utp: c.flags&wire.PexUTP != 0, hash: c.hash, only: only})
}

// dialled notes that a dial has come to its end.
func (l *loop) dialled(addr netip.AddrPort) {
	l.dialing--
	if c := l.cands.list[addr]; c != nil {
		c.dials = max(0, c.dials-1)
		c.punching = c.punching && c.dials > 0
	}
}

func (l *loop) dialFailed(now time.Time, m evDialFailed) {
	l.dialled(m.addr)
	if m.self {
		l.cands.itself(m.addr)
		return
	}
	l.log.Debug("dial", "peer", m.addr, "err", m.err)
	if m.offline {
		if !l.engaged(m.addr) {
			l.cands.postpone(m.addr, now)
		}
		return
	}
	l.cands.setWay(m.addr, m.next)
	l.over(now, m.addr, false)
	delete(l.switching, m.addr)
	if m.hungUp {
		l.cands.hangsUp(m.addr, now)
		return
	}
	l.askRelays(now, m.addr)
}

// over notes that a dial to addr, or a connection with whom listens there, has
// ended, unless it is still being dialled or connected in another way.
func (l *loop) over(now time.Time, addr netip.AddrPort, worked bool) {
	if !l.engaged(addr) {
		l.cands.ended(addr, worked, now)
	}
}

// engaged tells whether addr is being dialled, or connected.
func (l *loop) engaged(addr netip.AddrPort) bool {
	if c := l.cands.list[addr]; c != nil && c.dials > 0 {
		return true
	}
	for _, r := range l.peers {
		if r.listen == addr {
			return true
		}
	}
	return false
}

// itself says whether addr is ours: it has our port, and peers see us at that
// address.
func (l *loop) itself(addr netip.AddrPort) bool {
	if addr.Port() != l.port {
		return false
	}
	addr = endpoint.Unmap4(addr)
	if addr == l.cands.selves[0] || addr == l.cands.selves[1] {
		return true
	}
	for _, r := range l.peers {
		if r.ext.YourIP == addr.Addr() {
			return true
		}
	}
	return false
}
