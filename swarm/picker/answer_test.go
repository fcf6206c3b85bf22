package picker

import (
	"fmt"
	"testing"
	"time"
)

func TestAnswers(t *testing.T) {
	tests := []struct {
		name string
		run  func(s *stage)
	}{
		{"a piece is complete with its last block", func(s *stage) {
			s.asked("a")
			for i, want := range []Answer{{Asked: true, Useful: true}, {Asked: true, Useful: true}, {Asked: true, Useful: true}, {Asked: true, Useful: true, Complete: true}} {
				if a := s.recv("a", 0, 3-i); fmt.Sprint(a) != fmt.Sprint(want) {
					s.t.Errorf("block %d: %+v, want %+v", 3-i, a, want)
				}
			}
			s.is("####  ....  ....")
			s.pick() // its hash is being checked
			s.is("####  ....  ....")
			s.p.Verified(0, []PeerID{0})
			s.is("*  ....  ....")
			if !s.p.Proven(0) {
				s.t.Error("its sender is not proven")
			}
		}},
		{"what was not asked", func(s *stage) {
			s.asked("a")
			for _, b := range []Block{{1, 0}, {2, 3}} {
				if a := s.recv("a", b.Piece, b.Index); a.Asked || a.Useful {
					s.t.Errorf("%v: %+v", b, a)
				}
			}
			if a := s.p.Received(7, Block{0, 0}, s.now); a.Asked {
				s.t.Errorf("of a peer that is not there: %+v", a)
			}
			s.is("aaaa  ....  ....")
		}},
		{"the same block twice", func(s *stage) {
			s.asked("a")
			s.recv("a", 0, 0)
			if a := s.recv("a", 0, 0); a.Asked || a.Useful {
				s.t.Errorf("%+v", a)
			}
			s.is("#aaa  ....  ....")
		}},
		{"after it was cancelled, still useful", func(s *stage) {
			s.asked("a")
			s.want("2!")
			if got := s.cancelled(); got != "a0.0 a0.1 a0.2 a0.3" {
				s.t.Errorf("cancelled %q", got)
			}
			s.is("....  ....  ....")
			s.pass(500 * ms)
			if a := s.recv("a", 0, 1); !a.Asked || !a.Useful {
				s.t.Errorf("%+v", a)
			}
			s.is(".#..  ....  ....")
		}},
		{"after it was cancelled and asked of another", func(s *stage) {
			s.asked("a")
			s.want("")
			s.p.SetHave(0, 0, false)
			s.peer("b", 10, 400*ms)
			s.want("0!")
			s.pick()
			s.is("bbbb  ....  ....")
			s.cancelled()
			s.pass(500 * ms)
			if a := s.recv("a", 0, 1); !a.Useful {
				s.t.Errorf("%+v", a)
			}
			s.is("b#bb  ....  ....")
			if got := s.cancelled(); got != "b0.1" {
				s.t.Errorf("cancelled %q", got)
			}
		}},
		{"long after it was cancelled", func(s *stage) {
			s.asked("a")
			s.want("2@0")
			s.pass(time.Minute)
			s.pick() // its time is over: the place in the queue is free again
			s.is("....  ....  aaaa")
			if a := s.recv("a", 0, 1); !a.Asked || !a.Useful {
				s.t.Errorf("%+v", a)
			}
		}},
		{"what is cancelled takes up room until it is answered or its time is over", func(s *stage) {
			s.asked("a")
			s.want("2@0")
			s.pick()
			s.is("....  ....  ....")
			s.reject("a", 0, 0)
			s.pick()
			s.is("....  ....  a...")
			s.pass(410 * ms)
			s.recv("a", 0, 1)
			s.pick()
			s.is(".#..  ....  aa..")
			s.pass(time.Second)
			s.pick()
			s.is(".#..  ....  aaaa")
		}},
		{"it is waited for if it is wanted again", func(s *stage) {
			s.asked("a")
			s.want("")
			s.pass(100 * ms)
			s.want("0!")
			s.is("aaaa  ....  ....")
			s.cancelled()
			s.pick()
			s.recv("a", 0, 0)
			s.reject("a", 0, 3) // it answers the cancel
			s.is("#aa.  ....  ....")
			s.want("1@0")
			if got := s.cancelled(); got != "" {
				s.t.Errorf("cancelled again %q", got)
			}
			s.want("0!")
			s.is("#aa.  ....  ....")
			s.pick()
			s.is("#aaa  ....  ....")
		}},
		{"it is not waited for if the peer was seen to honour cancels", func(s *stage) {
			s.asked("a") // due after 410, 420, 430 and 440 ms
			s.want("")
			s.reject("a", 0, 2)
			s.want("0!")
			s.is("aa..  ....  ....")
			s.pass(450 * ms)
			s.recv("a", 0, 3) // but now it did not
			if k := s.p.peers[0].keeps; k != 440*ms {
				s.t.Errorf("keeps %v", k)
			}
		}},
		{"nor from another peer that was asked meanwhile", func(s *stage) {
			s.asked("a")
			s.want("")
			s.p.SetChoking(0, true, true)
			s.peer("b", 10, 400*ms)
			s.want("0!")
			s.pick()
			s.is("bbbb  ....  ....")
			s.p.SetChoking(0, false, true)
			s.want("0!")
			s.is("bbbb  ....  ....")
		}},
		{"it is given up without a grudge when it does not come", func(s *stage) {
			s.asked("a")
			a := s.p.peers[0]
			s.want("")
			s.want("0!")
			s.pass(1500 * ms)
			s.late()
			s.pick()
			if a.snubbed || a.keeps != 410*ms {
				s.t.Errorf("snubbed %v, keeps %v", a.snubbed, a.keeps)
			}
			s.is("aaaa  ....  ....")
			if a := s.recv("a", 0, 0); !a.Asked || !a.Useful {
				s.t.Errorf("%+v", a)
			}
		}},
		{"it is not asked twice of one peer", func(s *stage) {
			s.asked("a")
			s.p.SetChoking(0, false, false)
			s.want("")
			s.want("0@0")
			s.p.SetMaxQueue(0, 8)
			s.pick()
			s.is("....  ....  ....")
			s.pass(time.Minute)
			s.pick()
			s.is("aaaa  ....  ....")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(newStage(t, 3)) })
	}
}

// asked has a asked for piece 0.
func (s *stage) asked(name string) {
	s.peer(name, 100, 400*ms)
	s.want("0!")
	s.pick()
}

func TestRefusals(t *testing.T) {
	tests := []struct {
		name string
		run  func(s *stage)
	}{
		{"reject: another is asked, and this one not again for the piece", func(s *stage) {
			s.asked("a")
			s.reject("a", 0, 1)
			s.pick()
			s.is("a.aa  ....  ....")
			s.peer("b", 1, 400*ms)
			s.pick()
			s.is("abaa  ....  ....")
			s.want("0! 1!")
			s.pick()
			s.is("abaa  a...  ....")
		}},
		{"until it announces the piece anew", func(s *stage) {
			s.asked("a")
			s.reject("a", 0, 1)
			s.p.SetHave(0, 0, true)
			s.pick()
			s.is("aaaa  ....  ....")
		}},
		{"reject of what was cancelled means nothing", func(s *stage) {
			s.asked("a")
			s.want("")
			for i := range 4 {
				s.reject("a", 0, i)
			}
			s.want("0!")
			s.pick()
			s.is("aaaa  ....  ....")
		}},
		{"reject of what was not asked means nothing", func(s *stage) {
			s.asked("a")
			s.reject("a", 1, 0)
			s.reject("a", 0, 99)
			s.p.Rejected(9, Block{0, 0})
			s.want("0! 1@0")
			s.p.SetMaxQueue(0, 8)
			s.pick()
			s.is("aaaa  aaaa  ....")
		}},
		{"choke: everything is free at once", func(s *stage) {
			s.asked("a")
			s.p.SetChoking(0, true, false)
			s.pick()
			s.is("....  ....  ....")
			s.peer("b", 10, 400*ms)
			s.pick()
			s.is("bbbb  ....  ....")
			s.p.SetChoking(0, false, false)
			s.want("0! 1!")
			s.pick()
			s.is("bbbb  aaaa  ....")
		}},
		{"choke by a peer that rejects each: room when it has", func(s *stage) {
			s.asked("a")
			s.p.SetChoking(0, true, true)
			s.is("....  ....  ....")
			s.p.SetChoking(0, false, true)
			s.want("1@0")
			s.pick()
			s.is("....  ....  ....")
			for i := range 4 {
				s.reject("a", 0, i)
			}
			s.pick()
			s.is("....  aaaa  ....")
			s.want("0@0")
			s.pass(time.Minute)
			s.pick() // it did not mean that it lacks the piece
			s.is("aaaa  ....  ....")
		}},
		{"a block that was on its way when the choke came", func(s *stage) {
			s.asked("a")
			s.p.SetChoking(0, true, true)
			if a := s.recv("a", 0, 2); !a.Useful {
				s.t.Errorf("%+v", a)
			}
			s.is("..#.  ....  ....")
		}},
		{"or after a choke that made it void", func(s *stage) {
			s.asked("a")
			s.p.SetChoking(0, true, false)
			if a := s.recv("a", 0, 2); !a.Asked || !a.Useful {
				s.t.Errorf("%+v", a)
			}
			s.is("..#.  ....  ....")
		}},
		{"allowed fast: asked although it chokes us", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetChoking(0, true, true)
			s.p.AllowFast(0, 1, true)
			s.want("0! 1!")
			s.pick()
			s.is("....  aaaa  ....")
			s.p.SetChoking(0, true, true) // again: they stay
			s.is("....  aaaa  ....")
			if s.p.CanDeliver(0, 0) || !s.p.CanDeliver(0, 1) {
				s.t.Error("CanDeliver does not know")
			}
		}},
		{"allowed fast and rejected all the same", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetChoking(0, true, true)
			s.p.AllowFast(0, 1, true)
			s.want("1!")
			s.pick()
			s.reject("a", 1, 0)
			s.pick()
			s.is("....  .aaa  ....")
			s.p.SetChoking(0, false, true)
			s.p.SetMaxQueue(0, 8)
			s.pick()
			s.is("....  aaaa  ....")
		}},
		{"allowed fast for a piece that it lacks", func(s *stage) {
			s.peer("a", 100, 400*ms)
			s.p.SetChoking(0, true, true)
			s.p.SetHave(0, 1, false)
			s.p.AllowFast(0, 1, true)
			s.want("1!")
			s.pick()
			s.is("....  ....  ....")
		}},
		{"the peer is gone", func(s *stage) {
			s.asked("a")
			s.pass(410 * ms)
			s.recv("a", 0, 0)
			s.p.RemovePeer(0)
			s.is("#...  ....  ....")
			s.peer("b", 10, 400*ms)
			s.pick()
			s.is("#bbb  ....  ....")
			s.p.RemovePeer(0)
		}},
		{"the peer lost the piece", func(s *stage) {
			s.asked("a")
			s.p.SetHave(0, 0, false)
			s.is("aaaa  ....  ....") // it may answer what it was asked
			s.p.RemovePeer(0)
			s.is("....  ....  ....")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(newStage(t, 3)) })
	}
}

func TestWrongHash(t *testing.T) {
	tests := []struct {
		name string
		run  func(s *stage)
	}{
		{"the blocks of one are asked of another", func(s *stage) {
			s.complete()
			s.p.Refetch(0, 1, Rule{Avoid: []PeerID{1}})
			s.p.Refetch(0, 3, Rule{Avoid: []PeerID{1}})
			s.is("#.#.  ....  ....")
			s.pick()
			s.is("#a#a  ....  ....")
		}},
		{"each of those of the other", func(s *stage) {
			s.complete()
			for i := range 4 {
				s.p.Refetch(0, i, Rule{Avoid: []PeerID{PeerID(i % 2)}})
			}
			s.pick()
			s.is("baba  ....  ....")
		}},
		{"of the same if nobody else is left", func(s *stage) {
			s.complete()
			s.p.RemovePeer(0)
			s.p.Refetch(0, 1, Rule{Avoid: []PeerID{1}})
			s.p.Refetch(0, 3, Rule{Avoid: []PeerID{1}})
			s.pick()
			s.is("#b#b  ....  ....")
		}},
		{"only of one", func(s *stage) {
			s.complete()
			s.peer("c", 1000, 10*ms)
			for i := range 4 {
				s.p.Refetch(0, i, Rule{Only: []PeerID{1}})
			}
			s.pick()
			s.is("bbbb  ....  ....")
			s.pass(100 * ms)
			s.late() // c is idle, and could be sooner
			s.is("bbbb  ....  ....")
			s.p.SetChoking(1, true, false)
			s.pick()
			s.is("cccc  ....  ....")
		}},
		{"what is there is not asked for twice", func(s *stage) {
			s.complete()
			for range 3 {
				s.p.Refetch(0, 1, Rule{Avoid: []PeerID{1}})
			}
			s.is("#.##  ....  ....")
		}},
		{"a piece that is not there", func(s *stage) {
			s.p.Refetch(1, 0, Rule{})
			s.is("....  ....  ....")
		}},
		{"forgotten: all of it anew", func(s *stage) {
			s.complete()
			s.p.Forget(0)
			s.is("....  ....  ....")
			s.pick()
			s.is("abab  ....  ....")
		}},
		{"the blame of strangers ends with the piece", func(s *stage) {
			s.complete()
			s.p.SetMaxQueue(0, 8)
			s.want("0@0 1@0 2@0")
			s.p.RemovePeer(1)
			s.pick()
			s.is("####  aaaa  ....")
			s.p.Forget(0)
			s.p.SetHave(0, 0, false)
			s.pick()
			s.is("....  aaaa  aaaa")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(newStage(t, 3)) })
	}
}

// complete has piece 0 fetched from a and b by turns.
func (s *stage) complete() {
	s.peer("a", 100, 400*ms)
	s.peer("b", 100, 400*ms)
	s.want("0!")
	s.pick()
	s.is("abab  ....  ....")
	s.pass(410 * ms)
	for i := range 4 {
		s.recv([]string{"a", "b"}[i%2], 0, i)
	}
	s.is("####  ....  ....")
}

func TestPartialAndLink(t *testing.T) {
	s := newStage(t, 3)
	s.peer("a", 100, 400*ms)
	s.peer("b", 100, 400*ms)
	s.want("0!")
	s.pick()
	s.recv("a", 0, 0)
	if got, want := fmt.Sprint(s.p.Partial(0)), fmt.Sprint(Partial{Blocks: 4, Received: 1, Asked: 3, From: []PeerID{1, 0}}); got != want {
		t.Errorf("partial %v, want %v", got, want)
	}
	if got, want := fmt.Sprint(s.p.Partial(2)), fmt.Sprint(Partial{Blocks: 4}); got != want {
		t.Errorf("partial %v, want %v", got, want)
	}
	if l := s.p.Link(1); l.Rate != 100*BlockSize || l.RTT != 400*ms || l.Queue != 2 || l.Depth != 4 || l.Snubbed {
		t.Errorf("link %+v", l)
	}
	if l := s.p.Link(9); l != (Link{}) {
		t.Errorf("link of nobody %+v", l)
	}
	if !s.p.HasMissing(0) || s.p.HasMissing(9) {
		t.Error("HasMissing is wrong")
	}
	for i := range 3 {
		s.p.Forget(i)
		s.p.SetHad(i, true)
	}
	if s.p.HasMissing(0) || s.p.HadCount() != 3 {
		t.Error("HasMissing is wrong when all is had")
	}
}
