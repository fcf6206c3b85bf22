package dht

import (
	"container/heap"
	"encoding/binary"
	"net/netip"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/search"
)

// query is one query of ours that waits for its answer. It passes the stages in
// order: in flight, overdue (a lookup goes on without it), hopeless (a lookup
// counts it as failed), dead (its node failed, the answer is not recognised any
// more). An answer in any stage ends it.
type query struct {
	tid   uint32
	to    netip.AddrPort
	id    krpc.ID // of the node, zero if unknown
	sent  time.Time
	stage stage
	at    time.Time // when the next stage begins
	index int       // in the heap

	lookup    *lookup // nil: upkeep of the table
	candidate *search.Candidate
	announce  bool // an announce_peer of the lookup
}

type stage uint8

const (
	inFlight stage = iota
	isOverdue
	isHopeless
)

// send sends the query m to a node and waits for its answer. q says on whose
// behalf.
func (c *core) send(to krpc.NodeInfo, m *krpc.Message, q query, now time.Time) {
	tid := c.rng.Uint32()
	for c.pending[tid] != nil {
		tid = c.rng.Uint32()
	}
	q.tid, q.to, q.id, q.sent = tid, to.Addr, to.ID, now
	q.at = now.Add(c.rtt.overdue())
	c.pending[tid] = &q
	c.waiting[to.Addr]++
	heap.Push(&c.timers, &q)
	c.table.Asked(to.Addr, now)
	c.readOnly.contacted(to.Addr.Addr(), now)

	m.Kind = krpc.Query
	m.T = binary.BigEndian.AppendUint32(nil, tid)
	m.ID, m.HasID = c.id, true
	m.RO = c.readOnly.on
	if m.Method != krpc.AnnouncePeer && m.Method != krpc.Ping && c.other != nil && c.otherPoor() {
		m.Want4, m.Want6 = true, true
	}
	c.stat.queriesOut++
	c.emit(to.Addr, m.Append(make([]byte, 0, 160)))
}

// emit leaves a packet to be sent.
func (c *core) emit(to netip.AddrPort, data []byte) {
	c.stat.bytesOut += uint64(len(data))
	c.out = append(c.out, packet{to, data})
}

// match returns the pending query that a packet from that address with that
// transaction ID answers, or nil.
func (c *core) match(t []byte, from netip.AddrPort) *query {
	if len(t) != 4 {
		return nil
	}
	q := c.pending[binary.BigEndian.Uint32(t)]
	if q == nil || q.to != from {
		return nil
	}
	return q
}

// finish ends the wait for q.
func (c *core) finish(q *query) {
	heap.Remove(&c.timers, q.index)
	delete(c.pending, q.tid)
	if c.waiting[q.to]--; c.waiting[q.to] == 0 {
		delete(c.waiting, q.to)
	}
}

// expire moves q to its next stage.
func (c *core) expire(q *query, now time.Time) {
	switch q.stage {
	case inFlight:
		q.stage, q.at = isOverdue, q.sent.Add(c.rtt.hopeless())
		if !q.at.After(now) {
			q.at = now.Add(c.rtt.hopeless() / 2)
		}
		heap.Fix(&c.timers, q.index)
		if q.lookup != nil && !q.announce {
			q.lookup.search.Overdue(q.candidate)
			c.pump(q.lookup, now)
		}
	case isOverdue:
		q.stage, q.at = isHopeless, q.sent.Add(deadAfter)
		heap.Fix(&c.timers, q.index)
		c.lookupFailed(q, now)
	case isHopeless:
		c.finish(q)
		// If nobody answered since, it is more likely our network that failed,
		// and the table is needed when that is back.
		if c.heard.After(q.sent) {
			c.failed(q.to, now)
		}
		c.unblock(now)
	}
}

// queryHeap implements heap.Interface, earliest stage first.
type queryHeap []*query

func (h queryHeap) Len() int           { return len(h) }
func (h queryHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h queryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *queryHeap) Push(x any) {
	q := x.(*query)
	q.index = len(*h)
	*h = append(*h, q)
}
func (h *queryHeap) Pop() any {
	last := len(*h) - 1
	q := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return q
}
