package fetch

import (
	"fmt"
	"strings"
	"testing"

	"magnetfs/swarm/metainfo"
)

// list draws a tree, one entry a line.
func list(n *Node) string {
	var b strings.Builder
	var walk func(n *Node)
	walk = func(n *Node) {
		for _, c := range n.Children {
			mode := map[NodeKind]string{Dir: "d", File: "-", Symlink: "l"}[c.Kind]
			if c.Executable {
				mode += "x"
			}
			fmt.Fprintf(&b, "%s %s %d", mode, c.Path, c.Size)
			if c.Kind == Symlink {
				fmt.Fprintf(&b, " -> %s", c.Target)
			}
			b.WriteByte('\n')
			if n.Child(c.Name) != c {
				fmt.Fprintf(&b, "  not found by name\n")
			}
			walk(c)
		}
	}
	walk(n)
	return b.String()
}

func TestBuildTree(t *testing.T) {
	tests := []struct {
		name  string
		files []fakeFile
		want  string
	}{
		{"a single file has a folder too", []fakeFile{{path: "", size: 5}},
			"- torrent 5\n"},
		{"folders, sorted, empty files", []fakeFile{{path: "b/y", size: 3}, {path: "a", size: 1}, {path: "b/x", size: 0}, {path: "B", size: 2}},
			"- B 2\n- a 1\nd b 0\n- b/x 0\n- b/y 3\n"},
		{"padding is hidden", []fakeFile{{path: "a", size: 1}, {path: ".pad/9", size: 9, attr: "p"}, {path: "b", size: 1}},
			"- a 1\n- b 1\n"},
		{"executables", []fakeFile{{path: "bin/run", size: 1, attr: "x"}},
			"d bin 0\n-x bin/run 1\n"},
		{"unicode", []fakeFile{{path: "日本語/Ünï 🎬.mkv", size: 7}},
			"d 日本語 0\n- 日本語/Ünï 🎬.mkv 7\n"},
		{"links are relative", []fakeFile{
			{path: "d/e/file", size: 1},
			{path: "top", attr: "l", link: "d/e/file"},
			{path: "d/beside", attr: "l", link: "d/e/file"},
			{path: "d/e/same", attr: "l", link: "d/e/file"},
			{path: "x/y/far", attr: "l", link: "d/e/file"},
			{path: "d/e/up", attr: "l", link: "d"},
			{path: "d/to", attr: "l", link: "d/e"},
		}, "d d 0\nl d/beside 6 -> e/file\nd d/e 0\n- d/e/file 1\nl d/e/same 4 -> file\nl d/e/up 7 -> ../../d\n" +
			"l d/to 1 -> e\nl top 8 -> d/e/file\nd x 0\nd x/y 0\nl x/y/far 14 -> ../../d/e/file\n"},
		{"links that lead nowhere are left out", []fakeFile{
			{path: "a", size: 1},
			{path: "out", attr: "l", link: "../../etc/passwd"},
			{path: "dangling", attr: "l", link: "nothing"},
			{path: "loop", attr: "l", link: "loop"},
		}, "- a 1\n"},
		{"nothing escapes", []fakeFile{{path: "../../etc/passwd", size: 1}, {path: "./a", size: 1}},
			"d _ 0\nd _/_ 0\nd _/_/etc 0\n- _/_/etc/passwd 1\n- _/a 1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ft := makeTorrent(t, "torrent", 16*kib, tt.files...)
			root := buildTree(ft.info)
			if root.Kind != Dir || root.Name != "" || root.Path != "" || root.File != -1 {
				t.Errorf("root %+v", root)
			}
			mustEqual(t, "tree", list(root), tt.want)
		})
	}
}

// What metainfo should never give is left out, not trusted.
func TestBuildTreeDistrusts(t *testing.T) {
	info := &metainfo.Info{Files: []metainfo.File{
		{Path: []string{"a"}, Length: 1},
		{Path: []string{"a"}, Length: 2},
		{Path: []string{"a", "b"}, Length: 3},
		{Path: []string{"c", "d"}, Length: 4},
		{Path: []string{"c"}, Length: 5},
		{Path: nil, Length: 6},
	}}
	mustEqual(t, "tree", list(buildTree(info)), "- a 1\nd c 0\n- c/d 4\n")
}

func TestFolderName(t *testing.T) {
	var hash metainfo.InfoHash
	copy(hash[:], "\xab\xcd\xef\x01\x23\x45\x67\x89")
	long := strings.Repeat("é", 200)
	other := strings.Repeat("0123456789", 4)
	for _, tt := range []struct {
		name, base string
		taken      []string
		want       string
	}{
		{"free", "film", nil, "film"},
		{"none", "", nil, hash.String()},
		{"clash", "film", []string{"film"}, "film [abcdef01]"},
		{"clash of the clash", "film", []string{"film", "film [abcdef01]"}, "film [" + hash.String() + "]"},
		{"the front end's folder", ".magnetfs", nil, ".magnetfs [abcdef01]"},
		{"another torrent's hash", other, nil, other + " [abcdef01]"},
		{"another torrent's link", "magnet:?xt=urn:btih:" + other, nil, "magnet:?xt=urn:btih:" + other + " [abcdef01]"},
		{"its own hash", hash.String(), nil, hash.String()},
		{"too long", long, nil, strings.Repeat("é", 122) + " [abcdef01]"},
	} {
		taken := make(map[string]bool)
		for _, s := range tt.taken {
			taken[s] = true
		}
		got := folderName(tt.base, hash, func(s string) bool { return taken[s] })
		if got != tt.want || len(got) > 255 {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
