package disk

import (
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

func sampleMap() *mapFile {
	return &mapFile{
		layout: sha256.Sum256([]byte("x")),
		cost:   12345678,
		pieces: 1000,
		runs:   []run{{0, 1, false, 29000000}, {1, 3, true, 29000000}, {10, 90, false, 28000000}, {999, 1, false, math.MaxUint32}},
		files:  []stampedEntry{{0, stamp{0, -5}}, {1, stamp{1, 1795000000123456789}}, {77, stamp{math.MaxInt64, 7}}},
	}
}

func TestMapRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	random := &mapFile{pieces: 5000}
	for p := 0; p < random.pieces-20; p += 1 + rnd.IntN(9) {
		r := run{p, 1 + rnd.IntN(9), rnd.IntN(2) == 0, rnd.Uint32()}
		random.runs = append(random.runs, r)
		p += r.n
	}
	for name, m := range map[string]*mapFile{"empty": {}, "sample": sampleMap(), "random": random} {
		t.Run(name, func(t *testing.T) {
			got, err := parseMap(m.encode())
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, m) {
				t.Errorf("got %+v, want %+v", got, m)
			}
		})
	}
}

func TestMapDamage(t *testing.T) {
	raw := sampleMap().encode()
	for n := range raw {
		if _, err := parseMap(raw[:n]); err == nil {
			t.Fatalf("accepted when cut to %d bytes", n)
		}
		bad := append([]byte(nil), raw...)
		bad[n] ^= 0x40
		if _, err := parseMap(bad); err == nil {
			t.Fatalf("accepted with byte %d changed", n)
		}
	}
}

func TestMapNonsense(t *testing.T) {
	head := append([]byte(mapMagic), make([]byte, sha256.Size)...)
	for name, tail := range map[string][]byte{
		"nothing":               {},
		"no files":              {0, 5, 0},
		"too many pieces":       {0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0},
		"run beyond the end":    {0, 5, 1, 4, 2, 0, 0},
		"huge count":            {0, 5, 0xff, 0xff, 0xff, 0x0f, 0},
		"time below zero":       {0, 5, 1, 0, 0, 1, 0},
		"file index overflow":   {0, 5, 0, 2, 0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0xff, 0xff, 0xff, 0xff, 7, 0, 0},
		"unfinished number":     {0, 5, 0x80},
		"something at the end":  {0, 5, 0, 0, 1},
		"number of eleven byte": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
	} {
		if _, err := parseMapBody(append(head[:len(head):len(head)], tail...)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := parseMapBody(append(head, 0, 5, 0, 0)); err != nil {
		t.Errorf("empty map: %v", err)
	}
}

// FuzzMap: no input makes the parser panic or take much more memory than it has
// bytes, and what it accepts comes out the same after another round.
func FuzzMap(f *testing.F) {
	for _, m := range []*mapFile{{}, sampleMap()} {
		raw := m.encode()
		f.Add(raw[:len(raw)-sha256.Size])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseMapBody(body)
		if err != nil {
			return
		}
		last := 0
		for _, r := range m.runs {
			if r.first < last || r.n <= 0 || r.first+r.n > m.pieces {
				t.Fatalf("run %+v of %d pieces", r, m.pieces)
			}
			last = r.first + r.n
		}
		again, err := parseMap(m.encode())
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
