package simnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestTransferTime(t *testing.T) {
	const mib = 1 << 20
	// 1 MiB at 10 Mbit/s: 2^20 / 1.25e6 s.
	const mibAt10 = 838860800 * time.Nanosecond
	tests := []struct {
		name string
		a, b Link
		size int
		want time.Duration
	}{
		{"perfect link", Link{}, Link{}, mib, 0},
		{"delay only", Link{Delay: 15 * time.Millisecond}, Link{Delay: 5 * time.Millisecond}, mib, 20 * time.Millisecond},
		{"uplink 10 Mbit/s and 20 ms", Link{Up: mbit10, Delay: 20 * time.Millisecond}, Link{}, mib, mibAt10 + 20*time.Millisecond},
		{"downlink 10 Mbit/s and 20 ms", Link{}, Link{Down: mbit10, Delay: 20 * time.Millisecond}, mib, mibAt10 + 20*time.Millisecond},
		{"both 10 Mbit/s", Link{Up: mbit10, Delay: 10 * time.Millisecond}, Link{Down: mbit10, Delay: 10 * time.Millisecond}, mib, mibAt10 + 20*time.Millisecond},
		{"slow to fast", Link{Up: mbit10}, Link{Down: 100 * mbit10}, mib, mibAt10},
		{"fast to slow", Link{Up: 100 * mbit10}, Link{Down: mbit10}, mib, mibAt10},
		{"the other directions do not matter", Link{Up: mbit10, Down: 1}, Link{Up: 1}, mib, mibAt10},
		{"rate that divides nothing", Link{Up: 999_983}, Link{}, mib, 1048593826}, // 2^20e9/999983, cut
		{"one byte", Link{Up: 1000, Delay: time.Second}, Link{}, 1, time.Second + time.Millisecond},
		{"long fat pipe", Link{Up: 12_500_000, Delay: 100 * time.Millisecond}, Link{}, 12_500_000, 1100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				a, b := pair(n, tt.a, tt.b)
				client, server := connect(t, a, b)
				defer server.Close()
				start := time.Now()
				data := pattern(tt.size)
				sendAll(t, client, data)
				got, end := receiveAll(t, server)
				if !bytes.Equal(got, data) {
					t.Errorf("received %d bytes, not those sent", len(got))
				}
				if d := end.Sub(start); d != tt.want {
					t.Errorf("took %v, want %v", d, tt.want)
				}
			})
		})
	}
}

// TestSharedUplink has four streams leave one host: together they take the time
// of their sum, and none starves.
func TestSharedUplink(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		const size, streams = 1 << 20, 4
		a := n.Host(Link{Up: 4 << 20, Delay: 10 * time.Millisecond}, Addr("192.0.2.1"))
		var wg sync.WaitGroup
		clients := make([]net.Conn, streams)
		ends := make([]time.Time, streams)
		for i := range streams {
			b := n.Host(Link{}, netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}))
			client, server := connect(t, a, b)
			clients[i] = client
			wg.Go(func() {
				defer server.Close()
				_, ends[i] = receiveAll(t, server)
			})
		}
		start := time.Now()
		for _, c := range clients {
			sendAll(t, c, pattern(size))
		}
		wg.Wait()
		slices.SortFunc(ends, time.Time.Compare)
		if d, want := ends[streams-1].Sub(start), time.Second+10*time.Millisecond; d != want {
			t.Errorf("last stream ended after %v, want %v", d, want)
		}
		if d := ends[0].Sub(start); d < 700*time.Millisecond {
			t.Errorf("first stream ended after %v: the others starved", d)
		}
	})
}

func TestConnectTimes(t *testing.T) {
	link := Link{Delay: 15 * time.Millisecond}
	tests := []struct {
		name    string
		prepare func(t *testing.T, n *Net, b *Host)
		addr    string
		timeout time.Duration // of the context; 0 = none
		want    time.Duration
		err     error // nil = connected
	}{
		{"one round trip", func(t *testing.T, n *Net, b *Host) { listen(t, b, ":6881") }, "192.0.2.2:6881", 0, 60 * time.Millisecond, nil},
		{"by name", func(t *testing.T, n *Net, b *Host) {
			listen(t, b, ":6881")
			n.SetName("seed.example", b.Addr())
		}, "seed.example:6881", 0, 60 * time.Millisecond, nil},
		{"unknown name", nil, "nobody.example:6881", 0, 0, &net.DNSError{}},
		{"refused", nil, "192.0.2.2:6881", 0, 60 * time.Millisecond, syscall.ECONNREFUSED},
		{"refused on another address", func(t *testing.T, n *Net, b *Host) { listen(t, b, "127.0.0.1:6881") }, "192.0.2.2:6881", 0, 60 * time.Millisecond, syscall.ECONNREFUSED},
		{"no such host", nil, "192.0.2.99:6881", 0, 127 * time.Second, syscall.ETIMEDOUT},
		{"host down", func(t *testing.T, n *Net, b *Host) { listen(t, b, ":6881"); b.Down() }, "192.0.2.2:6881", 0, 127 * time.Second, syscall.ETIMEDOUT},
		{"host down, deadline", func(t *testing.T, n *Net, b *Host) { b.Down() }, "192.0.2.2:6881", 10 * time.Second, 10 * time.Second, context.DeadlineExceeded},
		{"host up again after 2 s", func(t *testing.T, n *Net, b *Host) {
			listen(t, b, ":6881")
			b.Down()
			time.AfterFunc(2*time.Second, b.Up)
		}, "192.0.2.2:6881", 0, 3*time.Second + 60*time.Millisecond, nil}, // SYNs at 0, 1 and 3 s
		{"no IPv6", nil, "[2001:db8::1]:6881", 0, 0, syscall.ENETUNREACH},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, n *Net) {
				a, b := pair(n, link, link)
				if tt.prepare != nil {
					tt.prepare(t, n, b)
				}
				ctx := context.Background()
				if tt.timeout > 0 {
					var cancel func()
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				start := time.Now()
				c, err := a.Dial(ctx, "tcp", tt.addr)
				if d := time.Since(start); d != tt.want {
					t.Errorf("took %v, want %v", d, tt.want)
				}
				var op *net.OpError
				var dns *net.DNSError
				switch {
				case tt.err == nil && err != nil:
					t.Error(err)
				case tt.err == nil:
					c.Close()
				case !errors.As(err, &op):
					t.Errorf("error is %T %v, not *net.OpError", err, err)
				case errors.As(tt.err, &dns):
					if !errors.As(err, &dns) || !dns.IsNotFound {
						t.Errorf("error %v, want not found", err)
					}
				case !errors.Is(err, tt.err):
					t.Errorf("error %v, want %v", err, tt.err)
				}
			})
		})
	}
}

func listen(t *testing.T, h *Host, addr string) net.Listener {
	t.Helper()
	ln, err := h.Listen(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func TestCancelledDial(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{Delay: time.Second}, Link{})
		ln := listen(t, b, ":1")
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(1500*time.Millisecond, cancel)
		if _, err := a.Dial(ctx, "tcp", "192.0.2.2:1"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want cancelled", err)
		}
		ln.(*Listener).SetDeadline(time.Now().Add(time.Hour))
		if _, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the listener got %v from a dial that was given up", err)
		}
	})
}

func TestSlowReaderBlocksWriter(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		const window = 32 << 10
		a, b := pair(n, Link{Delay: time.Millisecond}, Link{Window: window})
		client, server := connect(t, a, b)
		defer client.Close()
		defer server.Close()
		client.SetWriteDeadline(time.Now().Add(time.Minute))
		sent, err := client.Write(make([]byte, 1<<20))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write: %v", err)
		}
		if sent != window+sendBuffer {
			t.Errorf("%d bytes fit before the writer blocked, want %d", sent, window+sendBuffer)
		}
		client.SetWriteDeadline(time.Time{})
		go func() {
			time.Sleep(5 * time.Second)
			io.CopyN(io.Discard, server, window)
		}()
		start := time.Now()
		if _, err := client.Write(make([]byte, 1000)); err != nil {
			t.Error(err)
		}
		if d, want := time.Since(start), 5*time.Second+time.Millisecond; d != want {
			t.Errorf("writer went on after %v, want %v", d, want)
		}
	})
}

func TestCloseAndReset(t *testing.T) {
	link := Link{Delay: 10 * time.Millisecond}
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, link, link)

		t.Log("data before Close arrives, then EOF; the other direction still works")
		client, server := connect(t, a, b)
		client.Write([]byte("last words"))
		client.CloseWrite()
		got, _ := receiveAll(t, server)
		if string(got) != "last words" {
			t.Errorf("got %q", got)
		}
		server.Write([]byte("answer"))
		server.Close()
		if got, _ := receiveAll(t, client); string(got) != "answer" {
			t.Errorf("got %q", got)
		}
		if _, err := client.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: %v", err)
		}
		client.Close()
		if len(a.conns) != 0 || len(b.conns) != 0 {
			t.Errorf("%d and %d streams left after both ends closed", len(a.conns), len(b.conns))
		}

		t.Log("data to a closed end is answered by a reset")
		client, server = connect(t, a, b)
		server.Close()
		time.Sleep(20 * time.Millisecond)
		client.Write([]byte("hello?"))
		time.Sleep(39 * time.Millisecond) // a round trip is 40 ms
		if _, err := client.Write([]byte("hello?")); err != nil {
			t.Errorf("write before the reset: %v", err)
		}
		time.Sleep(2 * time.Millisecond)
		if _, err := client.Write([]byte("hello?")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write after the reset: %v", err)
		}
		client.Close()

		t.Log("SetLinger(0) resets, what was received stays readable")
		client, server = connect(t, a, b)
		client.Write([]byte("abc"))
		time.Sleep(50 * time.Millisecond)
		client.SetLinger(0)
		client.Close()
		time.Sleep(50 * time.Millisecond)
		buf := make([]byte, 10)
		if k, err := server.Read(buf); k != 3 || err != nil {
			t.Errorf("read %d, %v", k, err)
		}
		if _, err := server.Read(buf); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v", err)
		}
		server.Close()

		t.Log("a closed end forgets")
		if _, err := server.Read(buf); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if err := server.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
	})
}

func TestWriterBlockedOnClosedReader(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{Delay: 10 * time.Millisecond}, Link{Window: 4096})
		client, server := connect(t, a, b)
		time.AfterFunc(time.Second, func() { server.Close() })
		start := time.Now()
		if _, err := client.Write(make([]byte, 1<<20)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write: %v", err)
		}
		// window back, data there, reset back
		if d, want := time.Since(start), time.Second+30*time.Millisecond; d != want {
			t.Errorf("reset after %v, want %v", d, want)
		}
		client.Close()
	})
}

func TestDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{}, Link{})
		client, server := connect(t, a, b)
		defer client.Close()
		defer server.Close()
		buf := make([]byte, 10)
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Second))
		_, err := client.Read(buf)
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("deadline of 1 s passed after %v", d)
		}
		// A deadline that is moved while a read waits.
		client.SetReadDeadline(time.Now().Add(time.Second))
		time.AfterFunc(500*time.Millisecond, func() { client.SetReadDeadline(time.Now().Add(time.Minute)) })
		start = time.Now()
		if _, err := client.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if d, want := time.Since(start), 500*time.Millisecond+time.Minute; d != want {
			t.Errorf("moved deadline passed after %v, want %v", d, want)
		}
		// A past deadline stops a waiting read at once; none lets it go on.
		client.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { client.SetDeadline(time.Unix(1, 0)) })
		if _, err := client.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		if _, err := client.Write(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		client.SetDeadline(time.Time{})
		server.Write([]byte("x"))
		if k, err := client.Read(buf); k != 1 || err != nil {
			t.Errorf("read %d, %v", k, err)
		}
	})
}
