package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// handshakeHex is the example of the protocol digest: extension protocol, fast extension, DHT; peer id -MF0100-...
const handshakeHex = "13 426974546f7272656e742070726f746f636f6c 0000000000100005" +
	"000102030405060708090a0b0c0d0e0f10111213 2d4d46303130302d6162636465666768696a6b6c"

func exampleHandshake() Handshake {
	h := Handshake{Reserved: NewReserved(true), PeerID: [20]byte([]byte("-MF0100-abcdefghijkl"))}
	for i := range h.InfoHash {
		h.InfoHash[i] = byte(i)
	}
	return h
}

func TestHandshake(t *testing.T) {
	want := unhex(t, handshakeHex)
	h := exampleHandshake()
	if got := h.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("encoded %x, want %x", got, want)
	}
	for _, r := range readers {
		stream := r.wrap(io.MultiReader(bytes.NewReader(want), strings.NewReader("more")))
		got, err := ReadHandshake(stream)
		if err != nil || got != h {
			t.Errorf("%s: %v, %v", r.name, got, err)
		}
		if rest, _ := io.ReadAll(stream); string(rest) != "more" {
			t.Errorf("%s: left %q behind", r.name, rest)
		}
	}
}

func TestHandshakeByParts(t *testing.T) {
	full := unhex(t, handshakeHex)
	part, err := ReadHandshakeHash(bytes.NewReader(full[:HandshakeHashLen]))
	want := exampleHandshake()
	id := want.PeerID
	want.PeerID = [20]byte{}
	if err != nil || part != want {
		t.Errorf("%v, %v", part, err)
	}
	if got, err := ReadPeerID(bytes.NewReader(full[HandshakeHashLen:])); err != nil || got != id {
		t.Errorf("peer id %q, %v", got, err)
	}
}

// TestHandshakeThroughDecoder: what follows in the same segment is decoded as messages.
func TestHandshakeThroughDecoder(t *testing.T) {
	stream := append(unhex(t, handshakeHex), 0, 0, 0, 1, 1)
	for _, r := range readers {
		d := NewDecoder(r.wrap(bytes.NewReader(stream)), 0)
		if h, err := ReadHandshake(d); err != nil || h != exampleHandshake() {
			t.Errorf("%s: %v, %v", r.name, h, err)
		}
		var m Message
		if err := d.Decode(&m); err != nil || m.ID != Unchoke {
			t.Errorf("%s: %v, %v", r.name, m, err)
		}
	}
}

func TestHandshakeErrors(t *testing.T) {
	good := string(unhex(t, handshakeHex))
	tests := []struct {
		name, in string
		want     error
	}{
		{"nothing", "", io.EOF},
		{"inside the prefix", good[:10], io.ErrUnexpectedEOF},
		{"after the prefix", good[:20], io.ErrUnexpectedEOF},
		{"inside the hash", good[:40], io.ErrUnexpectedEOF},
		{"no peer id (NAT check)", good[:48], io.ErrUnexpectedEOF},
		{"inside the peer id", good[:67], io.ErrUnexpectedEOF},
		{"other length byte", "\x12" + good[1:], ErrMalformed},
		{"other protocol", "\x13BitTorrent Protocol" + good[20:], ErrMalformed},
		{"HTTP", "GET / HTTP/1.1\r\nHost: example\r\n\r\n", ErrMalformed},
		{"encrypted", strings.Repeat("\xa7\x01", 48), ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := ReadHandshake(strings.NewReader(tt.in)); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestReserved(t *testing.T) {
	tests := []struct {
		name                string
		r                   Reserved
		extended, fast, dht bool
		v2                  bool
	}{
		{"none", Reserved{}, false, false, false, false},
		{"ours", NewReserved(true), true, true, true, false},
		{"ours, private", NewReserved(false), true, true, false, false},
		{"ours, hybrid", NewReserved(true).WithV2(), true, true, true, true},
		{"all others", Reserved{0xff, 0xff, 0xff, 0xff, 0xff, 0xef, 0xff, 0xea}, false, false, false, false},
	}
	for _, tt := range tests {
		if tt.r.Extended() != tt.extended || tt.r.Fast() != tt.fast || tt.r.DHT() != tt.dht || tt.r.V2() != tt.v2 {
			t.Errorf("%s: %x read wrong", tt.name, tt.r)
		}
	}
}
