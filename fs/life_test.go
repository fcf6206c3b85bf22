package fs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestRefusedTargets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	make := func(name string, f func(path string) error) string {
		path := filepath.Join(dir, name)
		if err := f(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign := make("foreign", func(p string) error {
		return errors.Join(os.Mkdir(p, 0o755), unix.Mount("none", p, "tmpfs", 0, ""))
	})
	t.Cleanup(func() { _ = unix.Unmount(foreign, 0) })
	served := mountWith(t, serveConfig{})
	tests := []struct {
		name, target, want string
	}{
		{"missing", filepath.Join(dir, "missing"), "does not exist"},
		{"a file", make("file", func(p string) error { return os.WriteFile(p, nil, 0o644) }), "is not a folder"},
		{"not empty", dir, "is not empty"},
		{"somebody's mount", foreign, "none (tmpfs) is mounted on it"},
		{"our own living mount", served.dir, "mounted on it already"},
	}
	for _, tt := range tests {
		m := startServer(t, serveConfig{Target: tt.target})
		if m.out.Scan(); !strings.Contains(m.out.Text(), tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, m.out.Text(), tt.want)
		}
		_ = m.in.Close()
		_ = m.cmd.Wait()
		m.once.Do(func() {}) // what is mounted there is not its own
	}
	if err := open(served.dir, 0); err != nil {
		t.Errorf("the living mount suffered: %v", err)
	}
}

func TestCreateTarget(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	dir := filepath.Join(t.TempDir(), "a b", "mount, with\\odd name")
	m := mountWith(t, serveConfig{Target: dir, Create: true, Torrents: []string{"tree"}})
	m.compare(m.path("tree/README"), torrent("tree").File("README"))
	m.end()

	// By a symbolic link the folder itself is mounted on.
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	m = mountWith(t, serveConfig{Target: link, Torrents: []string{"tree"}})
	m.compare(m.path("tree/README"), torrent("tree").File("README"))
}

// What a killed process leaves behind is cleared away by the next mount.
func TestStaleMount(t *testing.T) {
	t.Parallel()
	cfg := serveConfig{Target: t.TempDir(), State: t.TempDir(), Torrents: []string{"tree"}}
	m := mountWith(t, cfg)
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.cmd.Wait()
	m.once.Do(func() {}) // it stays mounted, that is the point
	if _, err := os.Stat(cfg.Target); !errors.Is(err, unix.ENOTCONN) {
		t.Fatalf("the mount is not stale: %v", err)
	}
	m = mountWith(t, cfg)
	m.compare(m.path("tree/README"), torrent("tree").File("README"))
}

// Unmounting fails the blocked reads first and is then quick.
func TestUnmountWithBlockedReads(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"stall", "never"}})
	r := m.read("read", m.path("stall/stall"), decimalOf(stalledAt), "100")
	ls := exec.Command("ls", m.path(hashOf("never")))
	if err := ls.Start(); err != nil {
		t.Fatal(err)
	}
	m.waiting(ls.Process.Pid, ls.Process.Pid)
	within(t, 3*time.Second, "unmounting", func() {
		if got := m.call("unmount"); !strings.HasSuffix(got, "<nil>") {
			t.Errorf("unmount: %s", got)
		}
	})
	if got := r.result(time.Second); got != "-1 ECANCELED" {
		t.Errorf("the blocked read: %q", got)
	}
	r.ended(time.Second)
	_ = ls.Wait()
}

// A program that stands in the mount cannot keep it for ever.
func TestUnmountBusy(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree"}})
	busy := exec.Command("sleep", "60")
	busy.Dir = m.path("tree")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	within(t, 8*time.Second, "unmounting", func() {
		if got := m.call("unmount"); !strings.HasSuffix(got, "<nil>") {
			t.Errorf("unmount: %s", got)
		}
	})
	if isMounted(t, m.dir) {
		t.Error("still mounted")
	}
	_ = busy.Process.Kill()
	_ = busy.Wait()
}

// A mount that is taken away by others ends the serving process, even with force
// and while a read waits.
func TestTakenAway(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string]int{"umount": 0, "umount -f": unix.MNT_FORCE} {
		m := mountWith(t, serveConfig{Torrents: []string{"stall"}})
		if flags != 0 {
			r := m.read("read", m.path("stall/stall"), decimalOf(stalledAt), "100")
			defer r.ended(time.Second)
		}
		err := unix.Unmount(m.dir, flags)
		if flags == 0 && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if flags != 0 { // the first one aborts, and fails since the file is open
			eventually(t, "the mount point is free", func() bool {
				err := unix.Unmount(m.dir, flags)
				return err == nil || errors.Is(err, unix.EINVAL)
			})
		}
		within(t, 3*time.Second, name, func() {
			if got := m.call("gone"); got != "gone" {
				t.Errorf("%s: %q", name, got)
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"dead", "stall"}, NoPeers: time.Second})
	start := time.Now()
	if _, err := os.ReadFile(m.path("dead/dead")); !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("nobody has it: %v", err)
	}
	if took := time.Since(start); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("the error took %v", took)
	}
	buf := make([]byte, 100)
	n, err := unix.Getxattr(m.path("dead/dead"), "user.magnetfs.state", buf)
	if err != nil || string(buf[:n]) != "stalled" {
		t.Errorf("state: %q, %v", buf[:max(0, n)], err)
	}
	m.contains(".magnetfs/by-hash/"+hashOf("dead")+"/status", "stalled (piece 0: ")
	r := m.read("read", m.path("stall/stall"), decimalOf(stalledAt), "100")
	kept, err := os.Open(m.path("stall/stall"))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if err := unix.Rmdir(m.path("stall")); err != nil {
		t.Error(err)
	}
	if got := r.result(time.Second); got != "-1 ESTALE" {
		t.Errorf("a read that waits while its torrent is removed: %q", got)
	}
	r.ended(time.Second)
	if _, err := kept.ReadAt(make([]byte, 10), 0); !errors.Is(err, unix.ESTALE) {
		t.Errorf("a read after the torrent was removed: %v", err)
	}
	if err := open(m.path("stall"), 0); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// Removed and added again, a torrent is a new one, although somebody still has the
// old one open.
func TestAddedAgain(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"film"}})
	old, err := os.Open(m.path("film"))
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	oldFile, err := os.Open(m.path("film/film"))
	if err != nil {
		t.Fatal(err)
	}
	defer oldFile.Close()
	if err := unix.Rmdir(m.path("film")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkdir(m.path(hashOf("film")), 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is there again", func() bool { return open(m.path("film/film"), 0) == nil })
	m.compare(m.path("film/film"), torrent("film").Payload)
	if names, err := old.Readdirnames(-1); len(names) > 0 {
		t.Errorf("the old folder lists %q, %v", names, err)
	}
}

// Nothing is left of what was opened, read and closed.
func TestNoLeaks(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree", "film"}}, "GOMAXPROCS=1")
	use := func() {
		m.names("tree")
		m.compare(m.path("film/film"), torrent("film").Payload)
		m.compare(m.path("tree/README"), torrent("tree").File("README"))
		_, _ = os.ReadFile(m.path(".magnetfs/status"))
	}
	use()
	descriptors := m.call("descriptors")
	goroutines := func() int { return int(number(m.call("goroutines"))) }
	before := goroutines()
	for range 50 {
		use()
	}
	eventually(t, "no descriptor is left", func() bool { return m.call("descriptors") == descriptors })
	eventually(t, "no goroutine is left", func() bool { return goroutines() <= before+3 })
}
