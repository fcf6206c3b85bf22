package utp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"magnetfs/internal/simnet"
)

// TestDeadlines pass exactly, and can be moved.
func TestDeadlines(t *testing.T) {
	link := simnet.Link{Delay: 10 * ms}
	inPair(t, link, link, Config{}, func(p *pair) {
		a, b := p.connect()
		start := time.Now()
		a.SetReadDeadline(start.Add(3 * time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		var ne net.Error
		if _, err := a.Read(make([]byte, 1)); !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("%v is no timeout", err)
		}
		start = time.Now()
		a.SetReadDeadline(start.Add(time.Hour))
		time.AfterFunc(time.Second, func() { a.SetReadDeadline(time.Now().Add(time.Second)) })
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("moved: %v after %v", err, time.Since(start))
		}
		start = time.Now()
		a.SetWriteDeadline(start.Add(5 * time.Second)) // b does not read
		n, err := a.Write(make([]byte, 16*mib))
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second || n < mib || n > 4*mib {
			t.Errorf("%d bytes, %v after %v", n, err, time.Since(start))
		}
		a.SetDeadline(time.Time{})
		a.Close()
		if got, err := io.ReadAll(b); len(got) != n || err != nil {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

// TestCloseEndsWaits of this end at once, and of the other one after half a round
// trip.
func TestCloseEndsWaits(t *testing.T) {
	link := simnet.Link{Delay: 10 * ms}
	inPair(t, link, link, Config{}, func(p *pair) {
		a, b := p.connect()
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || time.Since(start) != time.Second {
				t.Errorf("reading: %v after %v", err, time.Since(start))
			}
		})
		wg.Go(func() {
			if _, err := b.Read(make([]byte, 1)); err != io.EOF || time.Since(start) != time.Second+20*ms {
				t.Errorf("reading at the other end: %v after %v", err, time.Since(start))
			}
		})
		time.Sleep(time.Second)
		a.Close()
		wg.Wait()
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("writing: %v", err)
		}
	})
}

// TestSocketCloses all its connections, waits included.
func TestSocketCloses(t *testing.T) {
	inPair(t, simnet.Link{}, simnet.Link{}, Config{}, func(p *pair) {
		a, b := p.connect()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := p.a.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("accepting: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := p.a.Dial(context.Background(), netip.MustParseAddrPort("192.0.2.77:1")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("dialling: %v", err)
			}
		})
		time.Sleep(time.Second)
		p.a.Close()
		wg.Wait()
		if _, err := b.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other end: %v", err)
		}
		if _, err := p.a.Dial(context.Background(), addrOf(p.hostB)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dialling when closed: %v", err)
		}
	})
}

// TestSharedSocket: what is not uTP is handed on, whatever it is, and uTP works
// beside it.
func TestSharedSocket(t *testing.T) {
	var mu sync.Mutex
	var got [][]byte
	other := func(b []byte, from netip.AddrPort) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, bytes.Clone(b))
	}
	inPair(t, simnet.Link{}, simnet.Link{}, Config{Other: other}, func(p *pair) {
		query := []byte("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe")
		to := net.UDPAddrFromAddrPort(addrOf(p.hostB))
		p.a.pc.WriteTo(query, to)
		p.a.pc.WriteTo([]byte{1}, to)
		p.a.pc.WriteTo(nil, to)
		p.connect()
		p.a.pc.WriteTo([]byte("end"), to)
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(got) != 3 || !bytes.Equal(got[0], query) || len(got[1]) != 1 || string(got[2]) != "end" {
			t.Errorf("handed on: %q", got)
		}
	})
}

// TestManyConnections at a time, in both directions, over a path that loses.
func TestManyConnections(t *testing.T) {
	link := simnet.Link{Delay: 10 * ms, Loss: 0.01, Up: 100 * mbit}
	inPair(t, link, link, Config{}, func(p *pair) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				nc, err := p.b.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				io.Copy(nc, nc) // back
			})
			wg.Go(func() {
				nc, err := p.a.Dial(context.Background(), addrOf(p.hostB))
				if err != nil {
					t.Error(err)
					return
				}
				defer nc.Close()
				data := pattern(7, 100<<10)
				go nc.Write(data)
				back := make([]byte, len(data))
				if _, err := io.ReadFull(nc, back); err != nil || !bytes.Equal(back, data) {
					t.Errorf("differs, or %v", err)
				}
			})
		}
		wg.Wait()
	})
}

// TestLimits of connections.
func TestLimits(t *testing.T) {
	inPair(t, simnet.Link{}, simnet.Link{}, Config{MaxConns: 2}, func(p *pair) {
		p.connect()
		p.connect()
		if _, err := p.a.Dial(context.Background(), addrOf(p.hostB)); !errors.Is(err, ErrTooMany) {
			t.Error(err)
		}
	})
}

// TestBothDial each other at the same moment, as they do through NATs: two
// connections, both good.
func TestBothDial(t *testing.T) {
	for _, kind := range []simnet.NATKind{simnet.FullCone, simnet.RestrictedCone, simnet.PortRestricted} {
		link := simnet.Link{Delay: 10 * ms}
		inPair(t, link, link, Config{}, func(p *pair) {
			var socks [2]*Socket
			var at [2]netip.AddrPort
			for i, outside := range []string{"198.51.100.1", "198.51.100.2"} {
				nat := p.net.NAT(kind, simnet.Addr(outside))
				socks[i] = p.socket(nat.Host(link, simnet.Addr("10.0.0.1")), Config{})
				defer socks[i].Close()
				// its first packet makes the mapping, whose port somebody learns
				socks[i].pc.WriteTo([]byte("d"), net.UDPAddrFromAddrPort(addrOf(p.hostA)))
				at[i] = netip.AddrPortFrom(simnet.Addr(outside), 49152)
			}
			time.Sleep(time.Second)
			var wg sync.WaitGroup
			for i := range socks {
				wg.Go(func() {
					start := time.Now()
					nc, err := socks[i].Dial(context.Background(), at[1-i])
					if err != nil {
						t.Errorf("kind %d, from %d: %v", kind, i, err)
						return
					}
					// one round trip, or a second more if the first SYN found the door shut
					if took := time.Since(start); took != 40*ms && took != time.Second+40*ms {
						t.Errorf("kind %d, from %d: %v", kind, i, took)
					}
					nc.Write([]byte("through"))
				})
				wg.Go(func() {
					nc, err := socks[i].Accept()
					if err != nil {
						t.Error(err)
						return
					}
					buf := make([]byte, 7)
					if _, err := io.ReadFull(nc, buf); err != nil || string(buf) != "through" {
						t.Errorf("%q, %v", buf, err)
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestSystemSockets: the same in both families of the system, in batches.
func TestSystemSockets(t *testing.T) {
	for network, addr := range map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0"} {
		var socks [2]*Socket
		for i := range socks {
			pc, err := net.ListenPacket(network, addr)
			if err != nil {
				if network == "udp6" {
					t.Logf("no IPv6 here: %v", err)
					return
				}
				t.Fatal(err)
			}
			defer pc.Close()
			socks[i] = New(pc, Config{})
			defer socks[i].Close()
		}
		from, err := socks[0].Dial(context.Background(), netip.MustParseAddrPort(socks[1].Addr().String()))
		if err != nil {
			t.Fatal(err)
		}
		data := pattern(5, 2*mib)
		go func() {
			from.Write(data)
			from.Close()
		}()
		to, err := socks[1].Accept()
		if err != nil {
			t.Fatal(err)
		}
		to.SetDeadline(time.Now().Add(time.Minute))
		if got, err := io.ReadAll(to); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, %v", network, len(got), err)
		}
		if to.RemoteAddr().Network() != "utp" || to.RemoteAddr().String() != socks[0].Addr().String() {
			t.Errorf("from %v, not %v", to.RemoteAddr(), socks[0].Addr())
		}
	}
}
