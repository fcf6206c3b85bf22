package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMetadataMessage(t *testing.T) {
	last := bytes.Repeat([]byte("e"), 14851)
	tests := []struct {
		name string
		msg  MetadataMessage
		head string // length, id, extension id 2
		dict string
	}{
		{"request 1", MetadataMessage{Type: MetadataRequest, Piece: 1}, "0000001b 14 02", "d8:msg_typei0e5:piecei1ee"},
		{"last block of 31235 bytes", MetadataMessage{Type: MetadataData, Piece: 1, TotalSize: 31235, Data: last},
			"00003a32 14 02", "d8:msg_typei1e5:piecei1e10:total_sizei31235ee"},
		{"reject", MetadataMessage{Type: MetadataReject}, "0000001b 14 02", "d8:msg_typei2e5:piecei0ee"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			payload := tt.msg.Append(nil)
			if want := append([]byte(tt.dict), tt.msg.Data...); !bytes.Equal(payload, want) {
				t.Errorf("encoded %.60q, want %.60q", payload, want)
			}
			frame := Message{ID: Extended, ExtID: 2, Data: payload}.AppendHeader(nil)
			if want := unhex(t, tt.head); !bytes.Equal(frame, want) {
				t.Errorf("frame %x, want %x", frame, want)
			}
			got, err := ParseMetadataMessage(payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.msg, got); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseMetadataMessage(t *testing.T) {
	full := strings.Repeat("x", MetadataBlockSize)
	tests := []struct {
		name, in string
		ok       bool
	}{
		{"keys unsorted", "d5:piecei0e8:msg_typei0ee", true},
		{"foreign keys", "d8:msg_typei0e5:piecei0e1:zld1:xi1eeee", true},
		{"request with bytes behind it", "d8:msg_typei0e5:piecei0eexyz", true},
		{"unknown type", "d8:msg_typei3ee", true},
		{"negative type", "d8:msg_typei-1ee", true},
		{"total of exactly one block", "d8:msg_typei1e5:piecei0e10:total_sizei16384ee" + full, true},
		{"largest", "d8:msg_typei1e5:piecei1023e10:total_sizei16777216ee" + full, true},
		{"data that looks like the end of a dictionary", "d8:msg_typei1e5:piecei0e10:total_sizei2eeee", true},

		{"nothing", "", false},
		{"no dictionary", "i0e", false},
		{"no type", "d5:piecei0ee", false},
		{"type as string", "d8:msg_type1:05:piecei0ee", false},
		{"no piece", "d8:msg_typei0ee", false},
		{"negative piece", "d8:msg_typei0e5:piecei-1ee", false},
		{"piece past the limit", "d8:msg_typei0e5:piecei1024ee", false},
		{"piece 2^63-1", "d8:msg_typei0e5:piecei9223372036854775807ee", false},
		{"data without total_size", "d8:msg_typei1e5:piecei0ee" + full, false},
		{"total_size 0", "d8:msg_typei1e5:piecei0e10:total_sizei0ee", false},
		{"total_size negative", "d8:msg_typei1e5:piecei0e10:total_sizei-16384ee" + full, false},
		{"total_size 2^40", "d8:msg_typei1e5:piecei0e10:total_sizei1099511627776ee" + full, false},
		{"block after the end", "d8:msg_typei1e5:piecei1e10:total_sizei16384ee", false},
		{"data after the end", "d8:msg_typei1e5:piecei1e10:total_sizei16384ee" + full, false},
		{"no trailer", "d8:msg_typei1e5:piecei0e10:total_sizei16384ee", false},
		{"trailer too short", "d8:msg_typei1e5:piecei0e10:total_sizei16384ee" + full[1:], false},
		{"trailer too long", "d8:msg_typei1e5:piecei0e10:total_sizei16384ee" + full + "x", false},
		{"last block too long", "d8:msg_typei1e5:piecei1e10:total_sizei16385ee" + full, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := ParseMetadataMessage([]byte(tt.in))
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("got %d/%d, error %v", m.Type, m.Piece, err)
			}
		})
	}
	if m, _ := ParseMetadataMessage([]byte("d8:msg_typei300e5:piecei0ee")); m.Type != MetadataUnknown {
		t.Errorf("type 300 is taken for %d", m.Type)
	}
	if b := (MetadataMessage{Type: MetadataUnknown}).Append(nil); len(b) != 0 {
		t.Errorf("unknown type encoded as %q", b)
	}
}

func TestMetadataBlock(t *testing.T) {
	for _, tt := range []struct{ size, piece, want int }{
		{31235, 0, 16384}, {31235, 1, 14851}, {31235, 2, 0}, {16384, 0, 16384}, {16384, 1, 0}, {16385, 1, 1},
		{1, 0, 1}, {0, 0, 0}, {-1, 0, 0}, {100, -1, 0}, {MaxMetadata, maxMetadataBlocks - 1, 16384}, {100, 1 << 62, 0},
	} {
		if got := MetadataBlock(tt.size, tt.piece); got != tt.want {
			t.Errorf("size %d, piece %d: %d bytes, want %d", tt.size, tt.piece, got, tt.want)
		}
	}
}

// pexExample is that of the protocol digest: a reachable IPv4 seed and an IPv6 peer with uTP.
var pexExample = Pex{Added: []PexPeer{
	{netip.MustParseAddrPort("192.0.2.17:6881"), PexSeed | PexReachable},
	{netip.MustParseAddrPort("[2001:db8::1]:6881"), PexUTP},
}}

const pexExamplePayload = "d5:added6:\xc0\x00\x02\x11\x1a\xe17:added.f1:\x12" +
	"6:added618:\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe18:added6.f1:\x047:dropped0:e"

func TestPex(t *testing.T) {
	got, err := pexExample.Marshal()
	if err != nil || string(got) != pexExamplePayload {
		t.Errorf("encoded %q, %v", got, err)
	}
	frame := Message{ID: Extended, ExtID: 1, Data: got}.Append(nil)
	if want := append(unhex(t, "000000541401"), pexExamplePayload...); !bytes.Equal(frame, want) {
		t.Errorf("frame %x, want %x", frame, want)
	}
	for name, p := range map[string]Pex{
		"example": pexExample,
		"empty":   {},
		"dropped": {Dropped: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8::2]:2")}},
	} {
		payload, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParsePex(payload)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got, cmpAddr); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPexMappedAddresses(t *testing.T) {
	mapped := netip.MustParseAddrPort("[::ffff:192.0.2.17]:6881")
	payload, err := Pex{Added: []PexPeer{{Addr: mapped}}, Dropped: []netip.AddrPort{mapped}}.Marshal()
	if want := "d5:added6:\xc0\x00\x02\x11\x1a\xe17:added.f1:\x007:dropped6:\xc0\x00\x02\x11\x1a\xe1e"; string(payload) != want || err != nil {
		t.Errorf("encoded %q, want %q", payload, want)
	}
}

func TestParsePex(t *testing.T) {
	six := "\xc0\x00\x02\x11\x1a\xe1"
	tests := []struct {
		name, in       string
		added, dropped int // -1: an error
	}{
		{"no keys", "de", 0, 0},
		{"without flags", "d5:added6:" + six + "e", 1, 0},
		{"empty flags", "d5:added6:" + six + "7:added.f0:e", 1, 0},
		{"values of other types", "d5:addedi1e7:added.fle7:droppeddee", 0, 0},
		{"port 0 is passed on", "d5:added6:\x01\x02\x03\x04\x00\x00e", 1, 0},
		{"duplicates are passed on", "d5:added12:" + six + six + "7:dropped6:" + six + "e", 2, 1},
		{"flags too short", "d5:added12:" + six + six + "7:added.f1:\x00e", -1, -1},
		{"flags too long", "d5:added6:" + six + "7:added.f2:\x00\x00e", -1, -1},
		{"flags without contacts", "d7:added.f1:\x00e", -1, -1},
		{"added of 7 bytes", "d5:added7:" + six + "xe", -1, -1},
		{"added6 of 6 bytes", "d6:added66:" + six + "e", -1, -1},
		{"dropped of 5 bytes", "d7:dropped5:12345e", -1, -1},
		{"ten thousand entries", "d5:added60000:" + strings.Repeat(six, 10000) + "e", 200, 0},
		{"ten thousand entries with flags", "d5:added6000:" + strings.Repeat(six, 1000) + "7:added.f1000:" + strings.Repeat("\x02", 1000) + "e", 200, 0},
		{"a list", "le", -1, -1},
		{"bytes behind it", "dex", -1, -1},
		{"nothing", "", -1, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePex([]byte(tt.in))
			if tt.added < 0 {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || len(p.Added) != tt.added || len(p.Dropped) != tt.dropped {
				t.Errorf("%d added, %d dropped, %v", len(p.Added), len(p.Dropped), err)
			}
		})
	}
}

func TestHolepunch(t *testing.T) {
	addr := netip.MustParseAddrPort("198.51.100.7:6881")
	addr6 := netip.MustParseAddrPort("[2001:db8::1]:6881")
	six := "20010db8000000000000000000000001"
	tests := []struct {
		name, frame string
		want        Holepunch
	}{
		{"rendezvous", "0000000e1404 0000c63364071ae100000000", Holepunch{HolepunchRendezvous, addr, 0}},
		{"error", "0000000e1404 0200c63364071ae100000002", Holepunch{HolepunchError, addr, HolepunchNotConnected}},
		{"connect over IPv6", "0000001a1404 0101" + six + "1ae100000000", Holepunch{HolepunchConnect, addr6, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			frame := unhex(t, tt.frame)
			if got := (Message{ID: Extended, ExtID: 4, Data: tt.want.Append(nil)}).Append(nil); !bytes.Equal(got, frame) {
				t.Errorf("encoded %x, want %x", got, frame)
			}
			if got, err := ParseHolepunch(frame[6:]); err != nil || got != tt.want {
				t.Errorf("parsed %v, %v", got, err)
			}
		})
	}
	t.Run("rendezvous of libtorrent", func(t *testing.T) {
		got, err := ParseHolepunch(unhex(t, "0000c63364071ae1"))
		if want := (Holepunch{HolepunchRendezvous, addr, 0}); err != nil || got != want {
			t.Errorf("parsed %v, %v", got, err)
		}
	})
	t.Run("code outside of errors is ignored", func(t *testing.T) {
		if got, err := ParseHolepunch(unhex(t, "0100c63364071ae100000002")); err != nil || got.Code != 0 {
			t.Errorf("parsed %v, %v", got, err)
		}
	})
	for name, in := range map[string]string{
		"nothing":            "",
		"one byte":           "00",
		"no address":         "0000",
		"address type 2":     "0002c63364071ae100000000",
		"type 3":             "0300c63364071ae100000000",
		"short":              "0000c63364071a",
		"between lengths":    "0000c63364071ae1000000",
		"too long":           "0000c63364071ae10000000000",
		"IPv4 as IPv6":       "0001c63364071ae100000000",
		"IPv6 as IPv4":       "0000" + six + "1ae100000000",
		"error without code": "0200c63364071ae1",
	} {
		if got, err := ParseHolepunch(unhex(t, in)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: parsed %v, %v", name, got, err)
		}
	}
}

func TestDontHave(t *testing.T) {
	if got := AppendDontHave(nil, 42); !bytes.Equal(got, []byte{0, 0, 0, 42}) {
		t.Errorf("encoded %x", got)
	}
	if got, err := ParseDontHave([]byte{0, 0, 0, 42}); err != nil || got != 42 {
		t.Errorf("parsed %d, %v", got, err)
	}
	for _, n := range []int{0, 3, 5} {
		if _, err := ParseDontHave(make([]byte, n)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestUploadOnly(t *testing.T) {
	for _, on := range []bool{false, true} {
		if got, err := ParseUploadOnly(AppendUploadOnly(nil, on)); err != nil || got != on {
			t.Errorf("%v became %v, %v", on, got, err)
		}
	}
	for _, n := range []int{0, 2} {
		if _, err := ParseUploadOnly(make([]byte, n)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestHashSpan(t *testing.T) {
	want := HashSpan{BaseLayer: 1, Index: 4, Length: 4, ProofLayers: 2}
	copy(want.Root[:], bytes.Repeat([]byte{0xab}, 32))
	if got := want.Append(nil); !bytes.Equal(got, hashSpanData) {
		t.Errorf("encoded %x", got)
	}
	got, rest, err := ParseHashSpan(append(bytes.Clone(hashSpanData), 1, 2, 3))
	if err != nil || got != want || !bytes.Equal(rest, []byte{1, 2, 3}) {
		t.Errorf("parsed %v, rest %v, %v", got, rest, err)
	}
	if _, _, err := ParseHashSpan(hashSpanData[:47]); !errors.Is(err, ErrMalformed) {
		t.Errorf("47 bytes: %v", err)
	}
	tests := []struct {
		name                       string
		base, index, length, proof uint32
		ok                         bool
	}{
		{"two leaves", 0, 0, 2, 0, true},
		{"largest", 63, 1<<32 - 512, 512, 63, true},
		{"length 0", 0, 0, 0, 0, false},
		{"length 1", 0, 0, 1, 0, false},
		{"length 3", 0, 0, 3, 0, false},
		{"length 1024", 0, 0, 1024, 0, false},
		{"length 2^31", 0, 0, 1 << 31, 0, false},
		{"length 2^32-1", 0, 0, 1<<32 - 1, 0, false},
		{"index between", 0, 6, 4, 0, false},
		{"base 64", 64, 0, 2, 0, false},
		{"base 2^32-1", 1<<32 - 1, 0, 2, 0, false},
		{"proof 64", 0, 0, 2, 64, false},
	}
	for _, tt := range tests {
		s := HashSpan{BaseLayer: tt.base, Index: tt.index, Length: tt.length, ProofLayers: tt.proof}
		if _, _, err := ParseHashSpan(s.Append(nil)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestHashSpanUncles(t *testing.T) {
	for _, tt := range []struct {
		length, proof uint32
		want          int
	}{{2, 0, 0}, {2, 1, 1}, {2, 5, 5}, {4, 1, 0}, {4, 2, 1}, {512, 8, 0}, {512, 9, 1}, {512, 12, 4}} {
		if got := (HashSpan{Length: tt.length, ProofLayers: tt.proof}).Uncles(); got != tt.want {
			t.Errorf("length %d, %d proof layers: %d uncles, want %d", tt.length, tt.proof, got, tt.want)
		}
	}
}

func TestAllowedFastSet(t *testing.T) {
	var aa, counting [20]byte
	for i := range aa {
		aa[i], counting[i] = 0xaa, byte(i)
	}
	tests := []struct {
		name     string
		ip       string
		hash     [20]byte
		count, k int
		want     []int
	}{
		{"BEP 6, k 7", "80.4.4.200", aa, 1313, 7, []int{1059, 431, 808, 1217, 287, 376, 1188}},
		{"BEP 6, k 9", "80.4.4.200", aa, 1313, 9, []int{1059, 431, 808, 1217, 287, 376, 1188, 353, 508}},
		{"same /24", "80.4.4.1", aa, 1313, 2, []int{1059, 431}},
		{"mapped address", "::ffff:80.4.4.200", aa, 1313, 2, []int{1059, 431}},
		{"own", "192.0.2.77", counting, 100, 5, []int{59, 27, 54, 67, 49}},
		{"k is count", "80.4.4.200", aa, 10, 10, []int{7, 8, 0, 1, 4, 3, 5, 2, 6, 9}},
		{"k over count", "80.4.4.200", aa, 1, 10, []int{0}},
		{"no pieces", "80.4.4.200", aa, 0, 10, nil},
		{"none wanted", "80.4.4.200", aa, 10, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := AllowedFastSet(netip.MustParseAddr(tt.ip), tt.hash, tt.count, tt.k); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if got := AllowedFastSet(netip.Addr{}, aa, 10, 10); got != nil {
		t.Errorf("without address: %v", got)
	}
	a := AllowedFastSet(netip.MustParseAddr("2001:db8::1"), aa, 1000, 5)
	b := AllowedFastSet(netip.MustParseAddr("2001:db8::2"), aa, 1000, 5)
	if len(a) != 5 || slices.Equal(a, b) {
		t.Errorf("IPv6: %v and %v", a, b)
	}
}

// TestMarshalNumbers guards the hand-written dictionary of ut_metadata.
func TestMarshalNumbers(t *testing.T) {
	for _, n := range []int{0, 9, 10, 1023} {
		m := MetadataMessage{Type: MetadataRequest, Piece: n}
		if got, want := string(m.Append(nil)), "d8:msg_typei0e5:piecei"+strconv.Itoa(n)+"ee"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
