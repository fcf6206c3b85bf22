package picker

import (
	"fmt"
	"testing"
	"time"
)

// benchSim has peers whose rates are known, and a reader with a window of 32 pieces.
func benchSim(b *testing.B, peers int, rate float64) (*sim, *simReader) {
	s := newSim(b, 64<<30, mib)
	for range peers {
		s.proven(rate, 40*ms)
	}
	r := s.reader(&simReader{end: s.Pieces(), ahead: 32})
	s.runFor(2 * time.Second)
	return s, r
}

// BenchmarkPick looks for work while all queues are full: what most events cost.
func BenchmarkPick(b *testing.B) {
	for _, peers := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("%d peers", peers), func(b *testing.B) {
			s, _ := benchSim(b, peers, 10*mbit)
			var out []Request
			b.ReportAllocs()
			for b.Loop() {
				out = s.Pick(s.now, out[:0])
			}
			if len(out) > 0 {
				b.Fatalf("%d requests though the queues are full", len(out))
			}
		})
	}
}

// BenchmarkPickRoom looks for work while one slow peer has room and would delay
// every block: the longest walk.
func BenchmarkPickRoom(b *testing.B) {
	s, _ := benchSim(b, 49, 10*mbit)
	slow := s.proven(1e3, 40*ms)
	pr := s.Picker.peers[slow.id]
	pr.link.bytes, pr.link.busy = 1e3, 1
	var out []Request
	b.ReportAllocs()
	for b.Loop() {
		pr.skipUntil = time.Time{}
		out = s.Pick(s.now, out[:0])
	}
}

// BenchmarkBlock is all that a block costs: it is received, and the next is asked.
// Pieces are verified and the window moves on, as in a stream.
func BenchmarkBlock(b *testing.B) {
	for _, c := range []struct {
		peers int
		rate  float64
	}{{1, 1000 * mbit}, {10, 10 * mbit}, {50, 10 * mbit}} {
		b.Run(fmt.Sprintf("%d peers", c.peers), func(b *testing.B) {
			s, r := benchSim(b, c.peers, c.rate)
			var out []Request
			b.SetBytes(BlockSize)
			b.ReportAllocs()
			for b.Loop() {
				s.now = s.now.Add(seconds(BlockSize / (c.rate * float64(c.peers))))
				// The block that was asked first.
				var oldest *request
				for _, p := range s.order {
					if q := p.oldest(); q != nil && (oldest == nil || q.sent.Before(oldest.sent)) {
						oldest = q
					}
				}
				a := s.Received(oldest.peer.id, oldest.block, s.now)
				if a.Complete {
					s.Verified(oldest.block.Piece, nil)
					if oldest.block.Piece == r.next {
						for s.Had(r.next) {
							r.next++
						}
						r.playAt = s.now
						s.SetWants(r.wants(s), s.now)
					}
				}
				out = s.Pick(s.now, out[:0])
				if r.next > s.Pieces()-100 {
					b.StopTimer()
					s, r = benchSim(b, c.peers, c.rate)
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkLate looks for late blocks when none is.
func BenchmarkLate(b *testing.B) {
	s, _ := benchSim(b, 50, 10*mbit)
	var out []Request
	b.ReportAllocs()
	for b.Loop() {
		out, _ = s.Late(s.now, out[:0])
	}
}
