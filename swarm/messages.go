package swarm

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
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

// peerFault is why a peer was closed, when it was to blame.
type peerFault string

func (e peerFault) Error() string { return string(e) }

// connected takes a connection whose handshakes are done.
func (l *loop) connected(now time.Time, m evConnected) {
	if m.outgoing {
		l.dialing--
	}
	if err := l.admit(now, m); err != nil {
		l.log.Debug("connection refused", "peer", m.addr, "why", err)
		m.abandon()
		if m.outgoing {
			l.cands.ended(m.addr, false, now)
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
		amChoking:   true,
		peerChoking: true,
	}
	if m.outgoing {
		r.listen = m.addr
		if c := l.cands.list[m.addr]; c != nil {
			r.source = c.source
		}
		l.cands.setWay(m.addr, wayOf(m.method))
	}
	r.conn = m.start(r.id)
	l.peers[r.id] = r
	l.log.Debug("connected", "peer", r.addr, "source", r.source, "outgoing", r.outgoing, "encryption", r.method, "client", r.client())
	if l.picker != nil {
		l.picker.AddPeer(r.id, wire.DefaultReqq, m.roundTrip, now)
		l.picker.SetNear(r.id, l.neighbour(r))
	}
	r.roundTrip = m.roundTrip
	l.greet(r)
	l.setInterest(r, now)
}

// admit says why a new connection is not wanted, nil if it is.
func (l *loop) admit(now time.Time, m evConnected) error {
	if l.cands.isBanned(m.addr, now) {
		return peerFault("banned")
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
	if len(l.peers) >= l.maxPeers+l.maxPeers/5 {
		return errFull
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
	h := wire.ExtHandshake{
		M: map[string]uint8{
			wire.UTMetadata: wire.IDMetadata,
			wire.LTDontHave: wire.IDDontHave,
			wire.UploadOnly: wire.IDUploadOnly,
		},
		Port:    l.port,
		Version: clientVersion,
		Reqq:    maxServeQueue,
		YourIP:  r.addr.Addr().Unmap(),
		Encrypt: l.encrypt,
	}
	if !l.private() {
		h.M[wire.UTPex] = wire.IDPex
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
		l.serveNext(r)
	case peer.Closed:
		l.disconnected(now, r, ev.Err)
	}
}

func (l *loop) disconnected(now time.Time, r *remote, err error) {
	l.log.Debug("disconnected", "peer", r.addr, "client", r.client(), "err", err)
	delete(l.peers, r.id)
	if l.meta != nil {
		l.meta.gone(r.id)
	}
	if l.picker != nil {
		l.picker.RemovePeer(r.id)
	}
	if r.listen.IsValid() {
		var fault peerFault
		l.cands.ended(r.listen, r.downloaded > 0 && !errors.As(err, &fault), now)
	}
	l.fillSlots(now)
}

// message takes one message of a peer.
func (l *loop) message(now time.Time, r *remote, m wire.Message) {
	switch m.ID {
	case wire.Piece:
		l.gotBlock(now, r, m)
	case wire.Choke, wire.Unchoke:
		r.peerChoking = m.ID == wire.Choke
		if l.picker != nil {
			l.picker.SetChoking(r.id, r.peerChoking, r.fast())
		}
	case wire.Interested:
		r.peerInterested = true
		l.fillSlots(now)
	case wire.NotInterested:
		r.peerInterested = false
		l.fillSlots(now)
	case wire.Have, wire.HaveAll, wire.HaveNone, wire.Bitfield:
		l.announced(now, r, m)
	case wire.AllowedFast:
		l.allowedFast(r, int(m.Index))
	case wire.Reject:
		if l.picker != nil {
			l.picker.Rejected(r.id, picker.Block{Piece: int(m.Index), Index: int(m.Begin) / wire.BlockSize})
		}
	case wire.Request:
		l.requested(r, m)
	case wire.Cancel:
		l.cancelled(r, m)
	case wire.Extended:
		l.extended(now, r, m)
	case wire.Port:
		if m.Port != 0 {
			l.do.dhtNode(netip.AddrPortFrom(r.addr.Addr(), m.Port))
		}
	}
}

// announced takes what a peer says it has.
func (l *loop) announced(now time.Time, r *remote, m wire.Message) {
	if l.info == nil {
		switch m.ID {
		case wire.Have:
			if r.early.haves == nil {
				r.early.haves = map[uint32]bool{}
			}
			if len(r.early.haves) < maxEarlyHaves {
				r.early.haves[m.Index] = true
			}
		case wire.Bitfield:
			r.early.bitfield = m.Data
		case wire.HaveAll:
			r.early.all = true
		}
		return
	}
	n := l.picker.Pieces()
	switch m.ID {
	case wire.Have:
		if int64(m.Index) >= int64(n) {
			r.conn.Close(peerFault("have of a piece that does not exist"))
			return
		}
		l.picker.SetHave(r.id, int(m.Index), true)
		l.shared(r, int(m.Index), now)
	case wire.Bitfield:
		bs, ok := bitsetOf(m.Data, n)
		if !ok {
			r.conn.Close(peerFault(fmt.Sprintf("bitfield of %d bytes for %d pieces", len(m.Data), n)))
			return
		}
		l.picker.SetBitfield(r.id, bs)
	case wire.HaveAll:
		l.picker.SetBitfield(r.id, allOf(n))
	case wire.HaveNone:
		l.picker.SetBitfield(r.id, noneOf(n))
	}
	r.seed = l.picker.PeerPieces(r.id) == n
	l.setInterest(r, now)
}

func (l *loop) allowedFast(r *remote, piece int) {
	if l.picker != nil {
		if r.fastPieces++; r.fastPieces <= maxFastPieces {
			l.picker.AllowFast(r.id, piece, true)
		}
		return
	}
	if len(r.early.fast) < maxFastPieces {
		r.early.fast = append(r.early.fast, uint32(piece))
	}
}

// replay applies what the peer announced before the info was known.
func (l *loop) replay(now time.Time, r *remote) {
	e := r.early
	r.early = early{}
	l.picker.AddPeer(r.id, l.reqq(r), r.roundTrip, now)
	l.picker.SetNear(r.id, l.neighbour(r))
	l.vouch(r)
	switch {
	case e.all:
		l.announced(now, r, wire.Message{ID: wire.HaveAll})
	case e.bitfield != nil:
		l.announced(now, r, wire.Message{ID: wire.Bitfield, Data: e.bitfield})
	}
	for i := range e.haves {
		l.announced(now, r, wire.Message{ID: wire.Have, Index: i})
	}
	for _, i := range e.fast {
		l.allowedFast(r, int(i))
	}
	l.picker.SetChoking(r.id, r.peerChoking, r.fast())
	l.setInterest(r, now)
}

// vouch speaks for a peer that knows how long the info is: most that only pretend
// to have the torrent do not.
func (l *loop) vouch(r *remote) {
	if r.ext.MetadataSize == len(l.info.Raw) {
		l.picker.Vouch(r.id)
	}
}

func (l *loop) reqq(r *remote) int {
	if r.ext.Reqq > 0 {
		return r.ext.Reqq
	}
	return wire.DefaultReqq
}

// setInterest tells the peer whether we want something from it. Before the info
// is known we are interested in everybody: the unchoke then comes while the
// metadata is on its way.
func (l *loop) setInterest(r *remote, now time.Time) {
	want := l.wantPeers(now) && (l.picker == nil || l.picker.HasMissing(r.id))
	if want == r.amInterested {
		return
	}
	r.amInterested = want
	id := wire.NotInterested
	if want {
		id = wire.Interested
	}
	l.send(r, wire.Message{ID: id})
}

// extended takes an extension message (BEP 10). Ids are those that we announced.
func (l *loop) extended(now time.Time, r *remote, m wire.Message) {
	switch m.ExtID {
	case 0:
		l.extHandshake(now, r, m.Data)
	case wire.IDMetadata:
		l.metadataMessage(now, r, m.Data)
	case wire.IDPex:
		l.gotPex(now, r, m.Data)
	case wire.IDDontHave:
		piece, err := wire.ParseDontHave(m.Data)
		if err != nil {
			l.fault(r, err.Error())
			return
		}
		if l.picker != nil {
			l.picker.SetHave(r.id, int(piece), false)
			r.seed = false
		}
	}
}

func (l *loop) extHandshake(now time.Time, r *remote, data []byte) {
	if err := r.ext.Update(data); err != nil {
		l.fault(r, err.Error())
		return
	}
	if !r.outgoing && r.ext.Port != 0 && !r.listen.IsValid() {
		r.listen = netip.AddrPortFrom(r.addr.Addr().Unmap(), r.ext.Port)
		if l.cands.add(r.listen, endpoint.FromIncoming, now) {
			l.cands.list[r.listen].busy = true
		}
		if l.picker != nil {
			l.picker.SetNear(r.id, l.neighbour(r))
		}
	}
	if l.meta != nil && r.ext.M[wire.UTMetadata] != 0 {
		l.meta.offer(r.id, r.ext.MetadataSize)
	}
	if l.picker != nil {
		l.picker.SetMaxQueue(r.id, l.reqq(r))
		l.vouch(r)
	}
	if ip := r.ext.YourIP; ip.IsValid() {
		l.do.seenAs(ip, r.addr.Addr())
	}
}

func (l *loop) metadataMessage(now time.Time, r *remote, data []byte) {
	m, err := wire.ParseMetadataMessage(data)
	if err != nil {
		l.fault(r, err.Error())
		return
	}
	switch m.Type {
	case wire.MetadataRequest:
		l.serveMetadata(r, m.Piece)
	case wire.MetadataReject:
		if l.meta != nil {
			l.meta.rejected(r.id, m.Piece, now)
		}
	case wire.MetadataData:
		if l.meta == nil {
			// It was asked as well, and comes second: what it sends still
			// shows that it knows the torrent.
			if at := m.Piece * metadataBlock; l.info != nil && at < len(l.info.Raw) && string(l.info.Raw[at:min(at+metadataBlock, len(l.info.Raw))]) == string(m.Data) {
				l.picker.Vouch(r.id)
			}
			return
		}
		l.gotMetadata(now, r, m)
	}
}

func (l *loop) askMetadata(r *remote, block int) {
	if r == nil {
		return
	}
	l.send(r, wire.Message{
		ID:    wire.Extended,
		ExtID: r.ext.M[wire.UTMetadata],
		Data:  wire.MetadataMessage{Type: wire.MetadataRequest, Piece: block}.Append(nil),
	})
}

func (l *loop) serveMetadata(r *remote, block int) {
	id := r.ext.M[wire.UTMetadata]
	if id == 0 {
		return
	}
	m := wire.MetadataMessage{Type: wire.MetadataReject, Piece: block}
	if l.info != nil && !l.info.Private && r.metadataServed < 4*(len(l.info.Raw)/metadataBlock+1) {
		if at := block * metadataBlock; at < len(l.info.Raw) {
			r.metadataServed++
			m.Type, m.TotalSize = wire.MetadataData, len(l.info.Raw)
			m.Data = l.info.Raw[at:min(at+metadataBlock, len(l.info.Raw))]
		}
	}
	l.send(r, wire.Message{ID: wire.Extended, ExtID: id, Data: m.Append(nil)})
}

func (l *loop) gotMetadata(now time.Time, r *remote, m wire.MetadataMessage) {
	res := l.meta.received(r.id, m.Piece, m.TotalSize, m.Data)
	for _, id := range res.liars {
		if q := l.peers[id]; q != nil {
			l.ban(now, sender{q.id, q.addr}, "sent wrong metadata")
		}
	}
	if res.raw == nil {
		return
	}
	info, err := metainfo.ParseInfo(res.raw)
	if err != nil {
		// The hash is right, so no peer can ever send anything better.
		l.broken = fmt.Errorf("the torrent's metadata is invalid: %w", err)
		l.log.Error("metadata", "err", err)
		l.meta = nil
		l.close()
		return
	}
	l.log.Info("metadata received", "from", len(res.good), "bytes", len(res.raw), "after", now.Sub(l.added).Round(time.Millisecond))
	l.setInfo(now, info)
	for _, id := range res.good {
		l.picker.Vouch(id)
	}
	l.do.gotInfo(info)
}

// setInfo makes the torrent ready for pieces.
func (l *loop) setInfo(now time.Time, info *metainfo.Info) {
	l.info, l.meta = info, nil
	l.lastWant = now
	l.picker = picker.NewUneven(info.NumPieces(), info.PieceSize)
	if !verifiable(info) {
		l.broken = errNoLayers
		l.log.Error("metadata", "err", l.broken)
		l.close()
		return
	}
	if info.Private {
		l.cands.forget(endpoint.FromDHT, endpoint.FromPEX, endpoint.FromLPD, endpoint.FromHolepunch, endpoint.FromSaved)
	}
	for _, r := range l.peers {
		l.replay(now, r)
	}
	l.applyWants(now)
}

// errNoLayers: peers send the info of a torrent of version 2, but its piece layers
// (BEP 52) only on request, which is not done yet.
var errNoLayers = errors.New("a version 2 torrent whose piece layers are not known: add its .torrent file")

// verifiable says whether every piece can be checked.
func verifiable(info *metainfo.Info) bool {
	if info.V1 {
		return true
	}
	for i := range info.NumPieces() {
		if _, _, ok := info.PieceHashV2(i); !ok {
			return false
		}
	}
	return true
}

// fault counts a small offence.
func (l *loop) fault(r *remote, what string) {
	l.log.Debug("fault", "peer", r.addr, "what", what)
	if r.faults++; r.faults > maxFaults {
		r.conn.Close(peerFault("too many faults, last: " + what))
	}
}
