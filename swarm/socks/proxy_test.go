package socks

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a SOCKS5 proxy that serves one user and passes nothing on: datagrams come back
// to who sent them, as from where they were to go.
type fake struct {
	ln    net.Listener
	relay net.PacketConn
	user  string
	reply byte // to the request for an association
	wg    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newFake(t *testing.T) *fake {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{ln: ln, relay: relay}
	f.wg.Go(f.serve)
	f.wg.Go(func() {
		b := make([]byte, 2048)
		for {
			n, from, err := relay.ReadFrom(b)
			if err != nil {
				return
			}
			relay.WriteTo([]byte{0, 0, 1, addrIPv4, 1, 2, 3, 4, 0, 9, 'x'}, from) // a fragment
			relay.WriteTo([]byte{0}, from)
			if b[3] == addrName { // it has another address then
				b = append([]byte{0, 0, 0, addrIPv4, 192, 0, 2, 9, 0, 53}, b[5+int(b[4])+2:n]...)
				n = len(b)
			}
			relay.WriteTo(b[:n], from)
			b = make([]byte, 2048)
		}
	})
	t.Cleanup(func() {
		ln.Close()
		relay.Close()
		f.hangUp()
		f.wg.Wait()
	})
	return f
}

func (f *fake) serve() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns = append(f.conns, nc)
		f.mu.Unlock()
		f.wg.Go(func() {
			if !f.talk(nc) {
				nc.Close()
			}
		})
	}
}

// hangUp ends all connections.
func (f *fake) hangUp() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, nc := range f.conns {
		nc.Close()
	}
	f.conns = nil
}

// talk returns true if the connection is to stay.
func (f *fake) talk(nc net.Conn) bool {
	var head [2]byte
	io.ReadFull(nc, head[:])
	methods := make([]byte, head[1])
	io.ReadFull(nc, methods)
	if f.user != "" {
		if !bytes.Contains(methods, []byte{methodLogin}) {
			nc.Write([]byte{version, 0xff})
			return false
		}
		nc.Write([]byte{version, methodLogin})
		want := append([]byte{loginVersion, byte(len(f.user))}, f.user...)
		want = append(want, 2, 'p', 'w')
		got := make([]byte, len(want))
		io.ReadFull(nc, got)
		if !bytes.Equal(got, want) {
			nc.Write([]byte{loginVersion, 1})
			return false
		}
		nc.Write([]byte{loginVersion, 0})
	} else {
		nc.Write([]byte{version, methodNone})
	}
	var request [10]byte
	io.ReadFull(nc, request[:])
	if request[1] != cmdAssociate || f.reply != 0 {
		nc.Write([]byte{version, f.reply, 0, addrIPv4, 0, 0, 0, 0, 0, 0})
		return false
	}
	port := uint16(f.relay.LocalAddr().(*net.UDPAddr).Port)
	nc.Write(binary.BigEndian.AppendUint16([]byte{version, 0, 0, addrIPv4, 0, 0, 0, 0}, port)) // on its own address
	return true
}

func (f *fake) config() Config { return Config{Addr: f.ln.Addr().String()} }

func open(t *testing.T, cfg Config) *Proxy {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type name string

func (name) Network() string  { return "udp" }
func (n name) String() string { return string(n) }

func TestDatagrams(t *testing.T) {
	f := newFake(t)
	p := open(t, f.config())
	back := make(chan struct{}, 10)
	p.OnBack(func() { back <- struct{}{} })
	c, err := p.ListenPacket(t.Context(), "udp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	<-back
	b := make([]byte, 100)
	for _, tt := range []struct {
		to   net.Addr
		from string
	}{
		{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}, "192.0.2.1:5"},
		{&net.UDPAddr{IP: net.ParseIP("2001:db8::1"), Port: 6}, "[2001:db8::1]:6"},
		{name("192.0.2.7:77"), "192.0.2.7:77"},
		{name("tracker.example:80"), "192.0.2.9:53"},
	} {
		if _, err := c.WriteTo([]byte("data"), tt.to); err != nil {
			t.Fatal(err)
		}
		n, from, err := c.ReadFrom(b)
		if err != nil || string(b[:n]) != "data" || from.String() != tt.from {
			t.Errorf("to %v: %q from %v, %v", tt.to, b[:n], from, err)
		}
	}
	for _, to := range []net.Addr{name("no port"), name(":1"), name("host:x")} {
		if _, err := c.WriteTo(nil, to); err == nil {
			t.Errorf("sent to %q", to)
		}
	}
	// The association ends, another one is made; reading goes on.
	got := make(chan string)
	go func() {
		n, _, _ := c.ReadFrom(b)
		got <- string(b[:n])
	}()
	f.hangUp()
	<-back
	for text := ""; text == ""; {
		c.WriteTo([]byte("again"), name("192.0.2.1:5"))
		select {
		case text = <-got:
		case <-time.After(50 * time.Millisecond):
		}
		if text != "" && text != "again" {
			t.Errorf("read %q", text)
		}
	}
	c.SetReadDeadline(time.Unix(1, 0))
	if _, _, err := c.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   func(*fake, *Config)
		check error
	}{
		{"all well", func(*fake, *Config) {}, nil},
		{"with a login", func(f *fake, c *Config) { f.user, c.User, c.Password = "ann", "ann", "pw" }, nil},
		{"wrong login", func(f *fake, c *Config) { f.user, c.User, c.Password = "ann", "ann", "wp" }, ErrLogin},
		{"login wanted", func(f *fake, _ *Config) { f.user = "ann" }, ErrLogin},
		{"no UDP", func(f *fake, _ *Config) { f.reply = replyUnsupported }, ErrNoUDP},
		{"refused for another reason", func(f *fake, _ *Config) { f.reply = 1 }, ErrNoUDP},
		{"nobody there", func(f *fake, _ *Config) { f.ln.Close() }, ErrUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			cfg := f.config()
			tt.set(f, &cfg)
			p := open(t, cfg)
			if err := p.Check(t.Context()); !errors.Is(err, tt.check) {
				t.Errorf("check: %v, want %v", err, tt.check)
			}
			c, err := p.ListenPacket(t.Context(), "udp", "0.0.0.0:0")
			if !errors.Is(err, tt.check) || !errors.Is(p.Fault("udp"), tt.check) {
				t.Errorf("listen: %v, fault %v, want %v", err, p.Fault("udp"), tt.check)
			}
			if err == nil {
				c.Close()
			}
			if unreachable := tt.check == ErrUnreachable; errors.Is(p.Fault("tcp"), ErrUnreachable) != unreachable {
				t.Errorf("fault of TCP: %v", p.Fault("tcp"))
			}
		})
	}
}

// Sockets of the session are there at once, whatever the proxy does.
func TestNotWaitedFor(t *testing.T) {
	silent, err := net.Listen("tcp4", "127.0.0.1:0") // answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := open(t, Config{Addr: silent.Addr().String()})
	c, err := p.ListenPacket(t.Context(), "udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if port := netip.MustParseAddrPort(c.LocalAddr().String()).Port(); port == 0 {
		t.Error("no port")
	}
	if _, err := c.WriteTo(nil, name("192.0.2.1:5")); err == nil {
		t.Error("sent without an association")
	}
	read := make(chan error)
	go func() { _, _, err := c.ReadFrom(nil); read <- err }()
	c.Close()
	if err := <-read; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.Dial(ctx, "tcp", "tracker.example:80"); err == nil {
		t.Error("connected")
	}
	l, err := p.Listen(t.Context(), "tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error)
	go func() { _, err := l.Accept(); accepted <- err }()
	l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
}

func FuzzUnwrap(f *testing.F) {
	whole, _ := wrap(nil, name("[2001:db8::1]:80"), []byte("data"))
	f.Add(whole)
	f.Add([]byte{0, 0, 0, addrIPv4, 1, 2, 3, 4, 0, 9})
	f.Add([]byte{0, 0, 0, addrName, 255, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		data, from, ok := unwrap(b)
		if !ok {
			return
		}
		again, err := wrap(nil, net.UDPAddrFromAddrPort(from), data)
		if err != nil {
			t.Fatal(err)
		}
		if d, a, ok := unwrap(again); !ok || a != from || !bytes.Equal(d, data) {
			t.Errorf("%x: %v %x, again %v %x", b, from, data, a, d)
		}
	})
}
