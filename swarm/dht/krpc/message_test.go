package krpc

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

var (
	idA = ID([]byte("abcdefghij0123456789"))
	idM = ID([]byte("mnopqrstuvwxyz123456"))
)

func unhex(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// wireCases are packets and what they mean, both ways.
var wireCases = []struct {
	name string
	wire string
	msg  Message
}{
	{"ping, BEP 5", "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
		Message{Kind: Query, T: []byte("aa"), Method: Ping, ID: idA, HasID: true, Port: -1}},
	{"ping response, BEP 5", "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
		Message{Kind: Response, T: []byte("aa"), ID: idM, HasID: true, Port: -1}},
	{"find_node, BEP 5",
		"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
		Message{Kind: Query, T: []byte("aa"), Method: FindNode, ID: idA, HasID: true, Target: idM,
			HasTarget: true, Port: -1}},
	{"get_peers, BEP 5",
		"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
		Message{Kind: Query, T: []byte("aa"), Method: GetPeers, ID: idA, HasID: true, Target: idM,
			HasTarget: true, Port: -1}},
	{"announce_peer, BEP 5",
		"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e" +
			"5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
		Message{Kind: Query, T: []byte("aa"), Method: AnnouncePeer, ID: idA, HasID: true, Target: idM,
			HasTarget: true, Port: 6881, ImpliedPort: true, Token: []byte("aoeusnth")}},
	{"scrape of a read-only node",
		"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234566:scrapei1e4:wantl2:n42:n6ee" +
			"1:q9:get_peers2:roi1e1:t2:aa1:v4:MF\x00\x011:y1:qe",
		Message{Kind: Query, T: []byte("aa"), V: []byte("MF\x00\x01"), RO: true, Method: GetPeers, ID: idA,
			HasID: true, Target: idM, HasTarget: true, Scrape: true, Want4: true, Want6: true, Port: -1}},
	{"response with ip and a value",
		"d2:ip6:" + unhex("cb0071051ae1") + "1:rd2:id20:mnopqrstuvwxyz1234565:nodes0:5:token8:aoeusnth" +
			"6:valuesl6:" + unhex("c00002011ae1") + "ee1:t2:aa1:y1:re",
		Message{Kind: Response, T: []byte("aa"), ID: idM, HasID: true, Port: -1, Nodes: []NodeInfo{},
			IP: netip.MustParseAddrPort("203.0.113.5:6881"), Token: []byte("aoeusnth"),
			Values: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:6881")}}},
	{"error, BEP 5", "d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
		Message{Kind: Error, T: []byte("aa"), Code: ErrGeneric, Text: "A Generic Error Ocurred"}},
	{"nodes of both families",
		"d1:rd2:id20:mnopqrstuvwxyz1234565:nodes26:abcdefghij0123456789" + unhex("c00002011ae1") +
			"6:nodes638:abcdefghij0123456789" + unhex("20010db8000000000000000000000001c8d5") + "e1:t2:aa1:y1:re",
		Message{Kind: Response, T: []byte("aa"), ID: idM, HasID: true, Port: -1,
			Nodes:  []NodeInfo{{idA, netip.MustParseAddrPort("192.0.2.1:6881")}},
			Nodes6: []NodeInfo{{idA, netip.MustParseAddrPort("[2001:db8::1]:51413")}}}},
	{"put, BEP 44",
		"d1:ad3:casi3e2:id20:abcdefghij01234567891:k32:" + strings.Repeat("k", 32) + "4:salt3:foo3:seqi4e3:sig64:" +
			strings.Repeat("s", 64) + "5:token2:tt1:v12:Hello World!e1:q3:put1:t2:aa1:y1:qe",
		Message{Kind: Query, T: []byte("aa"), Method: Put, ID: idA, HasID: true, Port: -1, CAS: 3, HasCAS: true,
			Seq: 4, HasSeq: true, Salt: []byte("foo"), Token: []byte("tt"), Value: []byte("12:Hello World!"),
			Key: []byte(strings.Repeat("k", 32)), Sig: []byte(strings.Repeat("s", 64))}},
	{"sample_infohashes response, BEP 51",
		"d1:rd2:id20:mnopqrstuvwxyz1234568:intervali21600e5:nodes0:3:numi7e7:samples20:abcdefghij0123456789e" +
			"1:t2:aa1:y1:re",
		Message{Kind: Response, T: []byte("aa"), ID: idM, HasID: true, Port: -1, Nodes: []NodeInfo{},
			Interval: 21600, Num: 7, HasSamples: true, Samples: []ID{idA}}},
	{"scrape response, BEP 33",
		"d1:rd4:BFpe256:" + strings.Repeat("p", 256) + "4:BFsd256:" + strings.Repeat("s", 256) +
			"2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
		Message{Kind: Response, T: []byte("aa"), ID: idM, HasID: true, Port: -1,
			Peers: []byte(strings.Repeat("p", 256)), Seeds: []byte(strings.Repeat("s", 256))}},
	{"IPv6 values and ip",
		"d2:ip18:" + unhex("20010db80000000000000000000000021ae1") + "1:rd2:id20:mnopqrstuvwxyz1234566:valuesl18:" +
			unhex("20010db8000000000000000000000001c8d5") + "ee1:t2:aa1:y1:re",
		Message{Kind: Response, T: []byte("aa"), ID: idM, HasID: true, Port: -1,
			IP:     netip.MustParseAddrPort("[2001:db8::2]:6881"),
			Values: []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:51413")}}},
}

func TestDecode(t *testing.T) {
	for _, c := range wireCases {
		t.Run(c.name, func(t *testing.T) {
			m, err := Decode([]byte(c.wire))
			if err != nil {
				t.Fatal(err)
			}
			want := c.msg
			want.Nodes, m.Nodes = notEmpty(want.Nodes), notEmpty(m.Nodes)
			if !reflect.DeepEqual(m, want) {
				t.Errorf("got  %+v\nwant %+v", m, want)
			}
		})
	}
}

// notEmpty forgets the difference between no nodes and an empty list of nodes,
// which matters to Append only.
func notEmpty(n []NodeInfo) []NodeInfo {
	if len(n) == 0 {
		return nil
	}
	return n
}

func TestAppend(t *testing.T) {
	for _, c := range wireCases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.msg.Append(nil); string(got) != c.wire {
				t.Errorf("got  %q\nwant %q", got, c.wire)
			}
		})
	}
}

// TestDecodeOdd has packets that deployed clients send although no text allows
// them, and fields that do not hold what they should.
func TestDecodeOdd(t *testing.T) {
	query := func(args string) string { return "d1:ad" + args + "e1:q9:get_peers1:t2:aa1:y1:qe" }
	for _, c := range []struct {
		name string
		wire string
		ok   func(*Message) bool
	}{
		{"unsorted keys", "d1:y1:q1:t2:aa1:q4:ping1:ad2:id20:abcdefghij0123456789ee",
			func(m *Message) bool { return m.ID == idA }},
		{"bytes behind the end", wireCases[0].wire + "garbage",
			func(m *Message) bool { return m.ID == idA }},
		{"badly sorted foreign extension", "d1:ad1:xd1:b0:1:a0:e2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
			func(m *Message) bool { return m.ID == idA }},
		{"values in one string, old mainline", "d1:rd2:id20:mnopqrstuvwxyz1234566:values12:" +
			unhex("c00002011ae1c00002021ae2") + "e1:t2:aa1:y1:re",
			func(m *Message) bool { return len(m.Values) == 2 && m.Values[1].Port() == 6882 }},
		{"values with a bad entry", "d1:rd2:id20:mnopqrstuvwxyz1234566:valuesl3:abci1e6:" +
			unhex("c00002011ae1") + "ee1:t2:aa1:y1:re",
			func(m *Message) bool { return len(m.Values) == 1 }},
		{"nodes of a wrong length", "d1:rd2:id20:mnopqrstuvwxyz1234565:nodes25:aaaaaaaaaaaaaaaaaaaaaaaaae1:t2:aa1:y1:re",
			func(m *Message) bool { return m.Nodes == nil && m.HasID }},
		{"short id", query("2:id19:abcdefghij012345678"), func(m *Message) bool { return !m.HasID }},
		{"empty id", query("2:id0:"), func(m *Message) bool { return !m.HasID }},
		{"id is a list", query("2:idl20:abcdefghij0123456789e"), func(m *Message) bool { return !m.HasID }},
		{"long info_hash", query("9:info_hash32:abcdefghij0123456789abcdefghij01"),
			func(m *Message) bool { return !m.HasTarget }},
		{"no args", "d1:q4:ping1:t2:aa1:y1:qe", func(m *Message) bool { return !m.HasID }},
		{"args are a string", "d1:a3:abc1:q4:ping1:t2:aa1:y1:qe", func(m *Message) bool { return !m.HasID }},
		{"port 65536", query("4:porti65536e"), func(m *Message) bool { return m.Port == -1 }},
		{"port negative", query("4:porti-1e"), func(m *Message) bool { return m.Port == -1 }},
		{"port 0", query("4:porti0e"), func(m *Message) bool { return m.Port == 0 }},
		{"want is a string", query("4:want2:n4"), func(m *Message) bool { return !m.Want4 }},
		{"want unknown", query("4:wantl2:n4i3e2:n9e"), func(m *Message) bool { return m.Want4 && !m.Want6 }},
		{"short filter", "d1:rd4:BFpe3:abc4:BFsd3:abc2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
			func(m *Message) bool { return m.Peers == nil && m.Seeds == nil }},
		{"ip of a wrong length", "d2:ip5:abcde1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
			func(m *Message) bool { return !m.IP.IsValid() }},
		{"samples of a wrong length", "d1:rd2:id20:mnopqrstuvwxyz1234567:samples3:abce1:t2:aa1:y1:re",
			func(m *Message) bool { return m.Samples == nil }},
		{"error without text", "d1:eli203ee1:t2:aa1:y1:ee", func(m *Message) bool { return m.Code == ErrProtocol }},
		{"error as a string", "d1:e3:abc1:t2:aa1:y1:ee", func(m *Message) bool { return m.Code == 0 }},
		{"unknown method", "d1:ad2:id20:abcdefghij0123456789e1:q4:vote1:t2:aa1:y1:qe",
			func(m *Message) bool { return m.Method == "vote" }},
		{"v4-mapped node", "d1:rd2:id20:mnopqrstuvwxyz1234566:nodes638:abcdefghij0123456789" +
			unhex("00000000000000000000ffffc00002011ae1") + "e1:t2:aa1:y1:re",
			func(m *Message) bool { return len(m.Nodes6) == 1 && m.Nodes6[0].Addr.Addr().Is4() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Decode([]byte(c.wire))
			if err != nil {
				t.Fatal(err)
			}
			if !c.ok(&m) {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestDecodeMalformed(t *testing.T) {
	for name, wire := range map[string]string{
		"empty":              "",
		"no dictionary":      "l1:ae",
		"cut":                wireCases[0].wire[:40],
		"no transaction":     "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe",
		"empty transaction":  "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t0:1:y1:qe",
		"huge transaction":   "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t33:" + strings.Repeat("t", 33) + "1:y1:qe",
		"transaction number": "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:ti1e1:y1:qe",
		"no kind":            "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aae",
		"unknown kind":       "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:xe",
		"long kind":          "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y2:qqe",
		"query, no name":     "d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:qe",
		"string too long":    "d1:ad2:id99999999999:abce1:q4:ping1:t2:aa1:y1:qe",
		"deep":               "d1:ad1:x" + strings.Repeat("l", 20) + strings.Repeat("e", 20) + "e1:q4:ping1:t2:aa1:y1:qe",
		"many elements":      "d1:ad1:xl" + strings.Repeat("0:", 600) + "ee1:q4:ping1:t2:aa1:y1:qe",
		"too large":          "d1:a" + strings.Repeat(" ", 5000),
		"non-string key":     "di1e1:ae",
	} {
		t.Run(name, func(t *testing.T) {
			if m, err := Decode([]byte(wire)); !errors.Is(err, ErrMalformed) {
				t.Errorf("got %+v, %v", m, err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range wireCases {
		f.Add([]byte(c.wire))
		for _, cut := range []int{1, len(c.wire) / 2, len(c.wire) - 1} {
			f.Add([]byte(c.wire[:cut]))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err != nil {
			return
		}
		// What is encoded is decoded to the same, from the second time on: the
		// first decoding drops what we do not know.
		first := m.Append(nil)
		m2, err := Decode(first)
		if err != nil {
			if len(first) > MaxPacket {
				return
			}
			t.Fatalf("%q -> %q: %v", b, first, err)
		}
		if second := m2.Append(nil); !bytes.Equal(first, second) {
			t.Fatalf("%q\n%q", first, second)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var nodes []NodeInfo
	for range 8 {
		nodes = append(nodes, NodeInfo{idA, netip.MustParseAddrPort("192.0.2.1:6881")})
	}
	r := Message{Kind: Response, T: []byte("aaaa"), ID: idM, Nodes: nodes, Token: []byte("aoeusnth"),
		IP: netip.MustParseAddrPort("203.0.113.5:6881")}
	packet := r.Append(nil)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	m := Message{Kind: Query, T: []byte("aaaa"), Method: GetPeers, ID: idA, Target: idM, HasTarget: true}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		buf = m.Append(buf[:0])
	}
}
