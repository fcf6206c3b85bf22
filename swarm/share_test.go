package swarm

import (
	"net/netip"
	"testing"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// home is a stage with a seed outside and a neighbour that reads the same.
type home struct {
	*stage
	seedConn, nearConn *fakeConn
	near               picker.PeerID
	ours, theirs       []int // pieces by owner
}

func newHome(t *testing.T) *home {
	h := &home{stage: newStage(t, 64, false)}
	var seed picker.PeerID
	h.seedConn, seed = h.join(1, true)
	h.offerInfo(seed)
	h.seed(seed)
	h.do1(event{msg: evCandidates{addrs: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.2:6881")}, source: endpoint.FromLPD}})
	h.nearConn, h.near = h.join(2, true)
	h.recv(h.near, wire.Message{ID: wire.HaveNone})
	h.recv(h.near, wire.Message{ID: wire.Unchoke})
	h.recv(h.near, wire.Message{ID: wire.Have, Index: 0})
	for p := 1; p < 64; p++ {
		if shareScore(h.l.peerID, p) > shareScore([20]byte{2}, p) {
			h.ours = append(h.ours, p)
		} else {
			h.theirs = append(h.theirs, p)
		}
	}
	if len(h.ours) < 16 || len(h.theirs) < 16 {
		t.Fatalf("%d pieces are ours, %d the neighbour's", len(h.ours), len(h.theirs))
	}
	return h
}

// asked says whether c was asked for the piece since the last call.
func asked(c *fakeConn, piece int) bool {
	for _, m := range requests(c) {
		if int(m.Index) == piece {
			return true
		}
	}
	return false
}

// pass lets time go by and does what is due.
func (h *home) pass(d time.Duration) {
	h.now = h.now.Add(d)
	h.do1(event{msg: evTick{}})
}

func TestShare(t *testing.T) {
	t.Run("our piece is fetched at once", func(t *testing.T) {
		h := newHome(t)
		h.want(h.ours[0])
		if !asked(h.seedConn, h.ours[0]) {
			t.Error("the seed was not asked")
		}
	})
	t.Run("a neighbour's piece comes from it, though a read sleeps", func(t *testing.T) {
		h := newHome(t)
		p := h.theirs[0]
		h.want(p)
		h.pass(shareWait - time.Millisecond)
		if asked(h.seedConn, p) {
			t.Error("the seed was asked")
		}
		h.recv(h.near, wire.Message{ID: wire.Have, Index: uint32(p)})
		if !asked(h.nearConn, p) {
			t.Error("the neighbour was not asked")
		}
	})
	t.Run("a silent neighbour is waited for once", func(t *testing.T) {
		h := newHome(t)
		h.want(h.theirs[0])
		h.pass(shareWait + time.Millisecond)
		if !asked(h.seedConn, h.theirs[0]) {
			t.Error("the seed was not asked in the end")
		}
		h.want(h.theirs[0], h.theirs[1])
		if !asked(h.seedConn, h.theirs[1]) {
			t.Error("waited again")
		}
		h.pass(distrust)
		h.recv(h.near, wire.Message{ID: wire.Have, Index: 0}) // it still reads
		h.want(h.theirs[2])
		if asked(h.seedConn, h.theirs[2]) {
			t.Error("not trusted again")
		}
	})
	t.Run("one that goes on fetching is waited for twice as long", func(t *testing.T) {
		h := newHome(t)
		p := h.theirs[0]
		h.want(p)
		for range 2 {
			h.pass(shareWait - time.Millisecond)
			h.recv(h.near, wire.Message{ID: wire.Have, Index: 0})
			h.want(p)
			if asked(h.seedConn, p) {
				t.Fatal("the seed was asked too early")
			}
		}
		h.pass(3 * time.Millisecond)
		h.want(p)
		if !asked(h.seedConn, p) {
			t.Error("the seed was not asked in the end")
		}
	})
	t.Run("a neighbour that reads nothing owns nothing", func(t *testing.T) {
		h := newHome(t)
		h.pass(sharesFor + time.Millisecond)
		h.want(h.theirs[0])
		if !asked(h.seedConn, h.theirs[0]) {
			t.Error("the seed was not asked")
		}
	})
	t.Run("nor one that left", func(t *testing.T) {
		h := newHome(t)
		h.want(h.theirs[0])
		h.gone(h.near)
		h.want(h.theirs[0])
		if !asked(h.seedConn, h.theirs[0]) {
			t.Error("the seed was not asked")
		}
	})
}

// gone ends a connection.
func (h *home) gone(id picker.PeerID) {
	h.do1(event{from: id, peer: peer.Event{Kind: peer.Closed, Err: errIdle}})
}
