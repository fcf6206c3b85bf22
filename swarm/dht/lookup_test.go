package dht

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/endpoint"
)

// script is a network of scripted nodes for a bench: each answers as its
// function says, after its delay, or not at all.
type script struct {
	*bench
	nodes map[netip.AddrPort]*scripted
	mail  []letter // on the way to the core
	log   []sent   // all that the core sent
	notes []note
}

type scripted struct {
	id     krpc.ID
	delay  time.Duration // of an answer
	answer func(q sent) *krpc.Message
	asked  []time.Time
}

type letter struct {
	at   time.Time
	from netip.AddrPort
	m    krpc.Message
}

func newScript(t *testing.T, cfg Config) *script {
	return &script{bench: newBench(t, cfg), nodes: map[netip.AddrPort]*scripted{}}
}

// add makes a node that answers everything after 40 ms, naming the others; its
// ID shares n bits with the info-hash.
func (s *script) add(a string, n int, others ...string) *scripted {
	node := &scripted{id: krpc.RandomSharing(infoHash, n, s.rng), delay: 40 * time.Millisecond}
	node.answer = func(q sent) *krpc.Message {
		m := answerTo(q, node.id, func(m *krpc.Message) {
			m.Token = []byte("token of " + a)
			for _, o := range others {
				m.Nodes = append(m.Nodes, krpc.NodeInfo{ID: s.nodes[addr(o)].id, Addr: addr(o)})
			}
		})
		return &m
	}
	s.nodes[addr(a)] = node
	return node
}

// values makes the node answer get_peers with peers.
func (n *scripted) values(peers ...string) {
	answer := n.answer
	n.answer = func(q sent) *krpc.Message {
		m := answer(q)
		if q.Method == krpc.GetPeers {
			for _, p := range peers {
				m.Values = append(m.Values, addr(p))
			}
		}
		return m
	}
}

// silent makes the node answer nothing.
func (n *scripted) silent() { n.answer = func(sent) *krpc.Message { return nil } }

// know puts a scripted node into the routing table.
func (s *script) know(a string) {
	s.table.Replied(krpc.NodeInfo{ID: s.nodes[addr(a)].id, Addr: addr(a)}, 40*time.Millisecond, false, s.now)
}

// post takes what the core sent to the scripted nodes.
func (s *script) post() {
	out, notes, _ := s.take()
	s.notes = append(s.notes, notes...)
	for _, p := range out {
		m, err := krpc.Decode(p.data)
		if err != nil {
			s.t.Fatal(err)
		}
		q := sent{m, p.to, len(p.data)}
		s.log = append(s.log, q)
		node := s.nodes[p.to]
		if node == nil || m.Kind != krpc.Query {
			continue
		}
		node.asked = append(node.asked, s.now)
		if a := node.answer(q); a != nil {
			s.mail = append(s.mail, letter{s.now.Add(node.delay), p.to, *a})
		}
	}
}

// run lets time pass.
func (s *script) run(d time.Duration) {
	end := s.now.Add(d)
	for {
		s.post()
		slices.SortStableFunc(s.mail, func(a, b letter) int { return a.at.Compare(b.at) })
		at := s.next()
		mail := len(s.mail) > 0 && !s.mail[0].at.After(at)
		if mail {
			at = s.mail[0].at
		}
		if at.After(end) {
			break
		}
		s.now = latest(s.now, at)
		if mail {
			l := s.mail[0]
			s.mail = s.mail[1:]
			s.handle(l.m.Append(nil), l.from, s.now)
		} else {
			s.tick(s.now)
		}
	}
	s.now = end
}

// peers starts a lookup of peers.
func (s *script) peers(change ...func(*request)) *lookup {
	r := request{goal: goalPeers, target: infoHash}
	for _, f := range change {
		f(&r)
	}
	return s.startLookup(r, s.now)
}

// found returns the peers handed over, in order.
func (s *script) found() (list []string) {
	for _, n := range s.notes {
		for _, p := range n.peers {
			list = append(list, p.String())
		}
	}
	return list
}

// outcome returns how the lookup ended, or nil.
func (s *script) outcome(l *lookup) *outcome {
	for _, n := range s.notes {
		if n.lookup == l.id && n.done != nil {
			return n.done
		}
	}
	return nil
}

func TestPeersArriveAtOnce(t *testing.T) {
	s := newScript(t, Config{})
	s.add("1.0.0.1:1", 20).values("9.0.0.1:1", "9.0.0.2:1")
	s.add("2.0.0.1:1", 10).values("9.0.0.1:1", "127.0.0.1:1", "9.0.0.3:0", "9.0.0.4:1")
	s.add("3.0.0.1:1", 2, "1.0.0.1:1", "2.0.0.1:1")
	s.add("4.0.0.1:1", 5).silent()
	s.know("3.0.0.1:1")
	s.know("4.0.0.1:1")
	l := s.peers()
	s.run(79 * time.Millisecond)
	if got := s.found(); len(got) != 0 {
		t.Fatalf("peers after one round trip: %v", got)
	}
	s.run(2 * time.Millisecond)
	if got := s.found(); !slices.Equal(got, []string{"9.0.0.1:1", "9.0.0.2:1", "9.0.0.4:1"}) {
		t.Fatalf("peers after two round trips: %v", got)
	}
	if s.outcome(l) != nil {
		t.Fatal("done although a node may still answer")
	}
	s.run(5 * time.Second)
	o := s.outcome(l)
	if o == nil || o.Peers != 3 || o.FirstPeers != 80*time.Millisecond || o.FirstPeersHops != 2 || o.Answers != 3 {
		t.Errorf("outcome %+v", o)
	}
}

// TestSlowNodesDoNotHoldTheLookup: the four closest are silent; the next are
// asked as soon as these take longer than answers usually do.
func TestSlowNodesDoNotHoldTheLookup(t *testing.T) {
	s := newScript(t, Config{})
	for range 20 {
		s.rtt.sample(40 * time.Millisecond)
	}
	for _, a := range []string{"1.0.0.1:1", "2.0.0.1:1", "3.0.0.1:1", "4.0.0.1:1"} {
		s.add(a, 30).silent()
		s.know(a)
	}
	s.add("5.0.0.1:1", 10).values("9.0.0.1:1")
	s.know("5.0.0.1:1")
	s.peers()
	s.run(s.rtt.overdue() + 41*time.Millisecond)
	if got := s.found(); len(got) != 1 {
		t.Errorf("nothing found after %v", s.now.Sub(start))
	}
	if s.now.Sub(start) > 200*time.Millisecond {
		t.Errorf("that took %v", s.now.Sub(start))
	}
}

// TestLateAnswersCount: an answer that comes when the lookup has given up its
// node is used as long as the lookup runs.
func TestLateAnswersCount(t *testing.T) {
	s := newScript(t, Config{})
	late := s.add("1.0.0.1:1", 30)
	late.values("9.0.0.1:1")
	late.delay = 5 * time.Second
	s.add("2.0.0.1:1", 20).delay = 6 * time.Second
	s.know("1.0.0.1:1")
	s.know("2.0.0.1:1")
	l := s.peers()
	s.run(4900 * time.Millisecond)
	if s.outcome(l) != nil {
		t.Fatal("a lookup without a single answer ended")
	}
	s.run(200 * time.Millisecond)
	if got := s.found(); len(got) != 1 {
		t.Errorf("found %v", got)
	}
	if s.table.Get(addr("1.0.0.1:1")).Fails != 0 {
		t.Error("an answer within ten seconds counts as a failure")
	}
}

func TestColdLookup(t *testing.T) {
	s := newScript(t, Config{})
	s.add("1.0.0.1:1", 20).values("9.0.0.1:1")
	s.add("2.0.0.1:1", 5, "1.0.0.1:1")
	l := s.peers()
	s.run(10 * time.Second)
	if s.outcome(l) != nil || len(s.log) != 0 {
		t.Fatal("a lookup without a node ended")
	}
	s.log = nil
	s.addRouters([]netip.AddrPort{addr("2.0.0.1:1"), addr("7.0.0.1:1")}, s.now)
	s.run(0)
	if n := len(queriesOf(s.log, krpc.GetPeers)); n != 2 {
		t.Errorf("%d routers were asked for the info-hash at once, want 2", n)
	}
	if n := len(queriesOf(s.log, krpc.FindNode)); n != 2 {
		t.Errorf("%d routers were asked for our ID at once, want 2", n)
	}
	begin := s.now
	s.run(81 * time.Millisecond)
	if len(s.found()) != 1 {
		t.Fatalf("nothing found %v after the first router was known", s.now.Sub(begin))
	}
	s.run(20 * time.Second)
	if o := s.outcome(l); o == nil || o.Peers != 1 {
		t.Errorf("outcome %+v", o)
	}
}

// TestRouterIsAskedAgain: the first packets to the only router are lost.
func TestRouterIsAskedAgain(t *testing.T) {
	s := newScript(t, Config{})
	r := s.add("2.0.0.1:1", 5)
	r.values("9.0.0.1:1")
	answer := r.answer
	r.silent()
	l := s.peers()
	s.addRouters([]netip.AddrPort{addr("2.0.0.1:1")}, s.now)
	s.run(4 * time.Second)
	r.answer = answer
	s.run(20 * time.Second)
	if o := s.outcome(l); o == nil || o.Peers != 1 {
		t.Errorf("outcome %+v after the second attempt", o)
	}
}

func TestAttemptsSlowDown(t *testing.T) {
	s := newScript(t, Config{})
	r := s.add("2.0.0.1:1", 5)
	r.silent()
	s.addRouters([]netip.AddrPort{addr("2.0.0.1:1")}, s.now)
	s.run(12 * time.Minute)
	var gaps []time.Duration
	for i := 1; i < len(r.asked); i++ {
		gaps = append(gaps, r.asked[i].Sub(r.asked[i-1]).Round(time.Second))
	}
	want := []time.Duration{5 * time.Second, 40 * time.Second, 5 * time.Minute, 5 * time.Minute}
	if !slices.Equal(gaps, want) {
		t.Errorf("pauses between attempts %v, want %v", gaps, want)
	}
}

// TestNamedPeerStartsLookup: a lookup that waits starts the moment a peer tells
// its DHT port.
func TestNamedPeerStartsLookup(t *testing.T) {
	s := newScript(t, Config{})
	s.add("2.0.0.1:1", 5).values("9.0.0.1:1")
	s.peers()
	s.run(time.Minute)
	s.addNode(krpc.NodeInfo{Addr: addr("2.0.0.1:1")}, endpoint.FromDHT, netip.MustParseAddr("2.0.0.1"), s.now)
	s.run(41 * time.Millisecond)
	if len(s.found()) != 1 {
		t.Error("nothing found one round trip after the node was known")
	}
	if s.table.Get(addr("2.0.0.1:1")) == nil {
		t.Error("the node is not in the table")
	}
}

func TestSavedNodesComeFirst(t *testing.T) {
	first := newScript(t, Config{})
	nodes := first.meet(20)
	for name, alive := range map[string]bool{"alive": true, "dead": false} {
		s := newScript(t, Config{State: first.state()})
		s.add("2.0.0.1:1", 5)
		s.addRouters([]netip.AddrPort{addr("2.0.0.1:1")}, s.now)
		for _, n := range nodes {
			node := s.add(n.Addr.String(), 1)
			node.id = n.ID
			if !alive {
				node.silent()
			}
		}
		// The nodes are known, but start was called before they could answer.
		s.peers()
		s.run(savedHeadStart / 2)
		if len(s.nodes[addr("2.0.0.1:1")].asked) != 0 {
			t.Errorf("%s: the router was asked at once", name)
		}
		s.run(3 * time.Second)
		if asked := len(s.nodes[addr("2.0.0.1:1")].asked) > 0; asked == alive {
			t.Errorf("%s: router asked %v", name, asked)
		}
		if alive && s.table.Good(s.now) < 15 {
			t.Errorf("%d saved nodes are good", s.table.Good(s.now))
		}
	}
}

func TestAnnounce(t *testing.T) {
	s := newScript(t, Config{})
	var names []string
	for i := range 12 {
		a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(i + 1), 0, 0, 1}), 1).String()
		node := s.add(a, 30-i)
		node.id = krpc.SecureID(addr(a).Addr(), s.rng)
		names = append(names, a)
		s.know(a)
	}
	slices.SortFunc(names, func(a, b string) int {
		return infoHash.Compare(s.nodes[addr(a)].id, s.nodes[addr(b)].id)
	})
	refuses := s.nodes[addr(names[2])]
	answer := refuses.answer
	refuses.answer = func(q sent) *krpc.Message {
		if q.Method == krpc.AnnouncePeer {
			return &krpc.Message{Kind: krpc.Error, T: q.T, Code: 203, Text: "no"}
		}
		return answer(q)
	}
	mute := s.nodes[addr(names[3])]
	answer2 := mute.answer
	mute.answer = func(q sent) *krpc.Message {
		if q.Method == krpc.AnnouncePeer {
			return nil
		}
		return answer2(q)
	}
	l := s.peers(func(r *request) { r.announce, r.port, r.implied, r.seed = true, 7000, true, true })
	s.run(time.Minute)
	o := s.outcome(l)
	if o == nil || o.Announced != 6 {
		t.Fatalf("outcome %+v", o)
	}
	announces := queriesOf(s.log, krpc.AnnouncePeer)
	if len(announces) != 8 {
		t.Fatalf("%d announces", len(announces))
	}
	for _, q := range announces {
		i := slices.Index(names, q.to.String())
		if i < 0 || i >= 8 {
			t.Errorf("announced to number %d", i)
		}
		if string(q.Token) != "token of "+q.to.String() {
			t.Errorf("%v got the token %q", q.to, q.Token)
		}
		if q.Port != 7000 || !q.ImpliedPort || !q.Seed || q.Target != infoHash {
			t.Errorf("announced %+v", q.Message)
		}
	}
}

func TestCancel(t *testing.T) {
	s := newScript(t, Config{})
	s.add("1.0.0.1:1", 20).delay = time.Second
	s.know("1.0.0.1:1")
	l := s.peers()
	s.run(10 * time.Millisecond)
	s.cancel(l.id, s.now)
	s.cancel(l.id, s.now)
	s.run(time.Minute)
	if o := s.outcome(l); o == nil || o.Queries != 1 || o.Took != 10*time.Millisecond {
		t.Errorf("outcome %+v", o)
	}
	if len(s.lookups) != 0 {
		t.Error("the lookup still runs")
	}
}

// TestSecondLookupStartsAtTheEnd: the closest nodes of a lookup are remembered.
func TestSecondLookupStartsAtTheEnd(t *testing.T) {
	s := newScript(t, Config{})
	s.add("1.0.0.1:1", 40).values("9.0.0.1:1")
	s.add("2.0.0.1:1", 20, "1.0.0.1:1")
	s.add("3.0.0.1:1", 3, "2.0.0.1:1")
	s.know("3.0.0.1:1")
	first := s.peers()
	s.run(10 * time.Second)
	second := s.peers()
	s.run(10 * time.Second)
	if a, b := s.outcome(first).FirstPeersHops, s.outcome(second).FirstPeersHops; a != 3 || b != 1 {
		t.Errorf("first peers after %d and %d answers, want 3 and 1", a, b)
	}
}

// TestOutageKeepsTheTable: nobody answers for an hour, since our network is
// down. When it is back the table is there.
func TestOutageKeepsTheTable(t *testing.T) {
	s := newScript(t, Config{})
	for _, n := range s.meet(40) {
		s.add(n.Addr.String(), 1).silent()
	}
	before := s.table.Len()
	s.run(time.Hour)
	if got := s.table.Len(); got != before {
		t.Errorf("%d nodes of %d left after an outage", got, before)
	}
}

func TestDeadNodesAreDropped(t *testing.T) {
	s := newScript(t, Config{})
	for i, n := range s.meet(40) {
		node := s.add(n.Addr.String(), 1)
		node.id = n.ID
		if i%2 == 0 {
			node.silent()
		}
	}
	s.run(20 * time.Minute)
	for _, n := range s.table.Nodes() {
		if s.nodes[n.Addr] != nil && n.Fails > 0 {
			t.Errorf("%v has failed %d times and is still there", n.Addr, n.Fails)
		}
	}
	if s.table.Len() < 18 {
		t.Errorf("%d nodes left, 20 live", s.table.Len())
	}
}

// TestPendingIsBounded: three hundred lookups at once share the slots, and all end.
func TestPendingIsBounded(t *testing.T) {
	s := newScript(t, Config{})
	for _, n := range s.meet(60) {
		node := s.add(n.Addr.String(), 1)
		node.id = n.ID
	}
	for range 300 {
		s.startLookup(request{goal: goalPeers, target: krpc.RandomID(s.rng)}, s.now)
		if len(s.pending) > maxPending {
			t.Fatalf("%d pending queries", len(s.pending))
		}
	}
	s.run(2 * time.Minute)
	if len(s.lookups) != 0 {
		t.Errorf("%d lookups still run", len(s.lookups))
	}
}

func TestWantOnBehalfOfThePartner(t *testing.T) {
	s := newScript(t, Config{})
	s.add("1.0.0.1:1", 20)
	s.know("1.0.0.1:1")
	six := krpc.NodeInfo{ID: krpc.ID{6}, Addr: addr("[2a02::1]:1")}
	s.other = func(krpc.ID) []krpc.NodeInfo { return []krpc.NodeInfo{six} }
	poor := true
	s.otherPoor = func() bool { return poor }
	node := s.nodes[addr("1.0.0.1:1")]
	answer := node.answer
	node.answer = func(q sent) *krpc.Message {
		m := answer(q)
		if q.Want6 {
			m.Nodes6 = []krpc.NodeInfo{six}
		}
		return m
	}
	s.peers()
	s.run(10 * time.Second)
	foreign := 0
	for _, n := range s.notes {
		foreign += len(n.foreign)
	}
	if foreign == 0 {
		t.Error("no nodes of the other family while it lacks them")
	}
	poor = false
	s.log = nil
	s.peers()
	s.run(10 * time.Second)
	for _, q := range s.log {
		if q.Want6 {
			t.Error("nodes of the other family are wanted although it has enough")
		}
	}
	reply := s.one(ask(krpc.FindNode, target, want(true, true)), strange)
	if len(reply.Nodes6) != 1 || reply.Nodes6[0] != six || len(reply.Nodes) == 0 {
		t.Errorf("asked for both families we answer %+v", reply.Message)
	}
}
