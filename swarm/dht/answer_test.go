package dht

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/store"
)

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		query krpc.Message
		code  int                            // of the error expected; 0: a response
		check func(b *bench, s *sent) string // what is wrong; nil: nothing more to check
	}{
		{"ping", ask(krpc.Ping), 0, func(_ *bench, s *sent) string { return unlessNo(s.Nodes, s.Token) }},
		{"find_node", ask(krpc.FindNode, target), 0, func(b *bench, s *sent) string {
			if !slices.Equal(s.Nodes, b.table.Closest(infoHash, k, nil)) || s.Nodes6 != nil {
				return "wrong nodes"
			}
			return unlessNo(nil, s.Token)
		}},
		{"find_node wants IPv4", ask(krpc.FindNode, target, want(true, false)), 0, func(_ *bench, s *sent) string {
			return unless(len(s.Nodes) == k && s.Nodes6 == nil)
		}},
		{"find_node wants both, we have one", ask(krpc.FindNode, target, want(true, true)), 0, func(_ *bench, s *sent) string {
			return unless(len(s.Nodes) == k && s.Nodes6 == nil)
		}},
		{"get_peers of nothing", ask(krpc.GetPeers, target), 0, func(_ *bench, s *sent) string {
			return unless(len(s.Nodes) == k && len(s.Token) > 0 && s.Values == nil)
		}},
		{"get_peers, scrape of nothing", ask(krpc.GetPeers, target, func(m *krpc.Message) { m.Scrape = true }), 0,
			func(_ *bench, s *sent) string { return unless(len(s.Nodes) == k && s.Seeds == nil) }},
		{"get of nothing", ask(krpc.Get, target), 0, func(_ *bench, s *sent) string {
			return unless(len(s.Nodes) == k && len(s.Token) > 0 && s.Value == nil)
		}},
		{"sample_infohashes of nothing", ask(krpc.SampleInfohashes, target), 0, func(_ *bench, s *sent) string {
			return unless(len(s.Nodes) == k && s.HasSamples && s.Num == 0 && s.Interval == sampleInterval)
		}},
		{"unknown method with a target", ask("vote", target), 0, func(_ *bench, s *sent) string {
			// Our encoder writes target for it; BEP 5's find_node answer comes back.
			return unless(len(s.Nodes) == k && s.Token == nil)
		}},
		{"unknown method", ask("vote", padded), krpc.ErrMethod, nil},
		{"find_node without target", ask(krpc.FindNode, padded), krpc.ErrProtocol, nil},
		{"get_peers without info_hash", ask(krpc.GetPeers, padded), krpc.ErrProtocol, nil},
		{"announce_peer without info_hash", ask(krpc.AnnouncePeer, padded), krpc.ErrProtocol, nil},
		{"announce_peer, no token", ask(krpc.AnnouncePeer, target, func(m *krpc.Message) { m.Port = 1 }), krpc.ErrProtocol, nil},
		{"announce_peer, bad token", ask(krpc.AnnouncePeer, target, func(m *krpc.Message) { m.Port, m.Token = 1, []byte("aoeusnth") }),
			krpc.ErrProtocol, nil},
		{"put without v", ask(krpc.Put, padded), krpc.ErrProtocol, nil},
		{"put, bad token", ask(krpc.Put, func(m *krpc.Message) { m.Value, m.Token = []byte("1:a"), []byte("aoeusnth") }),
			krpc.ErrProtocol, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{})
			b.meet(100)
			s := b.one(c.query, strange)
			switch {
			case s == nil:
				t.Fatal("no answer")
			case s.Code != c.code:
				t.Fatalf("error %d %q, want %d", s.Code, s.Text, c.code)
			case c.code != 0:
				return
			case s.ID != b.id || s.IP != strange:
				t.Errorf("answers as %v to %v", s.ID, s.IP)
			}
			if c.check != nil {
				if fault := c.check(b, s); fault != "" {
					t.Errorf("%s: %+v", fault, s.Message)
				}
			}
			if b.peers.Len() != 0 || b.items.Len() != 0 {
				t.Error("something was stored")
			}
		})
	}
}

// padded makes a query long enough for an error to fit its size.
func padded(m *krpc.Message) { m.Token = []byte(strings.Repeat("x", 60)) }

func want(n4, n6 bool) func(*krpc.Message) {
	return func(m *krpc.Message) { m.Want4, m.Want6 = n4, n6 }
}

func unless(ok bool) string {
	if ok {
		return ""
	}
	return "unexpected"
}

func unlessNo(nodes []krpc.NodeInfo, token []byte) string {
	return unless(nodes == nil && token == nil)
}

// TestRawQueries has queries that our encoder cannot make.
func TestRawQueries(t *testing.T) {
	pad := "1:v40:" + strings.Repeat("v", 40)
	for _, c := range []struct {
		name, wire string
		code       int
	}{
		{"no id", "d1:ade1:q4:ping1:t2:tt" + pad + "1:y1:qe", krpc.ErrProtocol},
		{"short id", "d1:ad2:id3:abce1:q4:ping1:t2:tt" + pad + "1:y1:qe", krpc.ErrProtocol},
		{"no arguments", "d1:q4:ping1:t2:tt" + pad + "1:y1:qe", krpc.ErrProtocol},
		{"unknown method with info_hash", "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q4:vote1:t2:tt1:y1:qe", 0},
		{"info_hash of 32 bytes", "d1:ad2:id20:abcdefghij01234567899:info_hash32:mnopqrstuvwxyz123456mnopqrstuvwxe1:q9:get_peers1:t2:tt1:y1:qe",
			krpc.ErrProtocol},
	} {
		b := newBench(t, Config{})
		b.meet(20)
		b.handle([]byte(c.wire), strange, b.now)
		list := b.sent()
		if len(list) == 0 || list[0].Code != c.code || c.code == 0 && len(list[0].Nodes) != k {
			t.Errorf("%s: %+v", c.name, list)
		}
	}
}

func TestSilence(t *testing.T) {
	b := newBench(t, Config{})
	b.meet(100)
	own := ask(krpc.Ping)
	own.ID = b.id
	for name, data := range map[string]string{
		"response":               "d1:rd2:id20:mnopqrstuvwxyz123456e1:t4:aaaa1:y1:re",
		"error":                  "d1:eli201e23:A Generic Error Ocurrede1:t4:aaaa1:y1:ee",
		"garbage":                "d" + strings.Repeat("x", 50) + "e",
		"uTP":                    "\x41\x02" + strings.Repeat("\x00", 18),
		"short":                  "d1:y1:qe",
		"no transaction":         "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe",
		"own ID":                 string(own.Append(nil)),
		"too small for an error": "d1:q1:x1:t2:aa1:y1:qe",
	} {
		b.handle([]byte(data), strange, b.now)
		if list := b.sent(); len(list) != 0 {
			t.Errorf("%s was answered: %+v", name, list)
		}
	}
	if b.advance(time.Minute); b.table.Get(strange) != nil {
		t.Error("a stranger is in the table")
	}
}

// announce stores a peer through the protocol and returns the answer.
func (b *bench) announce(from netip.AddrPort, change ...func(*krpc.Message)) *sent {
	b.t.Helper()
	token := b.one(ask(krpc.GetPeers, target), from)
	if token == nil {
		b.t.Fatal("no token")
	}
	m := ask(krpc.AnnouncePeer, target, func(m *krpc.Message) { m.Port, m.Token = 7000, token.Token })
	for _, f := range change {
		f(&m)
	}
	return b.one(m, from)
}

func TestAnnounceIsStored(t *testing.T) {
	for _, c := range []struct {
		name   string
		from   netip.AddrPort
		change func(*krpc.Message)
		want   string // the stored peer; empty: none
	}{
		{"port", strange, func(*krpc.Message) {}, "8.8.8.8:7000"},
		{"implied port", strange, func(m *krpc.Message) { m.ImpliedPort = true }, "8.8.8.8:6881"},
		{"implied port without port", strange, func(m *krpc.Message) { m.ImpliedPort, m.Port = true, 0 }, "8.8.8.8:6881"},
		{"port 0", strange, func(m *krpc.Message) { m.Port = 0 }, ""},
		{"port negative", strange, func(m *krpc.Message) { m.Port = -5 }, ""},
		{"port 65536", strange, func(m *krpc.Message) { m.Port = 65536 }, ""},
		{"token of another hash", strange, func(m *krpc.Message) { m.Target[0] ^= 1 }, ""},
		{"token cut", strange, func(m *krpc.Message) { m.Token = m.Token[:7] }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{})
			b.meet(20)
			s := b.announce(c.from, c.change)
			if (s.Code == 0) != (c.want != "") || (b.peers.Len() == 1) != (c.want != "") {
				t.Errorf("answer %+v, %d stored", s.Message, b.peers.Len())
			}
			got := b.one(ask(krpc.GetPeers, target), addr("9.9.9.9:1"))
			if c.want != "" && !slices.Equal(got.Values, []netip.AddrPort{addr(c.want)}) {
				t.Errorf("values %v, want %s", got.Values, c.want)
			}
			if len(got.Nodes) == 0 || len(got.Token) == 0 {
				t.Error("values come without nodes or token")
			}
		})
	}
}

func TestTokenLifetime(t *testing.T) {
	b := newBench(t, Config{})
	token := b.one(ask(krpc.GetPeers, target), strange).Token
	announce := func(from netip.AddrPort) int {
		return b.one(ask(krpc.AnnouncePeer, target, func(m *krpc.Message) { m.Port, m.Token = 1, token }), from).Code
	}
	if announce(addr("8.8.8.9:6881")) == 0 {
		t.Error("the token of another address is taken")
	}
	if announce(addr("8.8.8.8:9999")) != 0 {
		t.Error("the token is bound to the port")
	}
	b.now = b.now.Add(5 * time.Minute)
	if announce(strange) != 0 {
		t.Error("the token died within five minutes")
	}
	b.now = b.now.Add(5 * time.Minute)
	if announce(strange) == 0 {
		t.Error("the token lives for ten minutes")
	}
}

func TestScrapeAnswer(t *testing.T) {
	b := newBench(t, Config{})
	b.meet(100)
	b.announce(strange, func(m *krpc.Message) { m.Seed = true })
	b.announce(addr("9.9.9.9:1"))
	s := b.one(ask(krpc.GetPeers, target, func(m *krpc.Message) { m.Scrape = true }), addr("1.1.1.1:1"))
	if s.Values != nil || s.Seeds == nil || s.Peers == nil || len(s.Token) == 0 || s.size > maxAnswer {
		t.Fatalf("%d bytes: %+v", s.size, s.Message)
	}
	seeds, peers := store.Filter(s.Seeds), store.Filter(s.Peers)
	if e := seeds.Estimate(); e < 0.5 || e > 1.5 {
		t.Errorf("%f seeds", e)
	}
	if e := peers.Estimate(); e < 0.5 || e > 1.5 {
		t.Errorf("%f peers", e)
	}
	s = b.one(ask(krpc.GetPeers, target, func(m *krpc.Message) { m.NoSeed = true }), addr("1.1.1.1:1"))
	if len(s.Values) != 2 || s.Values[0] != addr("9.9.9.9:7000") {
		t.Errorf("noseed: %v", s.Values)
	}
}

func TestItemsAreServed(t *testing.T) {
	b := newBench(t, Config{})
	b.meet(100)
	value := "12:Hello World!"
	put := ask(krpc.Put, func(m *krpc.Message) { m.Value = []byte(value) })
	put.Target = store.Target(&put)
	get := ask(krpc.Get, func(m *krpc.Message) { m.Target, m.HasTarget = put.Target, true })
	put.Token = b.one(get, strange).Token
	if s := b.one(put, addr("8.8.4.4:1")); s.Code != krpc.ErrProtocol {
		t.Errorf("put with a foreign token: %+v", s.Message)
	}
	if s := b.one(put, strange); s.Code != 0 {
		t.Fatalf("put: %+v", s.Message)
	}
	if s := b.one(get, strange); string(s.Value) != value || s.HasSeq || len(s.Nodes) == 0 {
		t.Errorf("get: %+v", s.Message)
	}
	big := ask(krpc.Put, func(m *krpc.Message) { m.Value = []byte("996:" + strings.Repeat("v", 996)) })
	big.Target = store.Target(&big)
	get.Target = big.Target
	big.Token = b.one(get, strange).Token
	b.one(big, strange)
	if s := b.one(get, strange); len(s.Value) != 1000 {
		t.Errorf("an item of 1,000 bytes: %d", len(s.Value))
	}
}

// TestMutableItem: with a seq that is not older, the value stays at home.
func TestMutableItem(t *testing.T) {
	b := newBench(t, Config{})
	m := ask(krpc.Put, func(m *krpc.Message) {
		m.Value, m.Seq, m.HasSeq = []byte("12:Hello World!"), 1, true
		m.Key = unhex("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548")
		m.Sig = unhex("305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff" +
			"1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01")
	})
	get := ask(krpc.Get, func(g *krpc.Message) { g.Target, g.HasTarget = store.Target(&m), true })
	m.Token = b.one(get, strange).Token
	if s := b.one(m, strange); s.Code != 0 {
		t.Fatalf("put: %+v", s.Message)
	}
	for seq, withValue := range map[int64]bool{0: true, 1: false, 2: false} {
		get.Seq, get.HasSeq = seq, true
		s := b.one(get, strange)
		if !s.HasSeq || s.Seq != 1 || (s.Value != nil) != withValue || (s.Sig != nil) != withValue {
			t.Errorf("get with seq %d: %+v", seq, s.Message)
		}
	}
	m.Sig[0] ^= 1
	m.Seq = 2
	if s := b.one(m, strange); s.Code != krpc.ErrSignature {
		t.Errorf("put with a bad signature: %+v", s.Message)
	}
}

func TestSampleAnswer(t *testing.T) {
	b := newBench(t, Config{})
	b.meet(100)
	rng := rand.New(rand.NewPCG(1, 0))
	for range 50 {
		b.peers.Announce(krpc.RandomID(rng), strange, false, b.now)
	}
	s := b.one(ask(krpc.SampleInfohashes, target), strange)
	if s.Num != 50 || len(s.Samples) != maxSamples || s.size > maxAnswer {
		t.Errorf("%d bytes: %+v", s.size, s.Message)
	}
}

// TestAnswersAreBounded: nobody gets more than a kilobyte, whatever is stored,
// and errors are no larger than the query.
func TestAnswersAreBounded(t *testing.T) {
	b := newBench(t, Config{ReplyBytesPerSec: 1 << 20})
	b.meet(300)
	for i := range 500 {
		b.peers.Announce(infoHash, netip.AddrPortFrom(netip.AddrFrom4([4]byte{30, byte(i >> 8), byte(i), 1}), 1), i%2 == 0, b.now)
	}
	for _, q := range []krpc.Message{
		ask(krpc.Ping), ask(krpc.FindNode, target), ask(krpc.GetPeers, target, want(true, true)),
		ask(krpc.GetPeers, target, func(m *krpc.Message) { m.Scrape = true }), ask(krpc.SampleInfohashes, target), ask(krpc.Get, target),
		ask("x"), ask(krpc.FindNode), ask(krpc.AnnouncePeer), ask(krpc.Put),
	} {
		s := b.one(q, strange)
		switch size := len(q.Append(nil)); {
		case s == nil:
		case s.size > maxAnswer:
			t.Errorf("%s: %d bytes", q.Method, s.size)
		case s.Kind == krpc.Error && s.size > size:
			t.Errorf("%s: error of %d bytes for %d", q.Method, s.size, size)
		case q.Method == krpc.GetPeers && !q.Scrape && (s.size > 720 || len(s.Values) != maxValues4):
			t.Errorf("get_peers: %d bytes, %d values", s.size, len(s.Values))
		}
	}
	six := newBench(t, Config{Family: IPv6})
	for i := range 500 {
		ip := netip.MustParseAddr("2a02::1").As16()
		ip[2], ip[3] = byte(i>>8), byte(i)
		six.peers.Announce(infoHash, netip.AddrPortFrom(netip.AddrFrom16(ip), 1), false, six.now)
	}
	s := six.one(ask(krpc.GetPeers, target), addr("[2a02:9::1]:1"))
	if s == nil || len(s.Values) != maxValues6 || s.size > maxAnswer {
		t.Errorf("IPv6: %+v", s)
	}
}

// TestLocalNodesStayAtHome: nodes and peers of our own network are named to its
// members only.
func TestLocalNodesStayAtHome(t *testing.T) {
	b := newBench(t, Config{})
	home := addr("192.168.1.9:6881")
	b.table.Replied(krpc.NodeInfo{ID: krpc.ID{1}, Addr: home}, 0, false, b.now)
	b.meet(3)
	b.peers.Announce(infoHash, home, false, b.now)
	s := b.one(ask(krpc.GetPeers, target), strange)
	if len(s.Nodes) != 3 || len(s.Values) != 0 {
		t.Errorf("to the Internet: %v, %v", s.Nodes, s.Values)
	}
	s = b.one(ask(krpc.GetPeers, target), addr("192.168.1.7:1"))
	if len(s.Nodes) != 4 || len(s.Values) != 1 {
		t.Errorf("at home: %v, %v", s.Nodes, s.Values)
	}
}

func BenchmarkAnswerGetPeers(b *testing.B) {
	bench := newBench(&testing.T{}, Config{ReplyBytesPerSec: 1 << 40})
	bench.meet(300)
	for i := range 50 {
		bench.peers.Announce(infoHash, netip.AddrPortFrom(netip.AddrFrom4([4]byte{30, 0, byte(i), 1}), 1), false, bench.now)
	}
	q := ask(krpc.GetPeers, target)
	packet := q.Append(nil)
	from := addr("127.0.0.1:1")
	b.ReportAllocs()
	for b.Loop() {
		bench.handle(packet, from, bench.now)
		bench.take()
	}
}
