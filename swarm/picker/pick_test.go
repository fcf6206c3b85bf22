package picker

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPick(t *testing.T) {
	tests := []struct {
		name string
		run  func(s *stage)
	}{
		{"nothing wanted, nothing asked", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.pick()
			s.is("....  ....  ....")
		}},
		{"no more than the wanted pieces", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.want("1@500")
			s.pick()
			s.is("....  aaaa  ....")
		}},
		{"in the order of deadlines", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetMaxQueue(peerID('a'), 8)
			s.want("0@900 1@500 2@700")
			s.pick()
			s.is("....  aaaa  aaaa")
		}},
		{"what a read sleeps on before any deadline", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.want("0@1 1@2 2!")
			s.pick()
			s.is("....  ....  aaaa")
		}},
		{"two readers want the same piece: the earlier deadline counts", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.want("0@300 1@400 1@200")
			s.pick()
			s.is("....  aaaa  ....")
		}},
		{"two readers want the same piece: one of them sleeps", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.want("0@300 1@400 1!")
			s.pick()
			s.is("....  aaaa  ....")
		}},
		{"pieces that do not exist are no wants", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.want("-1@0 3@0 99!")
			s.pick()
			s.is("....  ....  ....")
		}},
		{"only what the peer has", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetHave(peerID('a'), 0, false)
			s.want("0! 1@1")
			s.pick()
			s.is("....  aaaa  ....")
			s.p.SetHave(peerID('a'), 0, true)
			s.p.SetMaxQueue(peerID('a'), 8)
			s.pick()
			s.is("aaaa  aaaa  ....")
		}},
		{"not what is had", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetHad(0, true)
			s.want("0! 1@1")
			s.pick()
			s.is("*  aaaa  ....")
			s.p.SetHad(0, false) // evicted
			s.p.SetMaxQueue(peerID('a'), 8)
			s.pick()
			s.is("aaaa  aaaa  ....")
		}},
		{"equal peers share a piece", func(s *stage) {
			s.peer("a", 10, 400*ms)
			s.peer("b", 10, 400*ms)
			s.want("0!")
			s.pick()
			s.is("abab  ....  ....")
		}},
		{"the peer with the earliest arrival, counting what it was asked", func(s *stage) {
			s.peer("a", 10, 400*ms) // at 500, 600, 700 … ms
			s.peer("b", 4, 400*ms)  // at 650, 900 … ms
			s.want("0!")
			s.pick()
			s.is("aaba  ....  ....")
		}},
		{"a shorter round trip", func(s *stage) {
			s.peer("a", 100, 600*ms) // 610, 620, …
			s.peer("b", 8, 400*ms)   // 525, 650, …
			s.want("0!")
			s.pick()
			s.is("baaa  ....  ....")
		}},
		{"a slow peer gets the first block that it does not delay", func(s *stage) {
			// a delivers every 100 ms: blocks 0 to 8 are there before the slow
			// b has its first one, at 1395 ms. They are kept for a although it
			// takes only four at a time.
			s.peer("a", 10, 400*ms)
			s.peer("b", 1, 395*ms)
			s.want("0@0 1@0 2@0")
			s.pick()
			s.is("aaaa  ....  .b..")
		}},
		{"and nothing if it would delay every block", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.peer("b", 1, 400*ms)
			s.want("0@0 1@0")
			s.pick()
			s.is("aaaa  ....  ....")
		}},
		{"no more than the peer accepts", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0! 1!")
			s.pick()
			s.is("aa..  ....  ....")
		}},
		{"a peer that was asked much is passed over", func(s *stage) {
			s.peer("a", 20, 400*ms)
			s.want("0@0")
			s.pick()
			s.is("aaaa  ....  ....")
			s.p.SetMaxQueue(peerID('a'), 8)
			s.peer("b", 10, 400*ms)
			s.want("0@0 1!") // b at 500, 600 ms; a, behind its queue, at 650, 700
			s.pick()
			s.is("aaaa  bbaa  ....")
		}},
		{"strangers touch two pieces at a time", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetMaxQueue(peerID('a'), 12)
			s.want("0@0 1@0 2@0")
			s.pick()
			s.is("aaaa  aaaa  ....")
			s.p.Prove(peerID('a'))
			s.pick()
			s.is("aaaa  aaaa  aaaa")
		}},
		{"strangers finish what they began", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetMaxQueue(peerID('a'), 6)
			s.want("0@0 1@0 2@0")
			s.pick()
			s.is("aaaa  aa..  ....")
			s.pass(400 * ms)
			for i := range 4 {
				s.pass(10 * ms)
				s.recv("a", 0, i)
			}
			s.pick()
			s.is("####  aaaa  ....")
			s.p.Verified(0, []PeerID{0})
			s.pick()
			s.is("*     aaaa  aa..")
		}},
		{"a stranger waits while a read sleeps and another is known", func(s *stage) {
			// a could be there at 500 ms, a second less than what it is
			// taken for; b at 900, 1400, 1900.
			s.peer("a", 10, 400*ms)
			s.peer("b", 2, 400*ms)
			s.p.Prove(peerID('b'))
			s.want("0!")
			s.pick()
			s.is("bbaa  ....  ....")
		}},
		{"vouched for is known enough", func(s *stage) {
			s.peer("a", 10, 400*ms)
			s.peer("b", 2, 400*ms)
			s.p.Prove(peerID('b'))
			s.p.Vouch(peerID('a'))
			s.want("0!")
			s.pick()
			s.is("aaaa  ....  ....")
		}},
		{"strangers are as good when nothing is known of anybody", func(s *stage) {
			s.peer("a", 10, 400*ms)
			s.peer("b", 2, 400*ms)
			s.want("0!")
			s.pick()
			s.is("aaaa  ....  ....")
		}},
		{"strangers work on what nobody sleeps on", func(s *stage) {
			s.peer("a", 10, 400*ms)
			s.peer("b", 2, 400*ms)
			s.p.Prove(peerID('b'))
			s.want("0@0")
			s.pick()
			s.is("aaaa  ....  ....")
		}},
		{"a peer that is late is expected later", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.want("0@0")
			s.p.SetMaxQueue(peerID('a'), 1)
			s.pick() // due at 110 ms
			s.is("a...  ....  ....")
			s.pass(500 * ms) // 390 ms late
			s.p.SetMaxQueue(peerID('a'), 3)
			// b at 1010, 1510, 2010 ms; a at 1390, 1490: twice as much later as
			// it is late.
			s.peer("b", 2, 10*ms)
			s.want("0@0 1!")
			s.pick()
			s.is("a...  baab  ....")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(newStage(t, 3)) })
	}
}

// TestHeldForNeighbours: a piece that is left to neighbours is asked of them alone
// until its time has come.
func TestHeldForNeighbours(t *testing.T) {
	s := newStage(t, 3)
	s.peer("a", 100, 10*ms)
	s.peer("b", 1, 400*ms)
	s.p.SetNear(peerID('b'), true)
	s.p.SetHave(peerID('b'), 1, false)
	s.p.SetWants([]Want{
		{Piece: 1, Deadline: s.now.Add(time.Second), NotBefore: s.now.Add(300 * ms)},
		{Piece: 0, Deadline: s.now.Add(time.Second), NotBefore: s.now.Add(300 * ms)},
		{Piece: 2, Deadline: s.now.Add(time.Second)},
	}, s.now)
	s.p.SetMaxQueue(peerID('b'), 2)
	s.pick()
	s.is("bb..  ....  aaaa")
	for i := range 4 {
		s.pass(20 * ms)
		s.recv("a", 2, i)
	}
	s.p.Verified(2, nil)
	if at := s.p.NextLate(s.now); at.After(simStart.Add(300 * ms)) {
		t.Errorf("looks again at %v", at.Sub(simStart))
	}
	s.pick()
	s.is("bb..  ....  *")
	s.pass(220 * ms)
	s.pick()
	s.is("bb..  aaaa  *")
}

// TestDepth: how many blocks are asked of one peer at a time.
func TestDepth(t *testing.T) {
	const want = "0! 1! 2! 3! 4! 5! 6! 7! 8! 9! 10! 11! 12! 13! 14! 15!"
	window := strings.ReplaceAll(want, "!", "@0")
	tests := []struct {
		name string
		rate float64 // blocks per second; 0: not known
		rtt  time.Duration
		want string
		max  int // that the peer accepts; 0: enough
		n    int
	}{
		// 100 × (50 ms × 1.25 + 15 ms) = 7.75, rounded up, and the spare ones.
		{"as deep as the pipe", 100, 50 * ms, window, 0, 8 + spareBlocks},
		{"no deeper when a read sleeps", 100, 50 * ms, want, 0, 8 + spareBlocks},
		{"slow: one, and one to follow", 1, 50 * ms, window, 0, 2},
		{"rate not known", 0, 50 * ms, window, 0, firstDepth},
		{"rate not known, a read sleeps", 0, 50 * ms, want, 0, 2 * firstDepth},
		{"no deeper than it accepts", 100, 50 * ms, window, 3, 3},
		{"no deeper than it accepts, a read sleeps", 0, 50 * ms, want, 10, 10},
		{"no deeper than what is wanted", 100, 50 * ms, "0@0", 0, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, 16)
			s.peer("a", tt.rate, tt.rtt)
			s.p.Prove(peerID('a'))
			s.p.SetMaxQueue(peerID('a'), cmp.Or(tt.max, 250))
			s.want(tt.want)
			for range 3 {
				s.pick()
				if n := len(s.p.peers[0].queue); n != tt.n {
					t.Errorf("%d blocks asked, want %d", n, tt.n)
				}
			}
		})
	}
}

// TestUrgentOvertakes: when a read goes to sleep while the queues are full, it does
// not wait for them to drain.
func TestUrgentOvertakes(t *testing.T) {
	s := newStage(t, 40)
	s.peer("a", 100, 50*ms)
	s.p.Prove(peerID('a'))
	s.p.SetMaxQueue(peerID('a'), 250)
	depth := s.p.peers[0].depth(priorRate)
	var all []string
	for i := range 20 {
		all = append(all, fmt.Sprintf("%d@0", i))
	}
	s.want(strings.Join(all, " "))
	s.pick()
	if n := len(s.wire[0]); n != depth {
		t.Fatalf("%d blocks asked", n)
	}
	s.want(strings.Join(all, " ") + " 30!")
	s.pick()
	if n := len(s.wire[0]); n != depth+4 {
		t.Errorf("%d blocks asked, want the 4 of the urgent piece on top of %d", n, depth)
	}
	s.want(strings.Join(all, " ") + " 30! 31! 32! 33! 34! 35! 36! 37!")
	s.pick()
	if n := len(s.wire[0]); n != 2*depth {
		t.Errorf("%d blocks asked, want %d urgent ones on top of %d", n, depth, depth)
	}
	for range depth {
		s.recv("a", s.wire[0][0].Piece, s.wire[0][0].Index)
	}
	s.pick()
	if n := len(s.wire[0]); n > depth+4 {
		t.Errorf("%d blocks asked after the others are done, want about %d", n, depth)
	}
	if err := s.p.check(); err != "" {
		t.Error(err)
	}
}

// TestPickShortLastBlock: the last block of the torrent is as long as what is left.
func TestPickShortLastBlock(t *testing.T) {
	s := newStage(t, 2, true)
	s.peer("a", 100, 400*ms)
	s.p.SetMaxQueue(peerID('a'), 8)
	s.want("0@0 1@0")
	s.pick()
	s.is("aaaa a")
	if got := s.p.peers[0].outstanding; got != 4*BlockSize+100 {
		t.Errorf("%d bytes outstanding", got)
	}
	if a := s.recv("a", 1, 0); !a.Complete {
		t.Errorf("the last piece has one block; %+v", a)
	}
	s.is("aaaa #")
}
