package peer

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"magnetfs/swarm/wire"
)

// TestGather sends messages in segments of all sizes. Each has to be handed out when its last byte is there, although
// nothing follows it, whatever the reader waited for before.
func TestGather(t *testing.T) {
	here, there := tcpPair(t)
	dec := newLink(here).dec
	rng := rand.New(rand.NewPCG(1, 2))
	block := bytes.Repeat([]byte("0123456789abcdef"), wire.BlockSize/16)
	for i := range uint32(200) {
		want := wire.Message{ID: wire.Have, Index: i}
		if rng.IntN(2) == 0 {
			n := 1 + rng.IntN(wire.BlockSize)
			want = wire.Message{ID: wire.Piece, Index: i, Length: uint32(n), Data: block[:n]}
		}
		sent := make(chan error, 1)
		go func() {
			rest, err := want.Append(nil), error(nil)
			for len(rest) > 0 && err == nil {
				n := min(len(rest), 1+rng.IntN(4000))
				_, err = there.Write(rest[:n])
				rest = rest[n:]
			}
			sent <- err
		}()
		var got wire.Message
		if err := dec.Decode(&got); err != nil {
			t.Fatal(err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if got.ID != want.ID || got.Index != want.Index || !bytes.Equal(got.Data, want.Data) {
			t.Fatalf("message %d: got %v of %d bytes, want %v of %d", i, got.ID, len(got.Data), want.ID, len(want.Data))
		}
	}
}

// TestGatherSleeps looks at what a reader gets that can do nothing before it has 10,000 bytes.
func TestGatherSleeps(t *testing.T) {
	here, there := tcpPair(t)
	g := newGatherer(here)
	type result struct {
		n   int
		err error
	}
	got := make(chan result, 1)
	go func() {
		n, err := g.read(make([]byte, 64<<10), 10_000)
		got <- result{n, err}
	}()
	part := make([]byte, 1000)
	for range 10 {
		select {
		case r := <-got:
			t.Fatalf("woken with %d bytes, %v", r.n, r.err)
		case <-time.After(time.Millisecond): // let it fall asleep; it proves nothing if it does not
		}
		if _, err := there.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	if r := <-got; r.err != nil || r.n != 10_000 {
		t.Errorf("got %d bytes, %v", r.n, r.err)
	}
}

// TestGatherEnds ends a stream in the middle of what the reader waits for.
func TestGatherEnds(t *testing.T) {
	half := wire.Message{ID: wire.Piece, Length: wire.BlockSize, Data: make([]byte, wire.BlockSize)}.Append(nil)[:8000]
	tests := []struct {
		name string
		end  func(here, there net.Conn) error
		want error
	}{
		{"the peer closes", func(_, there net.Conn) error { return there.Close() }, io.ErrUnexpectedEOF},
		{"time is over", func(here, _ net.Conn) error { return here.SetReadDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		{"we close", func(here, _ net.Conn) error { return here.Close() }, net.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			here, there := tcpPair(t)
			dec := newLink(here).dec
			got := make(chan error, 1)
			go func() {
				var m wire.Message
				got <- dec.Decode(&m)
			}()
			for part := range slices.Chunk(half, 1000) {
				if _, err := there.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			if err := tt.end(here, there); err != nil {
				t.Fatal(err)
			}
			if err := <-got; !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}
