package swarm

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"magnetfs/swarm/endpoint"
)

// Several mounts on one network that read the same file should draw about one
// copy from outside. A peer of the own network is near, so whatever it has is
// asked from it anyway. What is left is that all of them want the next pieces at
// the same time. So each such piece belongs to one of those who read around it,
// by a hash that all compute alike; the others leave it alone until shortly
// before they need it, and mostly it comes from its owner first.

const (
	// shareMargin before its deadline a piece is fetched from anybody after all.
	shareMargin = 700 * time.Millisecond
	// sharesFor is how long after its last new piece a neighbour counts as
	// reading.
	sharesFor = 10 * time.Second
	// shareSpan is how far, in bytes, from a neighbour's newest piece it is
	// expected to read.
	shareSpan = 64 << 20
)

// neighbour says whether the peer is of our own network.
func (l *loop) neighbour(r *remote) bool {
	if r.source == endpoint.FromLPD || isLocal(r.addr.Addr()) && !r.addr.Addr().IsLoopback() {
		return true
	}
	c := l.cands.list[r.listen]
	return c != nil && c.source == endpoint.FromLPD
}

// heldUntil is until when a piece is left to a neighbour; the zero time if it is
// ours to fetch.
func (l *loop) heldUntil(w Want, now time.Time) time.Time {
	if w.Blocked || w.Deadline.Sub(now) <= shareMargin {
		return time.Time{}
	}
	owner, best := true, shareScore(l.peerID, w.Piece)
	span := int(shareSpan / max(1, l.picker.PieceSize(0)))
	for _, r := range l.neighbours {
		if now.Sub(r.frontAt) > sharesFor || r.front < w.Piece-span || r.front > w.Piece+span {
			continue
		}
		if s := shareScore(r.hs.PeerID, w.Piece); s > best {
			owner, best = false, s
		}
	}
	if owner {
		return time.Time{}
	}
	return w.Deadline.Add(-shareMargin)
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
