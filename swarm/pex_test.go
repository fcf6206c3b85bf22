package swarm

import (
	"net/netip"
	"testing"
	"time"

	"magnetfs/swarm/wire"
)

// TestPexBudget: of one peer a snapshot is taken, and 50 contacts a minute after it.
func TestPexBudget(t *testing.T) {
	s := newStage(t, 3, false)
	_, id := s.joinBy(1, true, overTCP)
	r := s.l.peers[id]
	next := 0
	tell := func() int {
		before := len(s.l.cands.list)
		var list []wire.PexPeer
		for range 150 {
			next++
			list = append(list, wire.PexPeer{Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{98, 1, byte(next >> 8), byte(next)}), 5)})
		}
		s.tell(t, r, append(list, wire.PexPeer{Addr: ap("10.0.0.1:5")})...)
		return len(s.l.cands.list) - before // the last one is refused, and counts
	}
	for i, want := range []int{150, 49, 0} {
		if got := tell(); got != want {
			t.Errorf("%d: %d contacts taken, want %d", i, got, want)
		}
	}
	s.now = s.now.Add(pexEvery + time.Second)
	if got := tell(); got != wire.MaxPexSend {
		t.Errorf("a minute later %d contacts are taken", got)
	}
	if n := len(r.pex.live); n != maxPexFirst+wire.MaxPexSend-1 {
		t.Errorf("%d contacts are counted", n)
	}
}
