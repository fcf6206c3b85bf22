package simnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestNATFilter opens a mapping from inside and tries it from outside.
func TestNATFilter(t *testing.T) {
	// Senders: the destination itself, another port of it, a stranger.
	tests := []struct {
		kind NATKind
		want string
	}{
		{FullCone, "destination port stranger"},
		{RestrictedCone, "destination port"},
		{PortRestricted, "destination"},
		{Symmetric, "destination"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				box := n.NAT(tt.kind, Addr("203.0.113.1"))
				in := packetConn(t, box.Host(Link{}, Addr("192.168.0.2")), "udp", ":6881")
				host := n.Host(Link{}, Addr("198.51.100.1"))
				senders := map[string]*PacketConn{
					"destination": packetConn(t, host, "udp", ":1"),
					"port":        packetConn(t, host, "udp", ":2"),
					"stranger":    packetConn(t, n.Host(Link{}, Addr("198.51.100.2")), "udp", ":1"),
				}
				in.WriteTo([]byte("out"), udpTo(host, senders["destination"]))
				buf := make([]byte, 20)
				k, seen, err := senders["destination"].ReadFrom(buf)
				if err != nil || string(buf[:k]) != "out" {
					t.Fatalf("outside got %q, %v", buf[:k], err)
				}
				if seen.(*net.UDPAddr).AddrPort().Addr() != box.Addr() {
					t.Errorf("outside sees %v", seen)
				}
				var heard []string
				in.SetReadDeadline(time.Now().Add(time.Second))
				for name, p := range senders {
					p.WriteTo([]byte(name), seen)
				}
				for {
					k, _, err := in.ReadFrom(buf)
					if err != nil {
						break
					}
					heard = append(heard, string(buf[:k]))
				}
				slices.Sort(heard)
				if got, want := fmt.Sprint(heard), "["+tt.want+"]"; got != want {
					t.Errorf("let in %s, want %s", got, want)
				}
			})
		})
	}
}

// TestNATMapping looks at the outside ports that one inside socket gets.
func TestNATMapping(t *testing.T) {
	tests := []struct {
		name  string
		kind  NATKind
		idle  time.Duration
		wait  time.Duration // between the two datagrams
		same  bool          // to one destination twice, else to two
		equal bool          // outside ports are equal
	}{
		{"cone keeps its port", FullCone, 0, time.Hour, false, true},
		{"symmetric has one per destination", Symmetric, 0, 0, false, false},
		{"symmetric keeps it", Symmetric, 0, 0, true, true},
		{"fresh mapping lives", PortRestricted, time.Minute, 59 * time.Second, true, true},
		{"idle mapping ends", PortRestricted, time.Minute, 61 * time.Second, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				box := n.NAT(tt.kind, Addr("203.0.113.1"))
				box.Idle = tt.idle
				in := packetConn(t, box.Host(Link{}, Addr("192.168.0.2")), "udp", ":6881")
				out := n.Host(Link{}, Addr("198.51.100.1"))
				socks := []*PacketConn{packetConn(t, out, "udp", ":1"), packetConn(t, out, "udp", ":2")}
				if tt.same {
					socks[1] = socks[0]
				}
				var seen []string
				for _, p := range socks {
					in.WriteTo(nil, udpTo(out, p))
					_, from, err := p.ReadFrom(nil)
					if err != nil {
						t.Fatal(err)
					}
					seen = append(seen, from.String())
					time.Sleep(tt.wait)
				}
				if (seen[0] == seen[1]) != tt.equal {
					t.Errorf("seen as %v", seen)
				}
			})
		})
	}
}

func TestNATStreams(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		box := n.NAT(PortRestricted, Addr("203.0.113.1"))
		in := box.Host(Link{}, Addr("192.168.0.2"))
		twin := n.NAT(FullCone, Addr("203.0.113.2")).Host(Link{}, Addr("192.168.0.2")) // same address, another net
		out := n.Host(Link{}, Addr("198.51.100.1"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()

		ln := listen(t, out, ":80")
		for _, h := range []*Host{in, twin} {
			c, err := h.Dial(ctx, "tcp", "198.51.100.1:80")
			if err != nil {
				t.Fatal(err)
			}
			s, _ := ln.Accept()
			if got := s.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != h.nat.Addr() {
				t.Errorf("outside sees %v", got)
			}
			if c.LocalAddr().(*net.TCPAddr).AddrPort().Addr() != h.Addr() {
				t.Errorf("inside sees itself as %v", c.LocalAddr())
			}
			c.Close()
			s.Close()
		}

		listen(t, in, ":6881")
		if _, err := out.Dial(ctx, "tcp", "203.0.113.1:6881"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial into a NAT: %v", err)
		}
		if _, err := out.Dial(t.Context(), "tcp", "192.168.0.2:6881"); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Errorf("dial to a private address: %v", err)
		}
		box.Forward(7000, in, 6881)
		for _, h := range []*Host{out, twin, in} { // the last one by hairpin
			c, err := h.Dial(t.Context(), "tcp", "203.0.113.1:7000")
			if err != nil {
				t.Errorf("dial to a forwarded port from %v: %v", h.Addr(), err)
				continue
			}
			c.Close()
		}
	})
}

func TestHolePunching(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		link := Link{Delay: 10 * time.Millisecond}
		a := packetConn(t, n.NAT(PortRestricted, Addr("203.0.113.1")).Host(link, Addr("10.0.0.2")), "udp", ":6881")
		b := packetConn(t, n.NAT(PortRestricted, Addr("203.0.113.2")).Host(link, Addr("10.0.0.2")), "udp", ":6881")
		relay := packetConn(t, n.Host(link, Addr("198.51.100.1")), "udp", ":1")
		seen := map[*PacketConn]netip.AddrPort{}
		buf := make([]byte, 10)
		for _, p := range []*PacketConn{a, b} {
			p.WriteToUDPAddrPort(nil, netip.MustParseAddrPort("198.51.100.1:1"))
			_, seen[p], _ = relay.ReadFromUDPAddrPort(buf)
		}
		a.WriteToUDPAddrPort([]byte("one"), seen[b]) // lost at b's box, opens a's
		time.Sleep(time.Second)
		b.WriteToUDPAddrPort([]byte("two"), seen[a])
		a.SetReadDeadline(time.Now().Add(time.Second))
		k, from, err := a.ReadFromUDPAddrPort(buf)
		if err != nil || string(buf[:k]) != "two" || from != seen[b] {
			t.Errorf("a got %q from %v, %v", buf[:k], from, err)
		}
	})
}

func TestMulticast(t *testing.T) {
	group := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("239.192.152.143:6771"))
	bubble(t, func(t *testing.T, n *Net) {
		link := Link{Delay: time.Millisecond}
		a, b := pair(n, link, link)
		c := n.Host(link, Addr("192.0.2.3"))
		away := n.Host(link, Addr("192.0.2.4"))
		n.LAN(a, b, c)
		socks := map[string]*PacketConn{}
		for name, h := range map[string]*Host{"a": a, "b": b, "away": away} {
			socks[name] = packetConn(t, h, "udp4", group.String())
		}
		socks["c"] = packetConn(t, c, "udp4", ":6771")
		socks["c other port"] = packetConn(t, c, "udp4", ":6772")
		socks["c other port"].JoinGroup(nil, group)
		socks["b unicast"] = packetConn(t, b, "udp4", "192.0.2.2:1")

		hear := func() []string {
			var heard []string
			for name, p := range socks {
				p.SetReadDeadline(time.Now().Add(time.Second))
				buf := make([]byte, 10)
				if _, from, err := p.ReadFrom(buf); err == nil {
					if from.String() != "192.0.2.1:6771" {
						t.Errorf("%s: from %v", name, from)
					}
					heard = append(heard, name)
				}
			}
			slices.Sort(heard)
			return heard
		}
		check := func(what string, want ...string) {
			t.Helper()
			if _, err := socks["a"].WriteTo([]byte("BT-SEARCH"), group); err != nil {
				t.Fatal(err)
			}
			if got := hear(); !slices.Equal(got, want) {
				t.Errorf("%s: heard by %q, want %q", what, got, want)
			}
		}
		check("bound to the group", "a", "b")
		socks["c"].JoinGroup(nil, group)
		check("c joined", "a", "b", "c")
		socks["a"].SetMulticastLoopback(false)
		check("no loopback", "b", "c")
		socks["c"].LeaveGroup(nil, group)
		b.Unplug()
		check("c left, b unplugged")
		if err := socks["c"].JoinGroup(nil, udpTo(c, socks["c"])); err == nil {
			t.Error("joined a unicast address")
		}
	})
}
