package fs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadFiles(t *testing.T) {
	eachMode(t, []string{"tree", "film", "slow", "large"}, checkReadFiles)
}

func checkReadFiles(t *testing.T, m *mounted) {
	for _, name := range []string{"README", "empty", "sub/run.sh", "sub/deep/data.bin", "ünï cödé ☃.txt"} {
		m.compare(m.path("tree", name), torrent("tree").File(name))
	}
	for _, name := range []string{"film", "slow", "large"} {
		m.compare(m.path(name, name), torrent(name).Payload)
	}
	// once more, now from the page cache
	m.compare(m.path("large/large"), torrent("large").Payload)
}

func (m *mounted) compare(path string, want []byte) {
	m.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		m.t.Error(err)
	} else if !bytes.Equal(got, want) {
		m.t.Errorf("%s: the %d bytes read differ from the %d of the torrent", path, len(got), len(want))
	}
}

// Reads at every kind of place give exactly the bytes that are there.
func TestReadAt(t *testing.T) { eachMode(t, []string{"film"}, checkReadAt) }

func checkReadAt(t *testing.T, m *mounted) {
	f, err := os.Open(m.path("film/film"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := torrent("film").Payload
	size := int64(len(all))
	tests := []struct {
		name string
		off  int64
		n    int
		want int
	}{
		{"the first byte", 0, 1, 1},
		{"inside a piece", 100, 1000, 1000},
		{"over the border of two pieces", pieceLength - 3, 7, 7},
		{"exactly a piece", pieceLength, pieceLength, pieceLength},
		{"many pieces, not aligned", 5*pieceLength + 1, 20*pieceLength + 11, 20*pieceLength + 11},
		{"more than one request", 12345, 3 << 20, 3 << 20},
		{"the last byte", size - 1, 1, 1},
		{"over the end", size - 10, 100, 10},
		{"at the end", size, 10, 0},
		{"behind the end", size + 1000, 10, 0},
	}
	for _, tt := range tests {
		buf := make([]byte, tt.n)
		got, err := unix.Pread(int(f.Fd()), buf, tt.off)
		if err != nil || got != tt.want {
			t.Errorf("%s: %d, %v; want %d bytes", tt.name, got, err, tt.want)
			continue
		}
		if got > 0 && !bytes.Equal(buf[:got], all[tt.off:tt.off+int64(got)]) {
			t.Errorf("%s: wrong bytes", tt.name)
		}
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	cfg := serveConfig{Torrents: []string{"tree"}, State: t.TempDir(), Target: t.TempDir()}
	m := mountWith(t, cfg)
	before := m.stats()
	tests := []struct {
		path string
		mode fs.FileMode
		size int64
	}{
		{".", fs.ModeDir | 0o755, 0},
		{"tree", fs.ModeDir | 0o555, 0},
		{"tree/README", 0o444, 100},
		{"tree/empty", 0o444, 0},
		{"tree/sub", fs.ModeDir | 0o555, 0},
		{"tree/sub/run.sh", 0o555, 5000},
		{"tree/sub/link", fs.ModeSymlink | 0o777, int64(len("../README"))},
		{"tree/sub/deep/data.bin", 0o444, 3*pieceLength + 17},
	}
	for _, tt := range tests {
		info, err := os.Lstat(m.path(tt.path))
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode() != tt.mode || info.Size() != tt.size {
			t.Errorf("%s: %v, %d bytes; want %v, %d", tt.path, info.Mode(), info.Size(), tt.mode, tt.size)
		}
		if age := time.Since(info.ModTime()); tt.path != "." && (age < 0 || age > time.Minute) {
			t.Errorf("%s: last changed %v ago", tt.path, age)
		}
	}
	if target, err := os.Readlink(m.path("tree/sub/link")); err != nil || target != "../README" {
		t.Errorf("link: %q, %v", target, err)
	}
	m.compare(m.path("tree/sub/link"), torrent("tree").File("README"))

	// Inode numbers and times are the same in the next mount.
	m.end()
	m = mountWith(t, cfg)
	for path, st := range m.stats() {
		if path != "." && st != before[path] {
			t.Errorf("%s: inode and time %v before and %v after a restart", path, before[path], st)
		}
	}
}

type identity struct {
	ino uint64
	at  int64
}

// stats returns inode number and time of everything in the mount.
func (m *mounted) stats() map[string]identity {
	m.t.Helper()
	all := map[string]identity{}
	err := filepath.WalkDir(m.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, err := filepath.Rel(m.dir, path)
		all[rel] = identity{st.Ino, st.Mtim.Nano()}
		return err
	})
	if err != nil {
		m.t.Error(err)
	}
	return all
}

// st_blocks is what is here, so that du tells it; st_size is what exists.
func TestBlocks(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"film"}})
	blocks := func() int64 {
		var st unix.Stat_t
		if err := unix.Stat(m.path("film/film"), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks
	}
	if n := blocks(); n != 0 {
		t.Errorf("%d blocks before the first read", n)
	}
	m.compare(m.path("film/film"), torrent("film").Payload)
	want := (int64(len(torrent("film").Payload)) + 511) / 512
	eventually(t, "all blocks are counted", func() bool { return blocks() == want })
}

// eventually polls a condition that a time-out of the kernel delays.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("not within 5 s: %s", what)
}

func TestListing(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree", "film"}})
	tests := []struct {
		dir  string
		want []string
	}{
		{".", []string{"film", "tree"}},
		{"tree", []string{"README", "empty", "sub", "ünï cödé ☃.txt"}},
		{"tree/sub", []string{"deep", "link", "run.sh"}},
		{"film", []string{"film"}},
	}
	for _, tt := range tests {
		if got := m.names(tt.dir); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.dir, got, tt.want)
		}
	}
}

// names lists a folder, twice over one descriptor, and returns the sorted names.
func (m *mounted) names(dir string) []string {
	m.t.Helper()
	f, err := os.Open(m.path(dir))
	if err != nil {
		m.t.Error(err)
		return nil
	}
	defer f.Close()
	first, err := f.Readdirnames(-1)
	if err != nil {
		m.t.Error(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		m.t.Error(err)
	}
	second, err := f.Readdirnames(-1)
	if err != nil || !slices.Equal(first, second) {
		m.t.Errorf("%s: %q after a rewind, %q before; %v", dir, second, first, err)
	}
	slices.Sort(first)
	return first
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree", "film"}})
	tree := func(elem ...string) string { return m.path(append([]string{"tree"}, elem...)...) }
	now := []unix.Timespec{{Sec: 1}, {Sec: 1}}
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"mkdir in a torrent", func() error { return unix.Mkdir(tree("new"), 0o755) }, unix.EROFS},
		{"mkdir in a folder of a torrent", func() error { return unix.Mkdir(tree("sub/new"), 0o755) }, unix.EROFS},
		{"mkdir of what is there", func() error { return unix.Mkdir(tree("sub"), 0o755) }, unix.EEXIST},
		{"create in a torrent", func() error { return open(tree("new"), unix.O_CREAT|unix.O_WRONLY) }, unix.EROFS},
		{"create in the root", func() error { return open(m.path("new"), unix.O_CREAT|unix.O_WRONLY) }, unix.EROFS},
		{"open for writing", func() error { return open(tree("README"), unix.O_WRONLY) }, unix.EROFS},
		{"open for both", func() error { return open(tree("README"), unix.O_RDWR) }, unix.EROFS},
		{"open with truncation", func() error { return open(tree("README"), unix.O_TRUNC) }, unix.EROFS},
		{"temporary file", func() error { return open(tree(), unix.O_TMPFILE|unix.O_RDWR) }, unix.EROFS},
		{"truncate", func() error { return unix.Truncate(tree("README"), 0) }, unix.EROFS},
		{"chmod", func() error { return unix.Chmod(tree("README"), 0o600) }, unix.EROFS},
		{"chown", func() error { return unix.Chown(tree("README"), 1, 1) }, unix.EROFS},
		{"times", func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, tree("README"), now, 0) }, unix.EROFS},
		{"rename inside", func() error { return unix.Rename(tree("README"), tree("R")) }, unix.EROFS},
		{"rename out", func() error { return unix.Rename(tree("README"), m.path("R")) }, unix.EROFS},
		{"rename a torrent into another", func() error { return unix.Rename(tree(), m.path("film/R")) }, unix.EROFS},
		{"rename a folder inside", func() error { return unix.Rename(tree("sub"), tree("R")) }, unix.EROFS},
		{"hard link", func() error { return unix.Link(tree("README"), tree("R")) }, unix.EROFS},
		{"symbolic link", func() error { return unix.Symlink("x", tree("R")) }, unix.EROFS},
		{"symbolic link in the root", func() error { return unix.Symlink("x", m.path("R")) }, unix.EROFS},
		{"fifo", func() error { return unix.Mkfifo(tree("R"), 0o600) }, unix.EROFS},
		{"set an attribute", func() error { return unix.Setxattr(tree("README"), "user.x", []byte("1"), 0) }, unix.EROFS},
		{"remove an attribute", func() error { return unix.Removexattr(tree("README"), "user.magnetfs.size") }, unix.EROFS},
		{"unlink what is not there", func() error { return unix.Unlink(tree("nothing")) }, unix.ENOENT},
		{"rmdir of a folder with files", func() error { return unix.Rmdir(tree("sub")) }, unix.ENOTEMPTY},
		{"rmdir of a file", func() error { return unix.Rmdir(tree("README")) }, unix.ENOTDIR},
		{"open what is not there", func() error { return open(tree("nothing"), 0) }, unix.ENOENT},
		{"a path through a file", func() error { return open(tree("README/x"), 0) }, unix.ENOTDIR},
		{"fsync", func() error { return fsync(tree("README")) }, nil},
	}
	for _, tt := range tests {
		if err := tt.do(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	m.compare(tree("README"), torrent("tree").File("README"))
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags, 0o644)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func fsync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// rm of a file hides it, so that rm -r works, over restarts; added again it is back.
func TestRemove(t *testing.T) {
	t.Parallel()
	cfg := serveConfig{Torrents: []string{"tree", "film"}, State: t.TempDir(), Target: t.TempDir()}
	m := mountWith(t, cfg)
	hidden := func(path string) {
		t.Helper()
		if err := open(m.path(path), 0); !errors.Is(err, unix.ENOENT) {
			t.Errorf("opening %s, which is removed: %v", path, err)
		}
	}
	m.compare(m.path("tree/README"), torrent("tree").File("README"))
	f, err := os.Open(m.path("tree/README"))
	if err != nil {
		t.Fatal(err)
	}
	// By another name of the folder: the kernel knows it by the first one.
	if err := os.Remove(m.path(hashOf("tree"), "README")); err != nil {
		t.Error(err)
	}
	eventually(t, "it is gone", func() bool { return errors.Is(open(m.path("tree/README"), 0), unix.ENOENT) })
	hidden(hashOf("tree") + "/README")
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, torrent("tree").File("README")) {
		t.Errorf("who had it open: %v", err)
	}
	f.Close()
	if err := command("rm", "-r", m.path("tree/sub")); err != nil {
		t.Error(err)
	}
	want := []string{"empty", "ünï cödé ☃.txt"}
	if got := m.names("tree"); !slices.Equal(got, want) {
		t.Errorf("left: %q", got)
	}
	hidden("tree/sub")
	m.end()

	m = mountWith(t, serveConfig{State: cfg.State, Target: cfg.Target})
	if got := m.names("tree"); !slices.Equal(got, want) {
		t.Errorf("left after a restart: %q", got)
	}
	hidden("tree/README")
	if err := unix.Setxattr(m.path("tree"), "user.magnetfs.pin", []byte("1"), 0); err != nil {
		t.Error(err)
	}
	m.contains(".magnetfs/by-hash/"+hashOf("tree")+"/status", "2 files pinned")

	// Under the same spelling, too.
	if err := command("mkdir", m.path(magnetOf("tree"))); err != nil {
		t.Error(err)
	}
	if got := m.names("tree"); len(got) != 4 {
		t.Errorf("added again: %q", got)
	}
	m.compare(m.path("tree/README"), torrent("tree").File("README"))
	m.compare(m.path("tree/sub/run.sh"), torrent("tree").File("sub/run.sh"))
	if err := unix.Mkdir(m.path(magnetOf("tree")), 0o755); !errors.Is(err, unix.EEXIST) {
		t.Errorf("once more: %v", err)
	}
	if err := command("rm", "-r", m.path("tree")); err != nil {
		t.Error(err)
	}
	if err := unix.Rmdir(m.path("film")); err != nil { // files and all
		t.Error(err)
	}
	if got := m.names("."); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

func TestXattrs(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree"}})
	get := func(path, name string) (string, error) {
		buf := make([]byte, 4096)
		n, err := unix.Lgetxattr(m.path(path), name, buf)
		return string(buf[:max(n, 0)]), err
	}
	tests := []struct {
		path, attr, want string
	}{
		{"tree", "infohash", hashOf("tree")},
		{"tree", "state", "idle"},
		{"tree", "seeds", "1"},
		{"tree", "peers", "0"},
		{"tree", "have", "0"},
		{"tree/sub/run.sh", "size", "5000"},
		{"tree/sub/run.sh", "state", "idle"},
		{"tree/sub/run.sh", "reason", ""},
		{"tree/sub/run.sh", "seeds", "1"},
		{"tree/sub/run.sh", "down", "0"},
		{"tree/sub/run.sh", "ranges", ""},
		{"tree/sub/deep", "size", decimalOf(3*pieceLength + 17)},
		{"tree/sub/run.sh", "infohash", hashOf("tree")},
		{"tree/sub", "have", "0"},
	}
	for _, tt := range tests {
		if got, err := get(tt.path, "user.magnetfs."+tt.attr); err != nil || got != tt.want {
			t.Errorf("%s of %s: %q, %v; want %q", tt.attr, tt.path, got, err, tt.want)
		}
	}
	if got, err := get("tree", "user.magnetfs.magnet"); err != nil || !strings.Contains(got, hashOf("tree")) {
		t.Errorf("magnet: %q, %v", got, err)
	}
	if _, err := get("tree/sub", "user.magnetfs.ranges"); !errors.Is(err, unix.ENODATA) {
		t.Errorf("ranges of a folder: %v", err)
	}
	m.compare(m.path("tree/sub/run.sh"), torrent("tree").File("sub/run.sh"))
	if got, err := get("tree/sub/run.sh", "user.magnetfs.ranges"); err != nil || got != "0-4999" {
		t.Errorf("ranges of what was read: %q, %v", got, err)
	}
	for _, attr := range []string{"security.selinux", "system.posix_acl_access", "user.other", "user.magnetfs.nothing"} {
		if _, err := get("tree/README", attr); !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
			t.Errorf("%s: %v", attr, err)
		}
	}
	buf := make([]byte, 4096)
	n, err := unix.Listxattr(m.path("tree"), buf)
	if err != nil || !strings.Contains(string(buf[:n]), "user.magnetfs.state\x00") {
		t.Errorf("list: %q, %v", buf[:max(n, 0)], err)
	}
	if _, err := unix.Listxattr(m.path("tree"), buf[:5]); !errors.Is(err, unix.ERANGE) {
		t.Errorf("list into a short buffer: %v", err)
	}
}

// A folder of many files, listed in several calls, from the middle too.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"many"}})
	want := len(catalogue["many"].spec.Files)
	if got := len(m.names("many")); got != want {
		t.Errorf("%d names, want %d", got, want)
	}
	f, err := os.Open(m.path("many"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]bool{}
	for {
		some, err := f.Readdirnames(7)
		if err != nil {
			break
		}
		for _, name := range some {
			if seen[name] {
				t.Fatalf("%s is listed twice", name)
			}
			seen[name] = true
		}
	}
	if len(seen) != want {
		t.Errorf("%d names by sevens, want %d", len(seen), want)
	}
	out := filepath.Join(t.TempDir(), "copy")
	if err := command("cp", "-r", m.path("many"), out); err != nil {
		t.Error(err)
	}
	if err := command("diff", "-r", m.path("many"), out); err != nil {
		t.Error(err)
	}
}

// Other users may look and read where they are let in, and change nothing.
func TestOtherUsers(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree"}, Others: true, Target: otherTarget(t)})
	as := func(args ...string) error {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		cmd.Dir = "/"
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
		return nil
	}
	for _, args := range [][]string{{"ls", "-l", m.path("tree")}, {"cat", m.path("tree/README")}, {"cat", m.path(".magnetfs/status")}} {
		if err := as(args...); err != nil {
			t.Error(err)
		}
	}
	for _, args := range [][]string{
		{"mkdir", m.path(hashOf("film"))},
		{"rmdir", m.path("tree")},
		{"rm", "-f", m.path("tree/README")},
		{"sh", "-c", `echo x > "$0"`, m.path("x.torrent")},
		{"sh", "-c", `echo x > "$0"`, m.path(".magnetfs/add")},
	} {
		if err := as(args...); err == nil || !strings.Contains(err.Error(), "ermission denied") {
			t.Errorf("%v: %v", args, err)
		}
	}
	if got := m.names("."); !slices.Equal(got, []string{"tree"}) {
		t.Errorf("torrents: %q", got)
	}
}

// otherTarget is a folder that other users can reach.
func otherTarget(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "magnetfs-fs-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStatfs(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"tree"}})
	for _, path := range []string{".", "tree", "tree/README"} {
		var st unix.Statfs_t
		if err := unix.Statfs(m.path(path), &st); err != nil {
			t.Error(err)
		} else if size, free := int64(st.Blocks)*st.Bsize, int64(st.Bavail)*st.Bsize; size != 1<<30 || free != 1<<30-1<<20 {
			t.Errorf("%s: %d bytes, %d free", path, size, free)
		} else if st.Namelen < 1024 {
			t.Errorf("%s: names of %d bytes", path, st.Namelen)
		}
	}
}
