package lpd

import (
	"net/netip"
	"testing"
	"time"
)

// Two servers with real sockets on the loopback interface: the group's port is
// shared, memberships work, and each finds the other and not itself.
func TestRealMulticast(t *testing.T) {
	type report struct {
		by   int
		peer netip.AddrPort
	}
	reports := make(chan report, 100)
	loopback := func() ([]Interface, error) {
		all, err := systemInterfaces()
		var list []Interface
		for _, c := range all {
			if c.Loopback {
				list = append(list, c.Interface)
			}
		}
		return list, err
	}
	h := hash(hexA)
	for port := 50001; port <= 50002; port++ { // announced, not bound
		s, err := New(Config{Port: port, Interfaces: loopback, OnPeer: func(_ [20]byte, p netip.AddrPort) {
			reports <- report{port, p}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.Add(h)
	}
	want := map[report]bool{
		{50001, netip.MustParseAddrPort("127.0.0.1:50002")}: true,
		{50002, netip.MustParseAddrPort("127.0.0.1:50001")}: true,
	}
	for deadline := time.After(10 * time.Second); len(want) > 0; {
		select {
		case r := <-reports:
			if !r.peer.Addr().IsLoopback() || int(r.peer.Port()) == r.by {
				t.Errorf("%d found %v", r.by, r.peer)
			}
			delete(want, r)
		case <-deadline:
			t.Fatalf("not found within 10 s: %v", want)
		}
	}
}

// The netlink subscription starts and ends; that it reports changes is not
// tested, for a test must not touch the machine's interfaces.
func TestServerOnSystemInterfaces(t *testing.T) {
	s, err := New(Config{Port: 50003, Device: "no-such-device"})
	if err != nil {
		t.Fatal(err)
	}
	s.Add(hash(hexA))
	s.Close()
	if st := s.Stats(hash(hexA)); st.Links != 0 || st.Err == nil {
		t.Errorf("stats %+v, want an error and no links", st)
	}
}
