package swarm

import (
	"slices"
	"time"

	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// maxHashing is how many hash requests of one peer are answered at a time
// (libtorrent has two under way).
const maxHashing = 8

// offerLayers notes that a peer can be asked for piece layers. Of a hybrid torrent
// only those know them who say that they know version 2.
func (l *loop) offerLayers(r *remote) {
	if l.layers != nil && (!l.info.V1 || r.hs.Reserved.V2() || r.hs.InfoHash == l.info.InfoHashV2.Truncated()) {
		l.layers.offer(r.id)
	}
}

// gotHashes takes the answer to a hash request (BEP 52). Each is proven by itself:
// a wrong one is a lie.
func (l *loop) gotHashes(now time.Time, r *remote, m wire.Message) {
	span, hashes, err := wire.ParseHashSpan(m.Data)
	if err != nil {
		l.fault(r, err.Error())
		return
	}
	if l.layers == nil {
		return // asked when it was missing, most likely
	}
	if m.ID == wire.HashReject {
		if !l.layers.rejected(r.id, span, now) {
			l.fault(r, "rejects hashes that nobody asked for")
		}
		return
	}
	asked, layer, err := l.layers.received(r.id, span, hashes)
	switch {
	case !asked:
		l.fault(r, "hashes that nobody asked for")
	case err != nil:
		l.ban(now, sender{r.id, r.addr}, "sent wrong hashes: "+err.Error())
	case layer != nil:
		l.learn(now, span.Root, layer)
	}
}

// learn takes a complete piece layer. The pieces under it can be verified now.
func (l *loop) learn(now time.Time, root [32]byte, layer []byte) {
	info, err := l.info.WithPieceLayers(map[[32]byte][]byte{root: layer})
	if err != nil { // every part of it was proven
		l.log.Error("piece layer", "err", err)
		return
	}
	l.log.Debug("piece layer received", "hashes", len(layer)/32, "missing", len(l.layers.files))
	l.info = info
	if len(l.layers.files) == 0 {
		l.layers = nil
	}
	l.do.gotLayers(info)
	l.applyWants(now)
}

// hashesRequested has a hash request answered, or rejects it.
func (l *loop) hashesRequested(r *remote, m wire.Message) {
	span, _, err := wire.ParseHashSpan(m.Data)
	if err != nil {
		l.fault(r, err.Error())
		return
	}
	if l.info == nil || !l.info.V2 || r.hashing >= maxHashing {
		l.send(r, wire.Message{ID: wire.HashReject, Data: m.Data})
		return
	}
	r.hashing++
	l.do.serveHashes(r.id, r.conn, l.info, span)
}

func (t *Torrent) gotLayers(info *metainfo.Info) {
	if t.spec.OnLayers != nil {
		t.wg.Go(func() {
			<-t.told
			t.spec.OnLayers(info)
		})
	}
}

func (t *Torrent) serveHashes(id picker.PeerID, c conn, info *metainfo.Info, span wire.HashSpan) {
	t.session.servers.submit(func() {
		asked := span.Append(nil)
		hashes, ok := t.hashesOf(info, span)
		if !ok {
			t.post(event{msg: evHashesServed{id: id, rejected: asked}})
			return
		}
		c.Send(wire.Message{ID: wire.Hashes, Data: slices.Concat(asked, hashes)})
		c.Flush()
		t.post(event{msg: evHashesServed{id: id}})
	})
}

// hashesServed takes the end of a hash request. One that cannot be answered is
// rejected with the next tick: libtorrent asks the same again at once, for ever.
func (l *loop) hashesServed(m evHashesServed) {
	r := l.peers[m.id]
	switch {
	case r == nil:
	case m.rejected != nil:
		r.rejects = append(r.rejects, m.rejected)
	default:
		r.hashing--
	}
}

// rejectHashes rejects what could not be answered since the last tick.
func (l *loop) rejectHashes() {
	for _, r := range l.peers {
		for _, asked := range r.rejects {
			l.send(r, wire.Message{ID: wire.HashReject, Data: asked})
		}
		r.hashing -= len(r.rejects)
		r.rejects = nil
	}
}

// hashesOf returns the hashes that span names, and their proof. Those below the
// piece layer are computed, as far as the store has the pieces.
func (t *Torrent) hashesOf(info *metainfo.Info, span wire.HashSpan) ([]byte, bool) {
	for f := range info.Files {
		if root, ok := info.Root(f); !ok || root != span.Root {
			continue
		}
		tree, ok := info.Tree(f)
		if !ok {
			return nil, false
		}
		first, _ := info.FilePieces(f)
		hashes, err := tree.Hashes(requestOf(span), func(piece int) ([]byte, bool) {
			data, err := t.spec.Store.ReadPiece(first + piece)
			if err != nil {
				return nil, false
			}
			end := min(int64(len(data)), info.Files[f].Length-int64(piece)*info.PieceLength) // a hybrid pads its files
			return metainfo.LeafHashes(data[:end]), true
		})
		return hashes, err == nil
	}
	return nil, false
}
