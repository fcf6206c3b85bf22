package swarm

import (
	"fmt"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

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
	l.offerLayers(r)
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
	l.layers = newLayers(info)
	if info.Private {
		l.cands.forget(endpoint.FromDHT, endpoint.FromPEX, endpoint.FromLPD, endpoint.FromHolepunch, endpoint.FromSaved)
	}
	for _, r := range l.peers {
		l.replay(now, r)
	}
	l.applyWants(now)
}
