package swarm

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/mse"
	"magnetfs/swarm/utp"
	"magnetfs/swarm/wire"
)

func TestPlan(t *testing.T) {
	tests := []struct {
		name string
		to   target
		utp  bool
		want []transport
	}{
		{"nothing known", target{}, true, []transport{overUnknown, overUTP}},
		{"TCP worked", target{via: overTCP}, true, []transport{overUnknown}},
		{"uTP worked", target{via: overUTP}, true, []transport{overUTP, overTCP}},
		{"a hole to punch", target{via: overTCP, only: overUTP}, true, []transport{overUTP}},
		{"uTP is off", target{via: overUTP, only: overUTP}, false, []transport{overTCP}},
	}
	for _, tt := range tests {
		if got := tt.to.plan(tt.utp); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// tcpless is a network in which TCP connections fail in some way.
type tcpless struct {
	*simnet.Host
	dial func(ctx context.Context) (net.Conn, error)
}

func (n tcpless) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return n.dial(ctx)
}

// The ways in which TCP fails.
var (
	refused = func(context.Context) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	silent  = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	hangsUp = func(context.Context) (net.Conn, error) {
		a, b := net.Pipe()
		b.Close()
		return a, nil
	}
)

// sideOn is newSide on any network.
func sideOn(t *testing.T, cfg Config, tor *swarmtest.Torrent, have []int, peers ...string) *side {
	t.Helper()
	cfg.Port, cfg.DHT.Disable, cfg.DisableLPD = 6881, true, true
	session, err := NewSession(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &side{session: session, store: &memory{pieces: map[int][]byte{}}}
	var wants []Want
	for i := range tor.NumPieces() {
		if slices.Contains(have, i) {
			s.store.pieces[i] = tor.Piece(i)
		} else {
			wants = append(wants, Want{Piece: i, Deadline: time.Now(), Blocked: true})
		}
	}
	if s.torrent, err = session.Add(AddSpec{InfoHash: tor.InfoHash, Info: tor.Info, Have: have, Store: s.store, Peers: peers}); err != nil {
		t.Fatal(err)
	}
	if len(wants) > 0 {
		s.torrent.SetWants(1, wants)
	}
	return s
}

// TestTransports: by what a peer is reached, and when. The round trip is 40 ms; the
// seed lacks a piece, so that both stay connected.
func TestTransports(t *testing.T) {
	tests := []struct {
		name string
		dial func(context.Context) (net.Conn, error) // nil: TCP works
		off  bool                                    // no uTP
		enc  mse.Policy
		via  string // "" if it is not reached
		when time.Duration
	}{
		{"TCP works", nil, false, mse.Allow, "tcp", 80 * ms},
		{"TCP is refused", refused, false, mse.Allow, "utp", 80 * ms},
		{"TCP is silent", silent, false, mse.Allow, "utp", 330 * ms},
		{"TCP hangs up", hangsUp, false, mse.Allow, "utp", 80 * ms},
		{"TCP is refused, encrypted", refused, false, mse.Require, "utp", 120 * ms},
		{"TCP works, without uTP", nil, true, mse.Allow, "tcp", 80 * ms},
		{"TCP is refused, without uTP", refused, true, mse.Allow, "", 0},
	}
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := simnet.New(1)
				defer n.Close()
				x, y := twoHosts(n)
				most := all(tor)[1:]
				seed := sideOn(t, Config{Network: y}, tor, most)
				defer seed.session.Close()
				var network Network = x
				if tt.dial != nil {
					network = tcpless{x, tt.dial}
				}
				start := time.Now()
				leecher := sideOn(t, Config{Network: network, DisableUTP: tt.off, Encryption: tt.enc}, tor, nil, "198.51.100.2:6881")
				defer leecher.session.Close()
				time.Sleep(5 * time.Second)
				for name, s := range map[string]*side{"leecher": leecher, "seed": seed} {
					peers := s.torrent.Status().Peers
					if tt.via == "" {
						if len(peers) > 0 {
							t.Errorf("%s: peers %+v", name, peers)
						}
						continue
					}
					if len(peers) != 1 || peers[0].Transport != tt.via {
						t.Errorf("%s: peers %+v, want one by %s", name, peers, tt.via)
					} else if when := peers[0].Connected.Sub(start).Truncate(5 * ms); name == "leecher" && when != tt.when {
						t.Errorf("connected after %v, want %v", when, tt.when)
					}
				}
				if tt.via != "" && !leecher.has(tor, most) {
					t.Error("pieces are missing")
				}
			})
		})
	}
}

// TestSlowTCPWins although uTP was tried beside it, and leaves one connection.
func TestSlowTCPWins(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		x := n.Host(simnet.Link{Delay: 100 * ms}, simnet.Addr("198.51.100.1"))
		y := n.Host(simnet.Link{Delay: 100 * ms}, simnet.Addr("198.51.100.2"))
		seed := sideOn(t, Config{Network: y}, tor, all(tor)[1:])
		defer seed.session.Close()
		leecher := sideOn(t, Config{Network: x}, tor, nil, "198.51.100.2:6881")
		defer leecher.session.Close()
		time.Sleep(5 * time.Second)
		for name, s := range map[string]*side{"leecher": leecher, "seed": seed} {
			if peers := s.torrent.Status().Peers; len(peers) != 1 || peers[0].Transport != "tcp" {
				t.Errorf("%s: peers %+v", name, peers)
			}
		}
	})
}

// TestBothFamilies of addresses carry uTP.
func TestBothFamilies(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		x := n.Host(simnet.Link{}, simnet.Addr("198.51.100.1"), simnet.Addr("2001:db8::1"))
		y := n.Host(simnet.Link{}, simnet.Addr("2001:db8::2"))
		pc, err := y.ListenPacket(context.Background(), "udp6", "[::]:6881")
		if err != nil {
			t.Fatal(err)
		}
		sock := utp.New(pc, utp.Config{})
		defer sock.Close()
		seeder := swarmtest.NewSeeder(swarmtest.SeederConfig{Torrent: tor}) // by uTP only
		defer seeder.Close()
		seeder.Serve(sock)
		leecher := sideOn(t, Config{Network: x}, tor, nil, "[2001:db8::2]:6881")
		defer leecher.session.Close()
		time.Sleep(5 * time.Second)
		if !leecher.has(tor, all(tor)) {
			t.Error("pieces are missing")
		}
	})
}

// TestWorkedTransport is remembered: the second connection to a peer that hangs up
// on TCP is made by uTP at once.
func TestWorkedTransport(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		x, y := twoHosts(n)
		dials := 0
		count := func(ctx context.Context) (net.Conn, error) {
			dials++
			return hangsUp(ctx)
		}
		pc, err := y.ListenPacket(context.Background(), "udp4", ":6881")
		if err != nil {
			t.Fatal(err)
		}
		sock := utp.New(pc, utp.Config{})
		defer sock.Close()
		seeder := swarmtest.NewSeeder(swarmtest.SeederConfig{Torrent: tor, Have: all(tor)[1:]})
		defer seeder.Close()
		seeder.Serve(sock)
		leecher := sideOn(t, Config{Network: tcpless{x, count}}, tor, nil, "198.51.100.2:6881")
		defer leecher.session.Close()
		time.Sleep(5 * time.Second)
		if dials != 2 || len(leecher.torrent.Status().Peers) != 1 { // plain and encrypted
			t.Errorf("%d dials by TCP, peers %+v", dials, leecher.torrent.Status().Peers)
		}
		seeder.DropPeers()
		time.Sleep(10 * time.Second)
		if dials != 2 || len(leecher.torrent.Status().Peers) != 1 {
			t.Errorf("afterwards %d dials by TCP, peers %+v", dials, leecher.torrent.Status().Peers)
		}
	})
}

// TestItselfByUTP is not connected to.
func TestItselfByUTP(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		x, _ := twoHosts(n)
		s := sideOn(t, Config{Network: tcpless{x, refused}}, tor, nil, "198.51.100.1:6881")
		defer s.session.Close()
		time.Sleep(time.Minute)
		if st := s.torrent.Status(); len(st.Peers) != 0 || st.Candidates != 0 {
			t.Errorf("peers %+v, %d candidates", st.Peers, st.Candidates)
		}
	})
}

// TestPunchedHole: two peers behind NATs that let nobody in dial each other by uTP
// at the same time, as a relay would tell them (BEP 55). One connection stays.
func TestPunchedHole(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	for kind, want := range map[simnet.NATKind]int{simnet.FullCone: 1, simnet.RestrictedCone: 1, simnet.PortRestricted: 1, simnet.Symmetric: 0} {
		synctest.Test(t, func(t *testing.T) {
			n := simnet.New(1)
			defer n.Close()
			outside := [2]netip.Addr{simnet.Addr("198.51.100.1"), simnet.Addr("203.0.113.1")}
			relay := n.Host(simnet.Link{}, simnet.Addr("192.0.2.1"))
			var sides [2]*side
			var at [2]netip.AddrPort
			for i := range sides {
				nat := n.NAT(kind, outside[i])
				host := nat.Host(simnet.Link{Delay: 10 * ms}, simnet.Addr("10.0.0.2"))
				have := all(tor)
				if i == 0 {
					have = nil
				}
				sides[i] = sideOn(t, Config{Network: host}, tor, have)
				defer sides[i].session.Close()
				// a packet to the relay, which so learns where it comes from
				_, err := sides[i].session.packets[0].WriteTo([]byte("d"), &net.UDPAddr{IP: relay.Addr().AsSlice(), Port: 6881})
				if err != nil {
					t.Fatal(err)
				}
				at[i] = netip.AddrPortFrom(outside[i], 49152)
			}
			time.Sleep(ms)
			for i := range sides {
				sides[i].torrent.dial(target{addr: at[1-i], only: overUTP})
			}
			time.Sleep(1500 * ms)
			for i, s := range sides {
				peers := s.torrent.Status().Peers
				if len(peers) != want || want > 0 && peers[0].Transport != "utp" {
					t.Errorf("kind %d, side %d: peers %+v", kind, i, peers)
				}
			}
			if want > 0 && !sides[0].has(tor, all(tor)) {
				t.Errorf("kind %d: pieces are missing", kind)
			}
		})
	}
}

// TestPexSaysUTP: what is said of a contact makes us try uTP sooner, and we say it
// of those whom we reached by it.
func TestPexSaysUTP(t *testing.T) {
	s := newStage(t, 4, false)
	_, id := s.join(1, true)
	contact := netip.MustParseAddrPort("203.0.113.9:6881")
	m := wire.Pex{Added: []wire.PexPeer{{Addr: contact, Flags: wire.PexUTP}}}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.l.gotPex(s.now, s.l.peers[id], b)
	s.l.setWants(s.now, evWants{})
	s.l.dialMore(s.now)
	if to := s.do.last; to.addr != contact || !to.utp || to.patience() != utpAfterHint {
		t.Errorf("dials %+v", to)
	}
	other := &remote{id: 99, addr: contact, listen: contact, via: overUTP, outgoing: true, source: endpoint.FromPEX}
	s.l.peers[99] = other
	if p := s.l.pexFor(s.l.peers[id]); len(p.Added) != 1 || p.Added[0].Flags&wire.PexUTP == 0 {
		t.Errorf("tells %+v", p)
	}
	if s.l.cands.setVia(contact, overUTP); s.l.cands.list[contact].via != overUTP {
		t.Error("not remembered")
	}
}
