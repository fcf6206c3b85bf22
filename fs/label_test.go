package fs_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func (m *mounted) inode(name string) uint64 {
	m.t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(m.path(name), &st); err != nil {
		m.t.Errorf("%s: %v", name, err)
	}
	return st.Ino
}

// mv of a torrent's folder gives it another name, over restarts; its other names
// stay paths to it, and whoever has something in it open does not notice.
func TestLabel(t *testing.T) {
	t.Parallel()
	cfg := serveConfig{Torrents: []string{"tree", "film"}, State: t.TempDir(), Target: t.TempDir()}
	m := mountWith(t, cfg)
	mv := func(args ...string) error {
		return command("mv", append([]string{"-v"}, args...)...)
	}
	before := m.inode("tree")
	open, err := os.Open(m.path("tree/sub/deep/data.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	dir, err := os.Open(m.path("tree/sub"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()

	check := func(name string) {
		t.Helper()
		if got := m.names("."); !slices.Equal(got, []string{name, "film"}) && !slices.Equal(got, []string{"film", name}) {
			t.Errorf("names: %q", got)
		}
		for _, path := range []string{name, "tree", hashOf("tree"), magnetOf("tree")} {
			if got := m.inode(path); got != before {
				t.Errorf("%s has inode %d, not %d", path, got, before)
			}
			m.compare(m.path(path, "README"), torrent("tree").File("README"))
		}
		if got, err := io.ReadAll(io.NewSectionReader(open, 0, 1<<20)); err != nil || !slices.Equal(got, torrent("tree").File("sub/deep/data.bin")) {
			t.Errorf("the open file: %v", err)
		}
		if got, err := os.ReadDir(procPath(dir) + "/deep"); err != nil || len(got) != 1 {
			t.Errorf("the open folder: %v, %v", got, err)
		}
	}
	if err := mv(m.path("tree"), m.path("Neuer Name ☃")); err != nil {
		t.Fatal(err)
	}
	check("Neuer Name ☃")
	if err := mv(m.path(hashOf("tree")), m.path("By hash")); err != nil {
		t.Error(err)
	}
	check("By hash")
	eventually(t, "the name is free", func() bool { return mv(m.path("film"), m.path("Neuer Name ☃")) == nil })
	if err := mv(m.path("Neuer Name ☃"), m.path("film")); err != nil {
		t.Error(err)
	}
	if err := mv(m.path("By hash"), m.path("tree")); err != nil { // an alias is not in the way
		t.Error(err)
	}
	check("tree")
	if err := unix.Rename(m.path("tree"), m.path("kept")); err != nil {
		t.Error(err)
	}
	check("kept")
	// The old name of one can become another's, and taken back.
	if err := mv(m.path("film"), m.path("tree")); err != nil {
		t.Error(err)
	}
	m.compare(m.path("tree/film"), torrent("film").Payload)
	m.compare(m.path("kept/README"), torrent("tree").File("README"))
	if err := mv(m.path("tree"), m.path("film")); err != nil {
		t.Error(err)
	}
	check("kept")
	open.Close()
	dir.Close()
	m.end()

	m = mountWith(t, serveConfig{State: cfg.State, Target: cfg.Target})
	if got := m.names("."); !slices.Equal(got, []string{"film", "kept"}) {
		t.Errorf("after a restart: %q", got)
	}
	for _, path := range []string{"kept", "tree", hashOf("tree"), magnetOf("tree")} {
		if got := m.inode(path); got != before {
			t.Errorf("after a restart %s has inode %d, not %d", path, got, before)
		}
	}
}

func procPath(f *os.File) string { return "/proc/self/fd/" + decimalOf(int(f.Fd())) }

func TestLabelRefused(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree", "film"}})
	rename := func(to string, flags uint) error {
		return unix.Renameat2(unix.AT_FDCWD, m.path("tree"), unix.AT_FDCWD, m.raw(to), flags)
	}
	tests := []struct {
		name  string
		to    string
		flags uint
		want  error
	}{
		{"another torrent", "film", 0, unix.EEXIST},
		{"another torrent, not to be replaced", "film", unix.RENAME_NOREPLACE, unix.EEXIST},
		{"exchange", "film", unix.RENAME_EXCHANGE, unix.EINVAL},
		{"whiteout", "new", unix.RENAME_WHITEOUT, unix.EINVAL},
		{"a control character", "a\x1b[2J", 0, unix.EINVAL},
		{"not UTF-8", "a\xff", 0, unix.EINVAL},
		{"a hash", strings.Repeat("ab", 20), 0, unix.EINVAL},
		{"another's hash", hashOf("film"), 0, unix.EINVAL},
		{"a magnet", magnetOf("slow"), 0, unix.EINVAL},
		{"too long", strings.Repeat("x", 300), 0, unix.ENAMETOOLONG},
		{"into another", "film/tree", 0, unix.EROFS},
		{"the control folder", ".magnetfs/tree", 0, unix.EROFS},
		{"in the place of the control folder", ".magnetfs", 0, unix.EINVAL},
		{"into itself", "tree/sub/x", 0, unix.EINVAL},
	}
	for _, tt := range tests {
		if err := rename(tt.to, tt.flags); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if err := unix.Rename(m.path(".magnetfs"), m.path("x")); !errors.Is(err, unix.EROFS) {
		t.Errorf("the control folder: %v", err)
	}
	if err := unix.Rename(m.path("nothing"), m.path("x")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("what is not there: %v", err)
	}
	// mv over another torrent moves into it, which cannot be.
	if out, err := exec.Command("mv", m.path("tree"), m.path("film")).CombinedOutput(); err == nil || !strings.Contains(string(out), "Read-only") {
		t.Errorf("mv: %v: %s", err, out)
	}
	if got := m.names("."); !slices.Equal(got, []string{"film", "tree"}) {
		t.Errorf("names: %q", got)
	}
	m.compare(m.path("tree/README"), torrent("tree").File("README"))

	// Without metadata too; the label wins over the name that comes with it.
	if err := unix.Mkdir(m.path(magnetOf("late")), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Rename(m.path(magnetOf("late")), m.path("mine")); err != nil {
		t.Error(err)
	}
	if got := m.names("mine"); !slices.Equal(got, []string{"late"}) { // waits for the metadata
		t.Errorf("in it: %q", got)
	}
	if got := m.names("."); !slices.Equal(got, []string{"film", "mine", "tree"}) {
		t.Errorf("names: %q", got)
	}
	if m.inode("late") != m.inode("mine") {
		t.Error("its own name leads elsewhere")
	}
}
