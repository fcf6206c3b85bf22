package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/swarm/wire"
)

// TestManualFlushIsOneWrite: a burst leaves in one write, and not before Flush.
func TestManualFlushIsOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, theirs := pipe(t, Config{ManualFlush: true})
		msgs := []wire.Message{{ID: wire.Interested}, {ID: wire.Request, Length: 16384}, {ID: wire.Have, Index: 3}}
		for _, m := range msgs {
			c.Send(m)
			synctest.Wait()
		}
		c.SendPiece(5, 6, []byte("data"), nil)
		want := append(encode(msgs...), encode(wire.Message{ID: wire.Piece, Index: 5, Begin: 6, Data: []byte("data")})...)
		if c.Buffered() != len(want) || c.BytesWritten() != 0 {
			t.Errorf("%d bytes buffered, %d written, want %d", c.Buffered(), c.BytesWritten(), len(want))
		}
		c.Flush()
		buf := make([]byte, 1000)
		n, err := theirs.Read(buf) // one read takes of one write only
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("read %x, %v; want %x", buf[:n], err, want)
		}
		synctest.Wait()
		if c.Buffered() != 0 || int(c.BytesWritten()) != len(want) {
			t.Errorf("%d bytes buffered, %d written", c.Buffered(), c.BytesWritten())
		}
	})
}

// TestGatheredWhileWriting: without ManualFlush, what is sent during a write leaves in the next one.
func TestGatheredWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, theirs := pipe(t, Config{})
		c.Send(wire.Message{ID: wire.Interested})
		synctest.Wait() // the writer sleeps in Write
		for i := range uint32(10) {
			c.Send(wire.Message{ID: wire.Have, Index: i})
		}
		buf := make([]byte, 1000)
		for _, want := range []int{5, 90} {
			if n, err := theirs.Read(buf); n != want || err != nil {
				t.Errorf("read %d bytes, %v; want %d", n, err, want)
			}
		}
	})
}

func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, in, _ := pipe(t, Config{MaxQueue: 100})
		c.Send(wire.Message{ID: wire.Unchoke})
		synctest.Wait() // being written, so out of the queue
		c.SendPiece(0, 0, make([]byte, 100000), nil)
		for range 9 {
			c.Send(wire.Message{ID: wire.Have})
		}
		if c.ctx.Err() != nil {
			t.Fatal("closed too early")
		}
		c.Send(wire.Message{ID: wire.Have})
		c.Wait()
		if e := in.only(t); e.Kind != Closed || e.Err != ErrOverflow {
			t.Errorf("%v %v", e.Kind, e.Err)
		}
	})
}

// releases counts how often each of some pieces was released.
type releases []atomic.Int32

// send gives n pieces to c, in which byte i*7+index is at place i.
func (r releases) send(c *Conn, size int) {
	for i := range r {
		data := make([]byte, size)
		for k := range data {
			data[k] = byte(k*7 + i)
		}
		c.SendPiece(uint32(i), 16384, data, func() { r[i].Add(1) })
	}
}

func (r releases) check(t *testing.T, from, to int, want int32) {
	t.Helper()
	for i := from; i < to; i++ {
		if got := r[i].Load(); got != want {
			t.Errorf("piece %d released %d times, want %d", i, got, want)
		}
	}
}

// TestReleaseOnce: each piece is released exactly once, when it was written or when the connection ends.
func TestReleaseOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, theirs := pipe(t, Config{ManualFlush: true})
		r := make(releases, 10)
		r[:9].send(c, wire.BlockSize)
		synctest.Wait()
		r.check(t, 0, 9, 0) // nothing is written yet
		c.Flush()
		frame := wire.BlockSize + 13
		if _, err := io.ReadFull(theirs, make([]byte, 4*frame)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.check(t, 5, 9, 0)
		c.Close(nil)
		c.Wait()
		r.check(t, 0, 9, 1)
		r[9:].send(c, 1) // after the end
		r.check(t, 9, 10, 1)
		c.SendPiece(0, 0, nil, nil)
	})
}

// checkStream reads the pieces of releases.send, with messages before and after, and closes the stream.
func checkStream(t *testing.T, theirs net.Conn, count, size int) {
	t.Helper()
	d := wire.NewDecoder(theirs, 0)
	next := func() wire.Message {
		var m wire.Message
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next(); m.ID != wire.Unchoke {
		t.Errorf("first message %v", m)
	}
	for i := range count {
		m := next()
		if m.ID != wire.Piece || int(m.Index) != i || m.Begin != 16384 || int(m.Length) != size {
			t.Fatalf("message %d: %v", i, m)
		}
		for k, b := range m.Data {
			if b != byte(k*7+i) {
				t.Fatalf("piece %d: wrong byte at %d", i, k)
			}
		}
		wire.PutBlock(m.Data)
	}
	if m := next(); m.ID != wire.Choke {
		t.Errorf("last message %v", m)
	}
}

// TestSendPieces sends pieces of many sizes, all at once, over streams of both kinds.
func TestSendPieces(t *testing.T) {
	streams := map[string]func(t *testing.T) (net.Conn, net.Conn){
		"TCP":  func(t *testing.T) (net.Conn, net.Conn) { return tcpPair(t) },
		"pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	}
	for name, stream := range streams {
		for _, size := range []int{0, 1, 5000, wire.BlockSize - 13, wire.BlockSize} {
			t.Run(name, func(t *testing.T) {
				ours, theirs := stream(t)
				c := New(NewLink(ours, wire.Handshake{}), Config{ManualFlush: true})
				in := &inbox{}
				c.Start(in)
				c.Send(wire.Message{ID: wire.Unchoke})
				r := make(releases, 50)
				r.send(c, size)
				c.Send(wire.Message{ID: wire.Choke})
				want := 5 + 50*(13+size) + 5
				if got := c.Buffered(); got != want {
					t.Errorf("%d bytes buffered, want %d", got, want)
				}
				c.Flush()
				checkStream(t, theirs, len(r), size)
				theirs.Close()
				c.Wait()
				r.check(t, 0, len(r), 1)
				if c.Buffered() != 0 {
					t.Errorf("%d bytes buffered at the end", c.Buffered())
				}
				drained := 0
				for _, e := range in.take() {
					if e.Kind == Drained {
						drained++
					}
				}
				if drained == 0 {
					t.Error("no Drained")
				}
			})
		}
	}
}

// TestDrained: it is posted after each write that finished a piece and left at most LowWater, never for messages alone.
func TestDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, in, theirs := pipe(t, Config{ManualFlush: true, LowWater: 20000})
		c.Send(wire.Message{ID: wire.Unchoke})
		c.Flush()
		theirs.Read(make([]byte, 100))
		synctest.Wait()
		if events := in.take(); len(events) != 0 {
			t.Errorf("without a piece: %v", events[0].Kind)
		}
		make(releases, 4).send(c, wire.BlockSize) // 65588 bytes: two writes of 32 KiB, one of 52 bytes
		c.Flush()
		for i, tt := range []struct{ read, events int }{{plainWrite, 0}, {plainWrite - 1, 0}, {1, 1}, {51, 0}, {1, 1}} {
			io.ReadFull(theirs, make([]byte, tt.read))
			synctest.Wait()
			events := in.take()
			if len(events) != tt.events || len(events) > 0 && events[0].Kind != Drained {
				t.Errorf("read %d: %d events, want %d", i, len(events), tt.events)
			}
		}
	})
}

// TestStallNeedsNoProgress: on TCP a write that runs into its deadline goes on as long as something was accepted. The
// stream here takes step bytes for each deadline.
func TestStallNeedsNoProgress(t *testing.T) {
	for _, single := range []bool{true, false} {
		ours, theirs := net.Pipe()
		s := &steppedConn{Conn: ours, step: 7}
		c := New(NewLink(s, wire.Handshake{}), Config{})
		w := &writer{conn: c, vector: true}
		want := encode(wire.Message{ID: wire.Bitfield, Data: make([]byte, 100)})
		c.Send(wire.Message{ID: wire.Bitfield, Data: make([]byte, 100)})
		if !single {
			c.SendPiece(1, 2, make([]byte, 1000), nil)
			c.Send(wire.Message{ID: wire.Choke})
			want = append(want, encode(wire.Message{ID: wire.Piece, Index: 1, Begin: 2, Data: make([]byte, 1000)}, wire.Message{})...)
		}
		c.take(&w.q)
		w.inbox = &inbox{}
		if err := w.writeQueue(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.got, want) {
			t.Errorf("wrote %x, want %x", s.got, want)
		}
		w.dropQueue()
		s.step = 0
		c.Send(wire.Message{ID: wire.Choke})
		c.take(&w.q)
		if err := w.writeQueue(); err != ErrStalled {
			t.Errorf("without progress: %v", err)
		}
		ours.Close()
		theirs.Close()
	}
}

// steppedConn accepts step bytes each time that the deadline is set, and then reports that it has passed.
type steppedConn struct {
	net.Conn
	step, left int
	got        []byte
}

func (s *steppedConn) SetWriteDeadline(time.Time) error {
	s.left = s.step
	return nil
}

func (s *steppedConn) Write(p []byte) (int, error) {
	n := min(len(p), s.left)
	s.got = append(s.got, p[:n]...)
	s.left -= n
	if n < len(p) {
		return n, os.ErrDeadlineExceeded
	}
	return n, nil
}

// TestTCPStall is the same against a real peer that does not read.
func TestTCPStall(t *testing.T) {
	ours, _ := tcpPair(t)
	c := New(NewLink(ours, wire.Handshake{}), Config{StallTimeout: 50 * time.Millisecond})
	in := &inbox{}
	c.Start(in)
	r := make(releases, 3000) // far more than the buffers of the kernel
	data := make([]byte, wire.BlockSize)
	for i := range r {
		c.SendPiece(0, 0, data, func() { r[i].Add(1) })
	}
	c.Wait()
	events := in.take()
	if last := events[len(events)-1]; last.Kind != Closed || !errors.Is(last.Err, ErrStalled) {
		t.Errorf("%v %v", last.Kind, last.Err)
	}
	r.check(t, 0, len(r), 1)
}
