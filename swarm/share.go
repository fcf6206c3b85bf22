package swarm

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/picker"
)

// Several mounts on one network that read the same file should draw about one
// copy from outside. All of them want the next pieces at the same time, so each
// such piece belongs to one of those who read around it, by a hash that all
// compute alike. The others leave it to its owner for a while, a piece that a
// read sleeps on too: over the line that they share it comes no later from there.
// What a neighbour has already is asked from it first in the same way.
//
// An owner that does not deliver in time is not trusted with pieces for a while,
// so a neighbour that stopped reading costs one short wait and no more.

const (
	// shareMargin before its deadline a piece is fetched from anybody after all.
	shareMargin = 700 * time.Millisecond
	// shareWait is how long a piece is left to an owner from whom nothing is
	// heard. A read that sleeps waits that long at least and twice as long at
	// most. A guess: longer than a piece of 1 MiB takes at 16 Mbit/s, shorter than
	// what annoys.
	shareWait = time.Second
	// nearWait is the same for a piece that a neighbour has.
	nearWait = 300 * time.Millisecond
	// sharesFor is how long after its last new piece a neighbour counts as
	// reading.
	sharesFor = 10 * time.Second
	// shareSpan is how far, in bytes, from a neighbour's newest piece it is
	// expected to read.
	shareSpan = 16 << 20
	// distrust is how long a neighbour that failed owns no pieces; it doubles
	// with each time in a row, maxDistrust times at most.
	distrust    = 10 * time.Second
	maxDistrust = 5
)

// hold is a wanted piece that is left to a neighbour.
type hold struct {
	owner picker.PeerID
	since time.Time
	near  bool // the neighbour has it
	over  bool // it did not come: nobody is waited for any more
}

// neighbour says whether the peer is of our own network.
func (l *loop) neighbour(r *remote) bool {
	if r.source == endpoint.FromLPD || isLocal(r.addr.Addr()) && !r.addr.Addr().IsLoopback() {
		return true
	}
	c := l.cands.list[r.listen]
	return c != nil && c.source == endpoint.FromLPD
}

// meetNeighbours sees who is a neighbour now and reads what we may read.
func (l *loop) meetNeighbours() {
	l.neighbours = l.neighbours[:0]
	for _, r := range l.peers {
		if l.picker == nil || !l.neighbour(r) {
			continue
		}
		l.picker.SetNear(r.id, true) // its announcement may have come after it did
		l.neighbours = append(l.neighbours, r)
	}
	if len(l.neighbours) == 0 {
		l.holds = nil
	} else if l.holds == nil {
		l.holds = map[int]*hold{}
	}
}

// heldUntil is until when a piece is left to neighbours; the zero time if it may
// be fetched from anybody.
func (l *loop) heldUntil(w Want, now time.Time) time.Time {
	h := l.holds[w.Piece]
	if h != nil && !h.over && (l.peers[h.owner] == nil || !h.near && l.nearHas(w.Piece) != nil) {
		h = nil // its owner left, or there is one now who has it
	}
	if h == nil {
		if h = l.leave(w.Piece, now); h == nil {
			return time.Time{}
		}
		l.holds[w.Piece] = h
	}
	if h.over {
		return time.Time{}
	}
	r := l.peers[h.owner]
	wait, alive := shareWait, r.frontAt // as long as it goes on fetching
	if h.near {
		wait, alive = nearWait, r.lastBlock // or sending
	}
	until := later(h.since.Add(wait), w.Deadline.Add(-shareMargin))
	most := time.Time{}
	if w.Blocked {
		since, ok := l.since[w.Piece]
		if !ok {
			since = now // only now somebody sleeps on it
		}
		until = later(h.since, since).Add(wait)
		most = until.Add(wait)
	}
	if until = later(until, alive.Add(wait)); !most.IsZero() && until.After(most) {
		until = most
	}
	if now.Before(until) {
		return until
	}
	h.over = true
	if !l.picker.Had(w.Piece) {
		r.shareStrikes = min(r.shareStrikes+1, maxDistrust)
		r.sharesAgain = now.Add(distrust << (r.shareStrikes - 1))
		l.log.Debug("neighbour did not share", "peer", r.addr, "piece", w.Piece, "had", h.near)
	}
	return time.Time{}
}

// leave finds the neighbour to leave a piece to; nil if it is ours.
func (l *loop) leave(piece int, now time.Time) *hold {
	if r := l.nearHas(piece); r != nil {
		if now.Before(r.sharesAgain) {
			return nil
		}
		return &hold{owner: r.id, since: now, near: true}
	}
	var owner *remote
	best := shareScore(l.peerID, piece)
	span := int(shareSpan / max(1, l.picker.PieceSize(0)))
	for _, r := range l.neighbours {
		if r.seed || now.Sub(r.frontAt) > sharesFor || r.front < piece-span || r.front > piece+span || now.Before(r.sharesAgain) {
			continue
		}
		if s := shareScore(r.hs.PeerID, piece); s > best {
			owner, best = r, s
		}
	}
	if owner == nil {
		return nil
	}
	return &hold{owner: owner.id, since: now}
}

// nearHas returns a neighbour from which the piece can be had at once.
func (l *loop) nearHas(piece int) *remote {
	for _, r := range l.neighbours {
		if l.picker.CanDeliver(r.id, piece) {
			return r
		}
	}
	return nil
}

// shared notes that a neighbour announced a piece: if it was left to it, it may
// be trusted again.
func (l *loop) shared(r *remote, piece int, now time.Time) {
	r.front, r.frontAt = piece, now
	if h := l.holds[piece]; h != nil && h.owner == r.id && !h.over {
		r.shareStrikes = 0
	}
}

func shareScore(id [20]byte, piece int) uint64 {
	h := fnv.New64a()
	h.Write(id[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(piece)))
	x := h.Sum64()
	// FNV's low bits carry the last byte; spread them.
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
