package metainfo

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"magnetfs/swarm/benc"
)

// dict is a dictionary to be encoded.
type dict = map[string]any

// list is a list to be encoded.
type list = []any

// encode returns the bencoding of v.
func encode(t testing.TB, v any) []byte {
	raw, err := benc.Marshal(v)
	require.NoError(t, err)
	return raw
}

// path turns "a/b" into a list of elements.
func path(s string) list {
	var l list
	for _, e := range strings.Split(s, "/") {
		l = append(l, e)
	}
	return l
}

// file is an entry of a v1 list.
func file(p string, length int64) dict { return dict{"path": path(p), "length": length} }

// pad is a padding file.
func pad(length int64) dict {
	return dict{"path": list{".pad", "0"}, "length": length, "attr": "p"}
}

// link is a symlink in a v1 list.
func link(p, target string) dict {
	return dict{"path": path(p), "attr": "l", "symlink path": path(target)}
}

// multi is a v1 info of some files with as many (wrong) piece hashes as it needs.
func multi(pieceLength int64, files ...dict) dict {
	var l list
	var total int64
	for _, f := range files {
		l = append(l, f)
		n, _ := f["length"].(int64)
		total += n
	}
	return dict{
		"name": "t", "piece length": pieceLength, "files": l,
		"pieces": strings.Repeat("x", int(20*((total+pieceLength-1)/pieceLength))),
	}
}

// single is a v1 info of one file.
func single(name string, pieceLength, length int64) dict {
	return dict{
		"name": name, "piece length": pieceLength, "length": length,
		"pieces": strings.Repeat("x", int(20*((length+pieceLength-1)/pieceLength))),
	}
}

// leaf is a file of a v2 tree with a made-up root.
func leaf(length int64) dict {
	d := dict{"length": length}
	if length > 0 {
		d["pieces root"] = strings.Repeat("r", 32)
	}
	return dict{"": d}
}

// v2 is a v2 info.
func v2(pieceLength int64, tree dict) dict {
	return dict{"name": "t", "piece length": pieceLength, "meta version": 2, "file tree": tree}
}

// hybrid puts a v2 tree into a v1 info.
func hybrid(v1 dict, tree dict) dict {
	return with(v1, dict{"meta version": 2, "file tree": tree})
}

// with returns a copy of d with other values; nil removes a key.
func with(d, changes dict) dict {
	d = maps.Clone(d)
	for k, v := range changes {
		if v == nil {
			delete(d, k)
		} else {
			d[k] = v
		}
	}
	return d
}

// visible returns the paths that users see, symlinks with their target.
func visible(fi *Info) (paths []string) {
	for i := range fi.Files {
		f := &fi.Files[i]
		if !f.Visible() {
			continue
		}
		s := strings.Join(f.Path, "/")
		if f.Symlink != nil {
			s += " -> " + strings.Join(f.Symlink, "/")
		}
		paths = append(paths, s)
	}
	return paths
}
