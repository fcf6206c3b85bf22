package simnet

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// BenchmarkStream moves data over one stream in real time, without delay, so
// that it measures the simulator.
func BenchmarkStream(b *testing.B) {
	const chunk = 1 << 20
	n := New(1)
	defer n.Close()
	x, y := pair(n, Link{}, Link{})
	ln, err := y.Listen(context.Background(), "tcp", ":1")
	if err != nil {
		b.Fatal(err)
	}
	c, err := x.Dial(context.Background(), "tcp", "192.0.2.2:1")
	if err != nil {
		b.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(chunk)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		buf := make([]byte, chunk)
		for range b.N {
			c.Write(buf)
		}
		c.Close()
	}()
	buf := make([]byte, 64<<10)
	for {
		if _, err := s.Read(buf); err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDatagram sends one small datagram over two rated links.
func BenchmarkDatagram(b *testing.B) {
	n := New(1)
	defer n.Close()
	link := Link{Up: 1 << 30, Down: 1 << 30}
	x, y := pair(n, link, link)
	p, err := x.ListenPacket(context.Background(), "udp", ":1")
	if err != nil {
		b.Fatal(err)
	}
	q, err := y.ListenPacket(context.Background(), "udp", ":1")
	if err != nil {
		b.Fatal(err)
	}
	payload, buf := make([]byte, 100), make([]byte, 100)
	to := udpTo(y, q.(*PacketConn))
	b.ReportAllocs()
	for b.Loop() {
		p.WriteTo(payload, to)
		if _, _, err := q.ReadFrom(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSpeed states what virtual time is for: a hundred seconds at 8 Mbit/s, in a moment.
func TestSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		defer n.Close()
		a, b := pair(n, Link{Up: 1_000_000, Delay: 20 * time.Millisecond}, Link{})
		client, server := connect(t, a, b)
		defer server.Close()
		start := time.Now()
		go func() {
			defer client.Close()
			buf := make([]byte, 1<<20)
			for range 100 {
				client.Write(buf)
			}
		}()
		io.Copy(io.Discard, server)
		if d, want := time.Since(start), 104877600*time.Microsecond; d != want {
			t.Errorf("took %v, want %v", d, want)
		}
	})
}
