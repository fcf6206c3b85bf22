package netdev

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const loopback = "127.0.0.1:0"

// read starts to read one datagram.
func read(p net.PacketConn) <-chan string {
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 100)
		n, _, err := p.ReadFrom(b)
		if err != nil {
			got <- err.Error()
			return
		}
		got <- string(b[:n])
	}()
	return got
}

// The interface is taken away and comes back, as the Device sees it; that the real one does is seen by the integration test.
func TestComesBack(t *testing.T) {
	d := newDevice(Config{Name: "lo"})
	here := d.now
	l, err := d.Listen(t.Context(), "tcp4", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := d.ListenPacket(t.Context(), "udp4", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- nc
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		nc, err := d.Dial(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return nc
	}
	out := dial()
	defer out.Close()
	in := <-accepted
	defer in.Close()
	got := read(p)
	if _, err := p.WriteTo([]byte("one"), p.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if text := <-got; text != "one" {
		t.Fatalf("read %q", text)
	}

	got = read(p) // which goes on over all that follows
	if d.adopt(state{}) {
		t.Error("it is told that it is back")
	}
	for _, nc := range []net.Conn{out, in} {
		if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a connection of before: %v", err)
		}
	}
	if _, err := d.Dial(t.Context(), "tcp", l.Addr().String()); !errors.Is(err, ErrDown) {
		t.Errorf("dial without the interface: %v", err)
	}
	if _, err := p.WriteTo([]byte("lost"), p.LocalAddr()); !errors.Is(err, ErrDown) {
		t.Errorf("write without the interface: %v", err)
	}
	if _, err := d.dialServer(t.Context(), "udp", "127.0.0.1:53"); !errors.Is(err, ErrDown) {
		t.Errorf("asking for a name without the interface: %v", err)
	}

	if !d.adopt(here) || d.adopt(here) {
		t.Error("it is not told, once, that it is back")
	}
	again := dial()
	defer again.Close()
	in = <-accepted
	defer in.Close()
	if _, err := p.WriteTo([]byte("two"), p.LocalAddr()); err != nil {
		t.Error(err)
	}
	if text := <-got; text != "two" {
		t.Errorf("read %q", text)
	}

	// It has another address now: connections of the old one are of no use.
	d.adopt(state{index: here.index, up: true, addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	if _, err := again.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection with an address that is gone: %v", err)
	}
	l.Close()
	<-accepted
}

func TestMissing(t *testing.T) {
	d := New(Config{Name: "no-such-device"})
	defer d.Close()
	if err := d.Fault(); !errors.Is(err, ErrDown) {
		t.Errorf("fault: %v", err)
	}
	l, err := d.Listen(t.Context(), "tcp4", loopback)
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	if port < minPort {
		t.Errorf("port %d", port)
	}
	done := make(chan error)
	go func() { _, err := l.Accept(); done <- err }()
	l.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	p, err := d.ListenPacket(t.Context(), "udp6", "[::]:17000")
	if err != nil {
		t.Fatal(err)
	}
	if a := p.LocalAddr().(*net.UDPAddr); a.Port != 17000 {
		t.Errorf("address %v", a)
	}
	got := read(p)
	p.SetReadDeadline(time.Unix(1, 0)) // as those do that end a reader
	if text := <-got; text == "" {
		t.Error("nothing")
	}
	if _, _, err := p.ReadFrom(nil); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	p.Close()
	if _, _, err := p.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := p.WriteTo(nil, p.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestWrongAddress(t *testing.T) {
	d := newDevice(Config{Name: "lo"})
	l, err := d.Listen(t.Context(), "tcp4", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := d.Listen(t.Context(), "tcp4", l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is taken: %v", err)
	}
	if _, err := d.Listen(t.Context(), "tcp4", "localhost:0"); err == nil {
		t.Error("a name is no address")
	}
}

// Names are asked of the servers given, in turn.
func TestServers(t *testing.T) {
	servers := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("127.0.0.2:5300")}
	d := newDevice(Config{Name: "lo", Servers: servers})
	for _, want := range []netip.AddrPort{servers[0], servers[1], servers[0]} {
		nc, err := d.dialServer(t.Context(), "udp", "192.0.2.1:53")
		if err != nil {
			t.Fatal(err)
		}
		nc.Close()
		if got := nc.RemoteAddr().String(); got != want.String() {
			t.Errorf("asked %s, want %v", got, want)
		}
	}
}
