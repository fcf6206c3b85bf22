package metainfo

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMetainfoSources(t *testing.T) {
	base := single("f", 16384, 5)
	folder := multi(16384, file("a", 1), file("b", 1))
	tests := []struct {
		name     string
		info     dict
		outside  dict
		trackers [][]string
		webSeeds []string
		nodes    []string
	}{
		{name: "none", info: base, outside: dict{}},
		{name: "announce", info: base, outside: dict{"announce": "\t udp://h:1/announce"}, trackers: [][]string{{"udp://h:1/announce"}}},
		{
			name: "tiers", info: base,
			outside:  dict{"announce": "udp://old:1", "announce-list": list{list{"udp://a:1", "udp://b:1"}, list{"http://c/"}}},
			trackers: [][]string{{"udp://a:1", "udp://b:1"}, {"http://c/"}},
		},
		{
			name: "flat list", info: base,
			outside:  dict{"announce-list": list{"udp://a:1", "udp://b:1"}},
			trackers: [][]string{{"udp://a:1"}, {"udp://b:1"}},
		},
		{
			name: "repeated, empty and odd entries", info: base,
			outside: dict{"announce-list": list{
				list{"udp://a:1", "udp://a:1"}, list{}, list{""}, list{list{"udp://x:1"}}, 7, list{"udp://a:1", "udp://b:1"},
			}},
			trackers: [][]string{{"udp://a:1"}, {"udp://b:1"}},
		},
		{
			name: "list of nothing falls back", info: base,
			outside:  dict{"announce": "udp://a:1", "announce-list": list{list{"a:1"}}},
			trackers: [][]string{{"udp://a:1"}},
		},
		{name: "announce of a wrong type", info: base, outside: dict{"announce": 1, "announce-list": dict{}}},
		{name: "url-list as string", info: base, outside: dict{"url-list": "http://h/f"}, webSeeds: []string{"http://h/f"}},
		{
			name: "url-list of a folder", info: folder,
			outside:  dict{"url-list": list{"http://h/f", "http://h/f/", "https://g/a b/"}},
			webSeeds: []string{"http://h/f/", "https://g/a%20b/"},
		},
		{name: "odd url-list", info: base, outside: dict{"url-list": list{"", list{"http://h/"}, 3, "ftp://h/f", "http:///f"}}},
		{
			name: "nodes", info: base,
			outside: dict{"nodes": list{
				list{"10.0.0.1", 6881}, list{"host.example", 1}, "other.example:2", list{"::1", 3}, list{"10.0.0.1", 6881},
				list{"x", 0}, list{"x", 65536}, list{"x"}, list{6881, "late.example"}, list{}, 5, "udp://h:80", list{"a b", 1},
			}},
			nodes: []string{"10.0.0.1:6881", "host.example:1", "other.example:2", "[::1]:3", "late.example:6881"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMetainfo(encode(t, with(test.outside, dict{"info": test.info})))
			require.NoError(t, err)
			require.Equal(t, test.trackers, m.Trackers)
			require.Equal(t, test.webSeeds, m.WebSeeds)
			require.Equal(t, test.nodes, m.Nodes)
			checkRoundTrip(t, m)
		})
	}
}

func TestMetainfoCaps(t *testing.T) {
	var trackers, seeds, nodes list
	for i := range 1000 {
		trackers = append(trackers, list{fmt.Sprintf("udp://h:%d", i+1)})
		seeds = append(seeds, fmt.Sprintf("http://h/%d", i))
		nodes = append(nodes, list{"h", i + 1})
	}
	m, err := ParseMetainfo(encode(t, dict{
		"info": single("f", 16384, 5), "announce-list": trackers, "url-list": seeds, "nodes": nodes,
		"comment": strings.Repeat("x", 1<<20), "announce": "http://h/" + strings.Repeat("x", 1<<20),
	}))
	require.NoError(t, err)
	require.Len(t, m.Trackers, maxFileTrackers)
	require.Len(t, m.WebSeeds, maxFileWebSeeds)
	require.Len(t, m.Nodes, maxFileNodes)
	require.Len(t, m.Comment, maxTextBytes)
}

func TestMetainfoTexts(t *testing.T) {
	tests := []struct {
		name    string
		outside dict
		comment string
		created time.Time
	}{
		{"none", dict{}, "", time.Time{}},
		{"plain", dict{"comment": "a\nb", "creation date": 1234567}, "a\nb", time.Unix(1234567, 0).UTC()},
		{"utf-8 preferred", dict{"comment": "a", "comment.utf-8": "ä"}, "ä", time.Time{}},
		{"controls", dict{"comment": " a\x1b[2J\x00\u202eb\xff "}, "a[2Jb\uFFFD", time.Time{}},
		{"wrong types", dict{"comment": 1, "creation date": "now"}, "", time.Time{}},
		{"milliseconds", dict{"creation date": 1452468725091}, "", time.Unix(1452468725, 0).UTC()},
		{"negative date", dict{"creation date": -5}, "", time.Time{}},
		{"absurd date", dict{"creation date": 1 << 62}, "", time.Time{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMetainfo(encode(t, with(test.outside, dict{"info": single("f", 16384, 5)})))
			require.NoError(t, err)
			require.Equal(t, test.comment, m.Comment)
			require.Equal(t, test.created, m.Created)
			checkRoundTrip(t, m)
		})
	}
}

func TestParseMetainfoRefuses(t *testing.T) {
	tests := []struct{ name, in, err string }{
		{"nothing", "", "not a torrent file"},
		{"web page", "<!DOCTYPE html>", "not a torrent file"},
		{"list", "le", "not a torrent file"},
		{"no info", "d8:announce3:abce", "no info"},
		{"info of a wrong type", "d4:infolee", "info is of type list, not dictionary"},
		{"over 16 MiB", "d4:infod4:name16777216:" + strings.Repeat("x", 16<<20) + "ee", "limit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseMetainfo([]byte(test.in))
			require.ErrorContains(t, err, test.err)
		})
	}
}

func TestParseMetainfoTolerates(t *testing.T) {
	info := string(encode(t, single("f", 16384, 5)))
	for name, in := range map[string]string{
		"bytes behind":       "d4:info" + info + "e\r\n",
		"unsorted":           "d4:info" + info + "8:announce9:udp://a:1e",
		"repeated info":      "d4:info" + info + "4:infolee",
		"layers in v1":       "d4:info" + info + "12:piece layers3:abce",
		"leading zeros":      "d04:info" + info + "13:creation datei01ee",
		"repeated elsewhere": "d8:announce9:udp://a:18:announcei1e4:info" + info + "e",
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ParseMetainfo([]byte(in))
			require.NoError(t, err)
			require.Equal(t, info, string(m.Info.Raw))
		})
	}
}

func TestPieceLayers(t *testing.T) {
	data := pat(81920)
	root := MerkleRoot(LeafHashes(data), 0)
	layer := string(nodes(t, treePieces...))
	small := LeafHash(data[:5])
	info := v2(32768, dict{
		"a": dict{"": dict{"length": 81920, "pieces root": root[:]}},
		"b": dict{"": dict{"length": 5, "pieces root": small[:]}},
		"c": dict{"": dict{"length": 81920, "pieces root": root[:]}}, // the same contents again
	})
	tests := []struct {
		name   string
		layers any
		err    string
		known  bool
	}{
		{"good", dict{string(root[:]): layer}, "", true},
		{"none", nil, "", false},
		{"no entry", dict{}, "", false},
		{"wrong type", list{}, "piece layers is of type list", false},
		{"entry of a wrong type", dict{string(root[:]): 1}, "not a list of hashes", false},
		{"short root", dict{string(root[:31]): layer}, "not a list of hashes", false},
		{"odd layer", dict{string(root[:]): layer[:95]}, "not a list of hashes", false},
		{"short layer", dict{string(root[:]): layer[:64]}, "64 bytes for 3 pieces", false},
		{"wrong layer", dict{string(root[:]): layer[32:] + layer[:32]}, "does not hash", false},
		{"layer of a small file", dict{string(small[:]): string(small[:])}, "no file", false},
		{"layer of no file", dict{string(root[:]): layer, strings.Repeat("x", 32): layer}, "no file", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMetainfo(encode(t, with(dict{"info": info}, dict{"piece layers": test.layers})))
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			checkInvariants(t, m.Info)
			checkRoundTrip(t, m)
			for f, known := range []bool{test.known, true, test.known} {
				_, ok := m.Info.Tree(f)
				require.Equal(t, known, ok, "file %d", f)
			}
			require.NoError(t, m.Info.VerifyPiece(3, data[:5]))
			for piece, off := range map[int]int{0: 0, 2: 65536, 4: 0, 6: 65536} {
				err := m.Info.VerifyPiece(piece, data[off:min(off+32768, len(data))])
				if test.known {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, ErrNoPieceHash)
				}
			}
		})
	}
}

// TestVectorNotes checks what the README beside the vectors says about single files, beyond counts and hashes.
func TestVectorNotes(t *testing.T) {
	load := func(t *testing.T, name string) *Metainfo {
		m, err := ParseMetainfo(readVector(t, name+".torrent"))
		require.NoError(t, err)
		return m
	}
	tests := []struct {
		name  string
		check func(t *testing.T, m *Metainfo)
	}{
		{"libtorrent/absolute_filename", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"abcde", "foobar"}, visible(m.Info)) }},
		{"libtorrent/backslash_path", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"_/_/bar"}, visible(m.Info)) }},
		{"libtorrent/slash_path", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"_/_/bar"}, visible(m.Info)) }},
		{"libtorrent/parent_path", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"_/_/bar"}, visible(m.Info)) }},
		{"libtorrent/empty_path", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"_/_"}, visible(m.Info)) }},
		{"libtorrent/duplicate_files", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"foo/bar.txt", "foo/bar.1.txt"}, visible(m.Info))
		}},
		{"libtorrent/invalid_filename", func(t *testing.T, m *Metainfo) {
			require.Equal(t, "est2", m.Info.Name)
			require.Equal(t, []string{"f", "_"}, visible(m.Info))
		}},
		{"libtorrent/invalid_name3", func(t *testing.T, m *Metainfo) { require.Equal(t, "foobar ", m.Info.Name) }},
		{"libtorrent/long_name", func(t *testing.T, m *Metainfo) {
			require.Len(t, m.Info.Name, 240)
			require.True(t, strings.HasSuffix(m.Info.Name, ".23456789"), "the extension is kept")
		}},
		{"libtorrent/v2_invalid_filename", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"_estMB"}, visible(m.Info)) }},
		{"libtorrent/pad_file", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"foo/bar.txt"}, visible(m.Info)) }},
		{"libtorrent/sample", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"text_file2.txt", "text_file.txt"}, visible(m.Info))
			require.Equal(t, [][]string{{"udp://tracker.opentracker.com:80/announce"}}, m.Trackers)
		}},
		{"libtorrent/symlink1", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"a/b/bar", "a/b/foo -> a/b/bar"}, visible(m.Info))
		}},
		{"libtorrent/overlapping_symlinks", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{
				"Headers -> Versions/Current/Headers", "Resources -> Versions/Current/Resources", "SDL2 -> Versions/Current/SDL2",
			}, visible(m.Info)[:3])
			require.Contains(t, visible(m.Info), "Versions/Current -> Versions/A")
		}},
		{"libtorrent/v2_symlinks", func(t *testing.T, m *Metainfo) {
			require.Equal(t, "Headers -> Versions/Current/Headers", visible(m.Info)[0])
		}},
		{"libtorrent/single_multi_file", func(t *testing.T, m *Metainfo) {
			require.False(t, m.Info.Single)
			require.Equal(t, []string{"foo/bar"}, visible(m.Info))
		}},
		{"libtorrent/creation_date", func(t *testing.T, m *Metainfo) { require.EqualValues(t, 1234567, m.Created.Unix()) }},
		{"libtorrent/no_creation_date", func(t *testing.T, m *Metainfo) { require.True(t, m.Created.IsZero()) }},
		{"webtorrent/alice", func(t *testing.T, m *Metainfo) { require.Equal(t, 2016, m.Created.Year()) }},
		{"libtorrent/whitespace_url", func(t *testing.T, m *Metainfo) {
			require.Equal(t, [][]string{{"udp://test.com/announce"}}, m.Trackers)
		}},
		{"libtorrent/dht_nodes", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"127.0.0.1:6881", "192.168.1.1:6881"}, m.Nodes)
		}},
		{"anacrolix/trackerless", func(t *testing.T, m *Metainfo) { require.Empty(t, m.Nodes) }},
		{"libtorrent/duplicate_web_seeds", func(t *testing.T, m *Metainfo) { require.Len(t, m.WebSeeds, 3) }},
		{"libtorrent/empty_httpseed", func(t *testing.T, m *Metainfo) { require.Empty(t, m.WebSeeds) }},
		{"libtorrent/url_list", func(t *testing.T, m *Metainfo) { require.Empty(t, m.WebSeeds) }},
		{"libtorrent/url_list2", func(t *testing.T, m *Metainfo) { require.Empty(t, m.WebSeeds) }},
		{"libtorrent/url_seed", func(t *testing.T, m *Metainfo) { require.Equal(t, []string{"http://test.com/file"}, m.WebSeeds) }},
		{"libtorrent/url_seed_multi_single_file", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"http://test.com/file/temp/foo/bar.txt"}, m.WebSeeds)
		}},
		{"libtorrent/url_seed_multi_space", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"http://test.com/test%20file/foo%20bar/"}, m.WebSeeds)
		}},
		{"libtorrent/url_seed_multi_space_nolist", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"http://test.com/test%20file/foo%20bar/"}, m.WebSeeds)
		}},
		{"anacrolix/flat-url-list", func(t *testing.T, m *Metainfo) { require.Len(t, m.WebSeeds, 1) }},
		{"transmission/webseed-getright-list", func(t *testing.T, m *Metainfo) { require.Len(t, m.WebSeeds, 2) }},
		{"transmission/perfect-pieces", func(t *testing.T, m *Metainfo) {
			require.True(t, m.Info.Private)
			require.Equal(t, 6, m.Info.NumPieces())
		}},
		{"webtorrent/numbers", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"1.txt", "2.txt", "3.txt"}, visible(m.Info))
			require.NoError(t, m.Info.VerifyPiece(0, []byte("122333")))
		}},
		{"webtorrent/folder", func(t *testing.T, m *Metainfo) {
			require.Equal(t, []string{"file.txt"}, visible(m.Info))
			require.NoError(t, m.Info.VerifyPiece(0, []byte("This is a file\n")))
		}},
		{"libtorrent/v2", func(t *testing.T, m *Metainfo) {
			root, ok := m.Info.Root(0)
			require.True(t, ok)
			require.Equal(t, hash32(t, "60aae9c7b428f87e0713e88229e18f0adf12cd7b22a0dd8a92bb2485eb7af242"), root)
		}},
		{"anacrolix/bittorrent-v2-test", func(t *testing.T, m *Metainfo) {
			for f := range m.Info.Files {
				_, ok := m.Info.Tree(f)
				require.True(t, ok)
			}
		}},
		{"libtorrent/v2_multiple_files", func(t *testing.T, m *Metainfo) {
			first, _ := m.Info.FilePieces(1)
			require.EqualValues(t, int64(first)*m.Info.PieceLength, m.Info.Files[1].Offset)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.check(t, load(t, test.name)) })
	}
}
