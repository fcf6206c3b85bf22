package simnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
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
