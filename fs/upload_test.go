package fs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// metainfoFile returns the .torrent file of a torrent, as the control folder of
// the mount gives it.
func (m *mounted) metainfoFile(name string) []byte {
	m.t.Helper()
	if err := unix.Mkdir(m.path(hashOf(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	var raw []byte
	eventually(m.t, "the .torrent file is there", func() bool {
		var err error
		raw, err = os.ReadFile(m.path(".magnetfs/torrents", hashOf(name)+".torrent"))
		return err == nil
	})
	if err := unix.Rmdir(m.path(hashOf(name))); err != nil {
		m.t.Fatal(err)
	}
	return raw
}

func TestTorrentFiles(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{})
	raw := m.metainfoFile("tree")
	file := filepath.Join(t.TempDir(), "x.torrent")
	tests := []struct {
		name string
		put  func() error
	}{
		{"cp", func() error { return command("cp", file, m.dir) }},
		{"cp -p", func() error { return command("cp", "-p", file, m.dir) }},
		{"mv", func() error { return command("mv", file, m.dir) }},
		{"dd in small blocks", func() error {
			return command("dd", "if="+file, "of="+m.path("y.torrent"), "bs=64", "conv=fsync", "status=none")
		}},
		{"a shell's redirection", func() error { return command("sh", "-c", `cat "$0" > "$1"`, file, m.path("z.torrent")) }},
		{"two programs on one descriptor", func() error {
			return command("sh", "-c", `{ head -c 50 "$0" || :; tail -c +51 "$0"; } > "$1"`, file, m.path("z.torrent"))
		}},
		{"a temporary name, then renamed", func() error {
			tmp := m.path(".x.torrent.Ab3")
			if err := os.WriteFile(tmp, raw, 0o600); err != nil {
				return err
			}
			return os.Rename(tmp, m.path("x.torrent"))
		}},
		{"written out of order", func() error {
			f, err := os.Create(m.path("x.torrent"))
			if err != nil {
				return err
			}
			_, err = f.WriteAt(raw[100:], 100)
			if err == nil {
				_, err = f.WriteAt(raw[:100], 0)
			}
			return errors.Join(err, f.Close())
		}},
		{"the control file", func() error { return command("sh", "-c", `cat "$0" > "$1"`, file, m.path(".magnetfs/add")) }},
	}
	for _, tt := range tests {
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := tt.put(); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := m.names("."); !slices.Equal(got, []string{"tree"}) {
			t.Errorf("%s: the root lists %q", tt.name, got)
			continue
		}
		if err := unix.Rmdir(m.path("tree")); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestBadTorrentFiles(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{})
	write := func(name string, data []byte) (written, closed error) {
		f, err := os.Create(m.path(name))
		if err != nil {
			t.Fatal(err)
		}
		_, written = f.Write(data)
		return written, f.Close()
	}
	if written, closed := write("bad.torrent", []byte("d4:spam4:eggse")); written != nil || !errors.Is(closed, unix.EINVAL) {
		t.Errorf("no torrent: write %v, close %v", written, closed)
	}
	if written, closed := write("empty.torrent", nil); written != nil || !errors.Is(closed, unix.EINVAL) {
		t.Errorf("an empty file: write %v, close %v", written, closed)
	}
	large := bytes.Repeat([]byte("x"), 16<<20+1)
	if written, closed := write("large.torrent", large); !errors.Is(written, unix.EFBIG) || !errors.Is(closed, unix.EFBIG) {
		t.Errorf("over 16 MiB: write %v, close %v", written, closed)
	}
	if err := unix.Truncate(m.path("large.torrent"), 1<<40); !errors.Is(err, unix.EFBIG) {
		t.Errorf("truncated to 1 TiB: %v", err)
	}
	if got := m.names("."); len(got) != 0 {
		t.Errorf("the root lists %q", got)
	}
	eventually(t, "the temporary name vanishes", func() bool {
		return errors.Is(open(m.path("bad.torrent"), 0), unix.ENOENT)
	})
}
