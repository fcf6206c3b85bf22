package utp

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
)

const (
	ms   = time.Millisecond
	mib  = 1 << 20
	mbit = 1_000_000 / 8
)

// pair is two sockets on a simulated network, in virtual time.
type pair struct {
	t            *testing.T
	net          *simnet.Net
	hostA, hostB *simnet.Host
	a, b         *Socket
}

func inPair(t *testing.T, a, b simnet.Link, cfg Config, fn func(p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		p := &pair{t: t, net: n}
		p.hostA = n.Host(a, simnet.Addr("192.0.2.1"))
		p.hostB = n.Host(b, simnet.Addr("192.0.2.2"))
		p.a, p.b = p.socket(p.hostA, cfg), p.socket(p.hostB, cfg)
		fn(p)
		p.a.Close()
		p.b.Close()
		n.Close()
	})
}

func (p *pair) socket(h *simnet.Host, cfg Config) *Socket {
	p.t.Helper()
	pc, err := h.ListenPacket(context.Background(), "udp4", "0.0.0.0:6881")
	if err != nil {
		p.t.Fatal(err)
	}
	return New(pc, cfg)
}

func addrOf(h *simnet.Host) netip.AddrPort { return netip.AddrPortFrom(h.Addr(), 6881) }

// connect dials b from a and says hello.
func (p *pair) connect() (a, b net.Conn) {
	p.t.Helper()
	a, err := p.a.Dial(context.Background(), addrOf(p.hostB))
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := a.Write([]byte("hello")); err != nil {
		p.t.Fatal(err)
	}
	b, err = p.b.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := io.ReadFull(b, buf); err != nil || string(buf) != "hello" {
		p.t.Fatalf("read %q, %v", buf, err)
	}
	return a, b
}

// pattern is n bytes from a seed.
func pattern(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	key[0] = byte(seed)
	rand.NewChaCha8(key).Read(b)
	return b
}

// move sends data from one end to the other and closes; it checks what arrives and
// returns how long that took.
func move(t *testing.T, from, to net.Conn, data []byte) time.Duration {
	t.Helper()
	start := time.Now()
	go func() {
		from.Write(data)
		from.Close()
	}()
	got, err := io.ReadAll(to)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(got), err)
	}
	if sha256.Sum256(got) != sha256.Sum256(data) {
		t.Fatalf("%d bytes differ from the %d that were sent", len(got), len(data))
	}
	return time.Since(start)
}

// TestTransfer over all kinds of paths: every byte arrives, once and in order.
func TestTransfer(t *testing.T) {
	tests := []struct {
		name  string
		a, b  simnet.Link
		bytes int
		most  time.Duration // virtual
	}{
		{"perfect", simnet.Link{}, simnet.Link{}, 4 * mib, 100 * ms},
		{"40 ms", simnet.Link{Delay: 10 * ms}, simnet.Link{Delay: 10 * ms}, 4 * mib, 2 * time.Second},
		{"10 mbit", simnet.Link{Up: 10 * mbit, Delay: 20 * ms}, simnet.Link{}, 4 * mib, 4 * time.Second},
		{"10 mbit, short queue", simnet.Link{Up: 10 * mbit, Delay: 20 * ms, Queue: 32 << 10}, simnet.Link{}, 4 * mib, 6 * time.Second},
		{"jitter", simnet.Link{Delay: 10 * ms, Jitter: 8 * ms}, simnet.Link{Delay: 10 * ms}, 2 * mib, 10 * time.Second},
		{"1 % lost", simnet.Link{Delay: 10 * ms, Loss: 0.01}, simnet.Link{Delay: 10 * ms}, 2 * mib, 10 * time.Second},
		{"10 % lost both ways", simnet.Link{Delay: 10 * ms, Loss: 0.1}, simnet.Link{Delay: 10 * ms}, 256 << 10, 60 * time.Second},
		{"30 % lost both ways", simnet.Link{Delay: 10 * ms, Loss: 0.3}, simnet.Link{Delay: 10 * ms}, 32 << 10, 120 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inPair(t, tt.a, tt.b, Config{}, func(p *pair) {
				a, b := p.connect()
				took := move(t, a, b, pattern(1, tt.bytes))
				t.Logf("%d KiB in %v: %.0f KB/s", tt.bytes>>10, took, float64(tt.bytes)/1000/took.Seconds())
				if took > tt.most {
					t.Errorf("took %v, more than %v", took, tt.most)
				}
				b.Close()
			})
		})
	}
}

// TestConnectTakes one round trip, and what is written at once arrives after one
// and a half.
func TestConnectTakes(t *testing.T) {
	link := simnet.Link{Delay: 10 * ms}
	inPair(t, link, link, Config{}, func(p *pair) {
		start := time.Now()
		a, err := p.a.Dial(context.Background(), addrOf(p.hostB))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 40*ms {
			t.Errorf("dial took %v", took)
		}
		a.Write([]byte("x"))
		if _, err := p.b.Accept(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 60*ms {
			t.Errorf("accepted after %v", took)
		}
	})
}

// TestDialFails in all the ways in which it can.
func TestDialFails(t *testing.T) {
	link := simnet.Link{Delay: 10 * ms}
	tests := []struct {
		name string
		to   func(p *pair) netip.AddrPort
		ctx  time.Duration
		took time.Duration
		want error
	}{
		{"nobody there", func(*pair) netip.AddrPort { return netip.MustParseAddrPort("192.0.2.9:1") }, 0, 7 * time.Second, syscall.ETIMEDOUT},
		{"impatient", func(*pair) netip.AddrPort { return netip.MustParseAddrPort("192.0.2.9:1") }, 300 * ms, 300 * ms, context.DeadlineExceeded},
		{"no port", func(p *pair) netip.AddrPort { return netip.AddrPortFrom(p.hostB.Addr(), 0) }, 0, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inPair(t, link, link, Config{}, func(p *pair) {
				ctx := context.Background()
				if tt.ctx > 0 {
					var cancel func()
					ctx, cancel = context.WithTimeout(ctx, tt.ctx)
					defer cancel()
				}
				start := time.Now()
				c, err := p.a.Dial(ctx, tt.to(p))
				if c != nil || err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("%v, %v", c, err)
				}
				if took := time.Since(start); took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}
