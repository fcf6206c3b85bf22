package mse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// keyNumber is the public key k, or P+k if that is negative.
func keyNumber(k int64) []byte {
	n := big.NewInt(k)
	if k < 0 {
		n.Add(n, refPrime)
		if k == -2 { // P itself
			n.Set(refPrime)
		}
	}
	return n.FillBytes(make([]byte, 96))
}

// TestAcceptMeets the other end, with all that it may send.
func TestAcceptMeets(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		peer   refDialler
		want   Method
	}{
		{"plain bytes offered", Allow, refDialler{x: vectorA, provide: 3, initial: greeting}, Obscured},
		{"both preferred", Prefer, refDialler{x: vectorA, provide: 3, initial: greeting}, RC4},
		{"only plain bytes offered", Prefer, refDialler{x: vectorA, provide: 1, initial: greeting}, Obscured},
		{"only rc4 offered", Allow, refDialler{x: vectorA, provide: 2, initial: greeting}, RC4},
		{"required", Require, refDialler{x: vectorA, provide: 3, initial: greeting}, RC4},
		{"unknown methods offered as well", Allow, refDialler{x: vectorA, provide: 0xfffffffe, initial: greeting}, RC4},
		{"no initial payload", Allow, refDialler{x: vectorA, provide: 2}, RC4},
		{"longest initial payload", Allow, refDialler{x: vectorA, provide: 2, initial: slices.Repeat([]byte("x"), 1024)}, RC4},
		{"longest of all", Require, refDialler{x: vectorA, provide: 2, padA: 512, padC: 512, initial: slices.Repeat([]byte("x"), 1024)}, RC4},
		{"key with leading zero", Allow, refDialler{x: zeroY, provide: 2, padA: 1, initial: greeting}, RC4},
		{"payload behind it", Prefer, refDialler{x: vectorA, provide: 2, padC: 9, initial: greeting, after: []byte("more")}, RC4},
		{"plain payload behind it", Allow, refDialler{x: vectorA, provide: 1, padC: 9, initial: greeting, after: []byte("more")}, Obscured},
	}
	for _, tt := range tests {
		for name, cut := range map[string]int{"": 0, "/in small pieces": 1, "/in odd pieces": 97} {
			t.Run(tt.name+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := net.Pipe()
					defer a.Close()
					tt.peer.key = testKey
					var nc net.Conn = a
					if cut > 0 {
						nc = cutConn{a, cut}
					}
					peer := start(func() (*refPeer, error) { return tt.peer.dial(nc) })
					c, err := Accept(t.Context(), b, tt.policy, testKeys())
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					want := append(slices.Clone(tt.peer.initial), tt.peer.after...)
					if got := read(t, c, len(want)); !bytes.Equal(got, want) {
						t.Errorf("read %q", got)
					}
					p := wait(t, peer)
					p.nc = a
					if c.Method() != tt.want || Method(p.method) != tt.want {
						t.Errorf("method %v here and %d there, want %v", c.Method(), p.method, tt.want)
					}
					if key, ok := c.Key(); !ok || key != testKey {
						t.Errorf("key %x, %v", key, ok)
					}
					exchange(t, c, p)
					time.Sleep(2 * Timeout) // the deadline is gone
					exchange(t, c, p)
				})
			})
		}
	}
}

// cutConn writes in pieces of n bytes.
type cutConn struct {
	net.Conn
	n int
}

func (c cutConn) Write(p []byte) (int, error) {
	for i := 0; i < len(p); i += c.n {
		if _, err := c.Conn.Write(p[i:min(i+c.n, len(p))]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestAcceptPlain: a plain peer gets through with all its bytes, unless we require
// encryption.
func TestAcceptPlain(t *testing.T) {
	for _, policy := range []Policy{Allow, Prefer} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			go a.Write(greeting[:48]) // as those that only check the port
			c, err := Accept(t.Context(), b, policy, testKeys())
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, c, 48); !bytes.Equal(got, greeting[:48]) {
				t.Errorf("%v: read %q", policy, got)
			}
			if _, ok := c.Key(); ok || c.Method() != None {
				t.Errorf("%v: method %v", policy, c.Method())
			}
			if nc, ok := c.Plain(); !ok || nc != b {
				t.Errorf("%v: Plain is %v, %v", policy, nc, ok)
			}
			exchange(t, c, a)
			c.Close()
			a.Close()
		})
	}
}

// TestAcceptRefuses what strangers may send.
func TestAcceptRefuses(t *testing.T) {
	send := func(b []byte, hangUp bool) func(net.Conn) {
		return func(nc net.Conn) {
			nc.Write(b)
			if hangUp {
				nc.Close()
			}
		}
	}
	dials := func(d refDialler) func(net.Conn) {
		d.x = vectorA
		if d.key == [20]byte{} {
			d.key = testKey
		}
		return func(nc net.Conn) { d.dial(nc) }
	}
	// proof sends step 3 with a chosen encrypted part, and hangs up.
	proof := func(head []byte) func(net.Conn) {
		return func(nc net.Conn) {
			d := refDialler{x: vectorA, key: testKey}
			go nc.Write(d.opening())
			yb := make([]byte, 96)
			io.ReadFull(nc, yb)
			go io.Copy(io.Discard, nc)
			nc.Write(d.proof(yb, head, refCipher("keyA", refSecret(yb, d.x), d.key)))
			nc.Close()
		}
	}
	tests := []struct {
		name   string
		policy Policy
		peer   func(nc net.Conn)
		want   error
		after  time.Duration
	}{
		{"silence", Allow, send(nil, false), os.ErrDeadlineExceeded, Timeout},
		{"port scan", Allow, send(nil, true), io.EOF, 0},
		{"half a prefix", Allow, send([]byte(plainPrefix)[:10], true), io.ErrUnexpectedEOF, 0},
		{"half a prefix, then silence", Allow, send([]byte(plainPrefix)[:19], false), os.ErrDeadlineExceeded, Timeout},
		{"plain but required", Require, send(greeting, false), ErrPlain, 0},
		{"http", Allow, send([]byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"), true), io.ErrUnexpectedEOF, 0},
		{"http, then silence", Allow, send([]byte("GET / HTTP/1.1\r\n\r\n"), false), os.ErrDeadlineExceeded, Timeout},
		{"other protocol of that length", Allow, send([]byte("\x13BitTorrent protocoL"+string(make([]byte, 48))), true), io.ErrUnexpectedEOF, 0},
		{"key 0", Allow, send(keyNumber(0), false), ErrMalformed, 0},
		{"key 1", Allow, send(keyNumber(1), false), ErrMalformed, 0},
		{"key P-1", Allow, send(keyNumber(-1), false), ErrMalformed, 0},
		{"key P", Allow, send(keyNumber(-2), false), ErrMalformed, 0},
		{"key of ones", Allow, send(slices.Repeat([]byte{255}, 96), false), ErrMalformed, 0},
		{"garbage", Allow, func(nc net.Conn) {
			go io.Copy(io.Discard, nc)
			nc.Write(slices.Repeat([]byte{0x55}, 1000))
		}, ErrMalformed, 0},
		{"key, and nothing read", Allow, send(keyNumber(7), false), os.ErrDeadlineExceeded, Timeout},
		{"key, garbage, and nothing read", Allow, send(append(keyNumber(7), make([]byte, 1000)...), false), os.ErrDeadlineExceeded, Timeout},
		{"padding of 513 bytes", Allow, dials(refDialler{provide: 3, padA: 513}), ErrMalformed, 0},
		{"unknown torrent", Allow, dials(refDialler{provide: 3, key: [20]byte{9}}), ErrUnknownKey, 0},
		{"no method", Allow, dials(refDialler{provide: 0}), ErrMethod, 0},
		{"unknown methods", Prefer, dials(refDialler{provide: 0xfc}), ErrMethod, 0},
		{"plain bytes but required", Require, dials(refDialler{provide: 1}), ErrMethod, 0},
		{"padding of 64 KiB", Allow, dials(refDialler{provide: 2, padC: 65535}), ErrMalformed, 0},
		{"initial payload of 64 KiB", Allow, dials(refDialler{provide: 2, initial: make([]byte, 65535)}), ErrMalformed, 0},
		{"nothing encrypted", Allow, proof(nil), errHungUp, 0},
		{"encrypted part cut", Allow, proof(make([]byte, 13)), errHungUp, 0},
		{"padding cut", Allow, proof(refDialler{provide: 2, padC: 40}.head()[:30]), errHungUp, 0},
		{"initial payload cut", Allow, proof(refDialler{provide: 2, initial: greeting}.head()[:30]), errHungUp, 0},
		{"length of the initial payload cut", Allow, proof(refDialler{provide: 2}.head()[:15]), errHungUp, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				gone := make(chan struct{})
				go func() {
					tt.peer(a)
					close(gone)
				}()
				began := time.Now()
				c, err := Accept(t.Context(), b, tt.policy, testKeys())
				if c != nil || !is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("took %v, want %v", took, tt.after)
				}
				if _, err := b.Write([]byte{0}); err != io.ErrClosedPipe {
					t.Errorf("the stream is open: %v", err)
				}
				a.Close()
				<-gone
			})
		})
	}
}

// TestAcceptContext: a context that ends closes the stream at once, wherever the
// handshake is.
func TestAcceptContext(t *testing.T) {
	steps := map[string]func(net.Conn){
		"nothing came": func(net.Conn) {},
		"key came":     func(nc net.Conn) { nc.Write(refPublic(vectorA)) },
		"half proven": func(nc net.Conn) {
			go nc.Write(append(refPublic(vectorA), make([]byte, 100)...))
			io.ReadFull(nc, make([]byte, 96))
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				a, b := net.Pipe()
				go step(a)
				time.AfterFunc(time.Second, cancel)
				began := time.Now()
				_, err := Accept(ctx, b, Allow, testKeys())
				if !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				a.Close()
			})
		})
		t.Run(name+"/deadline", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				a, b := net.Pipe()
				go step(a)
				began := time.Now()
				_, err := Accept(ctx, b, Allow, testKeys())
				timeout := errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
				if !timeout || time.Since(began) != 2*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				a.Close()
			})
		})
	}
}

func TestPolicyWords(t *testing.T) {
	for p := Allow; p <= Require; p++ {
		text, _ := p.MarshalText()
		var q Policy
		if err := q.UnmarshalText(text); err != nil || q != p {
			t.Errorf("%v became %v, %v", p, q, err)
		}
	}
	for _, s := range []string{"", "Allow", "forced", "policy 7"} {
		if _, err := ParsePolicy(s); err == nil {
			t.Errorf("%q taken", s)
		}
	}
	if s := Policy(7).String() + Method(9).String() + RC4.String(); s != "policy 7method 9rc4" {
		t.Error(s)
	}
}

// FuzzAccept feeds the first bytes of a stranger. Only plain BitTorrent can get
// through without our key, and none of its bytes may be lost.
func FuzzAccept(f *testing.F) {
	f.Add(greeting)
	f.Add(greeting[:20])
	f.Add(greeting[:19])
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(refDialler{x: vectorA, padA: 512}.opening())
	f.Add(append(refDialler{x: vectorA}.opening(), make([]byte, 600)...))
	f.Add(keyNumber(0))
	f.Add(keyNumber(-1))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := net.Pipe()
		fed := make(chan struct{})
		go func() {
			a.Write(data)
			a.Close()
			close(fed)
		}()
		drained := make(chan struct{})
		go func() {
			io.Copy(io.Discard, a)
			close(drained)
		}()
		c, err := Accept(t.Context(), b, Allow, testKeys())
		plain := bytes.HasPrefix(data, []byte(plainPrefix))
		if (err == nil) != plain {
			t.Errorf("error %v", err)
		}
		if err == nil {
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %q, %v", got, err)
			}
			c.Close()
		}
		b.Close()
		<-fed
		<-drained
	})
}

// FuzzProof feeds the encrypted part of a stranger who knows our info-hash. What
// gets through is what a peer that keeps to the rules could have sent, and its
// payload is complete.
func FuzzProof(f *testing.F) {
	d := refDialler{x: vectorA, key: testKey, provide: 3, padC: 5, initial: greeting}
	f.Add(d.head())
	for _, n := range []int{0, 7, 8, 12, 14, 19, 20, 30} {
		f.Add(d.head()[:n])
	}
	for _, at := range []int{12, 19} { // the lengths
		for _, n := range []uint16{0, 1, 512, 513, 1024, 65535} {
			h := d.head()
			binary.BigEndian.PutUint16(h[at:], n)
			f.Add(h)
		}
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		a, b := net.Pipe()
		fed := make(chan struct{})
		go func() {
			defer close(fed)
			go a.Write(d.opening())
			yb := make([]byte, 96)
			if _, err := io.ReadFull(a, yb); err != nil {
				return
			}
			go io.Copy(io.Discard, a)
			a.Write(d.proof(yb, head, refCipher("keyA", refSecret(yb, d.x), d.key)))
			a.Close()
		}()
		c, err := Accept(t.Context(), b, Allow, testKeys())
		if err == nil {
			pad := int(binary.BigEndian.Uint16(head[12:]))
			initial := int(binary.BigEndian.Uint16(head[14+pad:]))
			if len(head) < 16+pad+initial || initial > maxInitialRead+maxPad || c.Method() == None {
				t.Errorf("%x got through", head)
			}
			if c.Method() == Obscured {
				got, err := io.ReadAll(c)
				want := head[16+pad : 16+pad+initial]
				if err != nil || !bytes.HasPrefix(got, want) || len(got) != len(head)-16-pad {
					t.Errorf("read %q, %v", got, err)
				}
			}
			c.Close()
		}
		b.Close()
		a.Close()
		<-fed
	})
}
