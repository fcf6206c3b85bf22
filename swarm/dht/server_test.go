package dht

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/dht/krpc"
)

// TestLoopback runs three nodes on real sockets of this host: one address, many
// ports, no names.
func TestLoopback(t *testing.T) {
	var nodes []*Server
	var first string
	for i := range 4 {
		conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		cfg := Config{Conn: conn}
		if i == 0 {
			first = conn.LocalAddr().String()
		} else {
			cfg.Bootstrap = []string{first}
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		nodes = append(nodes, s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i := 1; i <= 2; i++ {
		st, err := nodes[i].Announce(ctx, infoHash, PeersOptions{Port: 7000 + i, Seed: i == 1})
		if err != nil || st.Announced == 0 {
			t.Fatalf("announce %d: %+v, %v", i, st, err)
		}
	}
	var found []string
	_, err := nodes[3].Peers(ctx, infoHash, PeersOptions{}, func(peers []netip.AddrPort, _ netip.AddrPort) {
		for _, p := range peers {
			found = append(found, p.String())
		}
	})
	slices.Sort(found)
	if err != nil || !slices.Equal(found, []string{"127.0.0.1:7001", "127.0.0.1:7002"}) {
		t.Errorf("found %v, %v", found, err)
	}
	for {
		// The first node names the others once it has verified them.
		st, err := nodes[3].Lookup(ctx, infoHash)
		if err != nil {
			t.Fatalf("closest %v, %v", st.Closest, err)
		}
		if len(st.Closest) == 3 {
			break
		}
	}
	if st := nodes[3].Stats(); st.Status != StatusWorking || st.Good != 3 {
		t.Errorf("stats %+v", st)
	}
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		h := n.Host(simLink, simnet.Addr("8.8.8.8"))
		conn, err := h.ListenPacket(t.Context(), "udp", ":6881")
		if err != nil {
			t.Fatal(err)
		}
		block := func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		s, err := New(Config{Conn: conn, Bootstrap: []string{"router.example:6881"}, Resolve: block})
		if err != nil {
			t.Fatal(err)
		}
		var got error
		var wg sync.WaitGroup
		wg.Go(func() { _, got = s.Peers(context.Background(), infoHash, PeersOptions{}, nil) })
		synctest.Wait()
		s.Close()
		s.Close()
		wg.Wait()
		if !errors.Is(got, ErrClosed) {
			t.Errorf("a running lookup returned %v", got)
		}
		if _, err := s.Peers(context.Background(), infoHash, PeersOptions{}, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("a lookup after Close returned %v", err)
		}
		if _, err := s.State(); !errors.Is(err, ErrClosed) {
			t.Errorf("State after Close returned %v", err)
		}
		s.Stats()
		s.AddNode(addr("9.9.9.9:1"), netip.Addr{})
		s.HandlePacket([]byte("d1:y1:qexxxxxxxxxxxxxxxxxxxxe"), addr("9.9.9.9:1"))
		// The socket belongs to the caller and still works.
		if _, err := conn.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(addr("8.8.8.8:6881"))); err != nil {
			t.Error(err)
		}
		if _, _, err := conn.ReadFrom(make([]byte, 10)); err != nil {
			t.Error(err)
		}
		conn.Close()
	})
}

func TestBadOptions(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a server without a connection")
	}
	s := &Server{}
	for _, port := range []int{0, -1, 65536} {
		if _, err := s.Peers(context.Background(), infoHash, PeersOptions{Announce: true, Port: port}, nil); err == nil {
			t.Errorf("announced port %d", port)
		}
	}
}

// TestContextEndsLookup: who found enough ends the lookup, and gets the
// statistics up to then.
func TestContextEndsLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		w.grow(60, 50*time.Millisecond)
		for i := range 5 {
			if _, err := w.nodes[i].Announce(t.Context(), infoHash, PeersOptions{Port: 7000}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		st, err := w.nodes[40].Peers(ctx, infoHash, PeersOptions{}, func([]netip.AddrPort, netip.AddrPort) {
			calls++
			cancel()
		})
		if !errors.Is(err, context.Canceled) || calls != 1 || st.Peers == 0 || st.Took > 200*time.Millisecond {
			t.Errorf("%d calls, %+v, %v", calls, st, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		lonely := w.host()
		lonely.start(w, func(c *Config) { c.Bootstrap = nil })
		w.nodes = append(w.nodes, lonely)
		begin := time.Now()
		if _, err := lonely.Peers(ctx, infoHash, PeersOptions{}, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a node without any other returned %v", err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("it returned after %v", took)
		}
	})
}

// TestDeadNamesBlockNothing: four names; one answers after 30 ms, one does not
// exist, two never answer. The lookup starts with the first address and ends
// before the others time out.
func TestDeadNamesBlockNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		w.grow(60, 50*time.Millisecond)
		if _, err := w.nodes[10].Announce(t.Context(), infoHash, PeersOptions{Port: 7000}); err != nil {
			t.Fatal(err)
		}
		router := w.nodes[0].addr.Addr()
		var mu sync.Mutex
		asked := map[string]int{} // guarded by mu
		resolve := func(ctx context.Context, host string) ([]netip.Addr, error) {
			mu.Lock()
			asked[host]++
			mu.Unlock()
			switch host {
			case "good.example":
				time.Sleep(30 * time.Millisecond)
				return []netip.Addr{netip.MustParseAddr("2001:db8::1"), router}, nil
			case "gone.example":
				return nil, errors.New("no such host")
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		n := w.host()
		n.start(w, func(c *Config) {
			c.Bootstrap = []string{"dead.example:1", "gone.example:1", "good.example:6881", "mute.example:1", "no port"}
			c.Resolve = resolve
		})
		w.nodes = append(w.nodes, n)
		begin := time.Now()
		st, err := n.Peers(t.Context(), infoHash, PeersOptions{}, nil)
		if err != nil || st.Peers != 1 {
			t.Fatalf("%+v, %v", st, err)
		}
		// 30 ms for the name, then two or three round trips.
		if first := st.FirstPeers - 30*time.Millisecond; first > 120*time.Millisecond {
			t.Errorf("first peers %v after the name was resolved", first)
		}
		if took := time.Since(begin); took >= resolveTimeout {
			t.Errorf("the lookup took %v", took)
		}
		time.Sleep(10 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		for host, n := range asked {
			if n != 1 {
				t.Errorf("%s was asked %d times although the table is full", host, n)
			}
		}
	})
}

// TestNegativeCache: names that fail are asked again at the pace of the
// attempts, 5 s, 40 s, 5 min, and never twice at once.
func TestNegativeCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		var mu sync.Mutex
		var at []time.Duration // guarded by mu
		begin := time.Now()
		n := w.host()
		n.start(w, func(c *Config) {
			c.Bootstrap = []string{"gone.example:1"}
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				mu.Lock()
				defer mu.Unlock()
				at = append(at, time.Since(begin).Round(time.Second))
				return nil, errors.New("no such host")
			}
		})
		w.nodes = append(w.nodes, n)
		time.Sleep(12 * time.Minute)
		mu.Lock()
		defer mu.Unlock()
		want := []time.Duration{0, 5 * time.Second, 45 * time.Second, 345 * time.Second, 645 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("asked at %v, want %v", at, want)
		}
	})
}

// TestAddHost: nodes of a .torrent file are looked up, a few at a time, and local
// addresses are not believed.
func TestAddHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		w.grow(10, 50*time.Millisecond)
		known := w.nodes[3].addr
		var mu sync.Mutex
		running, most := 0, 0 // guarded by mu
		n := w.host()
		n.start(w, func(c *Config) {
			c.Bootstrap = nil
			c.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				if host == "node.example" {
					return []netip.Addr{known.Addr()}, nil
				}
				return nil, errors.New("no such host")
			}
		})
		w.nodes = append(w.nodes, n)
		n.AddHost("127.0.0.1:80")
		n.AddHost("192.168.1.1:80")
		n.AddHost("no port")
		n.AddHost("node.example:6881")
		for i := range 400 {
			n.AddHost(fmt.Sprintf("host%d.example:1", i))
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		st, err := n.Peers(t.Context(), infoHash, PeersOptions{}, nil)
		if err != nil || st.FirstAnswer != time.Second+40*time.Millisecond {
			t.Errorf("%+v, %v", st, err)
		}
		time.Sleep(10 * time.Second)
		for i := range 400 {
			n.AddHost(fmt.Sprintf("more%d.example:1", i))
			if i%16 == 0 {
				time.Sleep(1100 * time.Millisecond)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if most > maxNamed {
			t.Errorf("%d names looked up at once", most)
		}
		n.resolver.mu.Lock()
		defer n.resolver.mu.Unlock()
		if len(n.resolver.cache) > maxCache+maxNamed {
			t.Errorf("%d names remembered", len(n.resolver.cache))
		}
	})
}

// TestSharedSocket: a passive server lives of the packets that its owner feeds.
func TestSharedSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		w.grow(20, 50*time.Millisecond)
		n := w.host()
		var conn net.PacketConn
		n.start(w, func(c *Config) { c.Passive = true; conn = c.Conn })
		w.nodes = append(w.nodes, n)
		var wg sync.WaitGroup
		wg.Go(func() {
			buf := make([]byte, 2048)
			for {
				k, from, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				n.HandlePacket(buf[:k], from.(*net.UDPAddr).AddrPort())
				clear(buf) // the server keeps no reference
			}
		})
		st, err := n.Lookup(t.Context(), infoHash)
		if err != nil || len(st.Closest) != k {
			t.Errorf("%+v, %v", st, err)
		}
		conn.Close()
		wg.Wait()
	})
}

// TestLink: a host with both families knows an IPv4 node only; its IPv6 server
// gets its first nodes over IPv4.
func TestLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net6 := simnet.New(1)
		defer net6.Close()
		var servers []*Server
		defer func() {
			for _, s := range servers {
				s.Close()
			}
		}()
		dual := func(i int, boot4, boot6 []string) (four, six *Server) {
			a4, a6 := netip.AddrFrom4([4]byte{20, 0, byte(i), 1}), netip.MustParseAddr("2a02::1").As16()
			a6[3] = byte(i)
			h := net6.Host(simLink, a4, netip.AddrFrom16(a6))
			for f, a := range map[Family]netip.Addr{IPv4: a4, IPv6: netip.AddrFrom16(a6)} {
				conn, err := h.ListenPacket(t.Context(), "udp", netip.AddrPortFrom(a, 6881).String())
				if err != nil {
					t.Fatal(err)
				}
				boot := boot4
				if f == IPv6 {
					boot = boot6
				}
				s, err := New(Config{Conn: conn, Family: f, External: a, Bootstrap: boot})
				if err != nil {
					t.Fatal(err)
				}
				servers = append(servers, s)
				if f == IPv4 {
					four = s
				} else {
					six = s
				}
			}
			Link(four, six)
			return four, six
		}
		var first6 *Server
		for i := range 20 {
			_, s := dual(i, []string{"20.0.0.1:6881"}, []string{"[2a02::1]:6881"})
			if i == 3 {
				first6 = s
			}
			time.Sleep(100 * time.Millisecond)
		}
		if _, err := first6.Announce(t.Context(), infoHash, PeersOptions{Port: 7000}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		_, six := dual(100, []string{"20.0.0.1:6881"}, nil)
		st, err := six.Peers(t.Context(), infoHash, PeersOptions{}, func(peers []netip.AddrPort, from netip.AddrPort) {
			if !peers[0].Addr().Is6() || !from.Addr().Is6() {
				t.Errorf("peers %v from %v", peers, from)
			}
		})
		if err != nil || st.Peers != 1 || st.FirstPeers > 500*time.Millisecond {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestAddVote: the address that trackers and peers see counts as well.
func TestAddVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		defer w.close()
		n := w.add(func(c *Config) { c.External = netip.Addr{} })
		mine := netip.MustParseAddr("203.0.113.5")
		for i := range 30 {
			n.AddVote(mine, netip.AddrFrom4([4]byte{20, 0, byte(i), 1}))
			n.AddVote(netip.MustParseAddr("2a02::1"), netip.AddrFrom4([4]byte{21, 0, byte(i), 1}))
		}
		if st := n.Stats(); st.External != mine || !krpc.Compliant(st.ID, mine) {
			t.Errorf("stats %+v", st)
		}
	})
}
