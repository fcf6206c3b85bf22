package simnet

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mbit10 = 10_000_000 / 8 // bytes per second

// bubble runs fn on a new network in virtual time.
func bubble(t *testing.T, fn func(t *testing.T, n *Net)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		defer n.Close()
		fn(t, n)
	})
}

// pair makes two hosts, 192.0.2.1 and 192.0.2.2.
func pair(n *Net, a, b Link) (*Host, *Host) {
	return n.Host(a, Addr("192.0.2.1")), n.Host(b, Addr("192.0.2.2"))
}

// connect makes a stream from a to b and returns both ends.
func connect(t *testing.T, a, b *Host) (client, server *Conn) {
	t.Helper()
	ln, err := b.Listen(context.Background(), "tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan net.Conn)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			t.Error(err)
		}
		got <- c
	}()
	port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
	c, err := a.Dial(context.Background(), "tcp", netip.AddrPortFrom(b.Addr(), port).String())
	if err != nil {
		t.Fatal(err)
	}
	return c.(*Conn), (<-got).(*Conn)
}

// pattern returns n bytes in which no two neighbourhoods are equal.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// sendAll writes b and closes, in the background.
func sendAll(t *testing.T, c net.Conn, b []byte) {
	go func() {
		if _, err := c.Write(b); err != nil {
			t.Errorf("write: %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
}

// receiveAll reads to the end and returns the data and the moment of the last byte.
func receiveAll(t *testing.T, c net.Conn) ([]byte, time.Time) {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Errorf("read: %v", err)
	}
	return b, time.Now()
}
