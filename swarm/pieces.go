package swarm

import (
	"time"

	"magnetfs/swarm/dht"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// setWants takes a reader's new list.
func (l *loop) setWants(now time.Time, m evWants) {
	if len(m.wants) == 0 {
		delete(l.readers, m.reader)
	} else {
		if len(l.readers) == 0 {
			l.cands.revive(now)
			if len(l.peers)+l.cands.waiting() < dht.FewPeers {
				l.do.needPeers()
			}
		}
		l.readers[m.reader] = m.wants
		for _, r := range l.peers {
			r.yielded = false
		}
	}
	l.lastWant = now
	l.applyWants(now)
}

// applyWants hands the wants of all readers to the picker.
func (l *loop) applyWants(now time.Time) {
	blocked := map[int]bool{}
	var all []picker.Want
	l.meetNeighbours()
	wanted := map[int]bool{}
	for reader, ws := range l.readers {
		for _, w := range ws {
			if w.Blocked {
				blocked[w.Piece] = true
			}
			if l.layers.lacks(w.Piece, w.Blocked) {
				continue // nobody could tell whether it is right
			}
			pw := picker.Want{Piece: w.Piece, Deadline: w.Deadline, Blocked: w.Blocked, Reader: reader}
			if l.holds != nil {
				wanted[w.Piece] = true
				pw.NotBefore = l.heldUntil(w, now)
			}
			all = append(all, pw)
		}
	}
	for p := range l.holds {
		if !wanted[p] {
			delete(l.holds, p)
		}
	}
	for p := range l.since {
		if !blocked[p] {
			delete(l.since, p)
		}
	}
	for p := range blocked {
		if _, ok := l.since[p]; !ok {
			l.since[p] = now
		}
	}
	if l.picker == nil {
		return
	}
	l.cancel(l.picker.SetWants(all, now))
	l.interested = true
}

// evicted notes that the store lost pieces. Peers are told (BEP 54), so that
// they do not ask in vain.
func (l *loop) evicted(pieces []int) {
	if l.picker == nil {
		return
	}
	for _, p := range pieces {
		if p < 0 || p >= l.picker.Pieces() || !l.picker.Had(p) {
			continue
		}
		l.picker.SetHad(p, false)
		for _, r := range l.peers {
			if id := r.ext.M[wire.LTDontHave]; id != 0 {
				l.send(r, wire.Message{ID: wire.Extended, ExtID: id, Data: wire.AppendDontHave(nil, uint32(p))})
			}
		}
	}
	l.interested = true
}

// held notes pieces that the store has from elsewhere, and tells the peers.
func (l *loop) held(pieces []int) {
	if l.picker == nil {
		return
	}
	for _, p := range pieces {
		if p < 0 || p >= l.picker.Pieces() || l.picker.Had(p) {
			continue
		}
		l.picker.SetHad(p, true)
		delete(l.since, p)
		l.announce(p)
	}
	l.interested = true
}

// announce tells those who lack a piece that we have it.
func (l *loop) announce(piece int) {
	for _, r := range l.peers {
		if !l.picker.PeerHas(r.id, piece) {
			l.send(r, wire.Message{ID: wire.Have, Index: uint32(piece)})
		}
	}
}

// gotBlock takes a piece message. It owns m.Data.
func (l *loop) gotBlock(now time.Time, r *remote, m wire.Message) {
	if l.picker == nil {
		wire.PutBlock(m.Data)
		l.fault(r, "block before the info was known")
		return
	}
	b := picker.Block{Piece: int(m.Index), Index: int(m.Begin) / wire.BlockSize}
	if b.Piece >= l.picker.Pieces() || int(m.Begin)%wire.BlockSize != 0 ||
		b.Index >= l.picker.Blocks(b.Piece) {
		wire.PutBlock(m.Data)
		r.conn.Close(peerFault("block out of range"))
		return
	}
	if len(m.Data) == 0 { // some clients mean a reject by it
		wire.PutBlock(m.Data)
		l.picker.Rejected(r.id, b)
		return
	}
	if len(m.Data) != l.picker.BlockLen(b) {
		wire.PutBlock(m.Data)
		r.conn.Close(peerFault("block of a wrong length"))
		return
	}
	n := len(m.Data)
	a := l.picker.Received(r.id, b, now)
	if !a.Asked {
		l.limits.unbooked += n
		if r.unasked++; r.unasked > maxUnasked {
			r.conn.Close(peerFault("many blocks that nobody asked for"))
		}
	}
	if !a.Useful {
		l.wasted += int64(n)
		wire.PutBlock(m.Data)
		return
	}
	r.downloaded += int64(n)
	l.down.add(n)
	l.lastBlock, r.lastBlock = now, now
	l.cancel(a.Cancel)
	bd := l.build.put(b.Piece, l.picker.Blocks(b.Piece), b.Index, sender{r.id, r.addr}, m.Data)
	if a.Complete {
		l.check(bd)
	}
	l.trim()
}

// check has the hash of a complete piece looked at.
func (l *loop) check(b *build) {
	b.hashing = true
	l.do.hash(hashJob{
		blocks: b.data(),
		size:   int(l.picker.PieceSize(b.index)),
		info:   l.info,
		piece:  b.index,
	})
}

// hashed takes the result.
func (l *loop) hashed(now time.Time, m evHashed) {
	b := l.build.builds[m.piece]
	if b == nil {
		return
	}
	b.hashing = false
	if !m.ok {
		l.hashFailed(now, b)
		return
	}
	var good []picker.PeerID
	for _, s := range b.senders() {
		good = append(good, s.id)
	}
	l.picker.Verified(m.piece, good)
	for _, s := range b.liars() {
		l.ban(now, s, "sent a wrong block")
	}
	l.wasted += b.extra
	l.build.drop(m.piece)
	delete(l.since, m.piece)
	l.announce(m.piece)
}

func (l *loop) hashFailed(now time.Time, b *build) {
	// What those have sent who were found to lie meanwhile explains it.
	if lost := l.build.purge(b); len(lost) > 0 {
		l.refetch(b, lost)
		return
	}
	before := b.bytes
	v := b.wrong(l.picker)
	l.build.bytes += b.bytes - before
	l.log.Debug("wrong hash", "piece", b.index, "try", len(b.failed), "ban", len(v.ban), "refetch", len(v.refetch))
	for _, s := range v.ban {
		l.ban(now, s, "sent a wrong piece")
	}
	if v.again {
		l.check(b)
		return
	}
	for _, q := range v.refetch {
		l.picker.Refetch(b.index, q.block, q.rule)
	}
}

// refetch asks blocks anew that were discarded.
func (l *loop) refetch(b *build, blocks []int) {
	for _, i := range blocks {
		l.picker.Refetch(b.index, i, picker.Rule{})
	}
}

// ban drops a peer that was proven to send wrong data, with all that it sent, and
// keeps it away.
func (l *loop) ban(now time.Time, s sender, why string) {
	l.log.Info("peer banned", "peer", s.addr, "why", why)
	addr := s.addr
	if r := l.peers[s.id]; r != nil {
		if r.listen.IsValid() {
			addr = r.listen
		}
		r.conn.Close(peerFault(why))
	}
	if l.picker != nil {
		l.picker.RemovePeer(s.id)
		l.build.discard(s.id, l.refetch)
	}
	l.cands.ban(addr, now)
}

// trim forgets blocks of pieces that nobody wants any more when they take too
// much memory.
func (l *loop) trim() {
	for l.build.bytes > l.maxBuild {
		p := l.build.oldest(l.picker.Wanted)
		if p < 0 {
			return
		}
		l.build.drop(p)
		l.picker.Forget(p)
	}
}

// supply answers a reader that waits for a piece.
func (l *loop) supply(piece int) Supply {
	s := Supply{Connected: len(l.peers), LastBlock: l.lastBlock}
	if l.picker == nil {
		return s
	}
	for _, r := range l.peers {
		if l.picker.CanDeliver(r.id, piece) {
			s.Peers++
		}
	}
	return s
}
