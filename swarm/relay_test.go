package swarm

import (
	"errors"
	"slices"
	"testing"
	"time"

	"magnetfs/swarm/wire"
)

// tell makes a peer name others by peer exchange.
func (s *stage) tell(t *testing.T, from *remote, peers ...wire.PexPeer) {
	t.Helper()
	b, err := wire.Pex{Added: peers}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.recv(from.id, wire.Message{ID: wire.Extended, ExtID: wire.IDPex, Data: b})
}

// switched lets a connection that the loop has closed end, and connects the peer again
// in the way in which it is dialled.
func (s *stage) switched(t *testing.T, c *fakeConn, r *remote) (*fakeConn, *remote) {
	t.Helper()
	if !errors.Is(c.closed, errSwitch) {
		t.Fatalf("closed: %v", c.closed)
	}
	n := len(s.do.dialled)
	s.end(r.id, c.closed)
	if d := s.l.cands.list[r.addr]; !slices.Contains(s.do.dialled[n:], r.addr) || d.via != overUTP || d.dials != 1 {
		t.Fatalf("dialled %v, %+v", s.do.dialled[n:], d)
	}
	c2, id := s.joinBy(1, true, overUTP)
	s.speak(t, id)
	return c2, s.l.peers[id]
}

// TestRelaySwitch: a relay that is connected by TCP is connected to by uTP before it
// is asked, once, if it sends us nothing.
func TestRelaySwitch(t *testing.T) {
	hidden, other := ap("98.0.0.1:5"), ap("98.0.0.2:5")
	flags := wire.PexHolepunch | wire.PexUTP
	for _, busy := range []bool{false, true} {
		s := newStage(t, 3, false)
		s.l.punch, s.do.reached = true, true
		s.l.dialing = 1
		c, id := s.joinBy(1, true, overTCP)
		r := s.l.peers[id]
		s.l.cands.add(r.addr, 0, s.now)
		s.l.cands.list[r.addr].busy = true
		s.speak(t, id)
		s.now = s.now.Add(time.Minute)
		if busy {
			r.lastBlock = s.now
		}
		s.tell(t, r, wire.PexPeer{Addr: hidden, Flags: flags})
		if got := punchesTo(t, c); len(got) != 0 {
			t.Fatalf("asked before anything failed: %+v", got)
		}
		s.now = s.now.Add(2 * time.Second) // the dial goes on
		s.do1(event{msg: evTick{}})
		if busy {
			if got := punchesTo(t, c); c.closed != nil || len(got) != 1 || got[0].Addr != hidden {
				t.Errorf("asked %+v, closed %v", got, c.closed)
			}
			continue
		}
		c, r = s.switched(t, c, r)
		if got := punchesTo(t, c); len(got) != 1 || got[0] != (wire.Holepunch{Type: wire.HolepunchRendezvous, Addr: hidden}) {
			t.Errorf("asked %+v", got)
		}
		s.tell(t, r, wire.PexPeer{Addr: other, Flags: flags})
		s.do1(event{msg: evDialFailed{addr: other, err: errors.New("timed out")}})
		if got := punchesTo(t, c); c.closed != nil || len(got) != 1 || got[0].Addr != other {
			t.Errorf("asked %+v, closed %v", got, c.closed)
		}
	}
}

// TestRelayKept: who is not reached by others has one peer by uTP, if reads do not
// wait.
func TestRelayKept(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		reached, waits, closed bool
	}{{"reached", true, false, false}, {"a read waits", false, true, false}, {"hidden", false, false, true}} {
		s := newStage(t, 3, false)
		s.l.punch, s.do.reached = true, tt.reached
		s.l.dialing = 1
		c, id := s.joinBy(1, true, overTCP)
		r := s.l.peers[id]
		s.l.cands.add(r.addr, 0, s.now)
		s.l.cands.list[r.addr].busy = true
		s.speak(t, id)
		if tt.waits {
			s.l.since[0] = s.now
		}
		s.now = s.now.Add(relayAge - time.Second)
		s.do1(event{msg: evTick{}})
		if c.closed != nil {
			t.Fatalf("%s: closed early", tt.name)
		}
		s.now = s.now.Add(relayEvery + 2*time.Second)
		s.do1(event{msg: evTick{}})
		if (c.closed != nil) != tt.closed {
			t.Errorf("%s: closed %v", tt.name, c.closed)
		}
		if !tt.closed {
			continue
		}
		c, _ = s.switched(t, c, r)
		s.now = s.now.Add(relayAge + 2*relayEvery)
		s.do1(event{msg: evTick{}})
		if c.closed != nil || len(punchesTo(t, c)) != 0 {
			t.Errorf("%s: closed %v", tt.name, c.closed)
		}
	}
}

// TestHungUp: a peer behind a NAT that hangs up, as it is dialling us, is dialled
// again while its NAT is open for us.
func TestHungUp(t *testing.T) {
	s := newStage(t, 3, false)
	s.l.punch = true
	_, id := s.joinBy(1, true, overUTP)
	s.speak(t, id)
	hidden := ap("98.0.0.1:5")
	s.tell(t, s.l.peers[id], wire.PexPeer{Addr: hidden, Flags: wire.PexHolepunch | wire.PexUTP})
	for i := range maxHungUp {
		n := len(s.do.dialled)
		s.do1(event{msg: evDialFailed{addr: hidden, hungUp: true, err: errors.New("EOF")}})
		s.now = s.now.Add(hungUpPause)
		s.do1(event{msg: evTick{}})
		if len(s.do.dialled) != n+1 || s.do.last.addr != hidden || s.do.last.only != overUTP {
			t.Fatalf("%d: dialled %v, last %+v", i, s.do.dialled[n:], s.do.last)
		}
	}
	n := len(s.do.dialled)
	s.do1(event{msg: evDialFailed{addr: hidden, hungUp: true, err: errors.New("EOF")}})
	s.now = s.now.Add(hungUpPause)
	s.do1(event{msg: evTick{}})
	if len(s.do.dialled) != n {
		t.Error("dialled for ever")
	}
}

// TestItself: the address at which peers see us, told by others, is not dialled.
func TestItself(t *testing.T) {
	s := newStage(t, 3, false)
	_, id := s.joinBy(1, true, overTCP)
	us := ap("203.0.113.9:6881")
	s.l.cands.add(us, 0, s.now)
	s.l.cands.list[us].notBefore = s.now.Add(time.Hour)
	b, err := wire.ExtHandshake{M: map[string]uint8{wire.UTPex: 1}, YourIP: us.Addr()}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.recv(id, wire.Message{ID: wire.Extended, Data: b})
	if s.l.cands.list[us] != nil {
		t.Error("we stay a candidate")
	}
	near := ap("203.0.113.9:6882")
	s.tell(t, s.l.peers[id], wire.PexPeer{Addr: us}, wire.PexPeer{Addr: near})
	if s.l.cands.list[us] != nil || s.l.cands.list[near] == nil {
		t.Errorf("candidates %v", s.l.cands.list)
	}
}
