package mse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
)

// TestClientMeets the other end, with all that it may send.
func TestClientMeets(t *testing.T) {
	hello := []byte("what B says at once")
	tests := []struct {
		name   string
		policy Policy
		peer   refAnswerer
		want   Method
	}{
		{"rc4", Allow, refAnswerer{x: vectorB, pick: 2}, RC4},
		{"plain bytes", Allow, refAnswerer{x: vectorB, pick: 1}, Obscured},
		{"plain bytes although we prefer others", Prefer, refAnswerer{x: vectorB, pick: 1}, Obscured},
		{"required", Require, refAnswerer{x: vectorB, pick: 2}, RC4},
		{"longest padding", Allow, refAnswerer{x: vectorB, pick: 2, padB: 512, padD: 512}, RC4},
		{"longest padding, plain bytes", Allow, refAnswerer{x: vectorB, pick: 1, padB: 512, padD: 512}, Obscured},
		{"key with leading zero", Allow, refAnswerer{x: zeroY, pick: 2, padB: 7}, RC4},
		{"secret with leading zero", Allow, refAnswerer{pick: 2}, RC4},
		{"payload behind it", Allow, refAnswerer{x: vectorB, pick: 2, padD: 3, after: hello}, RC4},
		{"plain payload behind it", Allow, refAnswerer{x: vectorB, pick: 1, padD: 3, after: hello}, Obscured},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				tt.peer.key = testKey
				peer := start(func() (*refPeer, error) { return tt.peer.accept(b) })
				c := Client(a, testKey, tt.policy)
				defer c.Close()
				ours := append(bytes.Clone(greeting), "and more"...)
				done := start(func() (int, error) { return c.Write(ours) })
				p := wait(t, peer)
				if !bytes.Equal(p.initial, greeting) {
					t.Errorf("initial payload %q", p.initial)
				}
				if rest := read(t, p, 8); string(rest) != "and more" {
					t.Errorf("then %q", rest)
				}
				if n := wait(t, done); n != len(ours) {
					t.Errorf("wrote %d bytes", n)
				}
				if got := read(t, c, len(tt.peer.after)); !bytes.Equal(got, tt.peer.after) {
					t.Errorf("read %q", got)
				}
				if m := c.Method(); m != tt.want {
					t.Errorf("method %v, want %v", m, tt.want)
				}
				if _, plain := c.Plain(); plain != (tt.want != RC4) {
					t.Errorf("Plain says %v", plain)
				}
				exchange(t, c, p)
			})
		})
	}
}

// TestClientRefuses what no peer should answer.
func TestClientRefuses(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		peer   func(nc net.Conn) error
		want   error
		after  time.Duration
	}{
		{"hung up at once", Allow, func(nc net.Conn) error { return nc.Close() }, errHungUp, 0},
		{"hung up after our key", Allow, func(nc net.Conn) error {
			_, err := io.ReadFull(nc, make([]byte, 96))
			return errors.Join(err, nc.Close())
		}, errHungUp, 0},
		{"half a key", Allow, func(nc net.Conn) error {
			nc.Write(make([]byte, 50))
			return nc.Close()
		}, errHungUp, 0},
		{"silence", Allow, func(nc net.Conn) error {
			_, err := io.Copy(io.Discard, nc)
			return err
		}, os.ErrDeadlineExceeded, 10 * time.Second},
		{"plain BitTorrent", Allow, func(nc net.Conn) error {
			nc.Write(greeting)
			_, err := io.Copy(io.Discard, nc)
			return err
		}, os.ErrDeadlineExceeded, 10 * time.Second},
		{"endless garbage", Allow, func(nc net.Conn) error {
			go io.Copy(io.Discard, nc)
			_, err := io.Copy(nc, rand.NewChaCha8([32]byte{}))
			return ignore(err, io.ErrClosedPipe)
		}, ErrMalformed, 0},
		{"key 0", Allow, answerKey(0), ErrMalformed, 0},
		{"key 1", Allow, answerKey(1), ErrMalformed, 0},
		{"key P-1", Allow, answerKey(-1), ErrMalformed, 0},
		{"key P", Allow, answerKey(-2), ErrMalformed, 0},
		{"another torrent", Allow, answers(refAnswerer{x: vectorB, pick: 2, key: [20]byte{1}}), errHungUp, 0},
		{"method 0", Allow, answers(refAnswerer{x: vectorB, key: testKey, pick: 0}), ErrMalformed, 0},
		{"both methods", Allow, answers(refAnswerer{x: vectorB, key: testKey, pick: 3}), ErrMalformed, 0},
		{"unknown method", Allow, answers(refAnswerer{x: vectorB, key: testKey, pick: 4}), ErrMalformed, 0},
		{"plain bytes not offered", Require, answers(refAnswerer{x: vectorB, key: testKey, pick: 1}), ErrMalformed, 0},
		{"padding of 513 bytes behind the key", Allow, answers(refAnswerer{x: vectorB, key: testKey, pick: 2, padB: 513}), ErrMalformed, 0},
		{"padding of 64 KiB in the answer", Allow, answers(refAnswerer{x: vectorB, key: testKey, pick: 2, padD: 65535}), ErrMalformed, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				peer := start(func() (int, error) {
					defer b.Close()
					return 0, tt.peer(b)
				})
				began := time.Now()
				c := Client(a, testKey, tt.policy)
				c.SetDeadline(began.Add(10 * time.Second))
				n, err := c.Write(greeting)
				if n != 0 || !is(err, tt.want) {
					t.Errorf("wrote %d, error %v, want %v", n, err, tt.want)
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
				// It is the end, whatever is tried.
				c.SetDeadline(time.Time{})
				for range 2 {
					if _, again := c.Write(greeting); again != err {
						t.Errorf("Write then says %v", again)
					}
					if _, again := c.Read(make([]byte, 10)); again != err {
						t.Errorf("Read then says %v", again)
					}
				}
				if r := <-peer; r.err != nil {
					t.Logf("the other end: %v", r.err)
				}
			})
		})
	}
}

// answerKey sends the public key k, or P+k if that is negative.
func answerKey(k int64) func(net.Conn) error {
	return func(nc net.Conn) error {
		go nc.Write(keyNumber(k))
		_, err := io.Copy(io.Discard, nc)
		return err
	}
}

func answers(a refAnswerer) func(net.Conn) error {
	return func(nc net.Conn) error {
		_, err := a.accept(nc)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, nc)
		return err
	}
}

// TestBothEnds lets the package talk to itself under all policies.
func TestBothEnds(t *testing.T) {
	methods := [3][3]Method{ // by the policy of the dialler, then of the other
		Allow:   {Allow: Obscured, Prefer: RC4, Require: RC4},
		Prefer:  {Allow: Obscured, Prefer: RC4, Require: RC4},
		Require: {Allow: RC4, Prefer: RC4, Require: RC4},
	}
	for dialler, row := range methods {
		for other, want := range row {
			t.Run(fmt.Sprintf("%v to %v", Policy(dialler), Policy(other)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := net.Pipe()
					accepted := start(func() (*Conn, error) { return Accept(t.Context(), b, Policy(other), testKeys()) })
					c := Client(a, testKey, Policy(dialler))
					defer c.Close()
					written := start(func() (int, error) { return c.Write(greeting) })
					d := wait(t, accepted)
					defer d.Close()
					if got := read(t, d, len(greeting)); !bytes.Equal(got, greeting) {
						t.Errorf("greeting %q", got)
					}
					wait(t, written)
					if c.Method() != want || d.Method() != want {
						t.Errorf("methods %v and %v, want %v", c.Method(), d.Method(), want)
					}
					if key, ok := d.Key(); !ok || key != testKey {
						t.Errorf("key %x, %v", key, ok)
					}
					exchange(t, c, d)
				})
			})
		}
	}
}

// TestOverNetwork moves data both ways at once over a network with rates and
// delays, and takes the time that the network needs: MSE costs one round trip more
// than the dial and the greetings.
func TestOverNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		link := simnet.Link{Delay: 10 * time.Millisecond}
		x, y := n.Host(link, simnet.Addr("192.0.2.1")), n.Host(link, simnet.Addr("192.0.2.2"))
		ln, err := y.Listen(t.Context(), "tcp", ":6881")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		accepted := start(func() (*Conn, error) {
			nc, err := ln.Accept()
			if err != nil {
				return nil, err
			}
			c, err := Accept(t.Context(), nc, Prefer, testKeys())
			if err != nil {
				return nil, err
			}
			if _, err := io.ReadFull(c, make([]byte, len(greeting))); err != nil {
				return nil, err
			}
			_, err = c.Write(greeting)
			return c, err
		})
		nc, err := x.Dial(t.Context(), "tcp", "192.0.2.2:6881")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c := Client(nc, testKey, Prefer)
		defer c.Close()
		if _, err := c.Write(greeting); err != nil {
			t.Fatal(err)
		}
		read(t, c, len(greeting))
		if took := time.Since(began); took != 80*time.Millisecond {
			t.Errorf("the greetings took %v, want two round trips", took)
		}
		d := wait(t, accepted)
		defer d.Close()
		exchange(t, c, d)
	})
}

// TestReadFirst: a side that waits for the peer's greeting opens the stream too.
func TestReadFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		peer := start(func() (*refPeer, error) {
			return refAnswerer{x: vectorB, key: testKey, pick: 2, after: []byte("hello")}.accept(b)
		})
		c := Client(a, testKey, Allow)
		defer c.Close()
		if got := read(t, c, 5); string(got) != "hello" {
			t.Errorf("read %q", got)
		}
		if p := wait(t, peer); len(p.initial) != 0 {
			t.Errorf("initial payload %q", p.initial)
		}
	})
}

// TestCloseUnblocks every call, in the handshake and after it.
func TestCloseUnblocks(t *testing.T) {
	pipes := map[string]func(t *testing.T) (*Conn, net.Conn){
		"handshake": func(t *testing.T) (*Conn, net.Conn) {
			a, b := net.Pipe()
			return Client(a, testKey, Allow), b
		},
		"payload": opened,
	}
	for name, pipe := range pipes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, other := pipe(t)
				defer other.Close()
				calls := []<-chan result[int]{
					start(func() (int, error) { return c.Read(make([]byte, 10)) }),
					start(func() (int, error) { return c.Write(make([]byte, 100_000)) }),
					start(func() (int, error) { return c.Write(make([]byte, 10)) }),
					start(func() (int, error) { return c.Read(make([]byte, 10)) }),
				}
				synctest.Wait()
				if err := c.Close(); err != nil {
					t.Error(err)
				}
				for i, call := range calls {
					if r := <-call; !errors.Is(r.err, net.ErrClosed) {
						t.Errorf("call %d: %v", i, r.err)
					}
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestShortWrite: a write that was cut short is the end, and no panic in the
// cipher, which is lost then.
func TestShortWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := opened(t)
		c.SetWriteDeadline(time.Now().Add(time.Second))
		done := start(func() (int, error) { return c.Write(make([]byte, 1000)) })
		io.ReadFull(other, make([]byte, 10))
		if r := <-done; !errors.Is(r.err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d, %v", r.v, r.err)
		}
		c.SetWriteDeadline(time.Time{})
		for range 3 {
			if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("then %d, %v", n, err)
			}
		}
		if _, err := io.Copy(io.Discard, other); err != nil {
			t.Errorf("the stream was not closed: %v", err)
		}
		other.Close()
	})
}

// TestWriterThatLies: a stream that takes less than it was given and calls that
// success.
func TestWriterThatLies(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	s := newStream(lazyConn{a}, unlimited)
	if n, err := s.Write(make([]byte, 10)); n != 5 || err != io.ErrShortWrite {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := s.Write(make([]byte, 10)); err != io.ErrShortWrite {
		t.Errorf("then %v", err)
	}
}

type lazyConn struct{ net.Conn }

func (lazyConn) Write(p []byte) (int, error) { return len(p) / 2, nil }

// opened returns an encrypted stream and the raw other end.
func opened(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	a, b := net.Pipe()
	peer := start(func() (*refPeer, error) { return refAnswerer{x: vectorB, key: testKey, pick: 2}.accept(b) })
	c := Client(a, testKey, Allow)
	if _, err := c.Write(greeting); err != nil {
		t.Fatal(err)
	}
	wait(t, peer)
	return c, b
}

// result of a function that runs in a goroutine.
type result[T any] struct {
	v   T
	err error
}

func start[T any](f func() (T, error)) <-chan result[T] {
	done := make(chan result[T], 1)
	go func() {
		v, err := f()
		done <- result[T]{v, err}
	}()
	return done
}

// wait returns what f returned, which must not be an error.
func wait[T any](t *testing.T, done <-chan result[T]) T {
	t.Helper()
	r := <-done
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.v
}

func read(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// exchange sends 300 KB each way at the same time, in writes of odd sizes.
func exchange(t *testing.T, x, y io.ReadWriter) {
	t.Helper()
	var reads, writes []<-chan result[int]
	for i, way := range [][2]io.ReadWriter{{x, y}, {y, x}} {
		data := make([]byte, 300_000)
		rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		writes = append(writes, start(func() (int, error) {
			for rest, n := data, 1; len(rest) > 0; n = min(n*5, len(rest)) {
				if _, err := way[0].Write(rest[:n]); err != nil {
					return 0, err
				}
				rest = rest[n:]
			}
			return 0, nil
		}))
		reads = append(reads, start(func() (int, error) {
			got := make([]byte, len(data))
			_, err := io.ReadFull(way[1], got)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("other bytes than were sent")
			}
			return 0, err
		}))
	}
	for i := range reads {
		wait(t, writes[i])
		wait(t, reads[i])
	}
}

// errHungUp stands for all errors of a pipe whose other end is closed: which of them
// it is depends on whether reading or writing notices first.
var errHungUp = errors.New("hung up")

func is(err, target error) bool {
	if target != errHungUp {
		return errors.Is(err, target)
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}
