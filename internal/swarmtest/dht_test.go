package swarmtest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/benc"
	"magnetfs/swarm/endpoint"
)

// krpc is a client with one query at a time.
type krpc struct {
	t  *testing.T
	pc net.PacketConn
}

// ask sends a query and returns the answer; invalid when none comes.
func (k krpc) ask(to netip.AddrPort, name string, args map[string]any) benc.Value {
	k.t.Helper()
	if args["id"] == nil {
		args["id"] = strings.Repeat("q", 20)
	}
	b, err := benc.Marshal(map[string]any{"t": "tt", "y": "q", "q": name, "a": args})
	if err != nil {
		k.t.Fatal(err)
	}
	if _, err := k.pc.WriteTo(b, net.UDPAddrFromAddrPort(to)); err != nil {
		k.t.Fatal(err)
	}
	buf := make([]byte, 2000)
	k.pc.SetReadDeadline(time.Now().Add(2 * time.Second))
	n, from, err := k.pc.ReadFrom(buf)
	if err != nil {
		return benc.Value{}
	}
	if from.String() != to.String() {
		k.t.Errorf("answer from %v, want %v", from, to)
	}
	v, err := benc.Parse(buf[:n], benc.Limits{})
	if err != nil {
		k.t.Fatal(err)
	}
	return v
}

// text returns a string inside v by the path of its keys.
func text(v benc.Value, keys ...string) string {
	for _, k := range keys {
		v = v.Get(k)
	}
	b, _ := v.Bytes()
	return string(b)
}

// net100 makes a DHT of a hundred nodes and a client.
func net100(t *testing.T, fn func(t *testing.T, d *DHT, k krpc)) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		d := NewDHT(1)
		defer d.Close()
		link := simnet.Link{Delay: 10 * time.Millisecond}
		addr := simnet.Addr("198.51.100.1")
		for range 100 {
			if _, err := d.Add(t.Context(), n.Host(link, addr), ":6881", netip.AddrPortFrom(addr, 6881)); err != nil {
				t.Fatal(err)
			}
			addr = addr.Next()
		}
		pc, err := n.Host(link, simnet.Addr("192.0.2.1")).ListenPacket(t.Context(), "udp", ":7000")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		fn(t, d, krpc{t, pc})
	})
}

// TestDHTLookup walks from one node to the eight that are closest.
func TestDHTLookup(t *testing.T) {
	net100(t, func(t *testing.T, d *DHT, k krpc) {
		total := 0
		for seed := range 5 {
			target := [20]byte(bytes.Repeat([]byte{byte(50 * seed)}, 20))
			type node struct {
				id   [20]byte
				addr netip.AddrPort
			}
			start := d.Nodes()[seed]
			found := []node{{start.ID, start.Addr}}
			asked := make(map[netip.AddrPort]bool)
			for {
				slices.SortFunc(found, func(a, b node) int {
					x, y := distance(a.id, target), distance(b.id, target)
					return bytes.Compare(x[:], y[:])
				})
				found = slices.Compact(found)[:min(dhtK, len(slices.Compact(found)))]
				i := slices.IndexFunc(found, func(n node) bool { return !asked[n.addr] })
				if i < 0 {
					break
				}
				asked[found[i].addr] = true
				v := k.ask(found[i].addr, "find_node", map[string]any{"target": string(target[:])})
				nodes := text(v, "r", "nodes")
				if len(nodes) != dhtK*26 {
					t.Fatalf("%d bytes of nodes", len(nodes))
				}
				for b := []byte(nodes); len(b) > 0; b = b[26:] {
					a, _ := endpoint.ParseCompact4(b[20:26])
					found = append(found, node{[20]byte(b), a[0]})
				}
			}
			for i, want := range d.Closest(target) {
				if found[i].id != want.ID || found[i].addr != want.Addr {
					t.Errorf("target %d: node %d is %x, want %x", seed, i, found[i].id, want.ID)
				}
			}
			total += len(asked)
			if len(asked) > 30 {
				t.Errorf("target %d: asked %d of 100 nodes", seed, len(asked))
			}
		}
		if got := d.Queries("find_node"); got != total {
			t.Errorf("%d queries counted, want %d", got, total)
		}
	})
}

func TestDHTPeers(t *testing.T) {
	net100(t, func(t *testing.T, d *DHT, k krpc) {
		hash := strings.Repeat("h", 20)
		n := d.Closest([20]byte([]byte(hash)))[0]
		v := k.ask(n.Addr, "get_peers", map[string]any{"info_hash": hash})
		token := text(v, "r", "token")
		if token == "" || v.Get("r").Get("values").Kind() != benc.Invalid || text(v, "r", "id") != string(n.ID[:]) || text(v, "t") != "tt" {
			t.Errorf("get_peers without peers: %q", v.Raw())
		}
		if got, want := text(v, "ip"), "\xc0\x00\x02\x01\x1b\x58"; got != want {
			t.Errorf("ip %x, want %x", got, want)
		}
		tests := []struct {
			name string
			args map[string]any
			code int64 // 0 = accepted
			want string
		}{
			{"port", map[string]any{"token": token, "port": 1234}, 0, "[192.0.2.1:1234]"},
			{"newest port wins, implied", map[string]any{"token": token, "port": 1, "implied_port": 1}, 0, "[192.0.2.1:7000]"},
			{"bad token", map[string]any{"token": "x", "port": 1}, 203, "[192.0.2.1:7000]"},
			{"no port", map[string]any{"token": token}, 203, "[192.0.2.1:7000]"},
			{"no token", map[string]any{"port": 1}, 203, "[192.0.2.1:7000]"},
		}
		for _, tt := range tests {
			tt.args["info_hash"] = hash
			v := k.ask(n.Addr, "announce_peer", tt.args)
			var code int64
			for e := range v.Get("e").Items() {
				code, _ = e.Int()
				break
			}
			if got := fmt.Sprint(d.Peers([20]byte([]byte(hash)))); code != tt.code || got != tt.want {
				t.Errorf("%s: code %d, peers %s", tt.name, code, got)
			}
		}
		d.Store([20]byte([]byte(hash)), netip.MustParseAddrPort("192.0.2.9:9"), netip.MustParseAddrPort("[2001:db8::9]:9"))
		v = k.ask(n.Addr, "get_peers", map[string]any{"info_hash": hash})
		var values []string
		for e := range v.Get("r").Get("values").Items() {
			b, _ := e.Bytes()
			values = append(values, string(b))
		}
		if !slices.Equal(values, []string{"\xc0\x00\x02\x01\x1b\x58", "\xc0\x00\x02\x09\x00\x09"}) {
			t.Errorf("values %q", values)
		}
	})
}

func TestDHTOdd(t *testing.T) {
	net100(t, func(t *testing.T, d *DHT, k krpc) {
		n := d.Nodes()[0]
		tests := []struct {
			name, query string
			args        map[string]any
			want        string // part of the answer; "" = none
		}{
			{"ping", "ping", map[string]any{}, "2:id20:" + string(n.ID[:])},
			{"short id", "ping", map[string]any{"id": "x"}, "i203e"},
			{"unknown", "vote", map[string]any{}, "i204e"},
			{"unknown with target", "get", map[string]any{"target": strings.Repeat("t", 20)}, "5:nodes208:"},
			{"find_node without target", "find_node", map[string]any{}, "i203e"},
		}
		for _, tt := range tests {
			if v := k.ask(n.Addr, tt.query, tt.args); !bytes.Contains(v.Raw(), []byte(tt.want)) {
				t.Errorf("%s: %q", tt.name, v.Raw())
			}
		}
		n.Mute(true)
		if v := k.ask(n.Addr, "ping", map[string]any{}); v.Kind() != benc.Invalid {
			t.Errorf("a mute node says %q", v.Raw())
		}
		n.Mute(false)
		if got := n.Queries("ping"); got != 3 {
			t.Errorf("%d pings counted, want 3", got)
		}
		for _, junk := range []string{"", "garbage", "d1:y1:re", "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"} {
			k.pc.WriteTo([]byte(junk), net.UDPAddrFromAddrPort(n.Addr))
		}
		k.pc.SetReadDeadline(time.Now().Add(time.Minute))
		if size, _, err := k.pc.ReadFrom(make([]byte, 100)); err == nil {
			t.Errorf("%d bytes of answer to junk", size)
		}
		d.Close()
		if _, err := d.Add(context.Background(), RealNetwork{}, "127.0.0.1:0", netip.AddrPort{}); err == nil {
			t.Error("added a node to a closed DHT")
		}
	})
}

func TestDHTOnLoopback(t *testing.T) {
	d := NewDHT(7)
	defer d.Close()
	for range 3 {
		if _, err := d.Add(t.Context(), RealNetwork{}, "127.0.0.1:0", netip.AddrPort{}); err != nil {
			t.Fatal(err)
		}
	}
	pc, err := RealNetwork{}.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	v := krpc{t, pc}.ask(d.Nodes()[0].Addr, "find_node", map[string]any{"target": strings.Repeat("t", 20)})
	if got := len(text(v, "r", "nodes")); got != 2*26 {
		t.Errorf("%d bytes of nodes", got)
	}
}
