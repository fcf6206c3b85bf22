package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUsualFolders(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	base, films := filepath.Join(root, "state"), filepath.Join(root, "films")
	want := func(dir, state, own string) {
		t.Helper()
		got, gotOwn, beside, err := usual(base, dir)
		if got != state || gotOwn != own || beside != "" || err != nil {
			t.Errorf("%q: %q, %q, beside %q, %v; want %q, %q", dir, got, gotOwn, beside, err, state, own)
		}
	}
	want("", base, "")
	want(films, base, "") // nothing is there yet
	if err := os.Mkdir(base, 0o700); err != nil {
		t.Fatal(err)
	}
	// The last mount has ended, on another place.
	if err := saveTarget(base, filepath.Join(root, "t")); err != nil {
		t.Fatal(err)
	}
	want(films, base, "")

	own := filepath.Join(mountsDir, ownName(films))
	if err := os.MkdirAll(filepath.Join(base, own), 0o700); err != nil {
		t.Fatal(err)
	}
	want(films, filepath.Join(base, own), own)
	want(filepath.Join(root, "more", "films"), base, "")
	if err := os.Symlink(root, filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	want(filepath.Join(root, "link", "films"), filepath.Join(base, own), own)
}

func TestOwnName(t *testing.T) {
	for _, tt := range []struct{ path, begins string }{
		{"/home/ann/films", "films-"},
		{"/", "_-"},
		{"/a\nb", "a_b-"},
		{"/" + strings.Repeat("é", 120), strings.Repeat("é", 50) + "-"},
	} {
		got := ownName(tt.path)
		if rest, ok := strings.CutPrefix(got, tt.begins); !ok || len(rest) != 8 {
			t.Errorf("%q: %q", tt.path, got)
		}
	}
	if ownName("/a/films") == ownName("/b/films") {
		t.Error("two places have one name")
	}
}

// The state and the cache of a mount never share a folder, wherever they are.
func TestOwnFoldersDiffer(t *testing.T) {
	for _, own := range []string{"", "mounts/x"} {
		dir := t.TempDir()
		t.Setenv("XDG_STATE_HOME", dir)
		t.Setenv("XDG_CACHE_HOME", dir)
		t.Setenv("STATE_DIRECTORY", "")
		t.Setenv("CACHE_DIRECTORY", "")
		state, err := mountStateDir()
		if err != nil {
			t.Fatal(err)
		}
		cache, err := mountCacheDir(own)
		if err != nil || cache == filepath.Join(state, own) {
			t.Errorf("%q: state and cache in %s, %v", own, cache, err)
		}
	}
}
