package tracker

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func addrs(list ...string) (out []netip.AddrPort) {
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

var compareAddrs = cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{})

const (
	peer4  = "\xcb\x00\x71\x05\x1a\xe1"                                                 // 203.0.113.5:6881
	peer40 = "\xcb\x00\x71\x06\x00\x00"                                                 // port 0
	peer6  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x1a\xe1" // [2001:db8::5]:6881
)

func TestParseAnnounce(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Reply
		err      error
		fail     *Failure
	}{
		{name: "compact", in: "d8:completei5e10:downloadedi7e10:incompletei2e8:intervali1800e12:min intervali60e5:peers6:" + peer4 + "e",
			want: Reply{Peers: addrs("203.0.113.5:6881"), Interval: 30 * time.Minute, MinInterval: time.Minute, Counts: Counts{5, 2, 7}}},
		{name: "both families", in: "d5:peers6:" + peer4 + "6:peers618:" + peer6 + "e",
			want: Reply{Peers: addrs("203.0.113.5:6881", "[2001:db8::5]:6881"), Counts: noCounts}},
		{name: "dictionaries", in: "d5:peersl" +
			"d2:ip11:203.0.113.97:peer id20:xxxxxxxxxxxxxxxxxxxx4:porti1ee" +
			"d2:ip11:2001:db8::94:port1:2e" +
			"d2:ip12:name.example4:porti3ee" + // not resolved
			"d2:ip19:::ffff:203.0.113.104:porti4ee" +
			"d2:ip11:203.0.113.94:porti0ee" +
			"d2:ip11:203.0.113.94:porti65536ee" +
			"d4:porti1ee" + "i5e" + "6:" + peer4 + "ee",
			want: Reply{Peers: addrs("203.0.113.9:1", "[2001:db8::9]:2", "203.0.113.10:4"), Counts: noCounts}},
		{name: "port 0 and a rest", in: "d5:peers14:" + peer40 + peer4 + "xxe",
			want: Reply{Peers: addrs("203.0.113.5:6881"), Counts: noCounts}},
		{name: "nothing", in: "de", want: Reply{Counts: noCounts}},
		{name: "extras", in: "d11:external ip4:\xcb\x00\x71\x0110:tracker id3:abc15:warning message6:be\nsl\x80e",
			want: Reply{Counts: noCounts, TrackerID: "abc", Warning: "be sl", External: netip.MustParseAddr("203.0.113.1")}},
		{name: "external v6", in: "d11:external ip16:" + peer6[:16] + "e",
			want: Reply{Counts: noCounts, External: netip.MustParseAddr("2001:db8::5")}},
		{name: "wrong types", in: "d8:completele11:external ip3:abc8:intervald1:ai1ee5:peersi5e6:peers6lee",
			want: Reply{Counts: noCounts}},
		{name: "numbers as strings", in: "d8:complete2:128:interval3:600e", want: Reply{Interval: 10 * time.Minute, Counts: Counts{12, -1, -1}}},
		{name: "negative numbers", in: "d8:completei-1e8:intervali-5e12:min intervali99999999999e5:peers0:e", want: Reply{Counts: noCounts}},
		{name: "huge count", in: "d8:completei99999999999ee", want: Reply{Counts: Counts{1<<31 - 1, -1, -1}}},
		{name: "unsorted keys", in: "d5:peers6:" + peer4 + "8:completei1ee", want: Reply{Peers: addrs("203.0.113.5:6881"), Counts: Counts{1, -1, -1}}},
		{name: "trailing bytes", in: "de\r\n", want: Reply{Counts: noCounts}},
		{name: "endless tracker id", in: "d10:tracker id300:" + strings.Repeat("x", 300) + "e", want: Reply{Counts: noCounts}},
		{name: "failure", in: "d14:failure reason9:not founde", fail: &Failure{Reason: "not found"}},
		{name: "failure with peers", in: "d14:failure reason2:no5:peers6:" + peer4 + "e", fail: &Failure{Reason: "no"}},
		{name: "failure without text", in: "d14:failure reasoni3ee", fail: &Failure{Reason: "refused without a reason"}},
		{name: "retry in minutes", in: "d14:failure reason2:no8:retry ini5ee", fail: &Failure{Reason: "no", RetryIn: 5 * time.Minute}},
		{name: "retry in minutes, as text", in: "d14:failure reason2:no8:retry in2:15e", fail: &Failure{Reason: "no", RetryIn: 15 * time.Minute}},
		{name: "retry never", in: "d14:failure reason2:no8:retry in5:nevere", fail: &Failure{Reason: "no", Never: true}},
		{name: "retry nonsense", in: "d14:failure reason2:no8:retry ini-7ee", fail: &Failure{Reason: "no"}},
		{name: "a list", in: "le", err: errNotBencoded},
		{name: "HTML", in: "<html>busy</html>", err: errNotBencoded},
		{name: "empty", in: "", err: errNotBencoded},
		{name: "deep", in: "d1:a" + strings.Repeat("l", 50) + strings.Repeat("e", 51), err: errNotBencoded},
		{name: "string beyond the end", in: "d5:peers99999999:xe", err: errNotBencoded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseAnnounce([]byte(tt.in))
			var fail *Failure
			if tt.fail != nil {
				if !errors.As(err, &fail) || *fail != *tt.fail {
					t.Fatalf("error %#v, want %#v", err, tt.fail)
				}
				return
			}
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, compareAddrs); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPeersAreLimited(t *testing.T) {
	many := strings.Repeat(peer4, 5000)
	r, err := parseAnnounce(fmt.Appendf(nil, "d5:peers%d:%s6:peers6%d:%se", len(many), many, 18*4000, strings.Repeat(peer6, 4000)))
	if err != nil || len(r.Peers) != maxPeers {
		t.Errorf("%d peers, %v; want %d", len(r.Peers), err, maxPeers)
	}
	old := strings.Repeat("d2:ip11:203.0.113.94:porti1ee", 20000)
	r, err = parseAnnounce([]byte("d5:peersl" + old + "ee"))
	if err != nil || len(r.Peers) != maxPeers {
		t.Errorf("%d peers in the old form, %v; want %d", len(r.Peers), err, maxPeers)
	}
}

func TestParseScrape(t *testing.T) {
	h := [20]byte{1: 'x'}
	for _, tt := range []struct {
		name, in string
		want     Counts
		err      error
	}{
		{name: "all", in: "d5:filesd20:" + string(h[:]) + "d8:completei11e10:downloadedi13772e10:incompletei19eeee", want: Counts{11, 19, 13772}},
		{name: "some", in: "d5:filesd20:" + string(h[:]) + "d8:completei0eeee", want: Counts{0, -1, -1}},
		{name: "another torrent", in: "d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei11eeee", err: errNoCounts},
		{name: "empty", in: "d5:filesdee", err: errNoCounts},
		{name: "no files", in: "de", err: errNoCounts},
		{name: "junk", in: "x", err: errNotBencoded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseScrape([]byte(tt.in), h)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if err == nil && got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
	var f *Failure
	if _, err := parseScrape([]byte("d14:failure reason2:noe"), h); !errors.As(err, &f) {
		t.Errorf("error %v, want a failure", err)
	}
}

func TestClean(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "unregistered torrent", "unregistered torrent"},
		{"lines", " a\r\n\tb\x00c ", "a b c"},
		{"terminal sequences", "\x1b[31mred\u009b0m", "[31mred 0m"},
		{"right to left", "a\u202eb", "a b"},
		{"invalid UTF-8", "\xff\xfea", "a"},
		{"other scripts", "не найдено", "не найдено"},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := clean([]byte(tt.in)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, long := range []string{strings.Repeat("x", 10000), strings.Repeat("ж", 10000), strings.Repeat("x y", 10000)} {
		if got := clean([]byte(long)); len(got) > maxText || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("long text became %d bytes: %q", len(got), got)
		}
	}
}

// FuzzHTTPReply checks the bounds of what is accepted.
func FuzzHTTPReply(f *testing.F) {
	seed, _ := hex.DecodeString("64353a706565727331323a") // "d5:peers12:"
	f.Add(slices.Concat(seed, []byte(peer4+peer4+"e")))
	f.Add([]byte("d14:failure reason2:no8:retry in5:nevere"))
	f.Add([]byte("d5:peersld2:ip11:203.0.113.94:porti1eeee"))
	f.Add([]byte("d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei11eeee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseAnnounce(b)
		if err == nil {
			if len(r.Peers) > maxPeers || len(r.Warning) > maxText || len(r.TrackerID) > maxTrackerID || r.Interval < 0 || r.MinInterval < 0 {
				t.Fatalf("accepted %+v", r)
			}
			for _, p := range r.Peers {
				if p.Port() == 0 || !p.Addr().IsValid() || p.Addr().Is4In6() {
					t.Fatalf("accepted peer %v", p)
				}
			}
		}
		if c, err := parseScrape(b, [20]byte([]byte("aaaaaaaaaaaaaaaaaaaa"))); err == nil && (c.Seeds < -1 || c.Leechers < -1 || c.Downloaded < -1) {
			t.Fatalf("accepted %+v", c)
		}
	})
}
