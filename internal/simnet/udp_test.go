package simnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func packetConn(t *testing.T, h *Host, network, addr string) *PacketConn {
	t.Helper()
	p, err := h.ListenPacket(context.Background(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*PacketConn)
}

// udpTo returns the address of a host's socket.
func udpTo(h *Host, p *PacketConn) *net.UDPAddr {
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Addr(), p.bound.port))
}

func TestDatagramTime(t *testing.T) {
	tests := []struct {
		name  string
		a, b  Link
		sizes []int
		want  []time.Duration // of each arrival
	}{
		{"delay", Link{Delay: 10 * time.Millisecond}, Link{Delay: 5 * time.Millisecond}, []int{100, 100},
			[]time.Duration{15 * time.Millisecond, 15 * time.Millisecond}},
		{"uplink is a queue", Link{Up: 1000}, Link{}, []int{100, 200, 0},
			[]time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond}},
		{"downlink is a queue", Link{}, Link{Down: 1000}, []int{100, 200},
			[]time.Duration{100 * time.Millisecond, 300 * time.Millisecond}},
		{"bounded uplink", Link{Up: 1000, Queue: 250}, Link{}, []int{100, 100, 100, 50},
			[]time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond}},
		{"bounded downlink", Link{}, Link{Down: 1000, Queue: 250}, []int{100, 100, 100, 50},
			[]time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond}},
		{"MTU", Link{MTU: 1400}, Link{MTU: 1300}, []int{1400, 1301, 1300}, []time.Duration{0}},
		{"everything lost", Link{Loss: 1}, Link{}, []int{1, 2, 3}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				a, b := pair(n, tt.a, tt.b)
				from, to := packetConn(t, a, "udp", ":0"), packetConn(t, b, "udp", ":6881")
				start := time.Now()
				for _, size := range tt.sizes {
					if k, err := from.WriteTo(make([]byte, size), udpTo(b, to)); k != size || err != nil {
						t.Fatalf("write: %d, %v", k, err)
					}
				}
				to.SetReadDeadline(start.Add(time.Hour))
				var got []time.Duration
				for {
					_, addr, err := to.ReadFrom(make([]byte, 2000))
					if err != nil {
						break
					}
					if addr.String() != udpTo(a, from).String() {
						t.Errorf("from %v, want %v", addr, udpTo(a, from))
					}
					got = append(got, time.Since(start))
				}
				if fmt.Sprint(got) != fmt.Sprint(tt.want) {
					t.Errorf("arrivals %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestBinding(t *testing.T) {
	v4, v6 := Addr("192.0.2.2"), Addr("2001:db8::2")
	tests := []struct {
		name  string
		bound []string // network address, in order; each but the last succeeds
		err   error    // of the last
	}{
		{"same port of two addresses", []string{"udp 192.0.2.2:1", "udp [2001:db8::2]:1"}, nil},
		{"same port twice", []string{"udp 192.0.2.2:1", "udp 192.0.2.2:1"}, syscall.EADDRINUSE},
		{"wildcard over address", []string{"udp 192.0.2.2:1", "udp :1"}, syscall.EADDRINUSE},
		{"address under wildcard", []string{"udp4 0.0.0.0:1", "udp4 192.0.2.2:1"}, syscall.EADDRINUSE},
		{"both families apart", []string{"udp4 :1", "udp6 :1"}, nil},
		{"IPv4 under dual wildcard", []string{"udp :1", "udp4 :1"}, syscall.EADDRINUSE},
		{"somebody else's address", []string{"udp 192.0.2.3:1"}, syscall.EADDRNOTAVAIL},
		{"wrong family", []string{"udp6 192.0.2.2:1"}, &net.AddrError{}},
		{"streams likewise", []string{"tcp :1", "tcp4 192.0.2.2:1"}, syscall.EADDRINUSE},
		{"streams and datagrams are apart", []string{"tcp :1", "udp :1"}, nil},
		{"multicast port is shared", []string{"udp4 239.192.152.143:6771", "udp4 239.192.152.143:6771", "udp4 :6771"}, nil},
		{"no port", []string{"udp 192.0.2.2"}, &net.AddrError{}},
		{"port too large", []string{"tcp :65536"}, &net.AddrError{}},
		{"unknown network", []string{"sctp :1"}, net.UnknownNetworkError("sctp")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				h := n.Host(Link{}, v4, v6)
				for i, s := range tt.bound {
					var network, addr string
					fmt.Sscan(s, &network, &addr)
					var err error
					if network[0] == 'u' {
						_, err = h.ListenPacket(context.Background(), network, addr)
					} else {
						_, err = h.Listen(context.Background(), network, addr)
					}
					var ae *net.AddrError
					switch {
					case i < len(tt.bound)-1 || tt.err == nil:
						if err != nil {
							t.Errorf("%s: %v", s, err)
						}
					case errors.As(tt.err, &ae):
						if !errors.As(err, &ae) {
							t.Errorf("%s: %v", s, err)
						}
					case !errors.Is(err, tt.err):
						t.Errorf("%s: %v, want %v", s, err, tt.err)
					}
				}
			})
		})
	}
}

// TestDelivery sends to each of several bound sockets and checks which one hears.
func TestDelivery(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		h := n.Host(Link{}, Addr("192.0.2.2"), Addr("192.0.2.3"), Addr("2001:db8::2"))
		other := n.Host(Link{}, Addr("192.0.2.1"), Addr("2001:db8::1"))
		src := packetConn(t, other, "udp", ":1000")
		socks := map[string]*PacketConn{
			"exact": packetConn(t, h, "udp", "192.0.2.2:1"),
			"dual":  packetConn(t, h, "udp", ":2"),
			"v4":    packetConn(t, h, "udp4", ":3"),
			"v6":    packetConn(t, h, "udp6", ":3"),
		}
		tests := []struct{ dst, want, from string }{
			{"192.0.2.2:1", "exact", "192.0.2.1:1000"},
			{"192.0.2.3:1", "", ""},
			{"192.0.2.3:2", "dual", "192.0.2.1:1000"},
			{"[2001:db8::2]:2", "dual", "[2001:db8::1]:1000"},
			{"192.0.2.2:3", "v4", "192.0.2.1:1000"},
			{"[2001:db8::2]:3", "v6", "[2001:db8::1]:1000"},
			{"[::ffff:192.0.2.2]:3", "v4", "192.0.2.1:1000"},
		}
		for _, tt := range tests {
			if _, err := src.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(tt.dst))); err != nil {
				t.Errorf("%s: %v", tt.dst, err)
			}
			heard, from := "", ""
			for name, p := range socks {
				p.SetReadDeadline(time.Now().Add(time.Millisecond))
				if _, a, err := p.ReadFrom(make([]byte, 9)); err == nil {
					heard, from = heard+name, a.String()
				}
			}
			if heard != tt.want || from != tt.from {
				t.Errorf("%s: heard by %q from %q, want %q from %q", tt.dst, heard, from, tt.want, tt.from)
			}
		}
	})
}

func TestConnectedUDP(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{}, Link{})
		server := packetConn(t, b, "udp", ":80")
		c, err := a.Dial(t.Context(), "udp", "192.0.2.2:80")
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("ping"))
		buf := make([]byte, 3)
		k, from, err := server.ReadFrom(buf)
		if string(buf[:k]) != "pin" || err != nil || from.String() != c.LocalAddr().String() {
			t.Errorf("server got %q from %v, %v", buf[:k], from, err)
		}
		stranger := packetConn(t, b, "udp", ":81")
		stranger.WriteTo([]byte("no"), from)
		server.WriteTo([]byte("yes"), from)
		if k, err := c.Read(buf); string(buf[:k]) != "yes" || err != nil {
			t.Errorf("client got %q, %v", buf[:k], err)
		}
		if _, err := c.(*PacketConn).WriteTo(buf, from); !errors.Is(err, net.ErrWriteToConnected) {
			t.Errorf("write to: %v", err)
		}
		c.Close()
		if _, err := c.Write(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		if _, err := server.Write(buf); !errors.Is(err, syscall.EDESTADDRREQ) {
			t.Errorf("write without destination: %v", err)
		}
	})
}

func TestLoopback(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		h := n.Host(Link{Up: 1, Down: 1, Delay: time.Hour, Loss: 1}, Addr("192.0.2.2"))
		for _, addr := range []string{"127.0.0.1", "localhost", "192.0.2.2"} {
			ln := listen(t, h, ":6881")
			c, err := h.Dial(t.Context(), "tcp", net.JoinHostPort(addr, "6881"))
			if err != nil {
				t.Errorf("%s: %v", addr, err)
			} else {
				c.Close()
			}
			ln.Close()
		}
	})
}

func TestReceiveBufferIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{}, Link{})
		from, to := packetConn(t, a, "udp", ":0"), packetConn(t, b, "udp", ":1")
		for range 10000 {
			from.WriteTo(make([]byte, 512), udpTo(b, to))
		}
		time.Sleep(time.Second)
		want := receiveBuffer / (512 + datagramCost)
		n.mu.Lock()
		waiting := len(to.inbox)
		n.mu.Unlock()
		if waiting != want {
			t.Errorf("%d datagrams wait, want %d", waiting, want)
		}
		if got := a.Counters().DroppedPackets; got != int64(10000-want) {
			t.Errorf("%d counted as dropped, want %d", got, 10000-want)
		}
	})
}

func TestPacketDeadline(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, _ := pair(n, Link{}, Link{})
		p := packetConn(t, a, "udp", ":0")
		start := time.Now()
		p.SetDeadline(start.Add(time.Second))
		if _, _, err := p.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("took %v", d)
		}
		if _, err := p.WriteTo(nil, udpTo(a, p)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
	})
}

// TestSeed runs one lossy exchange several times: equal seeds lose the same
// datagrams, another seed others.
func TestSeed(t *testing.T) {
	run := func(seed int64) (arrived string) {
		bubble(t, func(t *testing.T, _ *Net) {
			n := New(seed)
			defer n.Close()
			a, b := pair(n, Link{Loss: 0.5, Jitter: 100 * time.Millisecond}, Link{})
			from, to := packetConn(t, a, "udp", ":7"), packetConn(t, b, "udp", ":7")
			for i := range 32 {
				from.WriteTo([]byte{byte(i)}, udpTo(b, to))
			}
			to.SetReadDeadline(time.Now().Add(time.Second))
			buf := make([]byte, 1)
			for {
				if _, _, err := to.ReadFrom(buf); err != nil {
					return
				}
				arrived += fmt.Sprint(buf[0], " ")
			}
		})
		return arrived
	}
	first := run(1)
	if again := run(1); again != first {
		t.Errorf("seed 1 gave %s and %s", first, again)
	}
	if other := run(2); other == first {
		t.Errorf("seeds 1 and 2 both gave %s", first)
	}
}

// TestTenThousandHosts has every host ask its neighbour, all at once.
func TestTenThousandHosts(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		const hosts = 10000
		socks := make([]*PacketConn, hosts)
		all := make([]*Host, hosts)
		addr := Addr("10.0.0.1")
		for i := range hosts {
			all[i] = n.Host(Link{Up: 100 << 10, Down: 1 << 20, Delay: 20 * time.Millisecond}, addr)
			socks[i] = packetConn(t, all[i], "udp", ":6881")
			addr = addr.Next()
		}
		var answers atomic.Int64
		for _, p := range socks {
			go func() {
				buf := make([]byte, 100)
				for {
					k, from, err := p.ReadFromUDPAddrPort(buf)
					if err != nil {
						return
					}
					if string(buf[:k]) == "ping" {
						p.WriteToUDPAddrPort([]byte("pong"), from)
					} else {
						answers.Add(1)
					}
				}
			}()
		}
		for i, p := range socks {
			p.WriteTo([]byte("ping"), udpTo(all[(i+1)%hosts], p))
		}
		time.Sleep(time.Second)
		if got := answers.Load(); got != hosts {
			t.Errorf("%d of %d hosts got their answer", got, hosts)
		}
	})
}
