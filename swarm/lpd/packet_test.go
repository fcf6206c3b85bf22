package lpd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hexA = "0123456789abcdef0123456789abcdef01234567"
	hexB = "ffffffffffffffffffffffffffffffffffffffff"
)

func hash(s string) (h [20]byte) {
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		panic(err)
	}
	return h
}

// vector is the packet of BEP 14 with one hash, port 6881 and cookie 5f3a; the
// length was computed independently.
const vector = "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: " + hexA +
	"\r\ncookie: 5f3a\r\n\r\n\r\n"

func TestAppendVector(t *testing.T) {
	a := Announce{Host: IPv4.Group().String(), Port: 6881, Hashes: [][20]byte{hash(hexA)}, Cookie: "5f3a"}
	if got := string(a.Append(nil)); got != vector {
		t.Errorf("got %q\nwant %q", got, vector)
	}
	if len(vector) != 132 {
		t.Errorf("%d bytes over IPv4, want 132", len(vector))
	}
	a.Host = IPv6.Group().String()
	if n := len(a.Append(nil)); n != 134 {
		t.Errorf("%d bytes over IPv6, want 134", n)
	}
}

func TestFullPacketFitsDatagram(t *testing.T) {
	a := Announce{Host: IPv6.Group().String(), Port: 65535, Hashes: make([][20]byte, packHashes), Cookie: "0123456789abcdef"}
	if n := len(a.Append(nil)); n > 1400 {
		t.Errorf("%d bytes, want at most 1400 (BEP 14)", n)
	}
}

func TestParseAnnounce(t *testing.T) {
	one := func(host, cookie string) Announce {
		return Announce{Host: host, Port: 6881, Hashes: [][20]byte{hash(hexA)}, Cookie: cookie}
	}
	const start = "BT-SEARCH * HTTP/1.1\r\n"
	for _, tt := range []struct {
		name, in string
		want     Announce
		err      error
	}{
		{name: "vector", in: vector, want: one("239.192.152.143:6771", "5f3a")},
		{name: "no cookie", in: start + "Port: 6881\r\nInfohash: " + hexA + "\r\n\r\n\r\n", want: one("", "")},
		{name: "names in any case, hash in upper case", in: "bt-search * HTTP/1.1\r\nPORT:6881\r\ninfoHash:  " + strings.ToUpper(hexA) + " \r\n\r\n", want: one("", "")},
		{name: "bare line feeds", in: "BT-SEARCH * HTTP/1.1\nPort: 6881\nInfohash: " + hexA + "\n", want: one("", "")},
		{name: "cut before the empty lines", in: start + "Port: 6881\r\nInfohash: " + hexA, want: one("", "")},
		{name: "unknown headers", in: start + "X: y\r\nnonsense\r\nPort: 6881\r\nInfohash: " + hexA + "\r\n\r\n", want: one("", "")},
		{name: "two hashes", in: start + "Port: 6881\r\nInfohash: " + hexA + "\r\nInfohash: " + hexB + "\r\n\r\n",
			want: Announce{Port: 6881, Hashes: [][20]byte{hash(hexA), hash(hexB)}}},
		{name: "bad hash beside a good one", in: start + "Port: 6881\r\nInfohash: " + hexB + hexB[:24] + "\r\nInfohash: x" + hexB[1:] + "\r\nInfohash: " + hexA + "\r\n\r\n", want: one("", "")},
		{name: "nothing read after the empty line", in: start + "Port: 6881\r\nInfohash: " + hexA + "\r\n\r\nInfohash: " + hexB + "\r\n", want: one("", "")},
		{name: "empty", in: "", err: errNotLPD},
		{name: "SSDP", in: "M-SEARCH * HTTP/1.1\r\nPort: 6881\r\nInfohash: " + hexA + "\r\n\r\n", err: errNotLPD},
		{name: "a path", in: "BT-SEARCH /x HTTP/1.1\r\nPort: 6881\r\nInfohash: " + hexA + "\r\n\r\n", err: errNotLPD},
		{name: "no port", in: start + "Infohash: " + hexA + "\r\n\r\n", err: errBadPort},
		{name: "port 0", in: start + "Port: 0\r\nInfohash: " + hexA + "\r\n\r\n", err: errBadPort},
		{name: "port 65536", in: start + "Port: 65536\r\nInfohash: " + hexA + "\r\n\r\n", err: errBadPort},
		{name: "negative port", in: start + "Port: -1\r\nInfohash: " + hexA + "\r\n\r\n", err: errBadPort},
		{name: "two ports", in: start + "Port: 1\r\nPort: 2\r\nInfohash: " + hexA + "\r\n\r\n", err: errBadPort},
		{name: "no hash", in: start + "Port: 6881\r\n\r\n", err: errNoHashes},
		{name: "only bad hashes", in: start + "Port: 6881\r\nInfohash: " + hexA[1:] + "\r\n\r\n", err: errNoHashes},
		{name: "too many hashes", in: start + "P:\r\nPort: 1\r\n" + strings.Repeat("InfoHash:"+hexA+"\n", maxHashes+1), err: errTooLong},
		{name: "too long", in: vector + strings.Repeat("x", maxPacket), err: errTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAnnounce([]byte(tt.in))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestHashesPerPacketAreLimited(t *testing.T) {
	var a Announce
	for i := range maxHashes {
		if err := a.header([]byte("Infohash: " + hexA)); err != nil {
			t.Fatalf("hash %d: %v", i, err)
		}
	}
	if err := a.header([]byte("Infohash: " + hexA)); !errors.Is(err, errTooMany) {
		t.Errorf("error %v, want %v", err, errTooMany)
	}
}

// FuzzParseAnnounce checks that what is accepted is within the limits and
// survives a round trip.
func FuzzParseAnnounce(f *testing.F) {
	for i := range len(vector) {
		f.Add([]byte(vector[:i]))
	}
	f.Add([]byte(vector))
	for _, port := range []string{"0", "1", "65535", "65536", "99999999999999999999"} {
		f.Add(fmt.Appendf(nil, "BT-SEARCH * HTTP/1.1\r\nPort: %s\r\nInfohash: %s\r\n\r\n\r\n", port, hexA))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnnounce(b)
		if err != nil {
			return
		}
		if a.Port == 0 || len(a.Hashes) == 0 || len(a.Hashes) > maxHashes {
			t.Fatalf("accepted %+v", a)
		}
		out := a.Append(nil)
		if len(out) > maxPacket {
			return // padded by our own spelling of the headers
		}
		again, err := ParseAnnounce(out)
		if err != nil || !cmp.Equal(a, again) {
			t.Fatalf("round trip: %v\n%+v\n%+v", err, a, again)
		}
		if !bytes.Equal(out, again.Append(nil)) {
			t.Fatal("encoding is not stable")
		}
	})
}
