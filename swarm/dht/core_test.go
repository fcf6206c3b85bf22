package dht

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"magnetfs/swarm/dht/krpc"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var (
	infoHash = krpc.ID([]byte("mnopqrstuvwxyz123456"))
	strange  = addr("8.8.8.8:6881")
)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// bench is a core without a network: the test is the network.
type bench struct {
	*core
	t   *testing.T
	now time.Time
}

func newBench(t *testing.T, cfg Config) *bench {
	cfg.Log = slog.New(slog.DiscardHandler)
	if cfg.ReadOnly == ReadOnlyAuto {
		cfg.ReadOnly = ReadOnlyNever
	}
	b := &bench{t: t, now: start}
	b.core = newCore(&cfg, rand.New(rand.NewPCG(1, 0)), start)
	b.start(start)
	b.take()
	return b
}

// send feeds a message from a stranger and returns the decoded packets that
// leave because of it.
func (b *bench) send(m krpc.Message, from netip.AddrPort) []sent {
	b.t.Helper()
	b.handle(m.Append(nil), from, b.now)
	return b.sent()
}

// sent is a packet of the core.
type sent struct {
	krpc.Message
	to   netip.AddrPort
	size int
}

func (b *bench) sent() (list []sent) {
	b.t.Helper()
	out, _, _ := b.take()
	for _, p := range out {
		m, err := krpc.Decode(p.data)
		if err != nil {
			b.t.Fatalf("we sent %q: %v", p.data, err)
		}
		list = append(list, sent{m, p.to, len(p.data)})
	}
	return list
}

// advance lets time pass, tick by tick, and returns what was sent meanwhile.
func (b *bench) advance(d time.Duration) (list []sent) {
	end := b.now.Add(d)
	for {
		at := b.next()
		if at.After(end) {
			break
		}
		if at.After(b.now) {
			b.now = at
		}
		b.tick(b.now)
		list = append(list, b.sent()...)
	}
	b.now = end
	return list
}

// ask is a query of a stranger; its ID is that of nobody.
func ask(method string, change ...func(*krpc.Message)) krpc.Message {
	m := krpc.Message{Kind: krpc.Query, T: []byte("tt"), Method: method, ID: krpc.ID([]byte("abcdefghij0123456789")), HasID: true}
	for _, f := range change {
		f(&m)
	}
	return m
}

func target(m *krpc.Message) { m.Target, m.HasTarget = infoHash, true }

// one returns the only answer to the query, or nil.
func (b *bench) one(m krpc.Message, from netip.AddrPort) *sent {
	b.t.Helper()
	var answers []sent
	for _, s := range b.send(m, from) {
		if s.Kind != krpc.Query {
			answers = append(answers, s)
		}
	}
	switch {
	case len(answers) == 0:
		return nil
	case len(answers) > 1 || answers[0].to != from || string(answers[0].T) != string(m.T):
		b.t.Fatalf("answered %+v", answers)
	}
	return &answers[0]
}

// meet makes the core know n nodes, in networks of their own.
func (b *bench) meet(n int) (nodes []krpc.NodeInfo) {
	rng := rand.New(rand.NewPCG(7, 0))
	for i := range n {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(i >> 8), byte(i), 1}), 6881)
		node := krpc.NodeInfo{ID: krpc.SecureID(a.Addr(), rng), Addr: a}
		b.table.Replied(node, 40*time.Millisecond, false, b.now)
		nodes = append(nodes, node)
	}
	return nodes
}

// answerTo builds the response to a query that the core sent.
func answerTo(s sent, id krpc.ID, change ...func(*krpc.Message)) krpc.Message {
	m := krpc.Message{Kind: krpc.Response, T: s.T, ID: id, HasID: true}
	for _, f := range change {
		f(&m)
	}
	return m
}

// queriesOf keeps the queries with that name.
func queriesOf(list []sent, method string) (some []sent) {
	for _, s := range list {
		if s.Kind == krpc.Query && s.Method == method {
			some = append(some, s)
		}
	}
	return some
}

func TestAnswersNeedTheirQuery(t *testing.T) {
	node := krpc.NodeInfo{ID: krpc.ID{1}, Addr: strange}
	for _, c := range []struct {
		name  string
		forge func(q sent) (krpc.Message, netip.AddrPort)
		enter bool
	}{
		{"true answer", func(q sent) (krpc.Message, netip.AddrPort) { return answerTo(q, node.ID), strange }, true},
		{"another port", func(q sent) (krpc.Message, netip.AddrPort) { return answerTo(q, node.ID), addr("8.8.8.8:6882") }, false},
		{"another address", func(q sent) (krpc.Message, netip.AddrPort) { return answerTo(q, node.ID), addr("8.8.8.9:6881") }, false},
		{"another transaction", func(q sent) (krpc.Message, netip.AddrPort) {
			m := answerTo(q, node.ID)
			m.T = []byte{q.T[0] ^ 1, q.T[1], q.T[2], q.T[3]}
			return m, strange
		}, false},
		{"cut transaction", func(q sent) (krpc.Message, netip.AddrPort) {
			m := answerTo(q, node.ID)
			m.T = q.T[:2]
			return m, strange
		}, false},
		{"another ID", func(q sent) (krpc.Message, netip.AddrPort) { return answerTo(q, krpc.ID{2}), strange }, false},
		{"our ID", func(q sent) (krpc.Message, netip.AddrPort) { return answerTo(q, q.ID), strange }, false},
		{"an error", func(q sent) (krpc.Message, netip.AddrPort) {
			return krpc.Message{Kind: krpc.Error, T: q.T, Code: 202}, strange
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, Config{})
			b.toVerify(node, b.now)
			qs := b.advance(time.Second)
			if len(qs) != 1 || qs[0].to != strange {
				t.Fatalf("sent %+v", qs)
			}
			m, from := c.forge(qs[0])
			b.send(m, from)
			if got := b.table.Get(strange) != nil; got != c.enter {
				t.Errorf("in the table: %v", got)
			}
			b.send(answerTo(qs[0], node.ID), strange)
			if c.name == "true answer" && b.stat.unexpected != 1 {
				t.Error("an answer counts twice")
			}
			b.advance(70 * time.Second) // between two questions of the table for further nodes
			if len(b.pending) != 0 || len(b.timers) != 0 || len(b.waiting) != 0 {
				t.Errorf("left pending: %d, %d, %d", len(b.pending), len(b.timers), len(b.waiting))
			}
		})
	}
}

// TestEntersOnlyByAnswer: a node that queries us is pinged, and known once it
// answered.
func TestEntersOnlyByAnswer(t *testing.T) {
	b := newBench(t, Config{})
	b.one(ask(krpc.Ping), strange)
	if b.table.Len() != 0 {
		t.Fatal("in the table because it asked")
	}
	qs := b.advance(time.Second)
	if len(qs) != 1 || qs[0].to != strange {
		t.Fatalf("sent %+v", qs)
	}
	b.send(answerTo(qs[0], ask("").ID), strange)
	if b.table.Get(strange) == nil {
		t.Error("not in the table after its answer")
	}
}

func TestReadOnlyNodesAreNotPinged(t *testing.T) {
	b := newBench(t, Config{})
	if b.one(ask(krpc.Ping, func(m *krpc.Message) { m.RO = true }), strange) == nil {
		t.Error("a read-only node gets no answer")
	}
	if qs := b.advance(time.Minute); len(qs) != 0 {
		t.Errorf("sent %+v", qs)
	}
}

func TestWeAreReadOnly(t *testing.T) {
	b := newBench(t, Config{ReadOnly: ReadOnlyAlways})
	if b.one(ask(krpc.Ping), strange) != nil {
		t.Error("a read-only node answers")
	}
	b.toVerify(krpc.NodeInfo{Addr: strange}, b.now)
	if qs := b.advance(time.Second); len(qs) != 1 || !qs[0].RO {
		t.Errorf("sent %+v", qs)
	}
}

func TestReadOnlyAuto(t *testing.T) {
	r := newReadOnly(ReadOnlyAuto, start)
	friend, other := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("9.9.9.9")
	now := start
	pass := func(d time.Duration) { now = now.Add(d); r.update(readOnlyTable, now) }
	r.contacted(friend, now)
	r.queried(friend, now) // may come through a NAT
	pass(readOnlyTrial)
	if !r.on {
		t.Fatal("not read-only although nobody came unasked")
	}
	r.contacted(friend, now)
	r.queried(friend, now)
	if !r.on {
		t.Fatal("the query of a node that we contacted ends read-only")
	}
	r.queried(other, now)
	if r.on {
		t.Fatal("still read-only after an unsolicited query")
	}
	pass(readOnlyPause)
	if r.on {
		t.Error("read-only although an unsolicited query came")
	}
	r.contacted(friend, now)
	pass(readOnlyTrial)
	if !r.on {
		t.Error("the next trial without a query does not end read-only")
	}
	pass(readOnlyPause)
	if r.on {
		t.Error("no new trial after an hour")
	}
	small := newReadOnly(ReadOnlyAuto, start)
	small.contacted(friend, start)
	small.update(readOnlyTable-1, start.Add(readOnlyTrial))
	if small.on {
		t.Error("read-only in a network with hardly any strangers")
	}
	for _, mode := range []ReadOnly{ReadOnlyNever, ReadOnlyAlways} {
		r := newReadOnly(mode, start)
		r.contacted(friend, start)
		r.queried(other, start)
		r.update(readOnlyTable, start.Add(24*time.Hour))
		if r.on != (mode == ReadOnlyAlways) {
			t.Errorf("mode %d changed", mode)
		}
	}
}

func TestFloodsAreIgnored(t *testing.T) {
	count := func(b *bench, from netip.AddrPort, n int) (answers int) {
		for range n {
			if b.one(ask(krpc.Ping), from) != nil {
				answers++
			}
		}
		return answers
	}
	b := newBench(t, Config{})
	if got := count(b, strange, 100); got != floodPackets {
		t.Errorf("%d of 100 queries answered, want %d", got, floodPackets)
	}
	if count(b, addr("8.8.8.8:1"), 1) != 0 {
		t.Error("another port of the source is answered")
	}
	if count(b, addr("8.8.4.4:1"), 1) != 1 {
		t.Error("another source is not answered")
	}
	b.now = b.now.Add(floodBlock - time.Second)
	if count(b, strange, 1) != 0 {
		t.Error("answered before five minutes passed")
	}
	b.now = b.now.Add(2 * time.Second)
	if count(b, strange, 1) != 1 {
		t.Error("not answered after five minutes")
	}
	if got := count(b, addr("127.0.0.1:1"), 100); got != 100 {
		t.Errorf("%d of 100 queries of this host answered", got)
	}
}

// TestBlockedSourceMayAnswer: whoever spoofs a node's address cannot keep us
// from hearing its answers.
func TestBlockedSourceMayAnswer(t *testing.T) {
	b := newBench(t, Config{})
	for range 2 * floodPackets {
		b.one(ask(krpc.Ping), strange)
	}
	b.verify = nil
	b.toVerify(krpc.NodeInfo{ID: krpc.ID{1}, Addr: strange}, b.now)
	qs := b.advance(time.Second)
	if len(qs) != 1 {
		t.Fatalf("sent %+v", qs)
	}
	b.send(answerTo(qs[0], krpc.ID{1}), strange)
	if b.table.Get(strange) == nil {
		t.Error("the answer of a blocked source is lost")
	}
}

func TestRepliesAreLimited(t *testing.T) {
	b := newBench(t, Config{ReplyBytesPerSec: 1000})
	b.meet(100)
	bytes := 0
	for sec := range 60 {
		for i := range 100 {
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{30, byte(sec), byte(i), 1}), 1)
			if s := b.one(ask(krpc.FindNode, target), from); s != nil {
				bytes += s.size
			}
		}
		b.now = b.now.Add(time.Second)
	}
	if bytes > 65_000 || bytes < 50_000 {
		t.Errorf("%d bytes of answers in a minute at 1,000 bytes a second", bytes)
	}
}

func TestVotes(t *testing.T) {
	mine, wrong := netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("203.0.113.99")
	voter := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{20, 0, byte(i >> 8), byte(i)}) }
	var v votes
	changes := 0
	vote := func(a netip.Addr, i int, now time.Time) {
		if v.add(a, voter(i), now) {
			changes++
		}
	}
	for i := range 24 {
		vote(mine, i, start)
		vote(mine, i, start) // one vote each
	}
	if v.current.IsValid() {
		t.Fatal("decided before 25 votes")
	}
	vote(mine, 24, start)
	if v.current != mine || changes != 1 {
		t.Fatalf("decided for %v", v.current)
	}
	for i := range 49 {
		vote(wrong, i, start.Add(time.Minute))
	}
	if v.current != mine {
		t.Error("changed within five minutes by fewer than 50 votes")
	}
	vote(wrong, 49, start.Add(time.Minute))
	if v.current != wrong {
		t.Error("not changed by 50 votes")
	}
	v = votes{}
	for i := range 60 { // 3 : 2 is not enough
		a := mine
		if i%5 < 2 {
			a = wrong
		}
		vote(a, i, start)
	}
	if v.current.IsValid() {
		t.Errorf("decided for %v with too small a lead", v.current)
	}
	v = votes{}
	for i := range 100 {
		vote(netip.MustParseAddr("10.0.0.1"), i, start)
		vote(netip.Addr{}.Unmap(), i, start)
	}
	if v.current.IsValid() {
		t.Error("a private address was elected")
	}
	v = votes{}
	for i := range 1000 { // everybody says something else
		vote(netip.AddrFrom4([4]byte{40, 0, byte(i >> 8), byte(i)}), i, start)
	}
	if len(v.tally) > votesOptions || len(v.voters) > votesLimit {
		t.Errorf("%d options, %d voters kept", len(v.tally), len(v.voters))
	}
}

// TestMoved: when the votes tell our address, our ID comes to fit it and the
// table is kept.
func TestMoved(t *testing.T) {
	b := newBench(t, Config{})
	nodes := b.meet(60)
	old, mine := b.id, addr("203.0.113.5:6881")
	for _, n := range nodes[:30] {
		b.vote(mine, n.Addr.Addr(), b.now)
	}
	if b.id == old || !krpc.Compliant(b.id, mine.Addr()) {
		t.Errorf("ID %v", b.id)
	}
	if b.table.Own() != b.id || b.table.Len() < 20 {
		t.Errorf("table of %v with %d nodes", b.table.Own(), b.table.Len())
	}
	if qs := queriesOf(b.sent(), krpc.FindNode); len(qs) == 0 || qs[0].Target != b.id {
		t.Error("the new neighbours are not looked for")
	}
	again := b.id
	b.moved(b.now)
	if b.id != again {
		t.Error("an ID that fits was changed")
	}
}

func TestMartiansAreNeverContacted(t *testing.T) {
	for _, c := range []struct {
		node     string
		informer string
		want     bool
	}{
		{"9.9.9.9:6881", "8.8.8.8:1", true},
		{"9.9.9.9:0", "8.8.8.8:1", false},
		{"0.1.2.3:1", "8.8.8.8:1", false},
		{"127.0.0.1:1", "8.8.8.8:1", false},
		{"10.1.2.3:1", "8.8.8.8:1", false},
		{"192.168.1.1:80", "8.8.8.8:1", false},
		{"169.254.1.1:1", "8.8.8.8:1", false},
		{"100.64.0.1:1", "8.8.8.8:1", false},
		{"224.0.0.1:1", "8.8.8.8:1", false},
		{"255.255.255.255:1", "8.8.8.8:1", false},
		{"10.1.2.3:1", "10.0.0.1:1", true},
		{"127.0.0.1:1", "127.0.0.1:2", true},
		{"127.0.0.1:1", "10.0.0.1:1", false},
	} {
		t.Run(c.node+" from "+c.informer, func(t *testing.T) {
			b := newBench(t, Config{})
			informer := krpc.NodeInfo{ID: krpc.ID{1}, Addr: addr(c.informer)}
			b.table.Replied(informer, 0, false, b.now)
			b.startLookup(request{goal: goalPeers, target: infoHash}, b.now)
			qs := b.sent()
			if len(qs) != 1 {
				t.Fatalf("sent %+v", qs)
			}
			named := krpc.NodeInfo{ID: krpc.ID{2}, Addr: addr(c.node)}
			list := b.send(answerTo(qs[0], informer.ID, func(m *krpc.Message) {
				m.Nodes = []krpc.NodeInfo{named}
				m.Values = []netip.AddrPort{named.Addr}
			}), informer.Addr)
			list = append(list, b.advance(time.Second)...)
			asked := false
			for _, s := range list {
				asked = asked || s.to == named.Addr
			}
			if asked != c.want {
				t.Errorf("contacted: %v", asked)
			}
		})
	}
	// And as sources of packets.
	for _, from := range []string{"8.8.8.8:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[2001:db8::1]:1"} {
		b := newBench(t, Config{})
		if b.one(ask(krpc.Ping), addr(from)) != nil {
			t.Errorf("%s was answered", from)
		}
	}
}

func TestState(t *testing.T) {
	for _, family := range []Family{IPv4, IPv6} {
		b := newBench(t, Config{Family: family})
		for i := range 40 {
			ip := netip.AddrFrom4([4]byte{20, 0, byte(i), 1})
			if family == IPv6 {
				ip = netip.MustParseAddr(fmt.Sprintf("2a02:%x::1", i+1))
			}
			node := krpc.NodeInfo{ID: krpc.SecureID(ip, b.rng), Addr: netip.AddrPortFrom(ip, 6881)}
			b.table.Replied(node, 0, false, b.now)
		}
		again := newBench(t, Config{Family: family, State: b.state()})
		if again.id != b.id {
			t.Errorf("%v: node ID %v, was %v", family, again.id, b.id)
		}
		if got, want := len(again.boot.saved), b.table.Len(); got != want || want < 20 {
			t.Errorf("%v: %d saved nodes, want %d", family, got, want)
		}
		if again.table.Len() != 0 {
			t.Errorf("%v: saved nodes are in the table unasked", family)
		}
		// A node that was stopped before it met anybody keeps what it had.
		third := newBench(t, Config{Family: family, State: again.state()})
		if len(third.boot.saved) != len(again.boot.saved) {
			t.Errorf("%v: saved nodes are forgotten by a short run", family)
		}
	}
}

func TestBrokenState(t *testing.T) {
	good := newBench(t, Config{})
	good.meet(5)
	state := string(good.state())
	for name, s := range map[string]string{
		"empty":         "",
		"garbage":       "garbage",
		"cut":           state[:len(state)/2],
		"short ID":      "d2:id3:abc5:nodes0:e",
		"cut nodes":     "d2:id20:abcdefghij01234567895:nodes25:aaaaaaaaaaaaaaaaaaaaaaaaae",
		"nodes numeric": "d2:id20:abcdefghij01234567895:nodesi3ee",
		"bad ip":        "d2:id20:abcdefghij01234567892:ip3:abc5:nodes0:e",
		"martian":       "d2:id20:abcdefghij01234567895:nodes26:aaaaaaaaaaaaaaaaaaaa\xe0\x00\x00\x01\x1a\xe1e",
	} {
		b := newBench(t, Config{State: []byte(s)})
		if len(b.boot.saved) != 0 || b.id == (krpc.ID{}) {
			t.Errorf("%s: %d nodes, ID %v", name, len(b.boot.saved), b.id)
		}
	}
	// An ID that does not fit the known address is given up.
	b := newBench(t, Config{State: []byte("d2:id20:abcdefghij01234567892:ip4:\x08\x08\x08\x085:nodes0:e")})
	if !krpc.Compliant(b.id, netip.MustParseAddr("8.8.8.8")) {
		t.Errorf("ID %v", b.id)
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
