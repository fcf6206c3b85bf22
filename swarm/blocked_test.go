package swarm

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"magnetfs/swarm/blocklist"
	"magnetfs/swarm/endpoint"
)

// Who is on the block list is neither dialled nor welcome, and left when the list
// comes later.
func TestBlocked(t *testing.T) {
	list := func(text string) *blocklist.List {
		l, _, err := blocklist.Read(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	s := newStage(t, 3, false)
	s.do.blocked = list("98.0.0.0/24\n198.51.100.7")
	bad, good := ap("98.0.0.1:5"), ap("98.0.1.1:5")
	s.do1(event{msg: evCandidates{addrs: []netip.AddrPort{bad, good}, source: endpoint.FromDHT}})
	if !slices.Equal(s.do.dialled, []netip.AddrPort{good}) {
		t.Errorf("dialled %v", s.do.dialled)
	}
	if c, _ := s.join(7, false); c.closed == nil {
		t.Error("a peer on the list is connected")
	}
	later, _ := s.join(8, false)
	stays, _ := s.join(9, false)
	s.do1(event{msg: evDialFailed{addr: good, err: errors.New("refused")}})
	s.do.blocked = list("198.51.100.8\n98.0.1.1")
	s.do1(event{msg: evBlocked{}})
	if later.closed == nil || stays.closed != nil {
		t.Errorf("closed: %v, %v", later.closed, stays.closed)
	}
	if s.l.cands.list[good] != nil {
		t.Error("a candidate on the list is kept")
	}
}
