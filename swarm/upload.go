package swarm

import (
	"slices"
	"time"

	"magnetfs/swarm/wire"
)

const (
	uploadSlots   = 8
	rechokeEvery  = 10 * time.Second // BEP 3
	optimisticFor = 3                // rounds, BEP 3: 30 s
	// maxServeQueue is how many requests a peer may have waiting with us; we
	// announce it (reqq).
	maxServeQueue = 500
	// serveAhead is how many blocks of one peer are read from the store at a
	// time, and serveBuffered how many bytes may wait for its socket.
	serveAhead    = 8
	serveBuffered = 256 << 10
)

// choker decides whom we upload to (BEP 3). Owned by the loop.
type choker struct {
	next  time.Time
	round int
}

func (c *choker) due(now time.Time) bool { return !now.Before(c.next) }

// rechoke holds a round: the peers that give us most get the slots, or when we
// take nothing, those that take most from us; one slot goes round by chance of
// arrival, so that newcomers can show what they give.
func (l *loop) rechoke(now time.Time) {
	elapsed := rechokeEvery.Seconds()
	l.choker.next = now.Add(rechokeEvery)
	l.choker.round++
	var want []*remote
	for _, r := range l.peers {
		r.rate = int64(float64(r.downloaded-r.downMark) / elapsed)
		r.upRate = int64(float64(r.uploaded-r.upMark) / elapsed)
		r.downMark, r.upMark = r.downloaded, r.uploaded
		if r.peerInterested {
			want = append(want, r)
		}
	}
	slices.SortFunc(want, func(a, b *remote) int {
		switch {
		case a.rate != b.rate:
			return int(b.rate - a.rate)
		case a.upRate != b.upRate:
			return int(b.upRate - a.upRate)
		}
		return int(a.id - b.id)
	})
	if l.choker.round%optimisticFor == 1 {
		l.rotateOptimistic(want)
	}
	open := 0
	for _, r := range want {
		l.setChoking(r, l.limits.isOff || !(open < uploadSlots-1 || r.optimistic))
		if !r.amChoking {
			open++
		}
	}
	for _, r := range l.peers {
		if !r.peerInterested {
			l.setChoking(r, true)
		}
	}
}

// rotateOptimistic gives the optimistic slot to the choked peer that came last
// after the present holder.
func (l *loop) rotateOptimistic(want []*remote) {
	var holder, next, first *remote
	for _, r := range want {
		if r.optimistic {
			holder = r
		}
	}
	for _, r := range want {
		if !r.amChoking {
			continue
		}
		if first == nil || r.id < first.id {
			first = r
		}
		if holder != nil && r.id > holder.id && (next == nil || r.id < next.id) {
			next = r
		}
	}
	if next == nil {
		next = first
	}
	if next == nil {
		return
	}
	if holder != nil {
		holder.optimistic = false
	}
	next.optimistic = true
}

// fillSlots unchokes without waiting for a round while slots are free.
func (l *loop) fillSlots(now time.Time) {
	open := 0
	for _, r := range l.peers {
		if !r.amChoking {
			open++
		}
	}
	if open >= uploadSlots || l.limits.isOff {
		return
	}
	if l.choker.next.IsZero() {
		l.choker.next = now.Add(rechokeEvery)
	}
	for _, r := range l.peers {
		if r.peerInterested && r.amChoking && open < uploadSlots {
			l.setChoking(r, false)
			open++
		}
	}
}

func (l *loop) setChoking(r *remote, choke bool) {
	if r.amChoking == choke {
		return
	}
	r.amChoking = choke
	if !choke {
		l.send(r, wire.Message{ID: wire.Unchoke})
		return
	}
	l.send(r, wire.Message{ID: wire.Choke})
	for _, m := range r.requests {
		l.reject(r, m)
	}
	r.requests = nil
}

// requested takes a request of a peer.
func (l *loop) requested(r *remote, m wire.Message) {
	switch {
	case r.amChoking, l.picker == nil, len(r.requests) >= maxServeQueue,
		int64(m.Index) >= int64(l.picker.Pieces()),
		!l.picker.Had(int(m.Index)),
		m.Length == 0 || m.Length > wire.BlockSize,
		int64(m.Begin)+int64(m.Length) > l.servedSize(int(m.Index)):
		l.reject(r, m)
		return
	}
	r.requests = append(r.requests, m)
	l.limits.serving = true
}

// servedSize is how many bytes of a piece others may ask for. Where a file of a v2
// torrent ends in the middle of a piece libtorrent 2.0 asks for all of it, and takes
// zeros for what is not there.
func (l *loop) servedSize(piece int) int64 {
	if l.info.V1 {
		return l.picker.PieceSize(piece)
	}
	return l.info.PieceLength
}

// reject says that a request will not be answered; without the fast extension
// there is no such message.
func (l *loop) reject(r *remote, m wire.Message) {
	if r.fast() {
		l.send(r, wire.Message{ID: wire.Reject, Index: m.Index, Begin: m.Begin, Length: m.Length})
	}
}

func (l *loop) cancelled(r *remote, m wire.Message) {
	for i, q := range r.requests {
		if q.Index == m.Index && q.Begin == m.Begin && q.Length == m.Length {
			r.requests = slices.Delete(r.requests, i, i+1)
			l.reject(r, m)
			return
		}
	}
}
