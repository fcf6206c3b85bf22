package tracker

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestUDPAnnounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7", "8.8.8.8:8")
		defer u.close()
		start := time.Now()
		got, err := w.announce("udp://6.6.6.6:6969/announce?k=v", Request{InfoHash: [20]byte{1}, Port: 6881, Left: -1, NumWant: 200, Event: Started})
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		if d := time.Since(start); d != 80*time.Millisecond {
			t.Errorf("took %v, want two round trips", d)
		}
		if a := got[0]; !slices.Equal(a.Peers, u.peers) || a.Counts != (Counts{5, 2, -1}) || a.from != netip.MustParseAddr("6.6.6.6") {
			t.Errorf("got %+v", a)
		}
		if want := appendUDPAnnounce(nil, u.lastID, 0, Request{InfoHash: [20]byte{1}, Port: 6881, Left: -1, NumWant: 200, Event: Started}, "/announce?k=v"); !slices.Equal(u.last[16:], want[16:]) {
			t.Errorf("sent %x\nwant %x", u.last, want)
		}
	})
}

// The connection ID is used for a minute and by all torrents, then renewed.
func TestConnectionIDIsReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
		defer u.close()
		want := func(requests ...string) {
			t.Helper()
			if _, err := w.announce("udp://6.6.6.6:6969", Request{}); err != nil {
				t.Fatal(err)
			}
			if got := u.log(); !slices.Equal(got, requests) {
				t.Errorf("requests %q, want %q", got, requests)
			}
		}
		want("connect", "announce ")
		want("announce ")
		time.Sleep(59 * time.Second)
		want("announce ")
		time.Sleep(2 * time.Second)
		want("connect", "announce ")
		// A tracker that was restarted knows none of its IDs: silence, two tries,
		// then a new one.
		u.set(func() { clear(u.ids) })
		want("bad connection", "bad connection", "connect", "announce ")
		// One that says so is believed at once.
		u.set(func() { u.refuse = "connection ID mismatch" })
		start := time.Now()
		time.AfterFunc(50*time.Millisecond, func() { u.set(func() { u.refuse = "" }) })
		want("connect", "announce ")
		if d := time.Since(start); d != 120*time.Millisecond {
			t.Errorf("took %v, want three round trips", d)
		}
	})
}

func TestManyTorrentsShareOneConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
		defer u.close()
		errs := make(chan error)
		for range 50 {
			go func() {
				_, err := w.announce("udp://6.6.6.6:6969", Request{})
				errs <- err
			}()
		}
		for range 50 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		connects := 0
		for _, r := range u.log() {
			if r == "connect" {
				connects++
			}
		}
		if connects != 1 {
			t.Errorf("%d connects, want one", connects)
		}
	})
}

func TestUDPRetransmits(t *testing.T) {
	for _, tt := range []struct {
		name string
		drop int
		took time.Duration
		err  error
	}{
		{"first connect lost", 1, 4*time.Second + 80*time.Millisecond, nil},
		{"two connects lost", 2, 12*time.Second + 80*time.Millisecond, nil},
		{"nobody there", 1000, 28 * time.Second, errTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
				defer u.close()
				u.set(func() { u.drop = tt.drop })
				start := time.Now()
				_, err := w.announce("udp://6.6.6.6:6969", Request{})
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if d := time.Since(start); d != tt.took {
					t.Errorf("took %v, want %v", d, tt.took)
				}
			})
		})
	}
}

func TestUDPStopIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		start := time.Now()
		if _, err := w.announce("udp://6.6.6.6:6969", Request{Event: Stopped}); !errors.Is(err, errTimeout) {
			t.Errorf("error %v", err)
		}
		if d := time.Since(start); d != stopTimeout {
			t.Errorf("took %v, want %v", d, stopTimeout)
		}
	})
}

func TestUDPRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
		defer u.close()
		u.set(func() { u.refuse = "not on the\nwhitelist" })
		_, err := w.announce("udp://6.6.6.6:6969", Request{})
		var f *Failure
		if !errors.As(err, &f) || f.Reason != "not on the whitelist" {
			t.Errorf("error %v", err)
		}
	})
}

// What is not the answer to our request is passed over, and the answer that
// comes with the retransmission counts.
func TestUDPBadReplies(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mangle func(b []byte) []byte
	}{
		{"wrong transaction", func(b []byte) []byte { b[7]++; return b }},
		{"wrong action", func(b []byte) []byte { b[3] ^= 2; return b }},
		{"seven bytes", func(b []byte) []byte { return b[:7] }},
		{"empty", func(b []byte) []byte { return b[:0] }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
				defer u.close()
				n := 0
				u.set(func() {
					u.mangle = func(b []byte) []byte {
						if n++; n == 1 {
							return tt.mangle(b)
						}
						return b
					}
				})
				start := time.Now()
				if _, err := w.announce("udp://6.6.6.6:6969", Request{}); err != nil {
					t.Error(err)
				}
				if d := time.Since(start); d != 4*time.Second+80*time.Millisecond {
					t.Errorf("took %v, want one retransmission", d)
				}
			})
		})
	}
}

// A short reply with the right header is the tracker's, and broken.
func TestUDPShortReply(t *testing.T) {
	for _, keep := range []int{15, 19} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
			defer u.close()
			u.set(func() { u.mangle = func(b []byte) []byte { return b[:min(len(b), keep)] } })
			if _, err := w.announce("udp://6.6.6.6:6969", Request{}); !errors.Is(err, errShort) {
				t.Errorf("%d bytes: error %v, want %v", keep, err, errShort)
			}
		})
	}
}

// Someone else who answers, even with the right transaction ID, is not heard.
func TestUDPOffPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		forger, err := w.host("9.9.9.9").ListenPacket(t.Context(), "udp", ":6969")
		if err != nil {
			t.Fatal(err)
		}
		tracker, err := w.host("6.6.6.6").ListenPacket(t.Context(), "udp", ":6969")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // the forger answers in the tracker's stead
			buf := make([]byte, 100)
			for {
				n, from, err := tracker.ReadFrom(buf)
				if err != nil {
					return
				}
				reply := binary.BigEndian.AppendUint32(nil, actionConnect)
				reply = append(reply, buf[12:n]...)
				forger.WriteTo(append(reply, make([]byte, 8)...), from)
			}
		}()
		if _, err := w.announce("udp://6.6.6.6:6969", Request{}); !errors.Is(err, errTimeout) {
			t.Errorf("error %v, want %v", err, errTimeout)
		}
	})
}

// A name with addresses of both families: each is announced to, in parallel,
// and the size of peers follows the family.
func TestBothFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6", "2a00::6"), ":6969", "7.7.7.7:7", "[2a00::7]:7")
		defer u.close()
		w.name("tracker.example", "6.6.6.6", "2a00::6")
		start := time.Now()
		got, err := w.announce("udp://tracker.example:6969", Request{})
		if err != nil || len(got) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if d := time.Since(start); d != 80*time.Millisecond {
			t.Errorf("took %v, want two round trips", d)
		}
		peers := slices.Concat(got[0].Peers, got[1].Peers)
		slices.SortFunc(peers, netip.AddrPort.Compare)
		if !slices.Equal(peers, addrs("7.7.7.7:7", "[2a00::7]:7")) {
			t.Errorf("peers %v", peers)
		}
	})
}

// One family that does not work is no failure.
func TestOneFamilyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7")
		defer u.close()
		w.name("tracker.example", "2a00::dead", "6.6.6.6")
		got, err := w.announce("udp://tracker.example:6969", Request{})
		if err != nil || len(got) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	})
}

func TestUDPForbiddenAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		for _, host := range []string{"0.0.0.0", "224.0.0.1", "255.255.255.255", "[ff02::1]", "[::]"} {
			if _, err := w.announce("udp://"+host+":6969", Request{}); !errors.Is(err, errForbidden) {
				t.Errorf("%s: error %v, want %v", host, err, errForbidden)
			}
		}
	})
}

func TestUDPScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
		defer u.close()
		target, _ := parseTarget("udp://6.6.6.6:6969")
		if c, err := w.client.scrape(t.Context(), target, [20]byte{}); err != nil || c != (Counts{5, 2, 7}) {
			t.Errorf("%+v, %v", c, err)
		}
	})
}

// A socket that dies takes its calls along, and the next announce opens another.
func TestUDPSocketDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
		defer u.close()
		u.set(func() { u.drop = 1 })
		time.AfterFunc(time.Second, func() {
			s, err := w.client.socket(t.Context(), ipv4)
			if err != nil {
				t.Error(err)
				return
			}
			s.conn.Close()
		})
		start := time.Now()
		if _, err := w.announce("udp://6.6.6.6:6969", Request{}); !errors.Is(err, net.ErrClosed) || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		synctest.Wait()
		if _, err := w.announce("udp://6.6.6.6:6969", Request{}); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseEndsAnnounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		time.AfterFunc(time.Second, func() { w.client.Close() })
		start := time.Now()
		if _, err := w.announce("udp://6.6.6.6:6969", Request{}); err == nil || time.Since(start) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
		if _, err := w.announce("udp://6.6.6.6:6969", Request{}); err == nil {
			t.Error("a closed client announces")
		}
		w.close()
	})
}

func TestAnnounceEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		target, _ := parseTarget("udp://6.6.6.6:6969")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		err := w.client.announce(ctx, target, Request{}, func(answer) {})
		if !isTimeout(err) || time.Since(start) != 3*time.Second {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

// namedConn is a packet socket of a proxy: it takes names and does not tell
// where answers come from.
type namedConn struct {
	net.PacketConn
	to   netip.AddrPort
	name string
}

func (c *namedConn) WriteTo(b []byte, a net.Addr) (int, error) {
	c.name = a.String()
	return c.PacketConn.WriteTo(b, net.UDPAddrFromAddrPort(c.to))
}

type proxyNetwork struct {
	Network
	udp *namedConn
}

func (p *proxyNetwork) ListenPacket(ctx context.Context, network, _ string) (net.PacketConn, error) {
	conn, err := p.Network.ListenPacket(ctx, "udp4", "0.0.0.0:0")
	p.udp = &namedConn{PacketConn: conn, to: netip.MustParseAddrPort("6.6.6.6:6969")}
	return p.udp, err
}

func TestNamesGoToTheProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7")
		defer u.close()
		p := &proxyNetwork{Network: w.us}
		w.client = NewClient(ClientConfig{Network: p, RemoteNames: true, Resolve: func(context.Context, string) ([]netip.Addr, error) {
			t.Error("resolved a name behind the proxy's back")
			return nil, errNotFound
		}})
		got, err := w.announce("udp://tracker.example:6969", Request{})
		if err != nil || len(got) != 1 || len(got[0].Peers) != 1 || got[0].from.IsValid() {
			t.Errorf("%+v, %v", got, err)
		}
		if p.udp.name != "tracker.example:6969" {
			t.Errorf("the proxy was asked for %q", p.udp.name)
		}
	})
}
