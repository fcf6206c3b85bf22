package tracker

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		name, url string
		host      string
		port      string
		request   string // what a UDP tracker gets
		err       error
	}{
		{name: "udp", url: "udp://tracker.example:6969/announce", host: "tracker.example", port: "6969", request: "/announce"},
		{name: "udp without path", url: "udp://tracker.example:6969", host: "tracker.example", port: "6969"},
		{name: "udp with empty path", url: "udp://tracker.example:6969/", host: "tracker.example", port: "6969"},
		{name: "udp with query", url: "udp://tracker.example:80/dir?a=b&c=d", host: "tracker.example", port: "80", request: "/dir?a=b&c=d"},
		{name: "http", url: "http://tracker.example/announce", host: "tracker.example", port: "80", request: "/announce"},
		{name: "https", url: "https://tracker.example/announce", host: "tracker.example", port: "443", request: "/announce"},
		{name: "upper case", url: " HTTP://Tracker.Example:1/Announce#x ", host: "tracker.example", port: "1", request: "/Announce"},
		{name: "v6 literal", url: "udp://[2001:db8::1]:6969/announce", host: "2001:db8::1", port: "6969", request: "/announce"},
		{name: "passkey", url: "http://t.example/0123abc/announce?passkey=x", host: "t.example", port: "80", request: "/0123abc/announce?passkey=x"},
		{name: "udp without port", url: "udp://tracker.example/announce", err: errNoPort},
		{name: "port 0", url: "udp://tracker.example:0/announce", err: errBadURL},
		{name: "port 65536", url: "http://tracker.example:65536/announce", err: errBadURL},
		{name: "websocket", url: "wss://tracker.example/announce", err: errScheme},
		{name: "file", url: "file:///etc/passwd", err: errScheme},
		{name: "no scheme", url: "tracker.example/announce", err: errScheme},
		{name: "no host", url: "http:///announce", err: errHost},
		{name: "opaque", url: "http:tracker.example", err: errHost},
		{name: "non-ASCII host", url: "http://träcker.example/announce", err: errHost},
		{name: "zone", url: "udp://[fe80::1%25eth0]:80", err: errHost},
		{name: "control character", url: "http://t.example/a\nb", err: errBadURL},
		{name: "forged info-hash", url: "http://t.example/announce?info_hash=x", err: errParams},
		{name: "forged port", url: "http://t.example/announce?a=b&port=22", err: errParams},
		{name: "too long", url: "http://t.example/" + strings.Repeat("a", maxURL), err: errBadURL},
		{name: "empty", url: "", err: errScheme},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseTarget(tt.url)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && (got.host != tt.host || got.port != tt.port || got.request() != tt.request) {
				t.Errorf("got %s %s %q", got.host, got.port, got.request())
			}
		})
	}
}

func TestTargetKey(t *testing.T) {
	same := []string{"http://T.example/announce", "HTTP://t.example:80/announce", "http://t.example/announce#x"}
	other := []string{"https://t.example/announce", "http://t.example/announce?a", "http://t.example:81/announce", "http://t.example/Announce"}
	key := func(s string) string {
		g, err := parseTarget(s)
		if err != nil {
			t.Fatal(err)
		}
		return g.key()
	}
	for _, s := range same {
		if key(s) != key(same[0]) {
			t.Errorf("%s differs from %s", s, same[0])
		}
	}
	for _, s := range other {
		if key(s) == key(same[0]) {
			t.Errorf("%s counts as %s", s, same[0])
		}
	}
}

func TestAnnounceURL(t *testing.T) {
	r := Request{Port: 6881, Uploaded: 1, Downloaded: 2, Left: 3, NumWant: 200, Key: 0xcafe}
	copy(r.InfoHash[:], "\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a")
	copy(r.PeerID[:], "-MG0001-a b+c~d_e.f/")
	const head = "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-MG0001-a%20b%2Bc~d_e.f%2F"
	for _, tt := range []struct {
		name, base string
		change     func(*Request)
		want       string
	}{
		{"plain", "http://t.example/announce", func(*Request) {},
			"http://t.example/announce?" + head + "&port=6881&uploaded=1&downloaded=2&left=3&key=0000CAFE&numwant=200&compact=1&no_peer_id=1"},
		{"query kept", "https://t.example:8443/a/announce.php?pass=x%20y", func(r *Request) { r.Event = Started },
			"https://t.example:8443/a/announce.php?pass=x%20y&" + head + "&port=6881&uploaded=1&downloaded=2&left=3&key=0000CAFE&event=started&numwant=200&compact=1&no_peer_id=1"},
		{"unknown size is not 0 left", "http://t.example/announce", func(r *Request) { r.Left, r.NumWant = -1, -1 },
			"http://t.example/announce?" + head + "&port=6881&uploaded=1&downloaded=2&left=16384&key=0000CAFE&compact=1&no_peer_id=1"},
		{"complete", "http://t.example/announce", func(r *Request) { r.Left, r.NumWant, r.Event = 0, 0, Completed },
			"http://t.example/announce?" + head + "&port=6881&uploaded=1&downloaded=2&left=0&key=0000CAFE&event=completed&numwant=0&compact=1&no_peer_id=1"},
		{"crypto and tracker id", "http://t.example/announce", func(r *Request) { r.Crypto, r.TrackerID = CryptoRequired, "a&b" },
			"http://t.example/announce?" + head + "&port=6881&uploaded=1&downloaded=2&left=3&key=0000CAFE&numwant=200&compact=1&no_peer_id=1&requirecrypto=1&trackerid=a%26b"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := parseTarget(tt.base)
			if err != nil {
				t.Fatal(err)
			}
			r := r
			tt.change(&r)
			u := g.announceURL(r)
			if u.String() != tt.want {
				t.Errorf("got  %s\nwant %s", u, tt.want)
			}
			if h := u.Query().Get("info_hash"); h != string(r.InfoHash[:]) {
				t.Errorf("decodes to %x", h)
			}
		})
	}
}

func TestScrapeURL(t *testing.T) {
	hash := [20]byte{0: 'a', 1: 0xff}
	const q = "info_hash=a%FF%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00%00"
	for _, tt := range []struct {
		base, want string
		err        error
	}{
		{base: "http://example.com/announce", want: "http://example.com/scrape?" + q},
		{base: "http://example.com/x/announce", want: "http://example.com/x/scrape?" + q},
		{base: "http://example.com/announce.php", want: "http://example.com/scrape.php?" + q},
		{base: "http://example.com/announce?x2%0644", want: "http://example.com/scrape?x2%0644&" + q},
		{base: "http://example.com/p%2Fq/announce", want: "http://example.com/p%2Fq/scrape?" + q},
		{base: "http://example.com/a", err: errNoScrape},
		{base: "http://example.com/x%064announce", err: errNoScrape},
		{base: "http://example.com/announce/x", err: errNoScrape},
		{base: "http://example.com", err: errNoScrape},
	} {
		t.Run(tt.base, func(t *testing.T) {
			g, err := parseTarget(tt.base)
			if err != nil {
				t.Fatal(err)
			}
			u, err := g.scrapeURL([][20]byte{hash})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && u.String() != tt.want {
				t.Errorf("got  %s\nwant %s", u, tt.want)
			}
		})
	}
	g, _ := parseTarget("http://example.com/announce")
	if _, err := g.scrapeURL(nil); err == nil {
		t.Error("scrape without info-hash: would ask for everything")
	}
}

// FuzzTarget checks that accepted URLs give requests to the same host and can
// be parsed again.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"udp://t.example:80/announce", "http://[::1]:8080/announce?x=y", "https://u:p@t.example/a%2Fb/announce#f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := parseTarget(s)
		if err != nil {
			return
		}
		u, err := url.Parse(g.announceURL(Request{}).String())
		if err != nil {
			t.Fatalf("announce URL does not parse: %v", err)
		}
		if !strings.EqualFold(u.Hostname(), g.host) {
			t.Fatalf("announce goes to %q, not %q", u.Hostname(), g.host)
		}
		if h := u.Query()["info_hash"]; !g.udp && len(h) != 1 && !strings.Contains(u.RawQuery, ";") {
			t.Fatalf("%d info-hashes in %s", len(h), u)
		}
		if su, err := g.scrapeURL(make([][20]byte, 1)); err == nil && su.Host != g.url.Host {
			t.Fatalf("scrape goes to %q, not %q", su.Host, g.url.Host)
		}
		g.key()
		g.request()
	})
}
