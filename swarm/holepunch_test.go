package swarm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// speak makes a peer offer holepunching.
func (s *stage) speak(t *testing.T, id picker.PeerID) {
	t.Helper()
	b, err := wire.ExtHandshake{M: map[string]uint8{wire.UTHolepunch: 9, wire.UTPex: 1}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.recv(id, wire.Message{ID: wire.Extended, Data: b})
}

func (s *stage) punchMessage(id picker.PeerID, h wire.Holepunch) {
	s.recv(id, wire.Message{ID: wire.Extended, ExtID: wire.IDHolepunch, Data: h.Append(nil)})
}

// punchesTo returns the holepunch messages that a peer got since the last call.
func punchesTo(t *testing.T, c *fakeConn) (list []wire.Holepunch) {
	t.Helper()
	for _, m := range c.sent {
		if m.ID != wire.Extended || m.ExtID != 9 {
			continue
		}
		h, err := wire.ParseHolepunch(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, h)
	}
	c.sent = nil
	return list
}

// TestHolepunchRelay: we introduce two of our peers, or say why not.
func TestHolepunchRelay(t *testing.T) {
	s := newStage(t, 3, false)
	s.l.punch = true
	s.do.selves[0] = ap("203.0.113.9:6881")
	s.l.cands.weAre(s.do.selves)
	a, aID := s.join(1, true)
	b, bID := s.join(2, true)
	_, cID := s.join(3, true)
	s.speak(t, aID)
	s.speak(t, bID)
	addrOf := func(id picker.PeerID) netip.AddrPort { return s.l.peers[id].addr }
	punchesTo(t, a)
	punchesTo(t, b)
	ask := func(addr netip.AddrPort) {
		s.punchMessage(aID, wire.Holepunch{Type: wire.HolepunchRendezvous, Addr: addr})
	}
	for _, tt := range []struct {
		name string
		addr netip.AddrPort
		want wire.HolepunchCode
	}{
		{"nobody", ap("198.51.100.99:1"), wire.HolepunchNotConnected},
		{"itself", addrOf(aID), wire.HolepunchNotConnected},
		{"no support", addrOf(cID), wire.HolepunchNoSupport},
		{"ourselves", ap("203.0.113.9:6881"), wire.HolepunchNoSelf},
		{"no address", ap("0.0.0.0:1"), wire.HolepunchNoSuchPeer},
	} {
		ask(tt.addr)
		if got := punchesTo(t, a); len(got) != 1 || got[0] != (wire.Holepunch{Type: wire.HolepunchError, Addr: tt.addr, Code: tt.want}) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
	ask(addrOf(bID))
	if got := punchesTo(t, a); len(got) != 1 || got[0] != (wire.Holepunch{Type: wire.HolepunchConnect, Addr: addrOf(bID)}) {
		t.Errorf("to the one that asked: %+v", got)
	}
	if got := punchesTo(t, b); len(got) != 1 || got[0] != (wire.Holepunch{Type: wire.HolepunchConnect, Addr: addrOf(aID)}) {
		t.Errorf("to the other: %+v", got)
	}
	ask(addrOf(bID))
	if got := append(punchesTo(t, a), punchesTo(t, b)...); len(got) != 0 {
		t.Errorf("introduced again: %+v", got)
	}
	for range 20 {
		ask(ap("198.51.100.99:1"))
	}
	if n := len(punchesTo(t, a)); n > maxPunches {
		t.Errorf("%d answers in a minute", n)
	}
}

// TestHolepunchOrders: we dial whom a relay tells us to, but not everybody.
func TestHolepunchOrders(t *testing.T) {
	s := newStage(t, 3, false)
	s.l.punch = true
	s.l.maxPeers = 50
	_, id := s.join(1, true)
	s.speak(t, id)
	order := func(addr netip.AddrPort) int {
		n := len(s.do.dialled)
		s.punchMessage(id, wire.Holepunch{Type: wire.HolepunchConnect, Addr: addr})
		return len(s.do.dialled) - n
	}
	if order(ap("198.51.100.50:1")) != 1 || s.do.last.only != overUTP {
		t.Fatalf("dialled %v", s.do.last)
	}
	if order(ap("198.51.100.50:1")) != 0 || order(s.l.peers[id].addr) != 0 || order(ap("127.0.0.1:1")) != 0 || order(ap("198.51.100.51:0")) != 0 {
		t.Errorf("dialled %v", s.do.dialled)
	}
	n := len(s.do.dialled)
	for i := range byte(20) {
		order(netip.AddrPortFrom(netip.AddrFrom4([4]byte{98, 0, i, 1}), 5))
	}
	if n = len(s.do.dialled) - n; n > maxPunches {
		t.Errorf("%d dials in a minute for one relay", n)
	}
	s.now = s.now.Add(2 * punchWindow)
	if order(ap("198.51.100.60:1")) != 1 {
		t.Error("a minute later it is not heard")
	}

	// Without uTP we offer nothing and do nothing.
	s = newStage(t, 3, false)
	c, id := s.join(1, true)
	s.speak(t, id)
	if order(ap("198.51.100.50:1")) != 0 {
		t.Error("dialled without uTP")
	}
	for _, m := range c.sent {
		if m.ID == wire.Extended && m.ExtID == 0 && strings.Contains(string(m.Data), wire.UTHolepunch) {
			t.Error("offered without uTP")
		}
	}
}

// TestHolepunchAsk: who told us of a peer that we cannot dial is asked to introduce
// us, once.
func TestHolepunchAsk(t *testing.T) {
	s := newStage(t, 3, false)
	s.l.punch = true
	relay, id := s.join(1, true)
	s.speak(t, id)
	hidden, plain := ap("98.0.0.1:5"), ap("98.0.0.2:5")
	b, err := wire.Pex{Added: []wire.PexPeer{{Addr: hidden, Flags: wire.PexHolepunch | wire.PexUTP}, {Addr: plain, Flags: wire.PexUTP}}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.recv(id, wire.Message{ID: wire.Extended, ExtID: wire.IDPex, Data: b})
	punchesTo(t, relay)
	fail := func(a netip.AddrPort) []wire.Holepunch {
		s.do1(event{msg: evDialFailed{addr: a, err: errors.New("timed out")}})
		return punchesTo(t, relay)
	}
	if got := fail(plain); len(got) != 0 {
		t.Errorf("asked for a peer that cannot: %+v", got)
	}
	if got := fail(hidden); len(got) != 1 || got[0] != (wire.Holepunch{Type: wire.HolepunchRendezvous, Addr: hidden}) {
		t.Fatalf("asked %+v", got)
	}
	s.punchMessage(id, wire.Holepunch{Type: wire.HolepunchConnect, Addr: hidden})
	if s.do.last.addr != hidden || s.do.last.only != overUTP {
		t.Errorf("dialled %+v", s.do.last)
	}
	if got := fail(hidden); len(got) != 0 {
		t.Errorf("asked again: %+v", got)
	}
}

// udpOnly is a network without TCP to dial by.
type udpOnly struct{ *simnet.Host }

func (udpOnly) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("no TCP here")
}

// TestSwarmHolepunch: two peers behind NATs that let no strangers in, one of which
// does not dial by itself, connect by a relay that both are connected to.
func TestSwarmHolepunch(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: mib, PieceLength: 64 << 10}, func(w *world) {
		relay := w.join(joins{link: line, info: true, have: []int{0}, peers: []string{}})
		relay.torrent.SetWants(1, []Want{{Piece: 9, Blocked: true}}) // it stays
		behind := func(last byte, have int) *client {
			nat := w.net.NAT(simnet.PortRestricted, netip.AddrFrom4([4]byte{198, 51, 100, last}))
			return w.joinFrom(nat.Host(line, netip.AddrFrom4([4]byte{192, 168, 0, 2})), joins{
				info: true, have: []int{have}, peers: []string{relay.addr()}, network: func(h *simnet.Host) Network { return udpOnly{h} },
			})
		}
		a, b := behind(1, 1), behind(2, 2)
		b.torrent.SetWants(1, []Want{{Piece: 0, Blocked: true}})
		time.Sleep(5 * time.Second)
		b.torrent.SetWants(1, nil) // it does not look for anybody
		if n := len(b.torrent.Status().Peers); n != 1 {
			t.Fatalf("%d peers", n)
		}
		start := time.Now()
		a.torrent.SetWants(1, []Want{{Piece: 2, Blocked: true}})
		a.await(2, 30*time.Second)
		t.Logf("after %v", time.Since(start))
		direct := false
		for _, p := range a.torrent.Status().Peers {
			direct = direct || p.Transport == "utp" && p.Source != endpoint.FromMagnet.String()
		}
		if !direct {
			t.Errorf("peers %+v", a.torrent.Status().Peers)
		}
	})
}
