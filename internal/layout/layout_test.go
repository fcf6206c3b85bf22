package layout

import (
	"slices"
	"strings"
	"testing"
)

// TestTree checks the tree this file is in.
func TestTree(t *testing.T) {
	files, err := Load("../..")
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, f := range files {
		seen[f.Dir] = true
	}
	for _, dir := range []string{"internal/layout", "internal/simnet", "swarm", "fetch", "cache", "fs"} {
		if !seen[dir] {
			t.Errorf("no Go file found in %s", dir)
		}
	}
	for _, fault := range Check(files) {
		t.Error(fault)
	}
}

func TestImports(t *testing.T) {
	const ok = ""
	tests := []struct {
		from, to string // a folder, or a module; "+test" after from: a test file
		want     string // part of the fault
	}{
		{"cmd/magnetfs", "fs", ok},
		{"cmd/magnetfs", "swarm/dht", ok},
		{"cmd/magnetfs", "internal/simnet", "an aid for tests"},
		{"fs", "fetch", ok},
		{"fs", "swarm", "fs may import"},
		{"fs", "swarm/metainfo", "fs may import"},
		{"fs", "cache", "fs may import"},
		{"fs", "cmd/magnetfs", "fs may import"},
		{"fs", "internal/version", ok},
		{"fs+test", "internal/swarmtest", ok},
		{"fs+test", "swarm", "fs may import"},
		{"fetch", "swarm", ok},
		{"fetch", "swarm/metainfo", ok},
		{"fetch", "swarm/wire", "fetch may import"},
		{"fetch+test", "swarm/benc", ok},
		{"fetch+test", "fs", "fetch may import"},
		{"fetch", "cache", ok},
		{"fetch", "cache/disk", ok},
		{"fetch", "fs", "fetch may import"},
		{"swarm", "swarm/dht", ok},
		{"swarm", "cache", "swarm may import"},
		{"swarm", "fetch", "swarm may import"},
		{"swarm+test", "internal/simnet", ok},
		{"swarm+test", "cache", "swarm may import"},
		{"swarm", "internal/swarmtest", "an aid for tests"},
		{"swarm/dht", "swarm/benc", ok},
		{"swarm/dht/krpc", "swarm/endpoint", ok},
		{"swarm/dht", "swarm", "swarm/dht may import"},
		{"swarm/picker", "swarm/wire", "nothing of ours"},
		{"swarm/utp", "swarm/endpoint", "nothing of ours"},
		{"swarm/utp+test", "internal/simnet", ok},
		{"cache/disk", "cache", "nothing of ours"},
		{"cache", "cache/disk", ok},
		{"cache", "swarm/metainfo", "cache may import"},
		{"cache+test", "cache/cachetest", ok},
		{"cache", "cache/cachetest", "an aid for tests"},
		{"fs+test", "fetch/fetchtest", ok},
		{"fetch/fetchtest", "internal/swarmtest", ok},
		{"fetch/fetchtest", "swarm/wire", "fetch/fetchtest may import"},
		{"internal/simnet", "swarm", "nothing of ours"},
		{"internal/swarmtest", "swarm/wire", ok},
		{"internal/swarmtest", "swarm", "internal/swarmtest may import"},
		{"internal/swarmtest+test", "internal/simnet", ok},
		{"internal/version", "swarm", "nothing of ours"},
		{"new", "swarm", "no rule for new"},
		{"swarm", "!magnetfs", "the root is no package"},
		{"fs", "!github.com/hanwen/go-fuse/v2/fuse", ok},
		{"cmd/magnetfs", "!github.com/hanwen/go-fuse/v2/fs", ok},
		{"fetch", "!github.com/hanwen/go-fuse/v2/fuse", "only fs/..."},
		{"fetch+test", "!github.com/hanwen/go-fuse/v2/fuse", "only fs/..."},
		{"cache", "!github.com/dgraph-io/ristretto/v2", ok},
		{"fetch", "!github.com/dgraph-io/ristretto/v2", "only cache/..."},
		{"swarm", "!net/http", ok},
		{"cmd/magnetfs/watch", "!charm.land/bubbletea/v2", ok},
		{"cmd/magnetfs", "!charm.land/bubbletea/v2", "only cmd/magnetfs/watch"},
	}
	for _, tt := range tests {
		t.Run(tt.from+" to "+tt.to, func(t *testing.T) {
			dir, test := strings.CutSuffix(tt.from, "+test")
			imp, foreign := strings.CutPrefix(tt.to, "!")
			if !foreign {
				imp = module + "/" + imp
			}
			f := File{Dir: dir, Name: "x.go", Package: "x", Comment: true, Imports: []string{imp}, Test: test}
			got := Check([]File{f})
			switch {
			case tt.want == ok && got != nil:
				t.Errorf("fault %q", got)
			case tt.want != ok && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("faults %q, want %q", got, tt.want)
			}
		})
	}
}

func TestNamesAndComments(t *testing.T) {
	tests := []struct {
		name  string
		files []File
		want  []string
	}{
		{"one comment", []File{{Dir: "a", Name: "doc.go", Package: "a", Comment: true}, {Dir: "a", Name: "a.go", Package: "a"}}, nil},
		{"none", []File{{Dir: "a", Name: "a.go", Package: "a"}}, []string{"a: 0 package comments [], want one"}},
		{"two", []File{{Dir: "a", Name: "a.go", Package: "a", Comment: true}, {Dir: "a", Name: "b.go", Package: "a", Comment: true}}, []string{`a: 2 package comments ["a.go" "b.go"], want one`}},
		{"tests need none", []File{{Dir: "a", Name: "a_test.go", Package: "a", Test: true}}, nil},
		{"vague", []File{{Dir: "a", Name: "a.go", Package: "util", Comment: true}}, []string{"a/a.go: package util: name it for what it holds"}},
		{"vague test", []File{{Dir: "a", Name: "a_test.go", Package: "types_test", Test: true}}, []string{"a/a_test.go: package types: name it for what it holds"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Check(tt.files); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
