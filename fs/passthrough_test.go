package fs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// passed tells whether the kernel reads the film, which the test has open, itself.
// Where it may not, nothing is passed through ever.
func (m *mounted) passed() bool {
	m.t.Helper()
	b, err := os.ReadFile(m.path(".magnetfs/by-hash", hashOf("film"), "reads"))
	if err != nil {
		m.t.Error(err)
	}
	return strings.Contains(string(b), "passed through")
}

// whole tells whether it is read from the disk, by the kernel or by us.
func (m *mounted) whole() bool {
	m.t.Helper()
	b, err := os.ReadFile(m.path(".magnetfs/by-hash", hashOf("film"), "reads"))
	return err == nil && strings.Contains(string(b), ", whole at") || m.passed()
}

func (m *mounted) refused() bool { return strings.Contains(m.log.String(), "passes no reads through") }

// have is how much of the film is here.
func (m *mounted) have() string {
	m.t.Helper()
	buf := make([]byte, 32)
	n, err := unix.Getxattr(m.path("film"), "user.magnetfs.have", buf)
	if err != nil {
		m.t.Error(err)
	}
	return string(buf[:max(0, n)])
}

// awaitWhole reads the film and waits until it is on the disk, so that it is read
// from there from the next open on.
func (m *mounted) awaitWhole() {
	m.t.Helper()
	path := m.path("film/film")
	m.compare(path, torrent("film").Payload)
	eventually(m.t, "the file is on the disk", func() bool {
		f, err := os.Open(path)
		if err != nil {
			m.t.Fatal(err)
		}
		defer f.Close()
		return m.whole()
	})
}

// What is on the disk as a whole reads the same whoever reads it.
func TestPassthrough(t *testing.T) {
	t.Parallel()
	for _, no := range []bool{false, true} {
		t.Run(fmt.Sprint("off ", no), func(t *testing.T) {
			t.Parallel()
			m := mountWith(t, serveConfig{Torrents: []string{"film"}, Disk: t.TempDir(), NoPass: no})
			m.awaitWhole()
			checkReadAt(t, m)
			m.compare(m.path("film/film"), torrent("film").Payload)
			f, err := os.Open(m.path("film/film"))
			if err != nil {
				t.Fatal(err)
			}
			if want := !no && !m.refused(); m.passed() != want {
				t.Errorf("passed through: %v, want %v", m.passed(), want)
			} else if !want {
				m.contains(".magnetfs/by-hash/"+hashOf("film")+"/reads", ", whole at 0 B")
			}
			size := len(torrent("film").Payload)
			for _, flags := range []int{unix.MAP_SHARED, unix.MAP_PRIVATE} {
				b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, flags)
				if err != nil {
					t.Error(err)
				} else if !bytes.Equal(b, torrent("film").Payload) {
					t.Error("the mapping differs")
				} else if err := unix.Munmap(b); err != nil {
					t.Error(err)
				}
			}
			// The torrent goes, and what is open stays what it was.
			through := m.passed()
			if err := os.Remove(m.path("film/film")); err != nil {
				t.Error(err)
			}
			if got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30)); err != nil || !bytes.Equal(got, torrent("film").Payload) {
				t.Errorf("the removed file: %v", err)
			}
			if have := m.have(); have == "0" {
				t.Error("its pieces are gone while it is open")
			}
			again, err := os.Open(procPath(f)) // one handle more, of what has no name
			if err != nil {
				t.Error(err)
			} else {
				again.Close()
			}
			if err := unix.Rmdir(m.path("film")); err != nil {
				t.Error(err)
			}
			got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
			if through && (err != nil || !bytes.Equal(got, torrent("film").Payload)) {
				t.Errorf("the removed torrent: %v", err)
			}
			// The page cache may still have what was read before.
			if !through && err != nil && !errors.Is(err, unix.ESTALE) {
				t.Errorf("the removed torrent, not passed through: %v", err)
			}
			f.Close()
		})
	}
}

// A removed file is freed when the last who has it open closes it.
func TestPassthroughRemoved(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"film"}, Disk: t.TempDir()})
	m.awaitWhole()
	f, err := os.Open(m.path("film/film"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(m.path("film/film")); err != nil {
		t.Error(err)
	}
	if have := m.have(); have != decimalOf(len(torrent("film").Payload)) {
		t.Errorf("open: %s bytes are here", have)
	}
	f.Close()
	eventually(t, "it is freed", func() bool { return m.have() == "0" })
}

// A file that was opened before it was whole is not passed through, nor are handles
// that are opened beside it: the kernel would fail one of them.
func TestPassthroughAgrees(t *testing.T) {
	t.Parallel()
	m := mountWith(t, serveConfig{Torrents: []string{"film"}, Disk: t.TempDir()})
	path := m.path("film/film")
	early, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(int(early.Fd()), 0, pieceLength, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		m.compare(path, torrent("film").Payload)
		if m.passed() {
			t.Error("passed through beside a handle that is not")
		}
	}
	if !bytes.Equal(b, torrent("film").Payload[:pieceLength]) {
		t.Error("the mapping differs")
	}
	if err := unix.Munmap(b); err != nil {
		t.Error(err)
	}
	early.Close()
	m.awaitWhole()
	through, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer through.Close()
	if m.passed() == m.refused() {
		t.Error("not passed through from then on")
	}
	// Files are opened and closed by many at once; no open fails.
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				buf := make([]byte, 4096)
				off := int64(i) * 4096
				if _, err := f.ReadAt(buf, off); err != nil || !bytes.Equal(buf, torrent("film").Payload[off:off+4096]) {
					t.Errorf("read: %v", err)
				}
				f.Close()
			}
		})
		if i == 3 {
			through.Close() // from here on the last one closes, again and again
		}
	}
	wg.Wait()
}
