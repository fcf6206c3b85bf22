package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/swarm/wire"
)

func TestEventsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, in, theirs := pipe(t, Config{})
		start := time.Now()
		msgs := []wire.Message{
			{ID: wire.Bitfield, Data: []byte{0x80}},
			{ID: wire.KeepAlive},
			{ID: wire.Unchoke},
			{ID: wire.Piece, Index: 1, Begin: 2, Length: 3, Data: []byte("abc")},
			{ID: wire.Extended, ExtID: 1, Data: []byte("de")},
			{ID: wire.Choke},
		}
		theirs.Write(encode(msgs[:3]...))
		time.Sleep(time.Second)
		theirs.Write(encode(msgs[3:]...))
		theirs.Close()
		synctest.Wait()
		events := in.take()
		msgs = append(msgs[:1], msgs[2:]...) // keep-alives are not reported
		if len(events) != len(msgs)+1 {
			t.Fatalf("%d events, want %d", len(events), len(msgs)+1)
		}
		for i, want := range msgs {
			e := events[i]
			if e.Kind != Received || e.Msg.String() != want.String() || !bytes.Equal(e.Msg.Data, want.Data) {
				t.Errorf("event %d: %v %v, want %v", i, e.Kind, e.Msg, want)
			}
			if after := e.At.Sub(start); after != time.Duration(min(i/2, 1))*time.Second {
				t.Errorf("event %d came after %v", i, after)
			}
		}
		if last := events[len(msgs)]; last.Kind != Closed || last.Err != io.EOF {
			t.Errorf("last event: %v %v", last.Kind, last.Err)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, in, theirs := pipe(t, Config{IdleTimeout: time.Hour})
		start := time.Now()
		expect := func(after time.Duration, want wire.Message) {
			t.Helper()
			buf := make([]byte, 100)
			n, err := theirs.Read(buf)
			if err != nil || !bytes.Equal(buf[:n], encode(want)) {
				t.Fatalf("read %x, %v; want %v", buf[:n], err, want)
			}
			if got := time.Since(start); got != after {
				t.Errorf("%v came after %v, want %v", want, got, after)
			}
		}
		alive := wire.Message{ID: wire.KeepAlive}
		expect(100*time.Second, alive)
		expect(200*time.Second, alive)
		// A message starts the time anew.
		time.AfterFunc(70*time.Second, func() { c.Send(wire.Message{ID: wire.Unchoke}) })
		expect(270*time.Second, wire.Message{ID: wire.Unchoke})
		expect(370*time.Second, alive)
		if events := in.take(); len(events) != 0 {
			t.Errorf("events: %v", events)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, in, theirs := pipe(t, Config{})
		go io.Copy(io.Discard, theirs)
		start := time.Now()
		for range 3 { // keep-alives do keep it alive, and so does half a message
			time.Sleep(140 * time.Second)
			theirs.Write(encode(wire.Message{ID: wire.KeepAlive}))
		}
		time.Sleep(140 * time.Second)
		theirs.Write([]byte{0})
		time.Sleep(200 * time.Second)
		e := in.only(t)
		if e.Kind != Closed || e.Err != ErrIdle {
			t.Errorf("%v %v", e.Kind, e.Err)
		}
		if got, want := e.At.Sub(start), (4*140+150)*time.Second; got != want {
			t.Errorf("closed after %v, want %v", got, want)
		}
	})
}

func TestWriteStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, in, theirs := pipe(t, Config{})
		released := 0
		time.Sleep(time.Minute)
		start := time.Now()
		c.SendPiece(0, 0, make([]byte, wire.BlockSize), func() { released++ })
		io.ReadFull(theirs, make([]byte, 100)) // then it reads no more
		time.Sleep(time.Minute)
		e := in.only(t)
		if e.Kind != Closed || e.Err != ErrStalled || e.At.Sub(start) != 30*time.Second {
			t.Errorf("%v %v after %v", e.Kind, e.Err, e.At.Sub(start))
		}
		if released != 1 {
			t.Errorf("released %d times", released)
		}
	})
}

// TestReaderWaitsForOwner: while the owner is busy nothing is read, and time does not count against the peer.
func TestReaderWaitsForOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := New(NewLink(ours, wire.Handshake{}), Config{KeepAlive: time.Hour})
		events := make(slowInbox)
		c.Start(events)
		theirs.Write(encode(wire.Message{ID: wire.Unchoke}))
		blocked := make(chan time.Duration)
		start := time.Now()
		go func() {
			for i := range uint32(1000) { // more than the decoder buffers in between
				theirs.Write(encode(wire.Message{ID: wire.Have, Index: i}))
			}
			blocked <- time.Since(start)
		}()
		time.Sleep(10 * time.Minute)
		for i := range 1001 {
			if e := <-events; e.Kind != Received || i > 0 && int(e.Msg.Index) != i-1 {
				t.Fatalf("event %d: %v %v %v", i, e.Kind, e.Msg, e.Err)
			}
		}
		if took := <-blocked; took != 10*time.Minute {
			t.Errorf("the peer was blocked for %v", took)
		}
		c.Close(nil)
		if e := <-events; e.Kind != Closed || e.Err != nil {
			t.Errorf("last event %v %v", e.Kind, e.Err)
		}
		c.Wait()
		theirs.Close()
	})
}

// slowInbox waits until the test takes the event.
type slowInbox chan Event

func (in slowInbox) Post(e Event) bool { in <- e; return true }

func TestCloseOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, in, theirs := pipe(t, Config{})
		first := errors.New("first")
		c.Close(first)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { c.Close(errors.New("later")) })
		}
		wg.Wait()
		c.Wait()
		<-c.Done()
		if e := in.only(t); e.Kind != Closed || e.Err != first || e.Conn != c {
			t.Errorf("%v %v", e.Kind, e.Err)
		}
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other side sees %v", err)
		}
		c.Send(wire.Message{ID: wire.Unchoke}) // does nothing
		c.Flush()
		if c.Buffered() != 0 {
			t.Errorf("%d bytes buffered", c.Buffered())
		}
	})
}

func TestCloseBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		c := New(NewLink(ours, wire.Handshake{}), Config{})
		var released atomic.Int32
		c.SendPiece(0, 0, []byte("data"), func() { released.Add(1) })
		c.Close(io.ErrClosedPipe)
		synctest.Wait()
		if _, err := theirs.Write([]byte{0}); err == nil {
			t.Error("the stream is open")
		}
		in := &inbox{}
		c.Start(in)
		c.Wait()
		if e := in.only(t); e.Kind != Closed || e.Err != io.ErrClosedPipe {
			t.Errorf("%v %v", e.Kind, e.Err)
		}
		if released.Load() != 1 {
			t.Errorf("released %d times", released.Load())
		}
	})
}

func TestClosedByPeer(t *testing.T) {
	tests := []struct {
		name string
		send []byte
		want error
	}{
		{"between messages", encode(wire.Message{ID: wire.KeepAlive}), io.EOF},
		{"inside a message", []byte{0, 0, 0, 5, 4}, io.ErrUnexpectedEOF},
		{"malformed", []byte{0xff, 0xff, 0xff, 0xff}, wire.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, in, theirs := pipe(t, Config{})
				theirs.Write(tt.send)
				theirs.Close()
				c.Wait()
				if e := in.only(t); e.Kind != Closed || !errors.Is(e.Err, tt.want) {
					t.Errorf("%v %v", e.Kind, e.Err)
				}
			})
		})
	}
}

// TestOwnerGone: when Post refuses, the connection ends, and the block of the message is not lost.
func TestOwnerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, in, theirs := pipe(t, Config{})
		in.mu.Lock()
		in.refuse = true
		in.mu.Unlock()
		theirs.Write(encode(wire.Message{ID: wire.Piece, Data: []byte("abc")}))
		c.Wait()
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other side sees %v", err)
		}
	})
}

func TestOwnerGoneWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, in, theirs := pipe(t, Config{})
		in.mu.Lock()
		in.refuse = true
		in.mu.Unlock()
		go io.Copy(io.Discard, theirs)
		c.SendPiece(0, 0, []byte("abc"), nil) // Drained is refused
		c.Wait()
	})
}

func TestRemoteAddr(t *testing.T) {
	a, b := tcpPair(t)
	c := New(NewLink(a, alice), Config{})
	if got := c.RemoteAddr().String(); got != b.LocalAddr().String() {
		t.Errorf("remote %v, want %v", got, b.LocalAddr())
	}
	if c.LocalAddr() != a.LocalAddr() || c.Theirs() != alice {
		t.Errorf("local %v, handshake %v", c.LocalAddr(), c.Theirs())
	}
	pipe, _ := net.Pipe()
	if got := New(NewLink(pipe, alice), Config{}).RemoteAddr(); got.IsValid() {
		t.Errorf("a pipe has the address %v", got)
	}
}

func TestEventKindString(t *testing.T) {
	if s := Received.String() + Drained.String() + Closed.String(); s != "receiveddrainedclosed" {
		t.Error(s)
	}
}
