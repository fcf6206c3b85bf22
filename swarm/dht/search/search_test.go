package search

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"magnetfs/swarm/dht/krpc"
)

// picture draws the candidates with IDs, closest first: "." fresh, "?" asked,
// "~" overdue, "+" answered, "x" failed.
func (s *Search) picture() string {
	var b strings.Builder
	for _, c := range s.list {
		b.WriteByte(".?~+x"[c.state])
	}
	return b.String()
}

// local nodes are numbered by their distance to the target, which is 0. They are
// exempt from BEP 42 and diversity.
func local(n ...int) (nodes []krpc.NodeInfo) {
	for _, n := range n {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
		nodes = append(nodes, krpc.NodeInfo{ID: krpc.ID{18: byte(n >> 8), 19: byte(n)}, Addr: netip.AddrPortFrom(addr, 1)})
	}
	return nodes
}

func upTo(n int) (all []int) {
	for i := 1; i <= n; i++ {
		all = append(all, i)
	}
	return all
}

func isPrivate(a netip.Addr) bool { return a.IsPrivate() }

func newSearch() *Search { return New(Config{Local: isPrivate}) }

// askAll asks until there is nobody to ask, and returns those asked.
func (s *Search) askAll() (list []*Candidate) {
	for c := s.Next(); c != nil; c = s.Next() {
		list = append(list, c)
	}
	return list
}

func expect(t *testing.T, s *Search, want string) {
	t.Helper()
	if got := s.picture(); got != want {
		t.Fatalf("candidates %s, want %s", got, want)
	}
}

func TestAlphaInFlight(t *testing.T) {
	s := newSearch()
	s.Add(local(upTo(12)...), nil)
	asked := s.askAll()
	expect(t, s, "????........")
	s.Answered(asked[1], asked[1].ID, nil)
	s.askAll()
	expect(t, s, "?+???.......")
	if s.Done() || s.Queries() != 5 {
		t.Errorf("done %v, %d queries", s.Done(), s.Queries())
	}
}

func TestOverdueFreesItsSlot(t *testing.T) {
	s := newSearch()
	s.Add(local(upTo(12)...), nil)
	asked := s.askAll()
	s.Overdue(asked[0])
	s.Overdue(asked[0]) // twice is once
	s.askAll()
	expect(t, s, "~????.......")
	s.Answered(asked[0], asked[0].ID, nil)
	s.askAll()
	expect(t, s, "+????.......")
	if s.flying != 4 {
		t.Errorf("%d in flight", s.flying)
	}
}

func TestAskedOutsideOfTheWindowHoldNoSlot(t *testing.T) {
	s := newSearch()
	s.Add(local(101, 102, 103, 104), nil)
	asked := s.askAll()
	expect(t, s, "????")
	s.Answered(asked[0], asked[0].ID, nil)
	s.Add(local(upTo(8)...), asked[0])
	s.askAll()
	// The three far queries are out of the window of eight by now.
	expect(t, s, "????....+???")
}

func TestInFlightIsBounded(t *testing.T) {
	s := newSearch()
	far := 2000
	s.Add(local(far+1, far+2, far+3, far+4), nil)
	first := s.askAll()[0]
	for i := range 20 { // closer and closer nodes, and nobody else answers
		s.Answered(first, first.ID, nil)
		base := 1900 - 10*i
		s.Add(local(base, base+1, base+2, base+3, base+4, base+5, base+6, base+7), first)
		if next := s.Next(); next != nil {
			first = next
		}
		s.askAll()
	}
	if s.flying > 3*4 {
		t.Errorf("%d queries in flight", s.flying)
	}
}

func TestDoneWhenTheClosestAnswered(t *testing.T) {
	s := newSearch()
	s.Add(local(upTo(20)...), nil)
	for range 8 {
		for _, c := range s.askAll() {
			s.Answered(c, c.ID, []byte("t"))
		}
	}
	expect(t, s, "++++++++............")
	if !s.Done() {
		t.Error("not done")
	}
	if n := s.Closest(8); len(n) != 8 || n[0].ID != (krpc.ID{19: 1}) || string(n[7].Token) != "t" {
		t.Errorf("closest: %v", n)
	}
}

func TestFailuresWidenTheWindow(t *testing.T) {
	s := newSearch()
	s.Add(local(upTo(20)...), nil)
	for i := range 20 {
		for _, c := range s.askAll() {
			if i == 0 {
				s.Failed(c)
			} else {
				s.Answered(c, c.ID, nil)
			}
		}
	}
	expect(t, s, "xxxx++++++++........")
	if !s.Done() {
		t.Error("not done")
	}
}

func TestNotDoneWhileAnAnswerMayCome(t *testing.T) {
	s := newSearch()
	s.Add(local(1, 2), nil)
	asked := s.askAll()
	s.Answered(asked[0], asked[0].ID, nil)
	s.Overdue(asked[1])
	if s.Done() {
		t.Error("done although a close node is only overdue")
	}
	s.Failed(asked[1])
	if !s.Done() {
		t.Error("not done")
	}
	expect(t, s, "+x")
	s.Answered(asked[1], asked[1].ID, nil)
	expect(t, s, "++") // late, but it counts
}

func TestWrongIDFails(t *testing.T) {
	s := newSearch()
	s.Add(local(5), nil)
	c := s.Next()
	if s.Answered(c, krpc.ID{1}, nil) {
		t.Error("an answer under another ID is believed")
	}
	expect(t, s, "x")
	if s.Answered(c, c.ID, nil) {
		t.Error("a liar is believed later")
	}
	s.Add(local(5), nil)
	if s.Next() != nil {
		t.Error("a liar is asked again")
	}
}

func TestBareAddress(t *testing.T) {
	s := newSearch()
	a := netip.MustParseAddrPort("10.0.0.9:1")
	s.AddBare(a)
	s.AddBare(a)
	if s.Done() || !s.Starved() {
		t.Error("done before it was asked")
	}
	c := s.Next()
	if c == nil || c.Addr != a || s.Next() != nil {
		t.Fatalf("asked %v", c)
	}
	if s.Done() {
		t.Error("done before it answered")
	}
	if !s.Answered(c, krpc.ID{19: 9}, nil) {
		t.Error("an answer of a bare address is not believed")
	}
	expect(t, s, "+")
	if !s.Done() || len(s.Closest(8)) != 1 {
		t.Error("not done")
	}
}

func TestRevive(t *testing.T) {
	s := newSearch()
	bare := netip.MustParseAddrPort("10.0.0.9:1")
	s.AddBare(bare)
	s.Add(local(5), nil)
	for _, c := range s.askAll() {
		s.Failed(c)
	}
	if !s.Done() {
		t.Fatal("not done")
	}
	s.Add(local(5), nil)
	s.AddBare(bare)
	if got := len(s.askAll()); got != 2 {
		t.Errorf("%d asked again, want 2", got)
	}
	for _, c := range s.seen {
		s.Failed(c)
	}
	s.Add(local(9), nil) // the bare address, by its ID
	expect(t, s, "x.")
	c := s.Next()
	if c == nil || !s.Answered(c, krpc.ID{19: 9}, nil) {
		t.Error("not asked again by its ID")
	}
	expect(t, s, "x+")
}

func TestOneNodePerNetwork(t *testing.T) {
	s := newSearch()
	at := func(n byte, addr string) krpc.NodeInfo {
		return krpc.NodeInfo{ID: krpc.ID{19: n}, Addr: netip.MustParseAddrPort(addr)}
	}
	s.Add([]krpc.NodeInfo{
		at(1, "8.8.8.8:1"), at(2, "8.8.8.8:2"), at(3, "8.8.8.9:1"), at(4, "8.8.9.9:1"),
		at(5, "[2001:db8::1]:1"), at(6, "[2001:db8::2]:1"),
	}, nil)
	expect(t, s, "...")
	s.Failed(s.Next())
	s.Add([]krpc.NodeInfo{at(7, "8.8.8.10:1")}, nil)
	expect(t, s, "x...") // the place of the failed one is free
}

func TestLongAnswersAreCut(t *testing.T) {
	s := newSearch()
	s.Add(local(1), nil)
	c := s.Next()
	s.Answered(c, c.ID, nil)
	s.Add(local(upTo(200)...), c)
	if len(s.list) > MaxPerAnswer {
		t.Errorf("%d candidates", len(s.list))
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	s := newSearch()
	s.Add(local(300, 301, 302), nil)
	first := s.askAll()
	for n := 299; n > 0; n-- {
		s.Add(local(n), nil)
	}
	if len(s.list) > maxCandidates {
		t.Errorf("%d candidates", len(s.list))
	}
	for _, c := range first { // those in flight stay
		if !strings.Contains(s.picture(), "?") || !s.Answered(c, c.ID, nil) {
			t.Error("a candidate in flight was dropped")
		}
	}
}

func TestQueriesAreBounded(t *testing.T) {
	s := New(Config{Local: isPrivate, MaxQueries: 10})
	s.Add(local(upTo(60)...), nil)
	for range 60 {
		for _, c := range s.askAll() {
			s.Failed(c)
		}
	}
	if s.Queries() != 10 || !s.Done() {
		t.Errorf("%d queries, done %v", s.Queries(), s.Done())
	}
}

// public makes nodes with addresses in networks of their own. Their IDs are as
// close to the target as the address allows (comply), or as it pleases them.
func public(rng *rand.Rand, n int, comply bool) (nodes []krpc.NodeInfo) {
	for i := range n {
		addr := netip.AddrFrom4([4]byte{byte(1 + rng.IntN(9)), byte(rng.Uint32()), byte(rng.Uint32()), 1})
		if addr.IsPrivate() {
			continue
		}
		id := krpc.ID{19: byte(i)}
		if comply {
			id = krpc.SecureID(addr, rng)
		}
		nodes = append(nodes, krpc.NodeInfo{ID: id, Addr: netip.AddrPortFrom(addr, 1)})
	}
	return nodes
}

// TestSybilsDoNotCrowdOut: nodes whose IDs do not fit their addresses sit next
// to the target. They are asked, and the honest ones behind them as well.
func TestSybilsDoNotCrowdOut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	s := newSearch()
	s.Add(public(rng, 40, false), nil)
	s.Add(public(rng, 40, true), nil)
	for range 100 {
		for _, c := range s.askAll() {
			s.Answered(c, c.ID, []byte("t"))
		}
	}
	if !s.Done() {
		t.Fatal("not done")
	}
	honest, others := 0, 0
	for _, c := range s.Closest(8) {
		if c.compliant {
			honest++
		} else {
			others++
		}
	}
	if honest != 8 || others != 4 {
		t.Errorf("announces to %d honest nodes and %d others, want 8 and 4", honest, others)
	}
	if s.Queries() > 8+8 {
		t.Errorf("%d queries", s.Queries())
	}
}

// TestSybilsDoNotFillTheList: honest candidates far from the target stay known
// however many sybils are named next to it.
func TestSybilsDoNotFillTheList(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	s := newSearch()
	s.Add(public(rng, 10, true), nil)
	for range 20 {
		s.Add(public(rng, 20, false), nil)
	}
	honest := 0
	for _, c := range s.list {
		if c.compliant {
			honest++
		}
	}
	if honest != 10 || len(s.list) > 10+maxUnfit {
		t.Errorf("%d honest candidates of %d", honest, len(s.list))
	}
}

// TestNobodyComplies: a network without BEP 42 works as ever.
func TestNobodyComplies(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	s := newSearch()
	s.Add(public(rng, 40, false), nil)
	for range 100 {
		for _, c := range s.askAll() {
			s.Answered(c, c.ID, nil)
		}
	}
	if n := len(s.Closest(8)); n != 8 || s.Queries() != 8 {
		t.Errorf("%d closest, %d queries", n, s.Queries())
	}
}

// TestInventionsAreAskedLast: an informant names twenty nodes right at the
// target where nobody is. After a few dead ones the others wait for those that
// somebody else named.
func TestInventionsAreAskedLast(t *testing.T) {
	s := newSearch()
	s.Add(local(1000, 1001), nil)
	asked := s.askAll()
	liar, honest := asked[0], asked[1]
	s.Answered(liar, liar.ID, nil)
	s.Answered(honest, honest.ID, nil)
	s.Add(local(upTo(20)...), liar)
	s.Add(local(501, 502, 503, 504, 505, 506, 507, 508), honest)
	for _, c := range s.askAll() {
		s.Overdue(c)
	}
	expect(t, s, "~~~~........................++")
	if n := len(s.askAll()); n != 4 {
		t.Errorf("%d asked next", n)
	}
	expect(t, s, "~~~~................????....++")
	if s.Done() {
		t.Error("done")
	}
	// If one of them answers after all, its informant is believed again.
	c := s.seen[local(1)[0].Addr]
	s.Answered(c, c.ID, nil)
	if s.seen[local(5)[0].Addr].doubtful() {
		t.Error("still doubted")
	}
}

func TestSecondInformantRemovesDoubt(t *testing.T) {
	s := newSearch()
	s.Add(local(1000, 1001), nil)
	asked := s.askAll()
	for _, c := range asked {
		s.Answered(c, c.ID, nil)
	}
	s.Add(local(upTo(6)...), asked[0])
	for _, c := range s.askAll() {
		s.Overdue(c)
	}
	six := s.seen[local(6)[0].Addr]
	if !six.doubtful() {
		t.Fatal("not doubted")
	}
	s.Add(local(6), asked[1])
	if six.doubtful() {
		t.Error("doubted although two named it")
	}
}

// TestConverges runs searches in a network where everybody knows the eight
// closest of a random sample, and checks that the closest of all are found.
func TestConverges(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		all := public(rng, 600, true)
		byAddr := map[netip.AddrPort]krpc.NodeInfo{}
		for _, n := range all {
			byAddr[n.Addr] = n
		}
		target := krpc.RandomID(rng)
		s := New(Config{Target: target})
		s.Add(all[:8], nil)
		for !s.Done() {
			asked := s.askAll()
			if len(asked) == 0 {
				t.Fatal("stuck: not done and nobody to ask")
			}
			for _, c := range asked {
				s.Answered(c, c.ID, nil)
				var sample []krpc.NodeInfo
				for range 200 {
					sample = append(sample, all[rng.IntN(len(all))])
				}
				s.Add(closest(target, sample, 8), c)
			}
		}
		if got := s.Closest(1); len(got) != 1 || got[0].ID != closest(target, all, 1)[0].ID {
			t.Errorf("seed %d: the closest node was not found", seed)
		}
		if s.Queries() > 60 {
			t.Errorf("seed %d: %d queries", seed, s.Queries())
		}
	}
}

func closest(target krpc.ID, nodes []krpc.NodeInfo, n int) (best []krpc.NodeInfo) {
	s := New(Config{Target: target, Local: func(netip.Addr) bool { return true }})
	s.Add(nodes, nil)
	for _, c := range s.list[:min(n, len(s.list))] {
		best = append(best, c.NodeInfo)
	}
	return best
}

// FuzzSearch lets strangers name and answer what they like.
func FuzzSearch(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0, 1, 0, 4, 5})
	f.Fuzz(func(t *testing.T, ops []byte) {
		s := New(Config{MaxQueries: 40})
		rng := rand.New(rand.NewPCG(1, 0))
		var flying []*Candidate
		for i, op := range ops {
			var c *Candidate
			if len(flying) > 0 {
				c = flying[int(op)%len(flying)]
			}
			switch op % 7 {
			case 0:
				s.Add(public(rng, int(op)/8, i%2 == 0), c)
			case 1:
				s.AddBare(public(rng, 1, false)[0].Addr)
			case 2:
				if c := s.Next(); c != nil {
					flying = append(flying, c)
				}
			case 3:
				if c != nil {
					s.Answered(c, c.ID, nil)
				}
			case 4:
				if c != nil {
					s.Answered(c, krpc.RandomID(rng), nil)
				}
			case 5:
				if c != nil {
					s.Failed(c)
				}
			case 6:
				if c != nil {
					s.Overdue(c)
				}
			}
			if s.flying < 0 || s.flying > 12+len(s.seen) || s.queries > 40 || len(s.list) > maxCandidates+maxUnfit+40 {
				t.Fatalf("in flight %d, queries %d, candidates %d", s.flying, s.queries, len(s.list))
			}
		}
		// Whatever happened, it ends.
		for range 1000 {
			for _, c := range append(flying, s.askAll()...) {
				s.Failed(c)
			}
			flying = nil
		}
		if !s.Done() {
			t.Fatalf("never done: %s", s.picture())
		}
	})
}
