package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var cmpAddr = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})

// TestExtHandshakeExample is the example of the protocol digest, 174 bytes with its frame.
func TestExtHandshakeExample(t *testing.T) {
	h := ExtHandshake{
		M: map[string]uint8{
			LTDontHave: IDDontHave, UploadOnly: IDUploadOnly, UTHolepunch: IDHolepunch, UTMetadata: IDMetadata, UTPex: IDPex,
		},
		MetadataSize: 31235,
		Port:         6881,
		Reqq:         500,
		Version:      "magnetfs 0.1",
		YourIP:       netip.MustParseAddr("203.0.113.5"),
	}
	payload := "d1:ei0e1:md11:lt_donthavei7e11:upload_onlyi3e12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee" +
		"13:metadata_sizei31235e1:pi6881e4:reqqi500e1:v12:magnetfs 0.16:yourip4:\xcb\x00\x71\x05e"
	got, err := h.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != payload {
		t.Errorf("encoded\n%q, want\n%q", got, payload)
	}
	frame := Message{ID: Extended, Data: got}.Append(nil)
	if want := append(unhex(t, "000000aa1400"), payload...); !bytes.Equal(frame, want) || len(frame) != 174 {
		t.Errorf("frame %x, want %x", frame, want)
	}
	parsed, err := ParseExtHandshake([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, parsed, cmpAddr); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
}

func TestExtHandshakeMinimal(t *testing.T) {
	got, err := ExtHandshake{}.Marshal()
	if err != nil || string(got) != "d1:ei0e1:mdee" {
		t.Errorf("encoded %q, %v", got, err)
	}
}

func TestParseExtHandshake(t *testing.T) {
	v6 := netip.MustParseAddr("2001:db8::1")
	tests := []struct {
		name, in string
		want     ExtHandshake
	}{
		{"empty", "de", ExtHandshake{}},
		{"unsorted, trailing bytes", "d1:pi1e1:ei1ee\x00\x00", ExtHandshake{Port: 1, Encrypt: true}},
		{"addresses", "d4:ipv44:\x01\x02\x03\x044:ipv616:" + string(v6.AsSlice()) + "6:yourip16:" + string(v6.AsSlice()) + "e",
			ExtHandshake{IPv4: netip.MustParseAddr("1.2.3.4"), IPv6: v6, YourIP: v6}},
		{"addresses of odd length", "d4:ipv416:" + string(v6.AsSlice()) + "4:ipv64:\x01\x02\x03\x046:yourip5:abcdee", ExtHandshake{}},
		{"mapped addresses", "d4:ipv616:\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04" +
			"6:yourip16:\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x01\x02\x03\x04e",
			ExtHandshake{YourIP: netip.MustParseAddr("1.2.3.4")}},
		{"port 0", "d1:pi0ee", ExtHandshake{}},
		{"port 65535", "d1:pi65535ee", ExtHandshake{Port: 65535}},
		{"port 65536", "d1:pi65536ee", ExtHandshake{}},
		{"port negative", "d1:pi-1ee", ExtHandshake{}},
		{"port as string", "d1:p4:6881e", ExtHandshake{}},
		{"reqq 0", "d4:reqqi0ee", ExtHandshake{Reqq: 1}},
		{"reqq negative", "d4:reqqi-1ee", ExtHandshake{Reqq: 1}},
		{"reqq 2^31", "d4:reqqi2147483648ee", ExtHandshake{Reqq: MaxReqq}},
		{"reqq 2^63-1", "d4:reqqi9223372036854775807ee", ExtHandshake{Reqq: MaxReqq}},
		{"metadata_size 0", "d13:metadata_sizei0ee", ExtHandshake{}},
		{"metadata_size negative", "d13:metadata_sizei-1ee", ExtHandshake{}},
		{"metadata_size at the limit", "d13:metadata_sizei16777216ee", ExtHandshake{MetadataSize: 16777216}},
		{"metadata_size over the limit", "d13:metadata_sizei16777217ee", ExtHandshake{}},
		{"metadata_size 2^40", "d13:metadata_sizei1099511627776ee", ExtHandshake{}},
		{"upload_only", "d11:upload_onlyi1ee", ExtHandshake{UploadOnly: true}},
		{"m is no dictionary", "d1:mli1eee", ExtHandshake{}},
		{"ids out of range", "d1:md11:lt_donthavei256e12:ut_holepunchi-1e11:ut_metadata1:26:ut_pexi0eee", ExtHandshake{}},
		{"id 255", "d1:md6:ut_pexi255eee", ExtHandshake{M: map[string]uint8{UTPex: 255}}},
		{"colliding ids", "d1:md11:ut_metadatai1e6:ut_pexi1eee", ExtHandshake{M: map[string]uint8{UTPex: 1, UTMetadata: 1}}},
		{"unknown extensions", "d1:md6:lt_texi3e6:ut_pexi1e1:xi9eee", ExtHandshake{M: map[string]uint8{UTPex: 1}}},
		{"other keys", "d12:complete_agoi-1e10:share_modei1e1:xlleee", ExtHandshake{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseExtHandshake([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpAddr); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseExtHandshakeVersion(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "qBittorrent/5.0.3", "qBittorrent/5.0.3"},
		{"UTF-8", "µTorrent 3.6", "µTorrent 3.6"},
		{"escape sequence", "x\x1b[2J\x07", "x?[2J?"},
		{"line breaks", "a\nb\r", "a?b?"},
		{"bidi override", "a\u202eb", "a?b"},
		{"not UTF-8", "a\xff\xfeb", "a??b"},
		{"a megabyte", strings.Repeat("v", 60000), strings.Repeat("v", MaxVersion)},
		{"cut inside a character", strings.Repeat("v", 98) + "€€", strings.Repeat("v", 98)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := printable([]byte(tt.in))
			if got != tt.want || len(got) > MaxVersion || !utf8.ValidString(got) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseExtHandshakeErrors(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":       "",
		"a list":        "le",
		"an integer":    "i1e",
		"cut":           "d1:pi6881e",
		"long string":   "d1:v99999999999999999:xe",
		"deep nesting":  strings.Repeat("l", 60000),
		"many elements": "d1:xl" + strings.Repeat("0:", 30000) + "ee",
		"large number":  "d4:reqqi" + strings.Repeat("9", 60000) + "ee",
	} {
		h := ExtHandshake{Port: 1}
		if err := h.Update([]byte(in)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
		if h.Port != 1 {
			t.Errorf("%s: changed the handshake", name)
		}
	}
}

// TestExtHandshakeUpdate: a later handshake changes the keys it carries, id 0 withdraws.
func TestExtHandshakeUpdate(t *testing.T) {
	h, err := ParseExtHandshake([]byte("d1:ei1e1:md11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei100e1:pi6881e11:upload_onlyi1e1:v1:xe"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Update([]byte("d1:md12:ut_holepunchi4e6:ut_pexi0ee11:upload_onlyi0ee")); err != nil {
		t.Fatal(err)
	}
	want := ExtHandshake{
		M:            map[string]uint8{UTMetadata: 2, UTHolepunch: 4},
		MetadataSize: 100, Port: 6881, Version: "x", Encrypt: true,
	}
	if diff := cmp.Diff(want, h, cmpAddr); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
