package fs_test

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func base32Of(hash string) string {
	raw, err := hex.DecodeString(hash)
	if err != nil {
		panic(err)
	}
	return base32.StdEncoding.EncodeToString(raw)
}

func TestMkdir(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{})
	hash := hashOf("film")
	tests := []struct {
		name, typed string
		want        error
	}{
		{"a magnet", "magnet:?xt=urn:btih:" + hash + "&dn=Some+Film", nil},
		{"the same spelling", "magnet:?xt=urn:btih:" + hash + "&dn=Some+Film", unix.EEXIST},
		{"another magnet of it", "magnet:?xt=urn:btih:" + hash + "&x.pe=127.0.0.1:1", nil},
		{"that again", "magnet:?xt=urn:btih:" + hash + "&x.pe=127.0.0.1:1", unix.EEXIST},
		{"the bare hash", hash, nil},
		{"the bare hash again", hash, unix.EEXIST},
		{"capitals", strings.ToUpper(hash), nil},
		{"base32", base32Of(hash), nil},
		{"base32 again", base32Of(hash), unix.EEXIST},
		{"its own name", "film", unix.EEXIST},
		{"another torrent", hashOf("tree"), nil},
		{"no magnet", "New Folder", unix.EINVAL},
		{"a magnet without a hash", "magnet:?dn=x", unix.EINVAL},
		{"a hash that is too short", hash[1:], unix.EINVAL},
		{"a long name", strings.Repeat("x", 1000), unix.EINVAL},
		{"a magnet of 3,500 bytes", "magnet:?xt=urn:btih:" + hash + strings.Repeat("&tr=udp%3A%2F%2Ftracker.example%3A80%2Fannounce", 70), nil},
	}
	for _, tt := range tests {
		if tt.typed == "film" {
			eventually(t, "the metadata brings the name", func() bool { return open(m.path("film"), 0) == nil })
		}
		if err := unix.Mkdir(m.path(tt.typed), 0o755); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.want != unix.EINVAL { // every spelling is a valid path of the same folder
			m.sameFolder(tt.name, tt.typed)
		}
	}
	eventually(t, "two torrents", func() bool { return slices.Equal(m.names("."), []string{"film", "tree"}) })
	eventually(t, "the log says what was wrong", func() bool {
		return strings.Contains(m.log.String(), "neither a magnet link nor an info-hash")
	})
}

// sameFolder checks that a spelling leads to a torrent's folder.
func (m *mounted) sameFolder(name, typed string) {
	m.t.Helper()
	hash, err := os.ReadFile(m.path(".magnetfs/by-hash", hashOf("film"), "status.json"))
	if err != nil || len(hash) == 0 {
		m.t.Errorf("%s: status: %v", name, err)
	}
	buf := make([]byte, 64)
	n, err := unix.Getxattr(m.path(typed), "user.magnetfs.infohash", buf)
	if err != nil {
		m.t.Errorf("%s: %v", name, err)
		return
	}
	var alias, byHash unix.Stat_t
	if err := unix.Stat(m.path(typed), &alias); err != nil {
		m.t.Errorf("%s: %v", name, err)
	}
	if err := unix.Stat(m.path(string(buf[:n])), &byHash); err != nil {
		m.t.Errorf("%s: by its hash: %v", name, err)
	}
	if alias.Ino != byHash.Ino {
		m.t.Errorf("%s: inode %d, by its hash %d", name, alias.Ino, byHash.Ino)
	}
}

// Magnets as people paste them, with slashes in the trackers.
func TestVerbatimMagnets(t *testing.T) {
	t.Parallel()
	xt := magnetOf("tree")
	tests := []struct {
		name, magnet string
		tracker      string // which the torrent must have afterwards, percent-encoded
	}{
		{"one tracker", xt + "&tr=udp://h.example:1/announce", "h.example:1%2Fannounce"},
		{"several trackers", xt + "&tr=udp://h:1/announce&tr=http://t/announce&tr=https://u/announce", "u%2Fannounce"},
		{"a tracker without a path at the end", xt + "&tr=udp://h:1", "h:1"},
		{"a path of several parts", xt + "&tr=http://t/a/b/c/announce.php?key=1&tr=https://u/x/y", "u%2Fx%2Fy"},
		{"a slash at the end", xt + "&tr=http://t/announce/", "t%2Fannounce"},
		{"the hash at the end", "magnet:?tr=udp://h:1/announce&xt=urn:btih:" + hashOf("tree"), "h:1%2Fannounce"},
		{"a slash in the name", xt + "&dn=AC/DC&tr=udp://h:1/announce", "h:1%2Fannounce"},
		{"IPv6", xt + "&tr=udp://[2001:db8::1]:80/announce", "%2Fannounce"},
	}
	ways := []struct {
		name string
		make func(m *mounted, magnet string) error
	}{
		{"mkdir(2)", func(m *mounted, magnet string) error { return unix.Mkdir(m.raw(magnet), 0o755) }},
		{"mkdir", func(m *mounted, magnet string) error { return command("mkdir", m.raw(magnet)) }},
		{"mkdir in the folder", func(m *mounted, magnet string) error {
			return command("sh", "-c", `cd "$0" && mkdir "$1"`, m.dir, magnet)
		}},
		{"mkdir -p", func(m *mounted, magnet string) error { return command("mkdir", "-p", m.raw(magnet)) }},
		{"mkdir -p in the folder", func(m *mounted, magnet string) error {
			return command("sh", "-c", `cd "$0" && mkdir -p "$1"`, m.dir, magnet)
		}},
		{"MkdirAll", func(m *mounted, magnet string) error { return os.MkdirAll(m.raw(magnet), 0o755) }},
	}
	m := mountWith(t, serveConfig{})
	for _, tt := range tests {
		for _, way := range ways {
			t.Run(tt.name+" by "+way.name, func(t *testing.T) {
				m.looking(tt.magnet)
				if err := way.make(m, tt.magnet); err != nil {
					t.Fatal(err)
				}
				m.added(t, tt.magnet, tt.tracker)
				if err := unix.Mkdir(m.raw(tt.magnet), 0o755); !errors.Is(err, unix.EEXIST) {
					t.Errorf("once more: %v", err)
				}
				if err := command("mkdir", "-p", m.raw(tt.magnet)); err != nil {
					t.Errorf("mkdir -p once more: %v", err)
				}
				if err := unix.Rmdir(m.raw(tt.magnet)); err != nil {
					t.Errorf("rmdir by the spelling: %v", err)
				}
				if got := m.names("."); len(got) != 0 {
					t.Errorf("left: %q", got)
				}
			})
		}
	}
}

// command runs a program and returns what it complains about.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// looking at a magnet that was never added must not add it, and says that it is
// not there.
func (m *mounted) looking(magnet string) {
	m.t.Helper()
	if _, err := os.Stat(m.raw(magnet)); !errors.Is(err, fs.ErrNotExist) {
		m.t.Errorf("stat before: %v", err)
	}
	if err := command("ls", "-l", m.raw(magnet)); err == nil || !strings.Contains(err.Error(), "No such file") {
		m.t.Errorf("ls before: %v", err)
	}
	if got := m.names("."); len(got) != 0 {
		m.t.Errorf("looking at it added %q", got)
	}
}

// added checks the torrent that mkdir made.
func (m *mounted) added(t *testing.T, magnet, tracker string) {
	t.Helper()
	if got := m.names("."); len(got) != 1 {
		t.Errorf("torrents: %q", got)
	}
	eventually(t, "the file is there", func() bool {
		got, err := os.ReadFile(m.raw(magnet) + "/README")
		return err == nil && bytes.Equal(got, torrent("tree").File("README"))
	})
	buf := make([]byte, 8192)
	n, err := unix.Getxattr(m.raw(magnet), "user.magnetfs.magnet", buf)
	if err != nil || !strings.Contains(string(buf[:n]), tracker) {
		t.Errorf("its magnet is %q, %v; want a tracker %q", buf[:max(n, 0)], err, tracker)
	}
	if err := unix.Mkdir(m.raw(magnet)+"/sub/new", 0o755); !errors.Is(err, unix.EROFS) {
		t.Errorf("mkdir inside: %v", err)
	}
	if names := m.names("tree"); len(names) != 4 {
		t.Errorf("in its folder: %q", names)
	}
}

func TestVerbatimNonsense(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{})
	for _, magnet := range []string{
		"magnet:?xt=urn:btih:zz&tr=udp://h:1/announce",
		"magnet:?dn=x&tr=udp://h:1/announce",
	} {
		if err := unix.Mkdir(m.raw(magnet), 0o755); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%q: %v", magnet, err)
		}
	}
	if err := unix.Mkdir(m.raw("a/b"), 0o755); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a/b: %v", err)
	}
	if got := m.names("."); len(got) != 0 {
		t.Errorf("torrents: %q", got)
	}
}

// The folder is renamed when the metadata brings its name; whoever stands in it
// stays there.
func TestMetadataArrives(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{})
	typed := magnetOf("late") + "&dn=working title"
	if err := unix.Mkdir(m.path(typed), 0o755); err != nil {
		t.Fatal(err)
	}
	inside, err := os.Open(m.path("working title"))
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	before := m.stats()["working title"]
	start := time.Now()
	names, err := inside.Readdirnames(-1) // waits for the metadata
	if err != nil || !slices.Equal(names, []string{"late"}) {
		t.Errorf("listed %q, %v", names, err)
	}
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the metadata came after 1.5 s, the listing after %v", took)
	}
	eventually(t, "the folder has its own name", func() bool { return slices.Equal(m.names("."), []string{"late"}) })
	after := m.stats()["late"]
	if after.ino != before.ino || after.at <= before.at {
		t.Errorf("inode and time %v, before the metadata %v", after, before)
	}
	for _, name := range []string{typed, "working title", "late"} {
		m.compare(m.path(name, "late"), torrent("late").Payload)
	}
}

// A torrent whose metadata is missing lets ls wait, and Ctrl-C ends that.
func TestListingWaits(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"never"}})
	dir := hashOf("never")
	within(t, time.Second, "stat", func() { _, _ = os.Stat(m.path(dir)) })
	within(t, time.Second, "looking a file up", func() { _ = open(m.path(dir, "file"), 0) })
	ls := exec.Command("ls", m.path(dir))
	if err := ls.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	within(t, time.Second, "ls after a SIGTERM", func() {
		_ = ls.Process.Signal(unix.SIGTERM)
		_ = ls.Wait()
	})
	if ls.ProcessState.Exited() {
		t.Errorf("ls did not wait: %v", ls.ProcessState)
	}
	start := time.Now()
	if got, err := os.ReadDir(m.path(dir)); len(got) != 0 || err != nil {
		t.Errorf("listed %v, %v", got, err)
	}
	if took := time.Since(start); took < 9*time.Second || took > 15*time.Second {
		t.Errorf("the listing took %v", took)
	}
}
