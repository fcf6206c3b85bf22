package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// failing makes operations on names that contain part fail.
func failing(err error, part string, ops ...string) func(op, name string) error {
	return func(op, name string) error {
		for _, o := range ops {
			if o == op && strings.Contains(name, part) {
				return err
			}
		}
		return nil
	}
}

// TestDiskFails: whatever fails, reads that worked go on working, Put does not
// wait, losses are reported, and when the disk works again so does the tier.
func TestDiskFails(t *testing.T) {
	tests := []struct {
		name string
		err  error
		part string
		ops  []string
		off  bool
		here string // of pieces 0 and 1, put before, and 2, put meanwhile
	}{
		{"full", unix.ENOSPC, "", []string{"pwrite"}, true, "##."},
		{"quota", unix.EDQUOT, "", []string{"pwrite"}, true, "##."},
		{"broken", unix.EIO, "", []string{"pwrite"}, true, "##."},
		{"read only", unix.EROFS, "data", []string{"open", "pwrite", "replace", "punch", "remove"}, true, "##."},
		{"sync fails", unix.EIO, "", []string{"fdatasync"}, true, "##?"},
		{"map cannot be written", unix.ENOSPC, "", []string{"replace"}, true, "###"},
		{"free space unknown", unix.EIO, "", []string{"statfs"}, true, "##."},
		{"name too long", unix.ENAMETOOLONG, "data", []string{"open"}, false, "##."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log bytes.Buffer
				m := newMem(plenty)
				d, err := open(Config{Dir: "x", Bytes: plenty, FreeBytes: -1, FreePercent: -1,
					Log: slog.New(slog.NewTextHandler(&log, nil))}, m)
				if err != nil {
					t.Fatal(err)
				}
				x, y := single(t, 1, 6), single(t, 2, 2)
				h, g := x.open(t, d), y.open(t, d)
				x.put(t, h, 0, 1)
				m.setFault(failing(tt.err, tt.part, tt.ops...))
				h.Put(2, x.data(2))
				_ = d.Flush()
				wantHere(t, h, tt.here+"...")
				if off := d.Stats().Off != nil; off != tt.off {
					t.Errorf("off: %v", d.Stats().Off)
				}
				if tt.here[2] == '.' {
					time.Sleep(time.Second)
					if !x.reported(2) {
						t.Error("the lost piece was not reported")
					}
				}
				if took := h.Put(3, x.data(3)); took {
					t.Error("took a piece while off")
				}
				time.Sleep(offMost) // tries, and fails again
				h.Put(4, x.data(4))
				_ = d.Flush()
				if tt.name != "name too long" && tt.name != "read only" {
					x.check(t, h, 0)
					x.check(t, h, 1)
				}

				m.setFault(nil)
				time.Sleep(offMost + time.Second)
				y.put(t, g, 0)
				time.Sleep(syncAfter + time.Second)
				if off := d.Stats().Off; off != nil {
					t.Errorf("still off: %v", off)
				}
				closeTier(t, d)
				if n := strings.Count(log.String(), "level=WARN"); n != 1 {
					t.Errorf("%d warnings, want one:\n%s", n, log.String())
				}
				d = mem(t, m, Config{Bytes: plenty})
				h, g = x.open(t, d), y.open(t, d)
				x.check(t, h, 0)
				x.check(t, h, 1)
				y.check(t, g, 0)
				closeTier(t, d)
			})
		})
	}
}

// TestReadFails: a piece that cannot be read is lost, the others are not.
func TestReadFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: plenty})
		defer closeTier(t, d)
		x := single(t, 1, 3)
		h := x.open(t, d)
		x.put(t, h, 0, 1)
		m.setFault(failing(unix.EMFILE, "film", "open"))
		if _, err := h.Get(context.Background(), 0); !errors.Is(err, unix.EMFILE) || errors.Is(err, ErrMissing) {
			t.Errorf("no descriptors: %v", err)
		}
		m.setFault(failing(unix.EIO, "film", "pread"))
		if _, err := h.Get(context.Background(), 0); !errors.Is(err, ErrMissing) {
			t.Errorf("bad sector: %v", err)
		}
		m.setFault(nil)
		_ = d.Flush()
		wantHere(t, h, ".#.")
		x.check(t, h, 1)
		if !x.reported(0) {
			t.Error("not reported")
		}
		x.put(t, h, 0, 2)
		x.check(t, h, 0)
		_ = d.Flush()
		b, err := h.OpenFile(x.l.Files[0])
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if !b.Doubtful() {
			t.Error("trusted after a bad sector")
		}
	})
}

// TestHungDisk: a read that waits for the disk ends with its context, and reads of
// one piece are one read of the disk.
func TestHungDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: plenty})
		x := single(t, 1, 40)
		h := x.open(t, d)
		for p := range 30 {
			x.put(t, h, p)
		}
		gate := make(chan struct{})
		reads := make(chan string, 100)
		m.setFault(func(op, name string) error {
			if op == "pread" {
				reads <- name
				<-gate
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		results := make(chan error, 100)
		for i := range 60 {
			go func() {
				_, err := h.Get(ctx, i%30)
				results <- err
			}()
		}
		for range 60 {
			if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err %v", err)
			}
		}
		if len(reads) > maxLoads {
			t.Errorf("%d reads at once", len(reads))
		}
		// What is being read stays until then.
		h.Discard(0, 1, 2, 3)
		time.Sleep(time.Minute)
		close(gate)
		time.Sleep(time.Minute)
		if n := len(reads); n > maxLoads {
			t.Errorf("%d reads for %d pieces", n, maxLoads)
		}
		x.check(t, h, 29)
		closeTier(t, d)
	})
}

// TestEvictionOnFullDisk: when not even a map can be written, space is freed still,
// and a crash then loses no piece that is there.
func TestEvictionOnFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: plenty})
		x := single(t, 1, 6)
		h := x.open(t, d)
		x.put(t, h, 0, 1, 2, 3)
		m.setFault(failing(unix.ENOSPC, "", "replace", "pwrite"))
		h.Discard(0, 1)
		_ = d.Flush()
		wantHere(t, h, "..##..")
		if got := m.used(); got > 2*piece {
			t.Errorf("%d bytes on disk", got)
		}
		left := m.kill()
		closeTier(t, d)
		d = mem(t, left, Config{Bytes: plenty})
		h = x.open(t, d)
		wantHere(t, h, "..??..")
		x.check(t, h, 2)
		x.check(t, h, 3)
		closeTier(t, d)
	})
}

func TestNoHoles(t *testing.T) {
	m := newMem(plenty)
	m.setFault(failing(unix.EOPNOTSUPP, "", "punch"))
	if _, err := open(Config{Bytes: 1}, m); !errors.Is(err, ErrNoHoles) {
		t.Errorf("open: %v", err)
	}
	m.setFault(failing(unix.ENOSPC, "", "open", "replace"))
	d, err := open(Config{Bytes: 1}, m)
	if err != nil {
		t.Fatalf("full disk: %v", err)
	}
	if d.Stats().Off == nil {
		t.Error("not off")
	}
	closeTier(t, d)
}

// TestLossOfPower crashes a busy tier on a disk that keeps of unsynced blocks what
// it likes, again and again: no wrong byte may be served, and nothing that was on
// the map be lost but by eviction.
func TestLossOfPower(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	m := newMem(plenty)
	x, y := many(t, 1), single(t, 2, 24)
	all := []*torrent{x, y}
	served := 0
	for round := range 120 {
		bubble(t, func(t *testing.T) {
			d := mem(t, m, Config{Bytes: int64(6+rnd.IntN(20)) * piece})
			handles := []*Torrent{x.open(t, d), y.open(t, d)}
			for range rnd.IntN(60) {
				i := rnd.IntN(2)
				h, p := handles[i], rnd.IntN(all[i].lay.pieces)
				switch k := rnd.IntN(12); {
				case k < 5:
					h.Put(p, all[i].data(p))
				case k < 9:
					data, err := h.Get(context.Background(), p)
					if err == nil && !bytes.Equal(data, all[i].data(p)) {
						t.Fatalf("round %d: piece %d of %d: wrong bytes", round, p, i)
					}
					if err == nil {
						served++
					}
				case k == 9:
					h.Discard(p)
				case k == 10:
					_ = d.Flush()
				default:
					time.Sleep(time.Duration(rnd.IntN(2500)) * time.Millisecond)
				}
			}
			if rnd.IntN(3) == 0 {
				h := handles[1]
				_ = d.Flush()
				h.Put(0, y.data(0))
				_ = d.Flush()
				if err := d.Flush(); err != nil || !h.Contains(0) {
					t.Fatalf("round %d: %v", round, err)
				}
				after := m.crash(rnd)
				closeTier(t, d)
				m = after
				d = mem(t, m, Config{Bytes: plenty})
				h = y.open(t, d)
				y.check(t, h, 0) // was durable
				closeTier(t, d)
				return
			}
			after := m.crash(rnd)
			closeTier(t, d)
			m = after
		})
	}
	if served < 300 {
		t.Errorf("only %d pieces were served", served)
	}
}

// TestFullDisk fills a real file system. Without the right to mount one, the same
// is tried on a disk in memory, above.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: nothing mounted")
		return
	}
	for _, floor := range []int64{-1, 1 << 20} {
		t.Run(fmt.Sprintf("floor %d", floor), func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("none", dir, "tmpfs", 0, "size=4m"); err != nil {
				t.Logf("no mounts here: %v", err)
				return
			}
			defer func() {
				if err := syscall.Unmount(dir, 0); err != nil {
					t.Errorf("unmount: %v", err)
				}
			}()
			fill(t, dir, Config{Dir: dir, Bytes: plenty, FreeBytes: floor, FreePercent: -1})
		})
	}
	t.Run("ext4", func(t *testing.T) {
		dir, image := t.TempDir(), t.TempDir()+"/image"
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Truncate(image, 8<<20), exec.Command("mkfs.ext4", "-q", image).Run(),
			exec.Command("mount", "-o", "loop", image, dir).Run()); err != nil {
			t.Logf("no loop mounts here: %v", err)
			return
		}
		defer func() {
			if err := syscall.Unmount(dir, 0); err != nil {
				t.Errorf("unmount: %v", err)
			}
		}()
		fill(t, dir, Config{Dir: dir, Bytes: plenty, FreeBytes: -1, FreePercent: -1})
	})
}

// fill puts more than there is room for, while somebody else fills the rest.
func fill(t *testing.T, dir string, cfg Config) {
	const n = 800
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	x := single(t, 1, n) // 12.5 MiB
	h := x.open(t, d)
	served := func() (found int) {
		for p := range n {
			if data, err := h.Get(context.Background(), p); err == nil {
				if !bytes.Equal(data, x.data(p)) {
					t.Fatalf("piece %d: wrong bytes", p)
				}
				found++
			} else if !errors.Is(err, ErrMissing) {
				t.Fatalf("piece %d: %v", p, err)
			}
		}
		return found
	}
	for p := range n {
		h.Put(p, x.data(p))
		if p%16 == 0 {
			_ = d.Flush()
		}
	}
	_ = d.Flush()
	if kept := served(); kept < 100 {
		t.Errorf("%d pieces kept: %+v", kept, d.Stats())
	}
	hog, err := os.Create(dir + "/hog")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n { // until it is full
		if _, err := hog.Write(payload(x.id, i, piece)); err != nil {
			break
		}
	}
	if err := hog.Close(); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for p := range n {
		h.Put(p, x.data(p))
		if p%16 == 0 {
			_ = d.Flush()
		}
	}
	_ = d.Flush()
	served()
	if err := os.Remove(dir + "/hog"); err != nil {
		t.Fatal(err)
	}
	closeTier(t, d)
	if d, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	h = x.open(t, d)
	if served() == 0 && cfg.FreeBytes < 0 { // above the floor the hog took all
		t.Error("nothing is left after a restart")
	}
	closeTier(t, d)
}
