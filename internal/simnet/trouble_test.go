package simnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestDownAndUnplug(t *testing.T) {
	link := Link{Up: 1 << 20, Delay: 10 * time.Millisecond}
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, link, link)

		client, server := connect(t, a, b)
		start := time.Now()
		time.AfterFunc(time.Second, b.Down)
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read from a host that went down: %v", err)
		}
		if d, want := time.Since(start), time.Second+20*time.Millisecond; d != want {
			t.Errorf("reset after %v, want %v", d, want)
		}
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read on a host that is down: %v", err)
		}
		if _, err := b.Dial(t.Context(), "tcp", "192.0.2.1:1"); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("dial on a host that is down: %v", err)
		}
		client.Close()
		server.Close()
		b.Up()

		client, server = connect(t, a, b)
		start = time.Now()
		data := pattern(2 << 20)
		sendAll(t, client, data)
		time.AfterFunc(time.Second, b.Unplug)
		time.AfterFunc(61*time.Second, b.Plug)
		got, end := receiveAll(t, server)
		if !bytes.Equal(got, data) {
			t.Error("the stream lost data while unplugged")
		}
		if d := end.Sub(start); d < 62*time.Second || d > 62500*time.Millisecond {
			t.Errorf("transfer with a minute without cable took %v", d)
		}
		server.Close()
	})
}

func TestLossDelaysStream(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{Delay: 25 * time.Millisecond, Loss: 0.3, Jitter: 3 * time.Millisecond}, Link{})
		client, server := connect(t, a, b)
		data := pattern(1 << 20)
		start := time.Now()
		sendAll(t, client, data)
		got, end := receiveAll(t, server)
		if !bytes.Equal(got, data) {
			t.Error("loss changed the data")
		}
		if d := end.Sub(start); d < 75*time.Millisecond {
			t.Errorf("took %v, so nothing was lost", d)
		}
		server.Close()
	})
}

// TestCongestion runs two streams through a bounded queue: both make progress,
// the link is used well, and the queue stays short.
func TestCongestion(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		const size = 8 << 20
		dst := n.Host(Link{Down: mbit10, Queue: 32 << 10, Delay: 10 * time.Millisecond}, Addr("192.0.2.9"))
		hosts := []*Host{
			n.Host(Link{Delay: 5 * time.Millisecond}, Addr("192.0.2.1")),
			n.Host(Link{Delay: 5 * time.Millisecond}, Addr("192.0.2.2")),
		}
		start := time.Now()
		var wg sync.WaitGroup
		got := make([]int64, len(hosts))
		for i, h := range hosts {
			client, server := connect(t, h, dst)
			defer client.Close()
			go func() {
				client.Write(make([]byte, size))
			}()
			server.SetReadDeadline(start.Add(10 * time.Second))
			wg.Go(func() {
				got[i], _ = io.Copy(io.Discard, server)
				server.SetLinger(0)
				server.Close()
			})
		}
		wg.Wait()
		sum := got[0] + got[1]
		if max := int64(10 * mbit10); sum > max || sum < max*85/100 {
			t.Errorf("moved %d bytes in 10 s over a link for %d", sum, max)
		}
		if got[0] < sum/5 || got[1] < sum/5 {
			t.Errorf("unfair: %d and %d bytes", got[0], got[1])
		}
		if hosts[0].Counters().DroppedPackets == 0 {
			t.Error("nothing was dropped by a queue of 32 KiB")
		}
	})
}

func TestNetCloseEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b := pair(n, Link{}, Link{})
		_, server := connect(t, a, b)
		ln := listen(t, a, ":0")
		pc, err := a.ListenPacket(t.Context(), "udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wait := func(name string, fn func() error) {
			wg.Go(func() {
				if err := fn(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
		wait("read", func() error { _, err := server.Read(make([]byte, 1)); return err })
		wait("write", func() error { _, err := server.Write(make([]byte, 8<<20)); return err })
		wait("accept", func() error { _, err := ln.Accept(); return err })
		wait("read from", func() error { _, _, err := pc.ReadFrom(make([]byte, 1)); return err })
		wait("dial", func() error { _, err := a.Dial(context.Background(), "tcp", "192.0.2.77:1"); return err })
		synctest.Wait()
		n.Close()
		wg.Wait()
	})
}

// TestTinyQueue has a queue that is shorter than a full segment.
func TestTinyQueue(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{Up: mbit10, Queue: 1000, Delay: time.Millisecond}, Link{})
		client, server := connect(t, a, b)
		defer server.Close()
		data := pattern(100_000)
		sendAll(t, client, data)
		if got, _ := receiveAll(t, server); !bytes.Equal(got, data) {
			t.Errorf("received %d bytes, not those sent", len(got))
		}
	})
}

// TestAcceptBacklog dials a listener that accepts late: what does not fit into the
// backlog is served when its SYN is repeated.
func TestAcceptBacklog(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{}, Link{Delay: time.Millisecond})
		ln := listen(t, b, ":1")
		defer ln.Close()
		start := time.Now()
		var wg sync.WaitGroup
		times := make([]time.Duration, acceptBacklog+3)
		for i := range times {
			wg.Go(func() {
				c, err := a.Dial(context.Background(), "tcp", "192.0.2.2:1")
				if err != nil {
					t.Error(err)
					return
				}
				times[i] = time.Since(start)
				c.Close()
			})
		}
		time.Sleep(2 * time.Second) // SYNs are repeated after 1 and 3 s
		for range times {
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		wg.Wait()
		slices.Sort(times)
		if got, want := times[acceptBacklog-1], 2*time.Millisecond; got != want {
			t.Errorf("the last that fits is connected after %v, want %v", got, want)
		}
		if got, want := times[acceptBacklog], 3*time.Second+2*time.Millisecond; got != want {
			t.Errorf("the first that does not fit is connected after %v, want %v", got, want)
		}
	})
}

func TestListenerCloseResetsWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{Delay: time.Millisecond}, Link{})
		ln := listen(t, b, ":1")
		waiting, err := a.Dial(t.Context(), "tcp", "192.0.2.2:1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		coming, err := a.Dial(t.Context(), "tcp", "192.0.2.2:1")
		if err != nil {
			t.Fatal(err)
		}
		ln.Close() // while the last packet of that handshake is on its way
		for _, c := range []net.Conn{waiting, coming} {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("read: %v", err)
			}
			c.Close()
		}
	})
}

func TestSetLink(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{Up: 1000}, Link{})
		client, server := connect(t, a, b)
		defer client.Close()
		defer server.Close()
		buf := make([]byte, 1000)
		for _, l := range []Link{{Up: 1000}, {Up: 2000}, {Up: 500, Delay: time.Second}} {
			a.SetLink(l)
			if a.Link() != l {
				t.Errorf("link is %+v", a.Link())
			}
			start := time.Now()
			client.Write(buf)
			io.ReadFull(server, buf)
			if got, want := time.Since(start), time.Duration(1000/float64(l.Up)*1e9)+l.Delay; got != want {
				t.Errorf("%+v: took %v, want %v", l, got, want)
			}
		}
		if c := a.Counters(); c.SentBytes != 3000 || c.SentPackets != 3 || b.Counters().ReceivedBytes != 3000 {
			t.Errorf("counters %+v and %+v", c, b.Counters())
		}
	})
}

func TestUnpluggedDatagrams(t *testing.T) {
	bubble(t, func(t *testing.T, n *Net) {
		a, b := pair(n, Link{}, Link{Delay: time.Second})
		from, to := packetConn(t, a, "udp", ":1"), packetConn(t, b, "udp", ":1")
		send := func(s string) {
			if _, err := from.WriteTo([]byte(s), udpTo(b, to)); err != nil {
				t.Error(err)
			}
		}
		send("a")
		time.Sleep(500 * time.Millisecond)
		b.Unplug() // under way datagrams are lost as well
		time.Sleep(time.Second)
		send("b")
		b.Plug()
		send("c")
		a.Down()
		if _, err := from.WriteTo(nil, udpTo(b, to)); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("write on a host that is down: %v", err)
		}
		a.Up()
		buf := make([]byte, 1)
		to.SetReadDeadline(time.Now().Add(time.Minute))
		got := ""
		for {
			if _, _, err := to.ReadFrom(buf); err != nil {
				break
			}
			got += string(buf)
		}
		if got != "bc" { // b was sent with the cable of the sender in
			t.Errorf("received %q", got)
		}
	})
}
