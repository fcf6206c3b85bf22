package metainfo

import (
	"crypto/sha1"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseInfoAccepts(t *testing.T) {
	base := single("f", 16384, 20000)
	tests := []struct {
		name  string
		info  any // dict, or string if already encoded
		check func(t *testing.T, fi *Info)
	}{
		{"single file", base, func(t *testing.T, fi *Info) {
			require.True(t, fi.Single)
			require.Equal(t, []string{"f"}, visible(fi))
			require.Equal(t, 2, fi.NumPieces())
		}},
		{"list of one file is a folder", multi(16384, file("f", 5)), func(t *testing.T, fi *Info) {
			require.False(t, fi.Single)
		}},
		{"list wins over length", with(multi(16384, file("a", 5), file("b", 6)), dict{"length": 5}), func(t *testing.T, fi *Info) {
			require.EqualValues(t, 11, fi.Length)
		}},
		{"unsorted keys", "d6:lengthi5e6:pieces20:xxxxxxxxxxxxxxxxxxxx4:name1:f12:piece lengthi16384ee", nil},
		{"leading zeros", "d6:lengthi05e4:name01:f12:piece lengthi16384e6:pieces020:xxxxxxxxxxxxxxxxxxxxe", nil},
		{"unknown keys", with(base, dict{"source": "x", "zz": list{1, dict{"a": "b"}}}), nil},
		{"no data", single("f", 16384, 0), func(t *testing.T, fi *Info) {
			require.Zero(t, fi.NumPieces())
			require.Zero(t, fi.Length)
		}},
		{"empty files", multi(16384, file("a", 0), file("b", 0)), nil},
		{"piece longer than the torrent", single("f", MaxPieceLength, 5), func(t *testing.T, fi *Info) {
			require.EqualValues(t, 5, fi.PieceSize(0))
		}},
		{"odd piece length", single("f", 7, 20), func(t *testing.T, fi *Info) {
			require.Equal(t, 3, fi.NumPieces())
			require.EqualValues(t, 6, fi.PieceSize(2))
		}},
		{"private", with(base, dict{"private": 1}), func(t *testing.T, fi *Info) { require.True(t, fi.Private) }},
		{"private by another number", with(base, dict{"private": -2}), func(t *testing.T, fi *Info) { require.True(t, fi.Private) }},
		{"not private", with(base, dict{"private": 0}), func(t *testing.T, fi *Info) { require.False(t, fi.Private) }},
		{"private of a wrong type", with(base, dict{"private": "1"}), func(t *testing.T, fi *Info) { require.False(t, fi.Private) }},
		{"utf-8 name preferred", with(base, dict{"name.utf-8": "ä"}), func(t *testing.T, fi *Info) {
			require.Equal(t, "ä", fi.Name)
			require.Equal(t, "ä", fi.RawName)
		}},
		{"utf-8 name that is none", with(base, dict{"name.utf-8": "\xff"}), func(t *testing.T, fi *Info) { require.Equal(t, "f", fi.Name) }},
		{"utf-8 name of a wrong type", with(base, dict{"name.utf-8": 1}), func(t *testing.T, fi *Info) { require.Equal(t, "f", fi.Name) }},
		{"name of dots", with(base, dict{"name": ".."}), func(t *testing.T, fi *Info) {
			require.Equal(t, fi.InfoHash.String(), fi.Name)
			require.Equal(t, []string{fi.Name}, fi.Files[0].Path)
			require.Equal(t, []string{".."}, fi.Files[0].RawPath())
		}},
		{"no name left", with(base, dict{"name": "//"}), func(t *testing.T, fi *Info) { require.Equal(t, fi.InfoHash.String(), fi.Name) }},
		{"utf-8 path preferred", multi(16384, with(file("a", 1), dict{"path.utf-8": path("x/ü")})), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"x/ü"}, visible(fi))
		}},
		{"utf-8 path that is none", multi(16384, with(file("a", 1), dict{"path.utf-8": list{"\xfe"}})), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"a"}, visible(fi))
		}},
		{"utf-8 path of wrong types", multi(16384, with(file("a", 1), dict{"path.utf-8": list{1}})), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"a"}, visible(fi))
		}},
		{"hundred path elements", multi(16384, file(strings.Repeat("a/", 99)+"f", 1)), nil},
		{"attributes", multi(16384, with(file("a", 1), dict{"attr": "xhz?"})), func(t *testing.T, fi *Info) {
			require.True(t, fi.Files[0].Executable)
			require.True(t, fi.Files[0].Hidden)
			require.True(t, fi.Files[0].Visible())
		}},
		{"attributes of a single file", with(base, dict{"attr": "xp"}), func(t *testing.T, fi *Info) {
			require.True(t, fi.Files[0].Executable)
			require.True(t, fi.Files[0].Visible())
		}},
		{"attributes of a wrong type", multi(16384, with(file("a", 1), dict{"attr": 1})), nil},
		{"padding without a path", multi(16384, file("a", 1), dict{"attr": "p", "length": int64(9)}), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"a"}, visible(fi))
			require.Equal(t, []string{".pad", "9"}, fi.Files[1].Path)
			require.EqualValues(t, 10, fi.Length)
			require.EqualValues(t, 1, fi.Size)
		}},
		{"padding of BitComet", multi(16384, file("a", 1), file("b/_____padding_file_0_x", 9)), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"a"}, visible(fi))
		}},
		{"paddings of one name", multi(16384, pad(3), pad(4), file(".pad/0", 5)), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{".pad/0"}, visible(fi))
		}},
		{"link without a target is an empty file", multi(16384, file("a", 1), dict{"path": path("l"), "attr": "l"}), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"a", "l"}, visible(fi))
		}},
		{"link that is padding", multi(16384, file("a", 1), with(link("l", "a"), dict{"attr": "lp"})), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"a"}, visible(fi))
		}},
		{"meta version 1", with(base, dict{"meta version": 1}), func(t *testing.T, fi *Info) {
			require.True(t, fi.V1)
			require.False(t, fi.V2)
		}},
		{"v2", v2(16384, dict{"a": leaf(5), "d": dict{"b": leaf(0)}}), func(t *testing.T, fi *Info) {
			require.False(t, fi.V1)
			require.False(t, fi.Single)
			require.Equal(t, []string{"a", "d/b"}, visible(fi))
			require.Equal(t, fi.InfoHashV2.Truncated(), fi.InfoHash)
		}},
		{"v2 single file", v2(16384, dict{"t": leaf(5)}), func(t *testing.T, fi *Info) { require.True(t, fi.Single) }},
		{"v2 single file with an unusable name", with(v2(16384, dict{"..": leaf(5)}), dict{"name": ".."}), func(t *testing.T, fi *Info) {
			require.True(t, fi.Single)
			require.Equal(t, []string{fi.InfoHash.String()}, visible(fi))
		}},
		{"v2 empty file with a root", v2(16384, dict{"a": dict{"": dict{"length": 0, "pieces root": strings.Repeat("r", 32)}}}),
			func(t *testing.T, fi *Info) {
				_, ok := fi.Root(0)
				require.False(t, ok)
			}},
		{"v2 link", v2(16384, dict{"a": leaf(5), "l": dict{"": dict{"attr": "l", "symlink path": path("a"), "length": 7}}}),
			func(t *testing.T, fi *Info) { require.Equal(t, []string{"a", "l -> a"}, visible(fi)) }},
		{"v2 folder without files", v2(16384, dict{"a": leaf(5), "b": dict{}}), func(t *testing.T, fi *Info) {
			require.Equal(t, []string{"a"}, visible(fi))
		}},
		{"hybrid", hybrid(multi(16384, file("a", 5), pad(16379), file("b/c", 7)), dict{"a": leaf(5), "b": dict{"c": leaf(7)}}), func(t *testing.T, fi *Info) {
			require.True(t, fi.V1 && fi.V2)
			require.Equal(t, []string{"a", "b/c"}, visible(fi))
			require.EqualValues(t, 16384, fi.PieceSize(0))
			require.EqualValues(t, 7, fi.PieceSize(1))
		}},
		{"hybrid with padding at the end", hybrid(multi(16384, file("a", 5), pad(16379)), dict{"a": leaf(5)}), func(t *testing.T, fi *Info) {
			require.EqualValues(t, 16384, fi.PieceSize(0))
		}},
		{"hybrid single file", hybrid(single("f", 16384, 5), dict{"f": leaf(5)}), nil},
		{"hybrid link", hybrid(multi(16384, file("a", 5), link("l", "a")),
			dict{"a": leaf(5), "l": dict{"": dict{"attr": "l", "symlink path": path("a")}}}),
			func(t *testing.T, fi *Info) { require.Equal(t, []string{"a", "l -> a"}, visible(fi)) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var raw []byte
			if s, ok := test.info.(string); ok {
				raw = []byte(s)
			} else {
				raw = encode(t, test.info)
			}
			fi, err := ParseInfo(raw)
			require.NoError(t, err)
			checkInvariants(t, fi)
			if test.check != nil {
				test.check(t, fi)
			}
		})
	}
}

func TestParseInfoRefuses(t *testing.T) {
	base := single("f", 16384, 20000)
	abc := dict{"a": leaf(5), "b": leaf(6), "c": leaf(7)}
	tests := []struct {
		name string
		info any
		err  string
	}{
		{"nothing", "", "input ends"},
		{"trailing bytes", string(encode(t, base)) + "x", "bytes after the value"},
		{"no dictionary", "le", "info is of type list, not dictionary"},
		{"no name", with(base, dict{"name": nil}), "no name"},
		{"no piece length", with(base, dict{"piece length": nil}), "no piece length"},
		{"piece length 0", with(base, dict{"piece length": 0}), "piece length 0"},
		{"negative piece length", with(base, dict{"piece length": -16384}), "piece length -16384"},
		{"piece length over the limit", with(base, dict{"piece length": MaxPieceLength + 1}), "over the limit"},
		{"no pieces", with(base, dict{"pieces": nil}), "no pieces"},
		{"no hashes for data", with(base, dict{"pieces": ""}), "0 piece hashes for 2"},
		{"hashes without data", with(base, dict{"length": 0}), "2 piece hashes for 0"},
		{"too many hashes", with(base, dict{"pieces": strings.Repeat("x", 60)}), "3 piece hashes for 2"},
		{"part of a hash", with(base, dict{"pieces": strings.Repeat("x", 39)}), "multiple of 20"},
		{"neither length nor files", with(base, dict{"length": nil}), "no length"},
		{"negative length", with(base, dict{"length": -1}), "length -1"},
		{"files of a wrong type", with(base, dict{"files": dict{}}), "files is of type dictionary, not list"},
		{"no files", with(base, dict{"files": list{}}), "files is empty"},
		{"file of a wrong type", with(base, dict{"files": list{1}}), "file 0"},
		{"file without a path", multi(16384, file("a", 1), dict{"length": int64(1)}), "file 1: no path"},
		{"file with an empty path", multi(16384, dict{"length": int64(1), "path": list{}}), "path is empty"},
		{"file with a path of a wrong type", multi(16384, dict{"length": int64(1), "path": "a"}), "path is of type string, not list"},
		{"file without a length", multi(16384, dict{"path": path("a")}), "no length"},
		{"101 path elements", multi(16384, file(strings.Repeat("a/", 100)+"f", 1)), "more than 100"},
		{"target of wrong types", multi(16384, with(link("l", "a"), dict{"symlink path": list{1}})), "symlink path element"},
		{"sum over 64 bits", with(base, dict{"files": list{file("a", math.MaxInt64), file("b", 1)}}), "64 bits"},
		{"too many pieces", with(base, dict{"piece length": 1, "length": MaxPieces + 1}), "more than"},
		{"number of pieces over 32 bits", with(base, dict{"piece length": 1, "length": math.MaxInt64}), "more than"},
		{"repeated key", "d6:lengthi5e6:lengthi6e4:name1:f12:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxe", `"length" is repeated`},
		{"repeated key of a file", "d5:filesld6:lengthi5e4:pathl1:ae6:lengthi6eee4:name1:f12:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxe",
			`"length" is repeated`},
		{"merkle torrent", with(base, dict{"pieces": nil, "root hash": "x"}), "BEP 30"},
		{"meta version 3", with(base, dict{"meta version": 3}), "meta version 3"},
		{"meta version 0", with(base, dict{"meta version": 0}), "meta version"},
		{"meta version of a wrong type", with(base, dict{"meta version": "2"}), "meta version"},
		{"file tree without a version", with(v2(16384, abc), dict{"meta version": nil}), "without meta version"},

		{"v2 without a tree", with(v2(16384, abc), dict{"file tree": nil}), "no file tree"},
		{"v2 tree of a wrong type", with(v2(16384, abc), dict{"file tree": list{}}), "file tree is of type list, not dictionary"},
		{"v2 empty tree", v2(16384, dict{}), "file tree is empty"},
		{"v2 tree of folders", v2(16384, dict{"a": dict{"b": dict{}}}), "file tree is empty"},
		{"v2 small pieces", v2(8192, abc), "power of two"},
		{"v2 odd pieces", v2(16384*3, abc), "power of two"},
		{"v2 unsorted", "d12:meta versioni2e9:file treede4:name1:t12:piece lengthi16384ee", "not canonical"},
		{"v2 leading zeros", "d9:file treed1:ad0:d6:lengthi00eeee12:meta versioni2e4:name1:t12:piece lengthi16384ee", "not canonical"},
		{"v2 file with neighbours", v2(16384, dict{"a": dict{"": dict{"length": 0}, "b": leaf(1)}}), "a file and a folder"},
		{"v2 nameless file", v2(16384, leaf(5)), "without a name"},
		{"v2 entry of a wrong type", v2(16384, dict{"a": 1}), "not a dictionary"},
		{"v2 leaf of a wrong type", v2(16384, dict{"a": dict{"": 1}}), "entry is of type integer"},
		{"v2 file without a length", v2(16384, dict{"a": dict{"": dict{}}}), "no length"},
		{"v2 negative length", v2(16384, dict{"a": leaf(-1)}), "length -1"},
		{"v2 file without a root", v2(16384, dict{"a": dict{"": dict{"length": 1}}}), "no pieces root"},
		{"v2 short root", v2(16384, dict{"a": dict{"": dict{"length": 1, "pieces root": "x"}}}), "no pieces root"},
		{"v2 zero root", v2(16384, dict{"a": dict{"": dict{"length": 1, "pieces root": make([]byte, 32)}}}), "no pieces root"},
		{"v2 padding", v2(16384, dict{"a": dict{"": dict{"length": 0, "attr": "p"}}}), "padding"},
		{"v2 link without a target", v2(16384, dict{"a": dict{"": dict{"length": 0, "attr": "l"}}}), "no symlink path"},
		{"v2 too many pieces", v2(16384, dict{"a": leaf(16384 * MaxPieces), "b": leaf(1)}), "more than"},
		{"v2 huge file", v2(16384, dict{"a": leaf(math.MaxInt64)}), "more than"},

		{"hybrid without a v1 file", hybrid(multi(16384, file("a", 5)), dict{"a": leaf(5), "b": leaf(0)}), "not in the v1"},
		{"hybrid without a v2 file", hybrid(multi(16384, file("a", 5), file("b", 0)), dict{"a": leaf(5)}), "not in the v2"},
		{"hybrid of other names", hybrid(multi(16384, file("a", 5)), dict{"b": leaf(5)}), "in its place"},
		{"hybrid of other folders", hybrid(multi(16384, file("x/a", 5)), dict{"y": dict{"a": leaf(5)}}), "in its place"},
		{"hybrid of other order", hybrid(multi(16384, file("b", 0), file("a", 5)), dict{"a": leaf(5), "b": leaf(0)}), "in its place"},
		{"hybrid of other lengths", hybrid(multi(16384, file("a", 5)), dict{"a": leaf(6)}), "but 5 in v1"},
		{"hybrid without padding", hybrid(multi(16384, file("a", 5), file("b", 6)), dict{"a": leaf(5), "b": leaf(6)}), "begins elsewhere"},
		{"hybrid with too much padding", hybrid(multi(16384, file("a", 5), pad(32763), file("b", 6)), dict{"a": leaf(5), "b": leaf(6)}), "begins elsewhere"},
		{"hybrid with a piece of padding at the end", hybrid(multi(16384, file("a", 5), pad(32763)), dict{"a": leaf(5)}), "2 v1 pieces and 1 v2"},
		{"hybrid with links to different places", hybrid(multi(16384, file("a", 5), link("l", "a")),
			dict{"a": leaf(5), "l": dict{"": dict{"attr": "l", "symlink path": path("b")}}}), "symlink differs"},
		{"hybrid with a link in one", hybrid(multi(16384, file("a", 5), link("l", "a")), dict{"a": leaf(5), "l": leaf(0)}), "symlink differs"},
		{"hybrid single file of another name", hybrid(single("f", 16384, 5), dict{"g": leaf(5)}), "in its place"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var raw []byte
			if s, ok := test.info.(string); ok {
				raw = []byte(s)
			} else {
				raw = encode(t, test.info)
			}
			_, err := ParseInfo(raw)
			require.ErrorContains(t, err, test.err)
			require.ErrorContains(t, err, "metainfo: ")
		})
	}
}

func TestErrUnsupported(t *testing.T) {
	for _, change := range []dict{{"meta version": 3}, {"pieces": nil, "root hash": "x"}} {
		_, err := ParseInfo(encode(t, with(single("f", 16384, 5), change)))
		require.True(t, errors.Is(err, ErrUnsupported), "%v", err)
	}
}

func TestLayout(t *testing.T) {
	const k = 16384
	tests := []struct {
		name    string
		info    dict
		offsets []int64
		pieces  [][2]int // by file: first and last
		sizes   []int64
		spans   [][]Span // by piece
	}{
		{
			name:    "v1: files share pieces",
			info:    multi(k, file("a", k-10), file("empty", 0), file("b", 20), file("c", 2*k-10)),
			offsets: []int64{0, k - 10, k - 10, k + 10},
			pieces:  [][2]int{{0, 0}, {0, -1}, {0, 1}, {1, 2}},
			sizes:   []int64{k, k, k},
			spans: [][]Span{
				{{0, 0, 0, k - 10}, {2, 0, k - 10, 10}},
				{{2, 10, 0, 10}, {3, 0, 10, k - 10}},
				{{3, k - 10, 0, k}},
			},
		},
		{
			name:    "v1: short last piece",
			info:    single("a", k, k+1),
			offsets: []int64{0},
			pieces:  [][2]int{{0, 1}},
			sizes:   []int64{k, 1},
			spans:   [][]Span{{{0, 0, 0, k}}, {{0, k, 0, 1}}},
		},
		{
			name:    "v2: gaps behind files",
			info:    v2(k, dict{"a": leaf(k + 1), "b": leaf(0), "c": leaf(5), "d": leaf(0)}),
			offsets: []int64{0, k + 1, 2 * k, 2*k + 5},
			pieces:  [][2]int{{0, 1}, {1, 0}, {2, 2}, {2, 1}},
			sizes:   []int64{k, 1, 5},
			spans:   [][]Span{{{0, 0, 0, k}}, {{0, k, 0, 1}}, {{2, 0, 0, 5}}},
		},
		{
			name: "hybrid: padding fills the gaps",
			info: hybrid(multi(k, file("a", k+1), pad(k-1), file("b", 0), file("c", 5)),
				dict{"a": leaf(k + 1), "b": leaf(0), "c": leaf(5)}),
			offsets: []int64{0, k + 1, 2 * k, 2 * k},
			pieces:  [][2]int{{0, 1}, {1, 1}, {2, 1}, {2, 2}},
			sizes:   []int64{k, k, 5},
			spans:   [][]Span{{{0, 0, 0, k}}, {{0, k, 0, 1}, {1, 0, 1, k - 1}}, {{3, 0, 0, 5}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fi, err := ParseInfo(encode(t, test.info))
			require.NoError(t, err)
			checkInvariants(t, fi)
			require.Equal(t, len(test.sizes), fi.NumPieces())
			for i, f := range fi.Files {
				require.Equal(t, test.offsets[i], f.Offset, "file %d", i)
				first, last := fi.FilePieces(i)
				require.Equal(t, test.pieces[i], [2]int{first, last}, "file %d", i)
			}
			for i, size := range test.sizes {
				require.Equal(t, size, fi.PieceSize(i), "piece %d", i)
				require.Equal(t, test.spans[i], fi.PieceSpans(i), "piece %d", i)
			}
		})
	}
	fi, err := ParseInfo(encode(t, v2(k, dict{"a": leaf(1), "b": leaf(1)})))
	require.NoError(t, err)
	require.Equal(t, -1, fi.FileAt(1), "in the gap")
	require.Equal(t, 1, fi.FileAt(k))
}

// TestVerifyHybrid tells damaged data from a damaged torrent.
func TestVerifyHybrid(t *testing.T) {
	data := append(pat(5), make([]byte, leafSize-5)...) // with its padding
	root := LeafHash(data[:5])
	tree := dict{"a": dict{"": dict{"length": 5, "pieces root": root[:]}}}
	good := multi(leafSize, file("a", 5), pad(leafSize-5))
	sum := sha1.Sum(data)
	good["pieces"] = sum[:]
	bad := multi(leafSize, file("a", 5), pad(leafSize-5))

	fi, err := ParseInfo(encode(t, hybrid(good, tree)))
	require.NoError(t, err)
	require.NoError(t, fi.VerifyPiece(0, data))
	data[0] ^= 1
	require.ErrorIs(t, fi.VerifyPiece(0, data), ErrPieceHash)
	data[0] ^= 1

	fi, err = ParseInfo(encode(t, hybrid(bad, tree)))
	require.NoError(t, err)
	require.ErrorIs(t, fi.VerifyPiece(0, data), ErrInconsistent)
}
