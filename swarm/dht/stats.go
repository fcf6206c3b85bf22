package dht

import (
	"context"
	"net/netip"
	"time"
)

// Status words of a node, for displays.
const (
	StatusBootstrapping = "bootstrapping" // no good node yet
	StatusWorking       = "working"
)

// Stats is a snapshot of a node.
type Stats struct {
	Family   Family
	ID       NodeID
	External netip.Addr // zero if not known
	ReadOnly bool
	Status   string

	Nodes, Good       int // in the routing table
	Hashes, Peers     int // stored for others
	Items             int // BEP 44
	Lookups, Pending  int // running; queries without an answer yet
	RTT               time.Duration
	QueriesOut        uint64
	AnswersIn         uint64
	QueriesIn         uint64
	AnswersOut        uint64
	BytesIn, BytesOut uint64 // UDP payload

	Malformed  uint64 // packets that are no KRPC
	Unexpected uint64 // answers to no query of ours
	Refused    uint64 // packets from impossible addresses
	Dropped    uint64 // over the limits
	Lost       uint64 // did not fit into a queue of ours
}

// Stats returns a snapshot; the zero value after Close.
func (s *Server) Stats() (st Stats) {
	_ = s.call(context.Background(), func(now time.Time) { st = s.core.stats(now) })
	st.Lost = s.lost.Load()
	return st
}

func (c *core) stats(now time.Time) Stats {
	n := c.stat
	st := Stats{
		Family: c.family, ID: c.id, External: c.votes.current, ReadOnly: c.readOnly.on,
		Status: StatusWorking,
		Nodes:  c.table.Len(), Good: c.table.Good(now),
		Hashes: c.peers.Hashes(), Peers: c.peers.Len(), Items: c.items.Len(),
		Lookups: len(c.lookups), Pending: len(c.pending), RTT: c.rtt.mean,
		QueriesOut: n.queriesOut, AnswersIn: n.answersIn, QueriesIn: n.queriesIn, AnswersOut: n.answersOut,
		BytesIn: n.bytesIn, BytesOut: n.bytesOut,
		Malformed: n.malformed, Unexpected: n.unexpected, Refused: n.refused, Dropped: n.dropped,
	}
	if st.Good == 0 {
		st.Status = StatusBootstrapping
	}
	return st
}
