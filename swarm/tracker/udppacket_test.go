package tracker

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestUDPRequests(t *testing.T) {
	r := Request{
		InfoHash: [20]byte{0: 0xaa, 19: 0xab}, PeerID: [20]byte{0: 0xba, 19: 0xbb}, Port: 6881,
		Uploaded: 3, Downloaded: 1, Left: 2, Event: Started, NumWant: -1, Key: 0xcafebabe,
	}
	zeros := strings.Repeat("00", 18)
	head := "1122334455667788 00000001 12345678 aa" + zeros + "ab ba" + zeros + "bb 0000000000000001 0000000000000002 0000000000000003"
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"connect", appendConnect(nil, 0x12345678), "0000041727101980 00000000 12345678"},
		{"announce", appendUDPAnnounce(nil, 0x1122334455667788, 0x12345678, r, ""), head + "00000002 00000000 cafebabe ffffffff 1ae1"},
		{"announce with URL data (BEP 41)", appendUDPAnnounce(nil, 0x1122334455667788, 0x12345678, r, "/dir?a=b&c=d"),
			head + "00000002 00000000 cafebabe ffffffff 1ae1 02 0c 2f6469723f613d6226633d64"},
		{"scrape", appendUDPScrape(nil, 0x1122334455667788, 0x0badcafe, [][20]byte{r.InfoHash}),
			"1122334455667788 00000002 0badcafe aa" + zeros + "ab"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if want := unhex(t, tt.want); !bytes.Equal(tt.got, want) {
				t.Errorf("got  %x\nwant %x", tt.got, want)
			}
		})
	}
	if n := len(appendUDPAnnounce(nil, 0, 0, r, "")); n != 98 {
		t.Errorf("announce has %d bytes, want 98", n)
	}
	r.Left = -1
	b := appendUDPAnnounce(nil, 0, 0, r, "")
	if left := binary.BigEndian.Uint64(b[64:]); left != unknownLeft {
		t.Errorf("left %d for an unknown size, want %d", left, unknownLeft)
	}
}

func TestLongURLDataIsCut(t *testing.T) {
	long := "/" + strings.Repeat("x", 600)
	b := appendUDPAnnounce(nil, 0, 0, Request{}, long)[98:]
	var got []byte
	for len(b) > 0 {
		if b[0] != optionURLData || len(b) < 2+int(b[1]) {
			t.Fatalf("bad option % x", b[:2])
		}
		got = append(got, b[2:2+int(b[1])]...)
		b = b[2+int(b[1]):]
	}
	if string(got) != long {
		t.Errorf("%d bytes arrive, want %d", len(got), len(long))
	}
}

func TestParseUDPAnnounce(t *testing.T) {
	const head = "00000001 12345678 00000708 00000002 00000005"
	for _, tt := range []struct {
		name, in string
		v6       bool
		want     Reply
		err      error
	}{
		{name: "no peers", in: head, want: Reply{Interval: 30 * time.Minute, Counts: Counts{5, 2, -1}}},
		{name: "v4", in: head + hex.EncodeToString([]byte(peer4+peer40+peer4)), want: Reply{Peers: addrs("203.0.113.5:6881", "203.0.113.5:6881"), Interval: 30 * time.Minute, Counts: Counts{5, 2, -1}}},
		{name: "v6", in: head + hex.EncodeToString([]byte(peer6)), v6: true, want: Reply{Peers: addrs("[2001:db8::5]:6881"), Interval: 30 * time.Minute, Counts: Counts{5, 2, -1}}},
		{name: "18 bytes over v4 are three peers", in: head + strings.Repeat("01020304 0005", 3), want: Reply{Peers: addrs("1.2.3.4:5", "1.2.3.4:5", "1.2.3.4:5"), Interval: 30 * time.Minute, Counts: Counts{5, 2, -1}}},
		{name: "half a peer", in: head + "0102030405", want: Reply{Interval: 30 * time.Minute, Counts: Counts{5, 2, -1}}},
		{name: "absurd counts", in: "00000001 12345678 ffffffff ffffffff ffffffff", want: Reply{Interval: (1<<32 - 1) * time.Second, Counts: noCounts}},
		{name: "short", in: head[:len(head)-2], err: errShort},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseUDPAnnounce(unhex(t, tt.in), tt.v6)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got, compareAddrs); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseUDPOthers(t *testing.T) {
	if id, err := parseConnect(unhex(t, "00000000 12345678 1122334455667788")); err != nil || id != 0x1122334455667788 {
		t.Errorf("connection ID %x, %v", id, err)
	}
	if _, err := parseConnect(unhex(t, "00000000 12345678 11223344556677")); !errors.Is(err, errShort) {
		t.Errorf("short connect: %v", err)
	}
	list, err := parseUDPScrape(unhex(t, "00000002 0badcafe 00000005 00000007 00000002 ffffffff ffffffff ffffffff"), 2)
	if err != nil || list[0] != (Counts{5, 2, 7}) || list[1] != noCounts {
		t.Errorf("scrape %+v, %v", list, err)
	}
	if _, err := parseUDPScrape(unhex(t, "00000002 0badcafe 00000005 00000007 000000"), 1); !errors.Is(err, errShort) {
		t.Errorf("short scrape: %v", err)
	}
	if err := parseError(unhex(t, "00000003 12345678 6e6f 0a 00")); err.Error() != "no" {
		t.Errorf("error %q", err)
	}
	if err := parseError(unhex(t, "00000003 12345678")); err.Error() == "" {
		t.Error("error without text")
	}
}

// FuzzUDPReply runs all parsers as the reader does: header first.
func FuzzUDPReply(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x12\x34\x56\x78\x00\x00\x07\x08\x00\x00\x00\x02\x00\x00\x00\x05"+peer4), false)
	f.Add([]byte("\x00\x00\x00\x01\x12\x34\x56\x78\x00\x00\x07\x08\x00\x00\x00\x02\x00\x00\x00\x05"+peer6), true)
	f.Add([]byte("\x00\x00\x00\x00\x12\x34\x56\x78\x11\x22\x33\x44\x55\x66\x77\x88"), false)
	f.Add([]byte("\x00\x00\x00\x03\x12\x34\x56\x78no"), false)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		action, _, ok := parseHeader(b)
		if !ok {
			return
		}
		if action == actionError && len(parseError(b).Error()) > maxText {
			t.Fatal("long text")
		}
		r, err := parseUDPAnnounce(b, v6)
		if err == nil && (len(r.Peers) > maxPeers || r.Interval < 0 || r.Seeds < -1 || r.Leechers < -1) {
			t.Fatalf("accepted %+v", r)
		}
		for n := range maxScrape + 1 {
			if list, err := parseUDPScrape(b, n); err == nil && len(list) != n {
				t.Fatalf("%d counts, want %d", len(list), n)
			}
		}
		_, _ = parseConnect(b)
	})
}
