package lpd

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lan is a network that passes each multicast to everyone on it, the sender
// included, as multicast loop does.
type lan struct {
	mu    sync.Mutex
	ports map[*lanPort]bool
}

// lanPort is a host's Transport. The host has one interface, index 2.
type lanPort struct {
	lan  *lan
	addr netip.Addr
	in   chan lanPacket
	done chan struct{}

	mu     sync.Mutex
	joined bool
	fail   error // of Write
	closed bool
}

type lanPacket struct {
	src  netip.AddrPort
	data []byte
}

func (l *lan) open(addr netip.Addr) *lanPort {
	p := &lanPort{lan: l, addr: addr, in: make(chan lanPacket, 100), done: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ports == nil {
		l.ports = make(map[*lanPort]bool)
	}
	l.ports[p] = true
	return p
}

func (p *lanPort) Join(Interface) error  { p.set(func() { p.joined = true }); return nil }
func (p *lanPort) Leave(Interface) error { p.set(func() { p.joined = false }); return nil }

func (p *lanPort) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *lanPort) Read(b []byte) (int, int, netip.AddrPort, error) {
	select {
	case m := <-p.in:
		return copy(b, m.data), 2, m.src, nil
	case <-p.done:
		return 0, 0, netip.AddrPort{}, errors.New("closed")
	}
}

func (p *lanPort) Write(b []byte, _ Interface) error {
	p.mu.Lock()
	err := p.fail
	p.mu.Unlock()
	if err != nil {
		return err
	}
	p.lan.send(netip.AddrPortFrom(p.addr, 6771), b)
	return nil
}

func (l *lan) send(src netip.AddrPort, b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for q := range l.ports {
		q.mu.Lock()
		if q.joined && !q.closed {
			q.in <- lanPacket{src, append([]byte(nil), b...)}
		}
		q.mu.Unlock()
	}
}

func (p *lanPort) Close() error {
	p.lan.mu.Lock()
	delete(p.lan.ports, p)
	p.lan.mu.Unlock()
	p.set(func() {
		if !p.closed {
			p.closed = true
			close(p.done)
		}
	})
	return nil
}

// host is a Server on a lan with what it found.
type host struct {
	*Server
	mu      sync.Mutex
	found   map[netip.AddrPort]int
	ifaces  []Interface
	changed func()
	ports   []*lanPort
	openErr error
}

func newHost(t *testing.T, l *lan, addr string, port int) *host {
	t.Helper()
	a := netip.MustParseAddr(addr)
	h := &host{
		found:  make(map[netip.AddrPort]int),
		ifaces: []Interface{{Index: 2, Name: "eth0", Prefixes: []netip.Prefix{netip.PrefixFrom(a, 24)}}},
	}
	s, err := New(Config{
		Port: port,
		OnPeer: func(_ [20]byte, p netip.AddrPort) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.found[p]++
		},
		Interfaces: func() ([]Interface, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.ifaces, nil
		},
		Watch: func(ctx context.Context, changed func()) error {
			h.mu.Lock()
			h.changed = changed
			h.mu.Unlock()
			<-ctx.Done()
			return nil
		},
		Open: func(f Family) (Transport, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.openErr != nil {
				return nil, h.openErr
			}
			p := l.open(a)
			h.ports = append(h.ports, p)
			return p, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = s
	synctest.Wait()
	return h
}

func (h *host) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *host) reports(p string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.found[netip.MustParseAddrPort(p)]
}

// Two hosts with the same torrent know each other within the answer's jitter,
// whoever came first.
func TestTwoHostsFindEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lan
		a := newHost(t, &l, "192.168.1.1", 1001)
		b := newHost(t, &l, "192.168.1.2", 1002)
		defer a.Close()
		defer b.Close()
		a.Add(hash(hexA))
		time.Sleep(10 * time.Second)
		b.Add(hash(hexA))
		synctest.Wait()
		if a.reports("192.168.1.2:1002") != 1 {
			t.Error("the elder did not hear the newcomer at once")
		}
		time.Sleep(answerJitter)
		synctest.Wait()
		if b.reports("192.168.1.1:1001") != 1 {
			t.Error("the newcomer got no answer")
		}
		if a.reports("192.168.1.1:1001") != 0 {
			t.Error("the elder found itself")
		}
		st := a.Stats(hash(hexA))
		if st.Announcers != 1 || st.Links != 1 || st.Err != nil || st.Next.IsZero() {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestOtherTorrentIsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lan
		a := newHost(t, &l, "192.168.1.1", 1001)
		b := newHost(t, &l, "192.168.1.2", 1002)
		defer a.Close()
		defer b.Close()
		a.Add(hash(hexA))
		b.Add(hash(hexB))
		time.Sleep(10 * time.Minute)
		if n := len(a.found) + len(b.found); n != 0 {
			t.Errorf("%d peers found, want none", n)
		}
	})
}

func TestInterfaceComesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lan
		a := newHost(t, &l, "192.168.1.1", 1001)
		b := newHost(t, &l, "192.168.1.2", 1002)
		defer a.Close()
		defer b.Close()
		wlan := b.ifaces
		b.set(func() { b.ifaces = nil })
		b.changed()
		time.Sleep(debounce)
		synctest.Wait()
		if st := b.Stats(hash(hexA)); st.Links != 0 || st.Err == nil {
			t.Errorf("stats without an interface: %+v", st)
		}
		a.Add(hash(hexA))
		b.Add(hash(hexA))
		time.Sleep(10 * time.Second)
		if a.reports("192.168.1.2:1002") != 0 {
			t.Error("heard a host without an interface")
		}
		b.set(func() { b.ifaces = wlan })
		for range 3 { // a flock of changes is one
			b.changed()
			time.Sleep(debounce / 4)
		}
		if a.reports("192.168.1.2:1002") != 0 {
			t.Error("announced before the changes came to rest")
		}
		time.Sleep(debounce / 4)
		synctest.Wait()
		if a.reports("192.168.1.2:1002") != 1 {
			t.Error("not heard a second after its interface came up")
		}
		if st := b.Stats(hash(hexA)); st.Links != 1 || st.Err != nil {
			t.Errorf("stats with an interface: %+v", st)
		}
	})
}

// A socket that cannot be opened, or dies, is opened again within a minute.
func TestSocketIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lan
		a := newHost(t, &l, "192.168.1.1", 1001)
		b := newHost(t, &l, "192.168.1.2", 1002)
		defer a.Close()
		defer b.Close()
		b.set(func() { b.openErr = errors.New("address in use") })
		b.ports[0].Close()
		time.Sleep(2 * time.Second)
		if st := b.Stats(hash(hexA)); st.Err == nil {
			t.Error("no error while there is no socket")
		}
		b.set(func() { b.openErr = nil })
		a.Add(hash(hexA))
		b.Add(hash(hexA))
		time.Sleep(poll + answerJitter)
		synctest.Wait()
		if a.reports("192.168.1.2:1002") == 0 || b.reports("192.168.1.1:1001") == 0 {
			t.Error("the hosts did not find each other")
		}
	})
}

func TestSendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lan
		a := newHost(t, &l, "192.168.1.1", 1001)
		b := newHost(t, &l, "192.168.1.2", 1002)
		defer a.Close()
		defer b.Close()
		b.ports[0].set(func() { b.ports[0].fail = errors.New("no route") })
		b.Add(hash(hexA))
		time.Sleep(time.Second)
		b.ports[0].set(func() { b.ports[0].fail = nil })
		a.Add(hash(hexA))
		synctest.Wait()
		if b.reports("192.168.1.1:1001") != 1 {
			t.Error("a host that cannot send does not hear either")
		}
		time.Sleep(poll)
		synctest.Wait()
		if a.reports("192.168.1.2:1002") == 0 {
			t.Error("sending was not tried again")
		}
	})
}

// A flood of garbage neither stops the server nor reaches OnPeer.
func TestGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lan
		a := newHost(t, &l, "192.168.1.1", 1001)
		defer a.Close()
		a.Add(hash(hexA))
		for i := range 50 {
			l.send(netip.MustParseAddrPort("192.168.1.66:6771"), make([]byte, i*100))
			synctest.Wait()
		}
		l.send(netip.MustParseAddrPort("192.168.1.7:6771"), []byte(vector))
		synctest.Wait()
		if len(a.found) != 1 || a.reports("192.168.1.7:6881") != 1 {
			t.Errorf("found %v", a.found)
		}
	})
}

func TestNewRefusesPort(t *testing.T) {
	for _, port := range []int{-1, 0, 65536} {
		if _, err := New(Config{Port: port}); err == nil {
			t.Errorf("port %d accepted", port)
		}
	}
}
