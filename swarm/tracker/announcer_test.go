package tracker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// collector gathers what an Announcer reports.
type collector struct {
	mu       sync.Mutex
	peers    []Peers
	external []netip.Addr
}

func (c *collector) config(w *world, tiers ...[]string) Config {
	return Config{
		Client: w.client, InfoHash: [20]byte{1}, PeerID: [20]byte{2}, Port: 6881, Key: 3, Tiers: tiers,
		OnPeers: func(p Peers) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.peers = append(c.peers, p)
		},
		OnExternal: func(ours, _ netip.Addr) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.external = append(c.external, ours)
		},
	}
}

func start(t *testing.T, cfg Config) *Announcer {
	t.Helper()
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantRows(t *testing.T, a *Announcer, want ...string) {
	t.Helper()
	synctest.Wait()
	var rows []string
	for _, r := range a.Status() {
		next := "-"
		if !r.Next.IsZero() {
			next = time.Until(r.Next).Round(10 * time.Minute).String() // less its jitter
		}
		rows = append(rows, fmt.Sprintf("%s %s %s %d %d", r.URL, r.Status, next, r.Seeds, r.Peers))
	}
	if !slices.Equal(rows, want) {
		t.Errorf("status\n  %s\nwant\n  %s", strings.Join(rows, "\n  "), strings.Join(want, "\n  "))
	}
}

// A magnet with many dead trackers: the living ones are not held up, and each
// reply is reported as it comes.
func TestDeadTrackersDoNotDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7")
		defer u.close()
		var c collector
		var tiers [][]string
		for i := range 30 {
			tiers = append(tiers, []string{fmt.Sprintf("udp://6.6.7.%d:80", i+1)}, []string{fmt.Sprintf("http://6.6.8.%d/announce", i+1)})
		}
		tiers = append(tiers, []string{"udp://6.6.6.6:6969/announce"})
		a := start(t, c.config(w, tiers...))
		defer a.Stop(t.Context())
		time.Sleep(80 * time.Millisecond)
		synctest.Wait()
		want := Peers{"udp://6.6.6.6:6969/announce", netip.MustParseAddr("6.6.6.6"), addrs("7.7.7.7:7")}
		if len(c.peers) != 1 || c.peers[0].Tracker != want.Tracker || c.peers[0].From != want.From || !slices.Equal(c.peers[0].Addrs, want.Addrs) {
			t.Errorf("after two round trips %+v, want %+v", c.peers, want)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		for _, r := range a.Status()[:60] {
			if r.Status != "timed out, 2nd try" || r.Next.IsZero() {
				t.Errorf("%s: %s, next %v", r.URL, r.Status, r.Next)
			}
		}
	})
}

func TestLifeOfAnAnnouncer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7")
		defer u.close()
		var queries []string
		defer serveHTTP(t, w.host("6.6.6.7"), ":80", func(rw http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			queries = append(queries, strings.TrimSpace(r.URL.Path+" "+q.Get("event")+" "+q.Get("left")+" "+q.Get("trackerid")))
			if r.URL.Path == "/scrape" {
				io.WriteString(rw, "d5:filesd20:"+q.Get("info_hash")+"d8:completei40e10:incompletei41eeee")
				return
			}
			io.WriteString(rw, "d11:external ip4:\x05\x05\x05\x058:intervali3600e5:peers6:"+peer4+"10:tracker id2:iDe")
		})()
		var c collector
		a := start(t, c.config(w, []string{"udp://6.6.6.6:6969"}, []string{"http://6.6.6.7/announce"}))
		wantRows(t, a, "udp://6.6.6.6:6969 announcing - -1 -1", "http://6.6.6.7/announce announcing - -1 -1")
		time.Sleep(time.Second)
		wantRows(t, a, "udp://6.6.6.6:6969 working 30m0s 5 2", "http://6.6.6.7/announce working 1h0m0s 40 41")

		a.SetState(State{Left: 1000, Known: true})
		time.Sleep(65 * time.Minute)
		a.SetState(State{Left: 0, Known: true})
		time.Sleep(time.Second)
		a.AnnounceNow() // too soon after the last: nothing happens for a minute
		time.Sleep(2 * time.Minute)

		began := time.Now()
		a.Stop(t.Context())
		if d := time.Since(began); d > 200*time.Millisecond {
			t.Errorf("stopping took %v", d)
		}
		if got := strings.Join(u.log(), ", "); got != "connect, announce started, connect, announce , connect, announce , connect, announce completed, announce , connect, announce stopped" {
			t.Errorf("the UDP tracker got %s", got)
		}
		if got := strings.Join(queries, ", "); got != "/announce started 16384, /scrape, /scrape, /announce  1000 iD, /scrape, /announce completed 0 iD, /announce  0 iD, /announce stopped 0 iD" {
			t.Errorf("the HTTP tracker got %s", got)
		}
		wantRows(t, a, "udp://6.6.6.6:6969 disabled - 5 2", "http://6.6.6.7/announce disabled - 40 41")
		if len(c.external) == 0 || c.external[0] != netip.MustParseAddr("5.5.5.5") {
			t.Errorf("external addresses %v", c.external)
		}
		a.Stop(t.Context()) // again: no harm
		a.SetState(State{})
		a.AnnounceNow()
		a.AddTrackers([][]string{{"udp://6.6.6.9:1"}})
	})
}

// Stop is bounded by five seconds, or by its context, whatever trackers do.
func TestStopIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		want    time.Duration
	}{
		{"patient caller", time.Hour, stopTimeout},
		{"impatient caller", time.Second, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
				defer u.close()
				silent := false
				defer serveHTTP(t, w.host("6.6.6.7"), ":80", func(rw http.ResponseWriter, r *http.Request) {
					if silent {
						<-r.Context().Done()
					}
					io.WriteString(rw, okReply)
				})()
				a := start(t, (&collector{}).config(w, []string{"udp://6.6.6.6:6969"}, []string{"http://6.6.6.7/announce"}, []string{"udp://6.6.6.8:1"}))
				time.Sleep(time.Second)
				synctest.Wait()
				silent = true
				u.set(func() { u.drop = 1000 })
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				began := time.Now()
				a.Stop(ctx)
				if d := time.Since(began); d != tt.want {
					t.Errorf("took %v, want %v", d, tt.want)
				}
			})
		})
	}
}

func TestStopAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969")
		defer u.close()
		a := start(t, (&collector{}).config(w, []string{"udp://6.6.6.6:6969"}, []string{"http://6.6.6.7/announce"}))
		began := time.Now()
		a.Stop(t.Context())
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v though no tracker has heard of us", d)
		}
	})
}

func TestAddTrackersLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7")
		defer u.close()
		a := start(t, (&collector{}).config(w))
		defer a.Stop(t.Context())
		wantRows(t, a)
		a.AddTrackers([][]string{{"udp://6.6.6.6:6969"}})
		a.AddTrackers([][]string{{"UDP://6.6.6.6:6969"}})
		time.Sleep(time.Second)
		wantRows(t, a, "udp://6.6.6.6:6969 working 30m0s 5 2")
	})
}

// The network comes back and the owner wants peers: back-offs do not hold it up.
func TestAnnounceNowAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7")
		defer u.close()
		u.set(func() { u.drop = 1 << 30 })
		var c collector
		a := start(t, c.config(w, []string{"udp://6.6.6.6:6969"}))
		defer a.Stop(t.Context())
		for !strings.Contains(a.Status()[0].Status, "6th") {
			time.Sleep(time.Second)
		}
		u.set(func() { u.drop = 0 })
		a.AnnounceNow()
		time.Sleep(time.Second)
		wantRows(t, a, "udp://6.6.6.6:6969 working 30m0s 5 2")
	})
}

// OnPeers may wait: the Announcer goes on, and answers Status.
func TestSlowOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		u := newUDPTracker(t, w.host("6.6.6.6"), ":6969", "7.7.7.7:7")
		defer u.close()
		block := make(chan struct{})
		cfg := (&collector{}).config(w, []string{"udp://6.6.6.6:6969"})
		cfg.OnPeers = func(Peers) { <-block }
		a := start(t, cfg)
		time.Sleep(time.Second)
		a.SetState(State{})
		wantRows(t, a, "udp://6.6.6.6:6969 working - 5 2")
		close(block)
		wantRows(t, a, "udp://6.6.6.6:6969 working 30m0s 5 2")
		a.Stop(t.Context())
	})
}

func TestNewRefuses(t *testing.T) {
	c := NewClient(ClientConfig{})
	defer c.Close()
	for name, cfg := range map[string]Config{"no client": {Port: 1}, "no port": {Client: c}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// realHost opens real sockets on loopback.
type realHost struct{}

func (realHost) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, network, addr)
}

func (realHost) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, network, addr)
}

// The whole over real sockets.
func TestRealSockets(t *testing.T) {
	u := newUDPTracker(t, realHost{}, "127.0.0.1:0", "7.7.7.7:7")
	defer u.close()
	got := make(chan Peers, 10)
	c := NewClient(ClientConfig{})
	defer c.Close()
	a := start(t, Config{
		Client: c, Port: 6881, OnPeers: func(p Peers) { got <- p },
		Tiers: [][]string{{"udp://" + u.conn.LocalAddr().String() + "/announce"}},
	})
	select {
	case p := <-got:
		if !slices.Equal(p.Addrs, addrs("7.7.7.7:7")) {
			t.Errorf("peers %v", p)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no peers within 10 s: %+v", a.Status())
	}
	a.Stop(t.Context())
	if log := strings.Join(u.log(), ", "); log != "connect, announce started, announce stopped" {
		t.Errorf("the tracker got %s", log)
	}
}

// The port announced is the one of the moment, if one is known.
func TestPortNow(t *testing.T) {
	var now uint16
	a := &Announcer{cfg: Config{Port: 6881, PortNow: func() uint16 { return now }}}
	for port, want := range map[uint16]uint16{0: 6881, 40000: 40000} {
		now = port
		if got := a.complete(Request{}).Port; got != want {
			t.Errorf("%d announced, want %d", got, want)
		}
	}
}
