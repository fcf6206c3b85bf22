package picker

import (
	"testing"
	"time"
)

func TestLate(t *testing.T) {
	tests := []struct {
		name string
		run  func(s *stage)
	}{
		{"in time: nobody else is asked", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0!")
			s.pick() // at 110 and 210 ms
			s.peer("b", 1000, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 1)
			s.pick()
			s.is("aab.  ....  ....")
			s.pass(8 * ms)
			s.late()
			s.is("aab.  ....  ....")
		}},
		{"late: the next best is asked as well", func(s *stage) {
			s.waiting()
			s.pass(139 * ms)
			s.late()
			s.is("a...  ....  ....")
			s.pass(ms) // 30 ms late
			s.late()
			s.is("(ab)...  ....  ....")
			s.pass(15 * ms)
			s.late()
			s.is("(ab)...  ....  ....")
		}},
		{"late is a quarter of what it was to take, if that is more", func(s *stage) {
			s.peer("a", 1, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 1)
			s.want("0!")
			s.pick() // due at 1010 ms
			s.peer("b", 1000, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 1)
			s.pass(1262 * ms)
			s.late()
			s.is("a...  ....  ....")
			s.pass(ms)
			s.late()
			s.is("(ab)...  ....  ....")
		}},
		{"not from one that is expected later still", func(s *stage) {
			s.waiting()
			s.measured("b", 5) // takes 210 ms
			s.pass(310 * ms)   // 200 ms late, so expected in as much again
			s.late()
			s.is("a...  ....  ....")
			s.pass(20 * ms)
			s.late()
			s.is("(ab)...  ....  ....")
		}},
		{"the loser is cancelled", func(s *stage) {
			s.waiting()
			s.pass(150 * ms)
			s.late()
			s.is("(ab)...  ....  ....")
			if a := s.recv("b", 0, 0); !a.Useful {
				s.t.Errorf("%+v", a)
			}
			s.is("#...  ....  ....")
			if got := s.cancelled(); got != "a0.0" {
				s.t.Errorf("cancelled %q", got)
			}
			// Its answer comes all the same.
			if a := s.recv("a", 0, 0); !a.Asked || a.Useful || a.Complete {
				s.t.Errorf("%+v", a)
			}
			s.is("#...  ....  ....")
		}},
		{"the one that was late may win", func(s *stage) {
			s.waiting()
			s.pass(150 * ms)
			s.late()
			if a := s.recv("a", 0, 0); !a.Useful {
				s.t.Errorf("%+v", a)
			}
			s.is("#...  ....  ....")
			if got := s.cancelled(); got != "b0.0" {
				s.t.Errorf("cancelled %q", got)
			}
		}},
		{"three at most for one block", func(s *stage) {
			s.waiting()
			for _, n := range []string{"c", "d", "e"} {
				s.peer(n, 1000, 10*ms)
				s.p.SetMaxQueue(peerID(n[0]), 1)
			}
			for range 4 {
				s.pass(200 * ms)
				s.late()
			}
			s.is("(abc)...  ....  ....")
		}},
		{"a deadline that is far away can wait", func(s *stage) {
			s.waiting()
			s.want("0@5000")
			s.pass(200 * ms) // 90 ms late
			s.late()
			s.is("a...  ....  ....")
			s.want("0@400")
			s.late()
			s.is("a...  ....  ....") // expected in time still
			s.pass(150 * ms)
			s.late()
			s.is("a...  ....  ....") // just
			s.pass(10 * ms)
			s.late()
			s.is("(ab)...  ....  ....")
		}},
		{"a deadline that will be missed, though the peer is in time", func(s *stage) {
			s.peer("a", 0.1, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 1)
			s.want("0@1500")
			s.pick() // due in ten seconds
			s.peer("b", 1000, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 3)
			s.pick()
			s.is("abbb  ....  ....")
			for i := range 3 {
				s.pass(10 * ms)
				s.recv("b", 0, i+1)
			}
			s.late()
			s.is("(ab)###  ....  ....")
		}},
		{"a peer that is done takes over the tail of a slow one", func(s *stage) {
			s.peer("a", 1, 400*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0!")
			s.pick() // at 1400, 2400 ms
			s.peer("b", 1000, 10*ms)
			s.pick()
			s.is("aabb  ....  ....")
			s.pass(11 * ms)
			s.recv("b", 0, 2)
			s.pass(ms)
			s.recv("b", 0, 3)
			s.late()
			s.is("(ab)(ab)##  ....  ....")
		}},
		{"what waits at a silent peer behind a late block comes after it", func(s *stage) {
			s.peer("a", 0, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0!")
			s.pick() // at 72 and 135 ms
			s.peer("c", 1000, 10*ms)
			s.pick()
			s.is("aacc  ....  ....")
			s.pass(12 * ms)
			s.recv("c", 0, 2)
			s.recv("c", 0, 3)
			s.p.RemovePeer(peerID('c'))
			s.peer("b", 8, 20*ms) // takes 145 ms
			s.p.SetMaxQueue(peerID('b'), 1)
			s.pass(108 * ms) // the first one has not come: at 260 and 385 ms, perhaps
			s.late()
			s.is("a(ab)##  ....  ....")
		}},
		{"but not while there is work that nobody was given", func(s *stage) {
			s.peer("a", 1, 400*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0!")
			s.pick()
			s.is("aa..  ....  ....")
			s.peer("b", 1000, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 2)
			s.late()
			s.is("aa..  ....  ....")
		}},
		{"nor if little is won", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0!")
			s.pick() // at 110, 210 ms
			s.peer("b", 20, 10*ms)
			s.pick()
			s.is("aabb  ....  ....")
			s.pass(60 * ms)
			s.recv("b", 0, 2)
			s.pass(50 * ms)
			s.recv("b", 0, 3)
			s.measured("b", 15)
			s.late() // b could have block 1 at 187 ms
			s.is("aa##  ....  ....")
		}},
		{"a peer that is itself late gets no copies", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.peer("b", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 1)
			s.p.SetMaxQueue(peerID('b'), 1)
			s.want("0!")
			s.pick()
			s.is("ab..  ....  ....")
			s.p.SetMaxQueue(peerID('a'), 4)
			s.p.SetMaxQueue(peerID('b'), 4)
			s.pass(200 * ms)
			s.late()
			s.is("ab..  ....  ....")
			s.peer("c", 1000, 10*ms)
			s.late()
			s.is("(ac)(bc)..  ....  ....")
		}},
		{"nor does one that is snubbed, though it could be the soonest", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 1)
			s.want("0@1300")
			s.pick()
			s.pass(1110 * ms)
			s.isLate("a")
			s.peer("b", 10, 10*ms)
			s.peer("c", 5, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 1)
			s.p.SetMaxQueue(peerID('c'), 1)
			s.want("0@100")
			s.pick()
			s.is("b.c.  ....  ....")
			s.pass(400 * ms)
			s.p.SetHave(peerID('c'), 0, false)
			s.measured("a", 1000)
			s.late()
			s.is("b.c.  ....  ....")
			s.p.SetHave(peerID('c'), 0, true)
			s.p.SetMaxQueue(peerID('c'), 4)
			s.recv("c", 0, 2)
			s.late()
			s.is("(bc).#.  ....  ....")
		}},
		{"a stranger is expected at the rate that others turn out to have", func(s *stage) {
			s.peer("a", 0, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 1)
			s.want("0!")
			s.pick() // at 16 blocks/s by the first guess: 72 ms
			s.peer("b", 1000, 10*ms)
			s.peer("c", 1000, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 2)
			s.p.SetMaxQueue(peerID('c'), 1)
			s.pick()
			s.is("abcb  ....  ....")
			s.pass(11 * ms)
			s.recv("b", 0, 1)
			s.recv("c", 0, 2)
			s.pass(ms)
			s.recv("b", 0, 3)
			s.pass(18 * ms)
			s.late()
			s.is("a###  ....  ....")
			s.pass(12 * ms) // 31 ms after 11 ms
			s.late()
			s.is("(ab)###  ....  ....")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(newStage(t, 3)) })
	}
}

// waiting lets a read wait for a block of a, due at 110 ms, beside b, which could
// deliver one within 11 ms.
func (s *stage) waiting() {
	s.peer("a", 10, 10*ms)
	s.p.SetMaxQueue(peerID('a'), 1)
	s.want("0!")
	s.pick()
	s.peer("b", 1000, 10*ms)
	s.p.SetMaxQueue(peerID('b'), 1)
}

func TestSnub(t *testing.T) {
	tests := []struct {
		name string
		run  func(s *stage)
	}{
		{"after a second of silence", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0@9000")
			s.pick()
			s.is("aa..  ....  ....")
			s.pass(110*ms + 999*ms)
			s.isLate("")
			s.is("aa..  ....  ....")
			s.pass(ms)
			s.isLate("a")
			s.is("....  ....  ....")
			if s.p.CanDeliver(peerID('a'), 0) {
				s.t.Error("counts as able to deliver")
			}
		}},
		{"after three times what its block was to take, if that is longer", func(s *stage) {
			s.peer("a", 1, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 1)
			s.want("0@9000")
			s.pick() // due at 1010 ms
			s.pass(1010*ms + 3029*ms)
			s.isLate("")
			s.pass(ms)
			s.isLate("a")
		}},
		{"a block in time counts for all", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.want("0@9000")
			s.pick()
			s.pass(900 * ms)
			s.recv("a", 0, 0)
			s.pass(900 * ms)
			s.isLate("")
			s.pass(100 * ms)
			s.isLate("a")
			s.is("#...  ....  ....")
		}},
		{"it gets one request at a time, and what nobody sleeps on", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.want("0@9000")
			s.pick()
			s.pass(1200 * ms)
			s.isLate("a")
			s.peer("b", 1, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 2)
			s.want("0! 1@9000")
			s.pick()
			s.is("bb..  a...  ....")
		}},
		{"unless nobody else can deliver", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.want("0@9000")
			s.pick()
			s.pass(1200 * ms)
			s.isLate("a")
			s.want("0!")
			s.pick()
			s.is("a...  ....  ....")
		}},
		{"from time to time it is asked for what another is asked for already", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.want("0@9000")
			s.pick()
			s.pass(1200 * ms)
			s.isLate("a")
			s.peer("b", 1, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 2)
			s.want("0!")
			s.pick()
			s.is("bb..  ....  ....")
			s.pass(999 * ms)
			s.isLate("")
			s.is("bb..  ....  ....")
			s.pass(ms)
			s.isLate("")
			s.is("(ba)b..  ....  ....")
			s.pass(20 * ms)
			s.cancelled()
			s.recv("b", 0, 0) // it may answer all the same
			s.is("#b..  ....  ....")
			if got := s.cancelled(); got != "" {
				s.t.Errorf("cancelled %q", got)
			}
			if a := s.recv("a", 0, 0); !a.Asked || !s.p.CanDeliver(peerID('a'), 0) {
				s.t.Errorf("%+v, and still snubbed", a)
			}
		}},
		{"that does not count when the block is late", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.want("0@9000")
			s.pick()
			s.pass(1200 * ms)
			s.isLate("a")
			s.pass(990 * ms)
			s.peer("b", 100, 10*ms)
			s.p.SetMaxQueue(peerID('b'), 1)
			s.want("0!")
			s.pick() // due in 20 ms
			s.pass(20 * ms)
			s.late()
			s.is("(ba)...  ....  ....")
			s.peer("c", 1000, 10*ms)
			s.p.SetMaxQueue(peerID('c'), 1)
			s.pass(30 * ms)
			s.late()
			s.is("(bac)...  ....  ....")
		}},
		{"a block ends it", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0@9000 1@9000")
			s.pick()
			s.pass(1200 * ms)
			s.isLate("a")
			s.pick()
			s.is("a...  ....  ....")
			s.pass(100 * ms)
			s.recv("a", 0, 0)
			s.pick()
			s.is("#aa.  ....  ....")
		}},
		{"a late answer to what it was asked before it was snubbed ends it as well", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.want("0@9000")
			s.pick()
			s.pass(1200 * ms)
			s.isLate("a")
			if a := s.recv("a", 0, 1); !a.Asked || !a.Useful {
				s.t.Errorf("%+v", a)
			}
			if !s.p.CanDeliver(peerID('a'), 0) {
				s.t.Error("still snubbed")
			}
		}},
		{"patience doubles while it stays silent", func(s *stage) {
			s.peer("a", 100, 10*ms)
			s.want("0@90000")
			s.pick()
			s.pass(1100 * ms)
			s.isLate("a")
			for _, d := range []time.Duration{2, 4, 8, 16, 16} {
				s.pass(d * 2 * time.Second)
				s.pick()
				s.is("a...  ....  ....")
				r := s.p.peers[0].queue[0]
				s.now = r.due.Add(max(d*time.Second, 3*r.due.Sub(r.sent)) - ms)
				s.isLate("")
				s.pass(ms)
				s.isLate("a")
			}
		}},
		{"a peer whose work others have done is remembered to be silent", func(s *stage) {
			s.waiting()
			s.pass(150 * ms)
			s.isLate("")
			s.is("(ab)...  ....  ....")
			s.pass(11 * ms)
			s.recv("b", 0, 0)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.p.SetMaxQueue(peerID('b'), 2)
			s.pick() // b at 11, 12, 13 ms; a, late by 51 ms, not before 212
			s.is("#bb.  ....  ....")
			s.pass(948 * ms)
			s.isLate("")
			s.pass(ms)
			s.isLate("a")
		}},
		{"so is one whose work was cancelled when it was late", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0!")
			s.pick()
			s.pass(200 * ms)
			s.want("1!")
			s.p.SetMaxQueue(peerID('a'), 4)
			s.peer("b", 4, 10*ms) // 260 ms, 510 ms
			s.pick()              // a at 110 ms, were it not late by 90: 290 ms
			s.is("....  baa.  ....")
		}},
		{"but not one that had still time", func(s *stage) {
			s.peer("a", 10, 10*ms)
			s.p.SetMaxQueue(peerID('a'), 2)
			s.want("0!")
			s.pick()
			s.pass(100 * ms)
			s.want("1!")
			s.pass(5 * time.Second)
			s.isLate("")
			s.pick()
			s.is("....  aa..  ....")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(newStage(t, 3)) })
	}
}

// isLate runs Late and checks who was snubbed.
func (s *stage) isLate(snubbed string) {
	s.t.Helper()
	if got := s.late(); got != snubbed {
		s.t.Errorf("snubbed %q, want %q", got, snubbed)
	}
	for _, name := range snubbed {
		// What it was asked is not cancelled; it may come.
		s.wire[peerID(byte(name))] = nil
	}
}

func TestNextLate(t *testing.T) {
	s := newStage(t, 3)
	if at := s.p.NextLate(s.now); !at.IsZero() {
		t.Errorf("nothing asked: %v", at.Sub(s.now))
	}
	s.peer("a", 10, 10*ms)
	s.want("0@5000")
	s.pick()
	if at := s.p.NextLate(s.now); at.Sub(s.now) != idleTick {
		t.Errorf("nobody sleeps: %v", at.Sub(s.now))
	}
	s.want("0@5000 1!")
	if at := s.p.NextLate(s.now); at.Sub(s.now) != lateTick {
		t.Errorf("a read sleeps: %v", at.Sub(s.now))
	}
	s.p.SetHad(1, true)
	if at := s.p.NextLate(s.now); at.Sub(s.now) != idleTick {
		t.Errorf("what it slept on is had: %v", at.Sub(s.now))
	}
}
