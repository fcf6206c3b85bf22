package metainfo

import (
	"fmt"
	"strings"
	"testing"
)

// manyFiles is an info of 20 000 files in 200 folders, as a v1 list or a v2 tree.
func manyFiles(b *testing.B, version int) []byte {
	const folders, perFolder = 200, 100
	var files []dict
	tree := dict{}
	for d := range folders {
		sub := dict{}
		for f := range perFolder {
			name := fmt.Sprintf("photograph number %03d.jpg", f)
			files = append(files, file(fmt.Sprintf("album %03d/%s", d, name), 100_000))
			sub[name] = leaf(100_000)
		}
		tree[fmt.Sprintf("album %03d", d)] = sub
	}
	if version == 2 {
		return encode(b, v2(1<<20, tree))
	}
	return encode(b, multi(1<<20, files...))
}

func BenchmarkParseInfo(b *testing.B) {
	for version := 1; version <= 2; version++ {
		b.Run(fmt.Sprintf("20000 files v%d", version), func(b *testing.B) {
			raw := manyFiles(b, version)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseInfo(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("1 file", func(b *testing.B) {
		raw := encode(b, single("film.mkv", 1<<20, 1<<30))
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseInfo(raw); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParseMagnet(b *testing.B) {
	s := "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&dn=Big%20Buck%20Bunny" +
		strings.Repeat("&tr=udp%3A%2F%2Ftracker.example%3A6969%2Fannounce", 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMagnet(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPiece(b *testing.B) {
	data := pat(1 << 20)
	for _, version := range []int{1, 2} {
		b.Run(fmt.Sprintf("1 MiB v%d", version), func(b *testing.B) {
			info := single("f", 1<<20, 1<<20)
			if version == 2 {
				root := PieceRoot(data, 64)
				info = v2(1<<20, dict{"f": dict{"": dict{"length": 1 << 20, "pieces root": root[:]}}})
			}
			fi, err := ParseInfo(encode(b, info))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				_ = fi.VerifyPiece(0, data)
			}
		})
	}
}

func BenchmarkPieceSpans(b *testing.B) {
	fi, err := ParseInfo(manyFiles(b, 1))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		fi.PieceSpans(i % fi.NumPieces())
	}
}
