package swarm

import (
	"slices"
	"time"
)

// status is the loop's part of a snapshot; Torrent.Status adds the sources.
func (l *loop) status(now time.Time) Status {
	s := Status{
		InfoHash:   l.hash,
		Name:       l.name,
		State:      StateIdle,
		Candidates: l.cands.waiting(),
		DownRate:   int64(l.down.rate),
		UpRate:     int64(l.up.rate),
		Downloaded: l.down.total,
		Uploaded:   l.up.total,
		Wasted:     l.wasted,
		Sources:    []SourceStatus{l.pexStatus()},
	}
	switch {
	case l.broken != nil:
		s.State, s.Reason = StateBroken, l.broken.Error()
	case l.info == nil:
		s.State = StateResolving
		switch {
		case len(l.peers) > 0:
			s.Reason = "asking peers for the metadata"
		case l.dialing > 0 || s.Candidates > 0:
			s.Reason = "connecting to peers"
		default:
			s.Reason = "looking for peers"
		}
	case len(l.readers) > 0:
		s.State = StateActive
		if l.layers.slow() {
			s.Reason = "asking peers for hashes"
		}
	}
	if l.info != nil {
		s.Name = l.info.Name
		s.Pieces, s.HavePieces, s.Size = l.picker.Pieces(), l.picker.HadCount(), l.info.Length
		s.Missing = l.missing()
	}
	for _, r := range l.peers {
		p := l.peerStatus(r)
		if p.Seed {
			s.ConnectedSeeds++
		} else {
			s.ConnectedPeers++
		}
		s.Peers = append(s.Peers, p)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStatus) int {
		if a.Rate != b.Rate {
			return int(b.Rate - a.Rate)
		}
		return int(a.Connected.Compare(b.Connected))
	})
	for p, since := range l.since {
		w := WaitingPiece{Piece: p, Since: since}
		if l.picker != nil {
			pp := l.picker.Partial(p)
			w.Blocks, w.Received = pp.Blocks, pp.Received
			for _, id := range pp.From {
				if r := l.peers[id]; r != nil {
					w.From = append(w.From, r.addr.String())
				}
			}
		}
		s.Waiting = append(s.Waiting, w)
	}
	slices.SortFunc(s.Waiting, func(a, b WaitingPiece) int { return a.Piece - b.Piece })
	return s
}

func (l *loop) peerStatus(r *remote) PeerStatus {
	p := PeerStatus{
		Addr:         r.addr.String(),
		Client:       r.client(),
		Source:       r.source.String(),
		Connected:    r.since,
		Outgoing:     r.outgoing,
		Transport:    r.via.String(),
		Encryption:   r.method,
		Seed:         r.seed || l.picker == nil && r.early.all,
		PeerChoking:  r.peerChoking,
		AmInterested: r.amInterested,
		AmChoking:    r.amChoking,
		Downloaded:   r.downloaded,
		Uploaded:     r.uploaded,
	}
	if l.picker != nil {
		k := l.picker.Link(r.id)
		p.Pieces = l.picker.PeerPieces(r.id)
		p.Rate, p.RTT, p.Queue, p.Depth, p.Snubbed = k.Rate, k.RTT, k.Queue, k.Depth, k.Snubbed
	}
	return p
}

// missing is how many bytes of the torrent we do not have.
func (l *loop) missing() int64 {
	n := l.info.Size
	had := l.picker.HadSet()
	for i, ok := had.NextSet(0); ok; i, ok = had.NextSet(i + 1) {
		n -= l.picker.PieceSize(int(i))
	}
	return max(0, n) // pads are pieces' bytes, but nobody's
}
