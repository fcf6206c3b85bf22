package utp

import (
	"bytes"
	"testing"
	"time"
)

// FuzzStream: strangers and a peer send anything to a socket that accepts, dials
// and writes; nothing breaks, and all that is bounded stays so.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 4, 0, 1, 0, 0, 1, 0, 0, 2, 3, 255, 255, 9, 9, 1})
	f.Add(bytes.Repeat([]byte{1, 2, 3, 4, 5, 250}, 40))
	f.Fuzz(func(t *testing.T, in []byte) {
		g := newStage(t, Config{Window: 32 << 10, MaxConns: 10, MaxHalfOpen: 4})
		p := g.asks(100, 65000)
		d := g.o.dial(g.now, peerAddr)
		g.o.flush(g.now)
		dialled := &peerOf{g: g, s: d, id: d.recvID, seq: 9, ack: d.una}
		next := func() byte {
			if len(in) == 0 {
				return 0
			}
			b := in[0]
			in = in[1:]
			return b
		}
		for len(in) > 0 {
			who := p
			op := next()
			if op&1 != 0 {
				who = dialled
			}
			switch op >> 1 & 7 {
			case 0, 1, 2: // a packet, right or a little wrong
				q := who.packet(kind(next() % 5))
				q.seq += uint16(int8(next()))
				q.ack = who.s.una + uint16(int8(next()))
				q.window = uint32(next()) << 8
				q.diff = uint32(next()) << 12
				if n := int(next()) % 8; n > 0 {
					for range n {
						q.sack = append(q.sack, next())
					}
				}
				if q.kind == kindData {
					q.payload = bytes.Repeat([]byte{next()}, int(next())*8)
				}
				g.gets(q)
			case 3: // bytes
				n := min(len(in), 20+int(next()%32))
				g.o.datagram(g.now, in[:min(n, len(in))], peerAddr)
				in = in[min(n, len(in)):]
			case 4:
				g.after(time.Duration(next()) * 20 * time.Millisecond)
			case 5:
				if c := who.s.conn; c.limit > c.out.size { // or it would wait
					c.Write(make([]byte, min(c.limit-c.out.size, int(next())*64)))
				}
			case 6:
				who.read()
				g.o.kicked(who.s)
			case 7:
				if next() > 200 {
					who.s.conn.Close()
				}
			}
			g.o.flush(g.now)
			g.o.out.reset()
			check(t, g.o)
		}
	})
}

// check looks for broken invariants.
func check(t *testing.T, o *owner) {
	t.Helper()
	early := 0
	for _, s := range o.streams {
		pipe, unacked, lost := 0, 0, 0
		for _, p := range s.flight {
			if s.phase == synSent {
				break
			}
			unacked += p.size
			if p.lost {
				lost++
			} else if !p.acked {
				pipe += p.size
			}
		}
		if pipe != s.pipe || unacked != s.unacked || lost != s.lost {
			t.Fatalf("pipe %d (%d), unacked %d (%d), lost %d (%d)", s.pipe, pipe, s.unacked, unacked, s.lost, lost)
		}
		if s.phase == established && int(s.seq-s.una) != len(s.flight) {
			t.Fatalf("packets %d to %d, %d in flight", s.una, s.seq, len(s.flight))
		}
		if c := s.conn; c.out.size < s.unacked || c.in.size > o.window+windowSlack || s.early.bytes > o.window {
			t.Fatalf("out %d, unacked %d, in %d, early %d", c.out.size, s.unacked, c.in.size, s.early.bytes)
		}
		if w := s.cong.window; w < float64(s.cong.packet) || w > float64(s.cong.most) {
			t.Fatalf("window %v", w)
		}
		early += s.early.bytes
	}
	if o.reorder != maxReorder-early || len(o.streams) > o.cfg.MaxConns || len(o.halfOpen) > o.cfg.MaxHalfOpen {
		t.Fatalf("%d bytes early, %d left, %d streams, %d half-open", early, o.reorder, len(o.streams), len(o.halfOpen))
	}
}
