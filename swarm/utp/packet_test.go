package utp

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectors: packets of a connection, made by hand after BEP 29.
func TestVectors(t *testing.T) {
	tests := []struct {
		name string
		hex  string
		want header
		sack string
		data string
	}{
		{"SYN", "4100 3039 11223344 00000000 00100000 0001 0000", header{kindSyn, 0x3039, 0x11223344, 0, 1 << 20, 1, 0, 0}, "", ""},
		{"STATE", "2100 3039 55667788 44444444 00100000 abcd 0001", header{kindState, 0x3039, 0x55667788, 0x44444444, 1 << 20, 0xabcd, 1, 0}, "", ""},
		{"DATA", "0100 303a 11229999 44444444 00100000 0002 abcc 6869", header{kindData, 0x303a, 0x11229999, 0x44444444, 1 << 20, 2, 0xabcc, 0}, "", "6869"},
		{
			"SACK for ack 10, got 12, 15 and 20", "2101 303a 00000001 00000002 00000003 0002 000a 0004 09010000",
			header{kindState, 0x303a, 1, 2, 3, 2, 10, 0}, "09010000", "",
		},
		{
			"unknown extensions around it", "0102 303a 00000001 00000002 00000003 0002 000a 0108 0000000000000000 0301 01 0004 00000000 6869",
			header{kindData, 0x303a, 1, 2, 3, 2, 10, 0}, "01", "6869",
		},
	}
	for _, tt := range tests {
		p, ok := parse(unhex(t, tt.hex))
		if !ok || p.header != tt.want || hex.EncodeToString(p.sack) != tt.sack || hex.EncodeToString(p.payload) != tt.data {
			t.Errorf("%s: %+v, %v", tt.name, p, ok)
		}
		if strings.HasPrefix(tt.name, "unknown") {
			continue
		}
		if b := append(p.append(nil, p.sack), p.payload...); !bytes.Equal(b, unhex(t, tt.hex)) {
			t.Errorf("%s: encoded %x", tt.name, b)
		}
	}
}

// TestMalformed packets are no packets.
func TestMalformed(t *testing.T) {
	const head = "303a 00000001 00000002 00000003 0002 000a"
	for name, s := range map[string]string{
		"empty":                "",
		"short":                "0100 303a 00000001 00000002 00000003 0002 00",
		"of the DHT":           "64313a61643a" + strings.Repeat("30", 30),
		"version 0":            "0000" + head,
		"version 2":            "0200" + head,
		"type 5":               "5100" + head,
		"extension missing":    "0101" + head,
		"extension cut":        "0101" + head + "00",
		"extension too long":   "0101" + head + "0005 00000000",
		"second one too long":  "0101" + head + "0204 00000000 00ff 00",
		"chain without an end": "0102" + head + "0200 0200 0200",
	} {
		if p, ok := parse(unhex(t, s)); ok {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"4100 3039 11223344 00000000 00100000 0001 0000",
		"2101 303a 00000001 00000002 00000003 0002 000a 0004 09010000",
		"0102 303a 00000001 00000002 00000003 0002 000a 0108 0000000000000000 0004 00000000 6869",
	} {
		b := unhex(f, s)
		for i := range b {
			f.Add(b[:i])
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parse(b)
		if !ok {
			return
		}
		if p.kind > kindSyn || len(p.payload) > len(b)-headerLen {
			t.Fatalf("%+v", p)
		}
		again, ok := parse(append(p.append(nil, p.sack), p.payload...))
		if !ok || again.header != p.header || !bytes.Equal(again.sack, p.sack) || !bytes.Equal(again.payload, p.payload) {
			t.Fatalf("%+v\n%+v", p, again)
		}
	})
}

// TestSackOf packets that wait: P is the one that is missing, x are those here.
func TestSackOf(t *testing.T) {
	for drawn, want := range map[string]string{
		"P":                                 "",
		"P.":                                "",
		"Px":                                "01000000",
		"Px..x....x":                        "09010000",
		"P" + strings.Repeat(".", 31) + "x": "00000080",
		"P" + strings.Repeat(".", 32) + "x": "0000000001000000",
	} {
		for _, next := range []uint16{11, 65535, 65530, 0} {
			var r reorder
			for i, c := range drawn {
				if c == 'x' && !r.put(next, next+uint16(i), []byte{byte(i)}) {
					t.Fatalf("%s: %d refused", drawn, i)
				}
			}
			mask := r.mask(nil, next)
			if hex.EncodeToString(mask) != want {
				t.Errorf("%s from %d: %x", drawn, next, mask)
			}
			var got []int
			sackBits(mask, func(bit int) { got = append(got, bit+1) })
			for _, i := range got {
				if drawn[i] != 'x' {
					t.Errorf("%s: bits %v", drawn, got)
				}
			}
			if strings.Count(drawn, "x") != len(got) || r.count != len(got) || r.bytes != len(got) {
				t.Errorf("%s: %d packets, %d bytes, bits %v", drawn, r.count, r.bytes, got)
			}
		}
	}
}

// TestReorderBounds: nothing is kept twice, nor what is too far ahead.
func TestReorderBounds(t *testing.T) {
	var r reorder
	for _, d := range []int{0, -1, reorderLen, 30000, 40000} {
		if r.put(100, uint16(100+d), []byte("x")) {
			t.Errorf("%d taken", d)
		}
	}
	if !r.put(100, 100+reorderLen-1, nil) || r.put(100, 100+reorderLen-1, []byte("other")) {
		t.Error("the last one is not taken once")
	}
	if r.count != 1 || r.bytes != 0 || r.take(100) != nil || r.take(100+reorderLen-1) == nil || r.count != 0 {
		t.Errorf("%+v", r.count)
	}
}

func TestAhead(t *testing.T) {
	for _, tt := range []struct {
		a, b uint16
		want int
	}{{1, 0, 1}, {0, 1, -1}, {0, 65535, 1}, {65535, 0, -1}, {3, 65533, 6}, {7, 7, 0}} {
		if got := ahead(tt.a, tt.b); got != tt.want {
			t.Errorf("ahead(%d, %d) = %d", tt.a, tt.b, got)
		}
	}
}

// TestRing against a plain slice.
func TestRing(t *testing.T) {
	var r ring
	var model []byte
	rnd := pattern(3, 4000)
	next := byte(0)
	for _, x := range rnd {
		switch n := int(x) * 37; {
		case x < 128:
			var b []byte
			for range n {
				b = append(b, next)
				next++
			}
			r.push(b)
			model = append(model, b...)
		case x < 200:
			p := make([]byte, n)
			k := r.pop(p)
			if !bytes.Equal(p[:k], model[:min(n, len(model))]) {
				t.Fatal("popped something else")
			}
			model = model[k:]
		default:
			off := min(n, len(model)) / 2
			a, b := r.view(off, len(model)-off)
			if !slices.Equal(append(slices.Clone(a), b...), model[off:]) {
				t.Fatal("sees something else")
			}
			r.drop(off)
			model = model[off:]
		}
		if r.size != len(model) {
			t.Fatalf("%d bytes, not %d", r.size, len(model))
		}
	}
}
