package peer

import (
	"testing"

	"magnetfs/swarm/wire"
)

// chanInbox is the inbox of a loop.
type chanInbox chan Event

func (in chanInbox) Post(e Event) bool { in <- e; return true }

// BenchmarkTransfer moves blocks over TCP on loopback from one Conn to another, with a request for each: both ends of
// a download. The queue of requests is 64 deep.
func BenchmarkTransfer(b *testing.B) {
	x, y := tcpPair(b)
	seeds, leeches := make(chanInbox, 256), make(chanInbox, 256)
	seed := New(NewLink(x, wire.Handshake{}), Config{})
	leech := New(NewLink(y, wire.Handshake{}), Config{})
	seed.Start(seeds)
	leech.Start(leeches)
	go func() {
		data := make([]byte, wire.BlockSize)
		for e := range seeds {
			switch e.Kind {
			case Received:
				seed.SendPiece(e.Msg.Index, e.Msg.Begin, data, nil)
			case Closed:
				return
			}
		}
	}()
	request := wire.Message{ID: wire.Request, Length: wire.BlockSize}
	b.SetBytes(wire.BlockSize)
	b.ReportAllocs()
	b.ResetTimer()
	for range 64 {
		leech.Send(request)
	}
	for range b.N {
		e := <-leeches
		if e.Kind != Received {
			b.Fatal(e.Kind, e.Err)
		}
		wire.PutBlock(e.Msg.Data)
		leech.Send(request)
	}
	b.StopTimer()
	leech.Close(nil)
	for e := range leeches {
		if e.Kind == Closed {
			break
		}
	}
	leech.Wait()
	seed.Wait()
}

// BenchmarkSend is the cost for a loop of queueing one request.
func BenchmarkSend(b *testing.B) {
	x, y := tcpPair(b)
	c := New(NewLink(x, wire.Handshake{}), Config{ManualFlush: true})
	in := make(chanInbox, 16)
	c.Start(in)
	go func() {
		buf := make([]byte, 1<<20)
		for {
			if _, err := y.Read(buf); err != nil {
				return
			}
		}
	}()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		c.Send(wire.Message{ID: wire.Request, Index: 1, Begin: 2, Length: wire.BlockSize})
		if n++; n%1000 == 0 {
			c.Flush()
			for c.Buffered() > 500_000 {
			}
		}
	}
	c.Close(nil)
	c.Wait()
}
