package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/swarm/wire"
)

var (
	hash  = [20]byte{1, 2, 3}
	alice = wire.Handshake{Reserved: wire.NewReserved(true), InfoHash: hash, PeerID: [20]byte{'a'}}
	bob   = wire.Handshake{Reserved: wire.NewReserved(false), InfoHash: hash, PeerID: [20]byte{'b'}}
)

// answer returns a known function for HandshakeIn that has one torrent.
func answer(ours wire.Handshake, extra ...byte) func(wire.Handshake) (Answer, bool) {
	return func(theirs wire.Handshake) (Answer, bool) {
		return Answer{Handshake: ours, Extra: extra}, theirs.InfoHash == ours.InfoHash
	}
}

// result of a handshake that runs in a goroutine.
type result struct {
	link *Link
	err  error
	took time.Duration
}

// run starts a handshake and sends its result.
func run(shake func() (*Link, error)) <-chan result {
	done := make(chan result, 1)
	start := time.Now()
	go func() {
		l, err := shake()
		done <- result{l, err, time.Since(start)}
	}()
	return done
}

// TestHandshakeBothSides also sends messages right behind both handshakes, far more than a buffer holds.
func TestHandshakeBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		var extra []byte
		for i := range uint32(3000) {
			extra = wire.Message{ID: wire.Have, Index: i}.Append(extra)
		}
		in := run(func() (*Link, error) { return HandshakeIn(t.Context(), b, answer(bob, extra...)) })
		out := run(func() (*Link, error) { return HandshakeOut(t.Context(), a, alice, extra) })
		// A net.Pipe holds nothing, so most of extra can leave only when both connections run.
		boxes := [2]inbox{}
		var conns [2]*Conn
		for range 2 {
			var r result
			side := 0
			select {
			case r = <-in:
			case r = <-out:
				side = 1
			}
			if r.err != nil {
				t.Fatal(r.err)
			}
			conns[side] = New(r.link, Config{})
			conns[side].Start(&boxes[side])
		}
		synctest.Wait()
		for side, want := range []wire.Handshake{alice, bob} {
			if got := conns[side].Theirs(); got != want {
				t.Errorf("side %d: handshake %v, want %v", side, got, want)
			}
			events := boxes[side].take()
			for i, e := range events {
				if e.Kind != Received || e.Msg.ID != wire.Have || int(e.Msg.Index) != i {
					t.Fatalf("side %d: event %d is %v %v %v", side, i, e.Kind, e.Msg, e.Err)
				}
			}
			if len(events) != 3000 {
				t.Errorf("side %d: %d messages", side, len(events))
			}
		}
		for _, c := range conns {
			c.Close(nil)
			c.Wait()
		}
	})
}

// TestHandshakeOutIsOneWrite: what is to follow the handshake costs no packet of its own.
func TestHandshakeOutIsOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		extra := encode(wire.Message{ID: wire.HaveNone}, wire.Message{ID: wire.Interested})
		out := run(func() (*Link, error) { return HandshakeOut(t.Context(), a, alice, extra) })
		buf := make([]byte, 1000)
		n, err := b.Read(buf) // one read takes of one write only
		if want := append(alice.Append(nil), extra...); err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("read %x, %v; want %x", buf[:n], err, want)
		}
		b.Write(bob.Append(nil))
		if r := <-out; r.err != nil {
			t.Error(r.err)
		} else {
			r.link.Close()
		}
	})
}

// TestHandshakeInAnswersEarly: the answer comes after 48 bytes, which is all that NAT checks of trackers send.
func TestHandshakeInAnswersEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		extra := encode(wire.Message{ID: wire.HaveAll})
		in := run(func() (*Link, error) { return HandshakeIn(t.Context(), b, answer(bob, extra...)) })
		full := alice.Append(nil)
		a.Write(full[:wire.HandshakeHashLen])
		got := make([]byte, wire.HandshakeLen+len(extra))
		if n, err := a.Read(got); err != nil || !bytes.Equal(got[:n], append(bob.Append(nil), extra...)) {
			t.Fatalf("answer %x, %v", got[:n], err)
		}
		// The peer id may come later, with messages behind it.
		time.Sleep(5 * time.Second)
		a.Write(append(full[wire.HandshakeHashLen:], encode(wire.Message{ID: wire.Unchoke})...))
		r := <-in
		if r.err != nil || r.link.Theirs != alice || r.took != 5*time.Second {
			t.Fatalf("%v after %v", r.err, r.took)
		}
		box := &inbox{}
		c := New(r.link, Config{})
		c.Start(box)
		synctest.Wait()
		if e := box.only(t); e.Msg.ID != wire.Unchoke {
			t.Errorf("got %v", e.Msg)
		}
		// The deadline of the handshake is gone.
		time.Sleep(HandshakeTimeout)
		if events := box.take(); len(events) != 0 {
			t.Errorf("then %v %v", events[0].Kind, events[0].Err)
		}
		c.Close(nil)
		c.Wait()
		a.Close()
	})
}

// TestHandshakeUpgrade: a hybrid torrent that was asked for by one hash may be answered by the other.
func TestHandshakeUpgrade(t *testing.T) {
	other := bob
	other.InfoHash[0]++
	for _, tt := range []struct {
		name string
		also [][20]byte
		want error
	}{
		{"the other", [][20]byte{other.InfoHash}, nil},
		{"a third", [][20]byte{{1, 2, 3}}, ErrInfoHash},
		{"it has no other", nil, ErrInfoHash},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				out := run(func() (*Link, error) { return HandshakeOut(t.Context(), a, alice, nil, tt.also...) })
				io.ReadFull(b, make([]byte, wire.HandshakeLen))
				b.Write(other.Append(nil))
				r := <-out
				if !errors.Is(r.err, tt.want) {
					t.Fatalf("%v, want %v", r.err, tt.want)
				}
				if r.err == nil {
					if r.link.Theirs.InfoHash != other.InfoHash {
						t.Error("not their hash")
					}
					r.link.Close()
				}
			})
		})
	}
}

func TestHandshakeFailures(t *testing.T) {
	other := bob
	other.InfoHash[0]++
	canceled := func(t *testing.T) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		return ctx
	}
	short := func(t *testing.T) context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	plain := func(t *testing.T) context.Context { return t.Context() }
	tests := []struct {
		name  string
		ctx   func(*testing.T) context.Context
		send  []byte // by the other side; it stays silent then, or hangs up
		hang  bool
		out   error // what HandshakeOut says; nil: not tried
		in    error // what HandshakeIn says; nil: not tried
		after time.Duration
	}{
		{"silence", plain, nil, false, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, HandshakeTimeout},
		{"half a handshake", plain, bob.Append(nil)[:30], false, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, HandshakeTimeout},
		{"no peer id", plain, bob.Append(nil)[:50], false, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded, HandshakeTimeout},
		{"hung up at once", plain, nil, true, io.EOF, io.EOF, 0},
		{"hung up in between", plain, bob.Append(nil)[:40], true, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, 0},
		{"not BitTorrent", plain, []byte("HTTP/1.1 400 Bad Request\r\n"), false, wire.ErrMalformed, wire.ErrMalformed, 0},
		{"other torrent", plain, other.Append(nil), false, ErrInfoHash, ErrUnknownInfoHash, 0},
		{"ourselves", plain, alice.Append(nil), false, ErrSelf, ErrSelf, 0},
		{"cancelled", canceled, nil, false, context.Canceled, context.Canceled, 3 * time.Second},
		{"shorter deadline", short, nil, false, nil, nil, 0},
	}
	shakes := map[string]func(context.Context, net.Conn) (*Link, error){
		"out": func(ctx context.Context, nc net.Conn) (*Link, error) { return HandshakeOut(ctx, nc, alice, nil) },
		"in":  func(ctx context.Context, nc net.Conn) (*Link, error) { return HandshakeIn(ctx, nc, answer(alice)) },
	}
	for _, tt := range tests {
		for side, shake := range shakes {
			t.Run(tt.name+"/"+side, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := net.Pipe()
					ctx := tt.ctx(t)
					done := run(func() (*Link, error) { return shake(ctx, a) })
					read := make(chan error, 1)
					go func() { // takes all that is sent, until the end
						_, err := io.Copy(io.Discard, b)
						read <- err
					}()
					b.Write(tt.send)
					if tt.hang {
						b.Close()
					}
					r := <-done
					want, after := tt.out, tt.after
					if side == "in" {
						want = tt.in
					}
					if want == nil { // the deadline of the context is the one of the stream
						after = 2 * time.Second
						if !errors.Is(r.err, os.ErrDeadlineExceeded) && !errors.Is(r.err, context.DeadlineExceeded) {
							t.Errorf("error %v", r.err)
						}
					} else if !errors.Is(r.err, want) {
						t.Errorf("error %v, want %v", r.err, want)
					}
					if r.took != after || r.link != nil {
						t.Errorf("took %v, want %v", r.took, after)
					}
					<-read // the stream was closed
					b.Close()
				})
			})
		}
	}
}

// TestHandshakeOutBlockedWrite: a peer that neither reads nor writes does not leave the writing goroutine behind.
func TestHandshakeOutBlockedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		r := <-run(func() (*Link, error) { return HandshakeOut(t.Context(), a, alice, make([]byte, 10000)) })
		if !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took != HandshakeTimeout {
			t.Errorf("%v after %v", r.err, r.took)
		}
		b.Close()
	})
}
