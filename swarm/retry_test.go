package swarm

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"magnetfs/swarm/endpoint"
)

// While nothing can be sent no address is worn out, and when something can all are
// dialled at once.
func TestRetry(t *testing.T) {
	s := newStage(t, 3, false)
	refused, silent := ap("98.0.0.1:5"), ap("98.0.0.2:5")
	s.do1(event{msg: evCandidates{addrs: []netip.AddrPort{refused, silent}, source: endpoint.FromMagnet}})
	for range 3 * maxFailures {
		for _, a := range []netip.AddrPort{refused, silent} {
			s.do1(event{msg: evDialFailed{addr: a, offline: true, err: errors.New("nothing is sent")}})
		}
		n := len(s.do.dialled)
		s.now = s.now.Add(retryBase)
		s.do1(event{msg: evTick{}})
		if len(s.do.dialled) != n+2 {
			t.Fatalf("dialled %v", s.do.dialled[n:])
		}
	}
	s.do1(event{msg: evDialFailed{addr: refused, err: errors.New("refused")}})
	s.do1(event{msg: evDialFailed{addr: silent, offline: true, err: errors.New("nothing is sent")}})
	n := len(s.do.dialled)
	s.now = s.now.Add(time.Second)
	s.do1(event{msg: evRetry{}})
	if got := s.do.dialled[n:]; len(got) != 2 {
		t.Errorf("dialled %v when the network was back", got)
	}
}

// What others are told is the port that a router has mapped, while it has.
func TestMapped(t *testing.T) {
	s := &Session{port: 6881}
	for _, tt := range []struct{ mapped, want uint16 }{{0, 6881}, {40000, 40000}, {0, 6881}} {
		s.SetMapped(tt.mapped)
		if got := s.reachedAt(); got != tt.want {
			t.Errorf("mapped to %d: %d", tt.mapped, got)
		}
	}
}
