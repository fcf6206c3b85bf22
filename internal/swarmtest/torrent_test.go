package swarmtest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"magnetfs/swarm/benc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMakeTorrent(t *testing.T) {
	files := []FileSpec{
		{Path: "b/film.mkv", Length: 300_000},
		{Path: "a.txt", Length: 10},
		{Path: "empty", Length: 0},
		{Path: "run", Length: 70_000, Attr: "x"},
		{Path: "link", Symlink: "b/film.mkv"},
	}
	tests := []struct {
		name   string
		spec   Spec
		pieces int
		length int64
	}{
		{"zero value", Spec{}, 8, 256 << 10},
		{"short last piece", Spec{Length: 100_001, PieceLength: 32 << 10}, 4, 100_001},
		{"odd piece length", Spec{Length: 1000, PieceLength: 300}, 4, 1000},
		{"folder", Spec{Files: files}, 12, 370_010},
		{"padding", Spec{Files: []FileSpec{{Path: "a", Length: 5}, {Path: ".pad/1", Length: 11, Attr: "p"}, {Path: "b", Length: 7}}, PieceLength: 16}, 2, 23},
		{"private", Spec{Private: true}, 8, 256 << 10},
		{"hybrid file", Spec{Format: Hybrid, Length: 100_001}, 4, 100_001},
		{"hybrid folder", Spec{Format: Hybrid, Files: files}, 14, 32<<10 + 327_680 + 70_000},
		{"v2 file", Spec{Format: V2, Length: 100_001}, 4, 100_001},
		{"v2 folder", Spec{Format: V2, Files: files}, 14, 32<<10 + 327_680 + 70_000},
		{"v2 of large pieces", Spec{Format: V2, Length: 100_001, PieceLength: 1 << 20}, 1, 100_001},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tor := MakeTorrent(t, tt.spec)
			if tor.NumPieces() != tt.pieces || tor.Length != tt.length || tor.Private != tt.spec.Private {
				t.Errorf("%d pieces, %d bytes, private %v; want %d, %d", tor.NumPieces(), tor.Length, tor.Private, tt.pieces, tt.length)
			}
			if tor.V1 != (tt.spec.Format != V2) || tor.V2 != (tt.spec.Format != V1) {
				t.Errorf("v1 %v, v2 %v", tor.V1, tor.V2)
			}
			for i := range tor.NumPieces() {
				if err := tor.VerifyPiece(i, tor.Piece(i)); err != nil {
					t.Errorf("piece %d: %v", i, err)
				}
			}
			for _, f := range tor.Files {
				want := tor.Payload[f.Offset : f.Offset+f.Length]
				if got := tor.File(strings.Join(f.Path, "/")); !f.Pad && !bytes.Equal(got, want) {
					t.Errorf("file %q: %d bytes, not those at its offset", f.Path, len(got))
				}
			}
			again := MakeTorrent(t, tt.spec)
			if again.InfoHash != tor.InfoHash || !bytes.Equal(again.Payload, tor.Payload) {
				t.Error("made twice, it differs")
			}
			tt.spec.Seed++
			if other := MakeTorrent(t, tt.spec); other.InfoHash == tor.InfoHash {
				t.Error("another seed gave the same info-hash")
			}
		})
	}
}

func TestBlock(t *testing.T) {
	tor := MakeTorrent(t, Spec{Length: 50_000}) // pieces of 32768 and 17232
	tests := []struct {
		name                 string
		piece, begin, length uint32
		want                 []byte
	}{
		{"first", 0, 0, 16384, tor.Payload[:16384]},
		{"last", 1, 16384, 848, tor.Payload[49152:]},
		{"too long", 1, 16384, 849, nil},
		{"begin behind the piece", 1, 17233, 1, nil},
		{"no such piece", 2, 0, 1, nil},
		{"overflow", 0, 1<<32 - 1, 1<<32 - 1, nil},
	}
	for _, tt := range tests {
		if got := tor.Block(tt.piece, tt.begin, tt.length); !bytes.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
			t.Errorf("%s: %d bytes, want %d", tt.name, len(got), len(tt.want))
		}
	}
}

func TestMetainfoAndMagnet(t *testing.T) {
	for _, format := range []Format{V1, Hybrid, V2} {
		t.Run(format.String(), func(t *testing.T) {
			tor := MakeTorrent(t, Spec{Format: format, Name: "a & b"})
			v, err := benc.Parse(tor.Metainfo("http://t/announce", "udp://u:1"), benc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(v.Get("info").Raw(), tor.Raw) {
				t.Error("info is not the raw dictionary")
			}
			if a, _ := v.Get("announce").Bytes(); string(a) != "http://t/announce" {
				t.Errorf("announce %q", a)
			}
			if got := len(slices.Collect(v.Get("announce-list").Items())); got != 2 {
				t.Errorf("%d tiers, want 2", got)
			}
			if has := v.Get("piece layers").Kind() == benc.Dict; has != (format != V1) {
				t.Errorf("piece layers: %v", has)
			}
			m := tor.Magnet("192.0.2.1:6881")
			if !strings.HasSuffix(m, "dn=a+%26+b&x.pe=192.0.2.1%3A6881") ||
				strings.Contains(m, "urn:btih:"+tor.InfoHash.String()) != (format != V2) ||
				strings.Contains(m, "urn:btmh:1220"+tor.InfoHashV2.String()) != (format != V1) {
				t.Errorf("magnet %s", m)
			}
		})
	}
}
