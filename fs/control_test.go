package fs_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestControlFolder(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree", "film"}})
	if got := m.names("."); slices.Contains(got, ".magnetfs") {
		t.Errorf("the control folder is listed: %q", got)
	}
	hash := hashOf("tree")
	tests := []struct {
		dir  string
		want []string
	}{
		{".magnetfs", []string{"add", "by-hash", "metrics", "pid", "pins.json", "status", "status.json", "torrents"}},
		{".magnetfs/torrents", []string{hashOf("film") + ".torrent", hash + ".torrent"}},
		{".magnetfs/by-hash", []string{hashOf("film"), hash}},
		{".magnetfs/by-hash/" + hash, []string{"peers", "pieces", "reads", "sources", "status", "status.json"}},
	}
	for _, tt := range tests {
		slices.Sort(tt.want)
		if got := m.names(tt.dir); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.dir, got, tt.want)
		}
	}
	m.contains(".magnetfs/status", "tree\n", "film\n", "[DHT]", "Update In")
	m.contains(".magnetfs/by-hash/"+hash+"/status", "tree\n", "1 seed and 0 peers")
	m.contains(".magnetfs/by-hash/"+hash+"/sources", "[DHT]")
	m.contains(".magnetfs/by-hash/"+hash+"/peers", "Address")
	m.contains(".magnetfs/pid", decimalOf(m.cmd.Process.Pid))

	m.contains(".magnetfs/metrics", "# TYPE magnetfs_torrents gauge\nmagnetfs_torrents 2\n",
		`magnetfs_torrent_seeds{infohash="`+hash+`",name="tree"} 1`+"\n",
		`magnetfs_torrent_state{infohash="`+hash+`",name="tree",state="idle"} 1`+"\n",
		"magnetfs_cache_budget_bytes 1073741824\n", "magnetfs_cache_used_bytes 1048576\n")

	raw, err := os.ReadFile(m.path(".magnetfs/status.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Name     string `json:"name"`
		InfoHash string `json:"info_hash"`
		Size     int64  `json:"size"`
		Magnet   string `json:"magnet"`
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[1].InfoHash != hash || all[1].Size == 0 || !strings.Contains(string(raw), all[1].Magnet) {
		t.Errorf("status.json: %s", raw)
	}
	for path, want := range map[string]error{
		".magnetfs/nothing":                 unix.ENOENT,
		".magnetfs/torrents/nothing":        unix.ENOENT,
		".magnetfs/by-hash/tree":            unix.ENOENT,
		".magnetfs/torrents/" + hash:        unix.ENOENT,
		".magnetfs/by-hash/" + hash + "/no": unix.ENOENT,
		".magnetfs/add":                     unix.EACCES,
	} {
		if err := open(m.path(path), 0); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if err := unix.Rmdir(m.path(".magnetfs")); !errors.Is(err, unix.EROFS) {
		t.Errorf("rmdir of the control folder: %v", err)
	}
}

func decimalOf(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func (m *mounted) contains(path string, texts ...string) {
	m.t.Helper()
	b, err := os.ReadFile(m.path(path))
	if err != nil {
		m.t.Error(err)
	}
	for _, text := range texts {
		if !strings.Contains(string(b), text) {
			m.t.Errorf("%s lacks %q:\n%s", path, text, b)
		}
	}
}

func TestControlAdd(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{})
	add := func(text string) error { return os.WriteFile(m.path(".magnetfs/add"), []byte(text), 0) }
	if err := add(magnetOf("tree") + "\n\n" + hashOf("film")); err != nil {
		t.Error(err)
	}
	if err := add("bogus\n"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a bad line: %v", err)
	}
	if err := add("bogus"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a bad text without an end of line: %v", err)
	}
	if err := add("d4:spam4:eggse"); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a bad .torrent file: %v", err)
	}
	if err := add(strings.Repeat("x", 2<<20)); !errors.Is(err, unix.EFBIG) {
		t.Errorf("a line of 2 MiB: %v", err)
	}
	eventually(t, "both are there", func() bool { return slices.Equal(m.names("."), []string{"film", "tree"}) })
}
