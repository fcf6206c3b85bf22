package swarmtest

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"magnetfs/internal/simnet"
)

// httpGet asks a tracker over the client's network.
func httpGet(t *testing.T, w world, url string) (int, string, error) {
	t.Helper()
	tr := &http.Transport{DialContext: w.client.Dial, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: time.Minute}).Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// tracker starts a tracker and returns the base of its URL.
func tracker(t *testing.T, w world, cfg TrackerConfig) (*Tracker, string) {
	t.Helper()
	ln, err := w.server.Listen(context.Background(), "tcp", w.bind)
	if err != nil {
		t.Fatal(err)
	}
	tr := NewTracker(cfg)
	tr.Serve(ln)
	t.Cleanup(func() { tr.Close() })
	return tr, "http://" + ln.Addr().String()
}

func announceQuery(port int, event string, left int, more ...string) string {
	q := url.Values{
		"info_hash": {strings.Repeat("\xff", 20)}, "peer_id": {"-XX0000-abcdefghijkl"},
		"port": {fmt.Sprint(port)}, "uploaded": {"1"}, "downloaded": {"2"}, "left": {fmt.Sprint(left)},
	}
	if event != "" {
		q.Set("event", event)
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "/announce?" + q.Encode()
}

func TestTrackerHTTP(t *testing.T) {
	static := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.77:1"), netip.MustParseAddrPort("[2001:db8::1]:2")}
	hash := [20]byte(bytes.Repeat([]byte{0xff}, 20))
	worlds(t, func(t *testing.T, w world) {
		tr, base := tracker(t, w, TrackerConfig{Peers: static})
		get := func(path string) string {
			t.Helper()
			status, body, err := httpGet(t, w, base+path)
			if err != nil || status != http.StatusOK {
				t.Fatalf("status %d, %v", status, err)
			}
			return body
		}
		fixed := "5:peers6:\xc0\x00\x02\x4d\x00\x01" + "6:peers618:" + "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01\x00\x02e"
		if got, want := get(announceQuery(1000, "started", 5)), "d8:completei0e10:incompletei1e8:intervali1800e"+fixed; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
		first := tr.Peers(hash)
		if len(first) != 1 || first[0].Port() != 1000 {
			t.Errorf("peers %v", first)
		}
		if got := get(announceQuery(2000, "completed", 0)); !strings.Contains(got, "5:peers12:") || !strings.HasPrefix(got, "d8:completei1e10:incompletei1e") {
			t.Errorf("second peer is told %q", got)
		}
		if got := get(announceQuery(1000, "", 5, "numwant", "1")); !strings.Contains(got, "5:peers6:\xc0\x00\x02\x4d") || strings.Contains(got, "peers6") && strings.Contains(got, "peers618") {
			t.Errorf("one peer wanted, told %q", got)
		}
		if got, want := get("/scrape?info_hash="+strings.Repeat("%ff", 20)), "d5:filesd20:"+strings.Repeat("\xff", 20)+"d8:completei1e10:downloadedi1e10:incompletei1eeee"; got != want {
			t.Errorf("scrape: %q", got)
		}
		get(announceQuery(1000, "stopped", 5))
		if got := tr.Peers(hash); len(got) != 1 || got[0].Port() != 2000 {
			t.Errorf("peers after stop: %v", got)
		}
		for _, bad := range []string{"/announce", announceQuery(70000, "", 0), announceQuery(1, "", -1)} {
			if got := get(bad); !strings.HasPrefix(got, "d14:failure reason") {
				t.Errorf("%s: %q", bad, got)
			}
		}
		if status, _, err := httpGet(t, w, base+"/other"); status != http.StatusNotFound || err != nil {
			t.Errorf("another path: status %d, %v", status, err)
		}
		var events []string
		for _, a := range tr.Announces() {
			events = append(events, a.Event)
			if a.InfoHash != hash || a.Up != 1 || a.Down != 2 || a.UDP || string(a.PeerID[:3]) != "-XX" {
				t.Errorf("announce %+v", a)
			}
		}
		if !slices.Equal(events, []string{"started", "completed", "", "stopped"}) {
			t.Errorf("events %q", events)
		}
	})
}

func TestTrackerFaults(t *testing.T) {
	tests := []struct {
		name    string
		cfg     TrackerConfig
		status  int
		body    string
		elapsed time.Duration
	}{
		{"failure", TrackerConfig{Failure: "go away"}, 200, "d14:failure reason7:go awaye", 0},
		{"status", TrackerConfig{Status: 503}, 503, "", 0},
		{"silent", TrackerConfig{Silent: true}, 0, "", time.Minute},
		{"interval", TrackerConfig{Interval: time.Minute}, 200, "d8:completei1e10:incompletei0e8:intervali60e5:peers0:e", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, simnet.Link{}, func(t *testing.T, w world) {
				_, base := tracker(t, w, tt.cfg)
				start := time.Now()
				status, body, err := httpGet(t, w, base+announceQuery(1, "", 0))
				if status != tt.status || body != tt.body || (err != nil) != (tt.status == 0) {
					t.Errorf("status %d, %q, %v", status, body, err)
				}
				if d := time.Since(start); d != tt.elapsed {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

func TestTrackerUDP(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		pc, err := w.server.ListenPacket(context.Background(), "udp", w.bind)
		if err != nil {
			t.Fatal(err)
		}
		tr := NewTracker(TrackerConfig{Peers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.77:1"), netip.MustParseAddrPort("[2001:db8::1]:2")}})
		tr.ServePacket(pc)
		defer tr.Close()
		c, err := w.client.Dial(context.Background(), "udp", pc.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ask := func(query string) string {
			t.Helper()
			b, err := hex.DecodeString(strings.ReplaceAll(query, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			c.Write(b)
			buf := make([]byte, 500)
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			return hex.EncodeToString(buf[:n])
		}
		const tid = "12345678"
		hash, peerID := strings.Repeat("ab", 20), strings.Repeat("cd", 20)
		answer := ask("0000041727101980 00000000 " + tid)
		if len(answer) != 32 || answer[:16] != "00000000"+tid {
			t.Fatalf("connect: %s", answer)
		}
		id := answer[16:]
		if got, want := ask(id+"00000001"+tid+hash+peerID+"0000000000000003 0000000000000002 0000000000000001 00000002 00000000 cafebabe ffffffff 1ae1"),
			"00000001"+tid+"00000708"+"00000001"+"00000000"+"c000024d0001"; got != want {
			t.Errorf("announce: %s, want %s", got, want)
		}
		if got, want := ask(id+"00000002"+tid+hash+peerID), "00000002"+tid+"00000000"+"00000000"+"00000001"+strings.Repeat("0", 24); got != want {
			t.Errorf("scrape: %s, want %s", got, want)
		}
		for name, q := range map[string]string{
			"unknown connection id": "1122334455667788 00000002" + tid + hash,
			"short announce":        id + "00000001" + tid + hash,
			"unknown action":        id + "00000009" + tid,
		} {
			if got := ask(q); !strings.HasPrefix(got, "00000003"+tid) {
				t.Errorf("%s: %s", name, got)
			}
		}
		all := tr.Announces()
		if len(all) != 1 || all[0].Event != "started" || all[0].Port != 6881 || all[0].NumWant != -1 ||
			all[0].Down != 3 || all[0].Left != 2 || all[0].Up != 1 || !all[0].UDP {
			t.Errorf("announces %+v", all)
		}
		tr.Close()
		late, err := w.server.ListenPacket(context.Background(), "udp", w.bind)
		if err != nil {
			t.Fatal(err)
		}
		tr.ServePacket(late)
		if _, err := late.WriteTo(nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}); err == nil {
			t.Error("a socket given after Close stays open")
		}
	})
}
