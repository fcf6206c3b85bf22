package fetch

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"magnetfs/cache/disk"
)

// diskFixture is a library with a disk tier, of which process makes a new one.
type diskFixture struct {
	*fixture
	ft       *fakeTorrent
	cacheDir string
	tier     *disk.Tier
	ram      int64
	room     int64
}

func newDiskFixture(t *testing.T, ram, room int64) *diskFixture {
	t.Helper()
	ft := makeTorrent(t, "kept", 64*kib, fakeFile{path: "d/a.bin", size: 1000 * kib}, fakeFile{path: "d/b.bin", size: 1048 * kib})
	f := &diskFixture{ft: ft, cacheDir: t.TempDir(), ram: ram, room: room}
	f.openTier(t)
	f.fixture = newFixture(t, ram, newFakeEngine(ft))
	if err := f.lib.Close(); err != nil { // it has no disk
		t.Fatal(err)
	}
	f.cfg.Disk = f.tier
	f.open()
	t.Cleanup(func() {
		f.close()
		f.closeTier(t)
	})
	return f
}

func (f *diskFixture) openTier(t *testing.T) {
	t.Helper()
	tier, err := disk.Open(disk.Config{Dir: f.cacheDir, Bytes: f.room, FreeBytes: -1, FreePercent: -1})
	if err != nil {
		t.Fatal(err)
	}
	f.tier = tier
}

func (f *diskFixture) closeTier(t *testing.T) {
	t.Helper()
	if err := f.tier.Close(); err != nil {
		t.Errorf("close of the tier: %v", err)
	}
}

// forget empties the memory and reports it, as if it were needed for others.
func (f *diskFixture) forget(t *testing.T, tor *Torrent) {
	t.Helper()
	if err := f.tier.Flush(); err != nil {
		t.Fatal(err)
	}
	pieces := tor.pieces()
	f.cache.Discard(tor.handle, pieces...)
	tor.evicted(f.cache.Missing(tor.handle, pieces, nil))
}

// restart ends the library and begins another one, with nothing in memory.
func (f *diskFixture) restart(t *testing.T) *Torrent {
	t.Helper()
	tor := f.lib.Torrents()[0]
	handle, pieces := tor.handle, tor.pieces()
	if err := f.lib.Close(); err != nil {
		t.Fatal(err)
	}
	f.cache.Discard(handle, pieces...)
	f.closeTier(t)
	f.openTier(t)
	f.cfg.Disk = f.tier
	f.open()
	return f.lib.Torrents()[0]
}

func (f *diskFixture) readAll(t *testing.T, tor *Torrent, path string, want []byte) {
	t.Helper()
	r := f.reader(tor, path)
	defer r.Close()
	for off := int64(0); off < r.file.size; off += 100 * kib {
		parts, err := r.Read(t.Context(), off, 100*kib)
		if err != nil || !bytes.Equal(join(parts), want[off:min(off+100*kib, int64(len(want)))]) {
			t.Fatalf("%s at %d: %v", path, off, err)
		}
	}
}

func (f *diskFixture) deliveries() int {
	n, _ := f.engine.of(f.ft).count()
	return n
}

func (s *fakeSwarm) gone() (pieces []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.evictions)
}

// What memory gives up is read from the disk, is still shared, and the swarm hears
// of no loss.
func TestDiskServesWhatMemoryLost(t *testing.T) {
	f := newDiskFixture(t, mib, 64*mib)
	tor := f.add(f.ft)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	f.readAll(t, tor, "d/b.bin", f.ft.file(1))
	fetched := f.deliveries()
	f.forget(t, tor)
	if n := f.cache.Stats().Pieces; n != 0 {
		t.Fatalf("%d pieces in memory", n)
	}
	mustEqual(t, "cached", tor.CachedBytes(tor.Root()), 2048*kib)
	mustEqual(t, "complete", tor.Complete(tor.Root()), true)
	data, err := store{tor}.ReadPiece(5)
	if err != nil || !bytes.Equal(data, f.ft.payload[5*64*kib:6*64*kib]) {
		t.Errorf("upload: %v, %d bytes", err, len(data))
	}
	mustEqual(t, "in memory after an upload", f.cache.Stats().Pieces, 0)

	f.engine.of(f.ft).setPeers(0)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	f.readAll(t, tor, "d/b.bin", f.ft.file(1))
	mustEqual(t, "fetched again", f.deliveries(), fetched)
	if gone := f.engine.of(f.ft).gone(); len(gone) > 0 {
		t.Errorf("the swarm was told that %v are gone", gone)
	}
	if f.cache.Stats().Pieces == 0 {
		t.Error("what was read from the disk is not in memory")
	}
}

// After a restart the pieces are on the disk, the swarm is told so, and reads need
// nobody.
func TestDiskRestart(t *testing.T) {
	f := newDiskFixture(t, 4*mib, 64*mib)
	tor := f.add(f.ft)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	had := tor.pieces()
	tor = f.restart(t)
	if !slices.Equal(tor.pieces(), had) {
		t.Errorf("here are %v, before %v", tor.pieces(), had)
	}
	sw := f.engine.of(f.ft)
	sw.setPeers(0)
	if !slices.Equal(sw.spec.Have, had) {
		t.Errorf("joined with %v, want %v", sw.spec.Have, had)
	}
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	mustEqual(t, "complete", tor.Complete(find(tor.Root(), "d/a.bin")), true)
	mustEqual(t, "fetched", f.deliveries(), 0)
	// The layout is one that other clients find.
	if _, err := os.Stat(filepath.Join(f.cacheDir, tor.HashString(), "data/kept/d/a.bin")); err != nil {
		t.Error(err)
	}
}

// Somebody wrote into the files while we were away: what is wrong is fetched anew,
// and nobody gets to see it.
func TestDiskDamaged(t *testing.T) {
	f := newDiskFixture(t, 4*mib, 64*mib)
	tor := f.add(f.ft)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	if err := f.lib.Close(); err != nil {
		t.Fatal(err)
	}
	f.cache.Discard(tor.handle, tor.pieces()...)
	f.closeTier(t)
	scribble(t, filepath.Join(f.cacheDir, tor.HashString(), "data/kept/d"), "a.bin", 200*kib, 210*kib)
	f.openTier(t)
	f.cfg.Disk = f.tier
	f.open()
	tor = f.lib.Torrents()[0]
	sw := f.engine.of(f.ft)
	sw.mu.Lock()
	for _, p := range sw.spec.Have {
		sw.had[p] = true
	}
	sw.mu.Unlock()
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	if n := f.deliveries(); n == 0 || n > 2 {
		t.Errorf("%d pieces fetched, one was damaged", n)
	}
}

// Pieces that neither tier has any more are reported, once both lost them, and are
// fetched again.
func TestDiskSmallerThanTorrent(t *testing.T) {
	f := newDiskFixture(t, mib, mib)
	tor := f.add(f.ft)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		if rnd.IntN(2) == 0 {
			f.readAll(t, tor, "d/a.bin", f.ft.file(0))
		} else {
			f.readAll(t, tor, "d/b.bin", f.ft.file(1))
		}
		if err := f.tier.Flush(); err != nil {
			t.Fatal(err)
		}
		if f.tier.Used() > f.tier.Budget() || f.cache.Used() > f.cache.Budget() {
			t.Fatalf("over a bound: disk %d, memory %d", f.tier.Used(), f.cache.Used())
		}
	}
	eventually(t, "the swarm believes in what is here", func() bool {
		sw := f.engine.of(f.ft)
		here := tor.pieces()
		sw.mu.Lock()
		defer sw.mu.Unlock()
		for _, p := range here {
			if !f.cache.Contains(tor.key(p)) && !tor.onDisk().contains(p) {
				return false
			}
		}
		for p := range sw.had {
			if !slices.Contains(here, p) {
				return false
			}
		}
		return true
	})
}

// A removed torrent stays on the disk, unless it is purged.
func TestDiskRemove(t *testing.T) {
	for _, c := range []struct {
		name   string
		remove func(*Library, *Torrent) error
		again  int // pieces that are here when it is added again
	}{
		{"removed", (*Library).Remove, 17},
		{"purged", (*Library).Purge, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newDiskFixture(t, 4*mib, 64*mib)
			tor := f.add(f.ft)
			f.readAll(t, tor, "d/a.bin", f.ft.file(0))
			if err := f.tier.Flush(); err != nil {
				t.Fatal(err)
			}
			before := len(tor.pieces())
			if err := c.remove(f.lib, tor); err != nil {
				t.Fatal(err)
			}
			if _, err := tor.Open(find(tor.Root(), "d/a.bin")); !errors.Is(err, ErrRemoved) {
				t.Errorf("open after removal: %v", err)
			}
			again := f.add(f.ft)
			want := 0
			if c.again > 0 {
				want = before
			}
			mustEqual(t, "pieces when added again", len(again.pieces()), want)
			f.readAll(t, again, "d/a.bin", f.ft.file(0))
		})
	}
}

// Discarding a file leaves the pieces that another one needs.
func TestDiscard(t *testing.T) {
	f := newDiskFixture(t, 4*mib, 64*mib)
	tor := f.add(f.ft)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	f.readAll(t, tor, "d/b.bin", f.ft.file(1))
	a, b := find(tor.Root(), "d/a.bin"), find(tor.Root(), "d/b.bin")
	tor.Discard(a)
	mustEqual(t, "of a", tor.CachedBytes(a), 40*kib) // of the piece that b begins in
	mustEqual(t, "of b", tor.Complete(b), true)
	if err := f.tier.Flush(); err != nil {
		t.Fatal(err)
	}
	mustEqual(t, "on disk", tor.onDisk().d.Used(), 17*64*kib)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
}

// Metadata that arrives from the swarm finds what an earlier torrent left, and the
// swarm learns of it at once, to serve it to others.
func TestDiskBeforeMetadata(t *testing.T) {
	f := newDiskFixture(t, 4*mib, 64*mib)
	tor := f.add(f.ft)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	if err := f.lib.Remove(tor); err != nil {
		t.Fatal(err)
	}
	tor, _ = f.mustAdd(f.ft.magnet())
	sw := f.engine.of(f.ft)
	sw.setPeers(0)
	sw.spec.OnInfo(f.ft.info)
	here := tor.pieces()
	sw.mu.Lock()
	told := slices.Sorted(maps.Keys(sw.had))
	sw.mu.Unlock()
	if len(here) == 0 || !slices.Equal(told, here) {
		t.Errorf("the swarm was told of %v, here are %v", told, here)
	}
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
}

// Windows ahead of a player want nothing that is on the disk, and take no memory
// for it; they keep it there.
func TestDiskWindow(t *testing.T) {
	f := newDiskFixture(t, 4*mib, 64*mib)
	tor := f.add(f.ft)
	f.readAll(t, tor, "d/a.bin", f.ft.file(0))
	f.readAll(t, tor, "d/b.bin", f.ft.file(1))
	f.forget(t, tor)
	sw := f.engine.of(f.ft)
	_, calls := sw.count()
	r := f.reader(tor, "d/b.bin")
	r.mu.Lock()
	r.win.proven = true // so that a window opens soon
	r.mu.Unlock()
	for off := int64(0); off < 300*kib; off += 50 * kib {
		if _, err := r.Read(t.Context(), off, 50*kib); err != nil {
			t.Fatal(err)
		}
	}
	if s := f.cache.Stats(); s.Missing != 0 {
		t.Errorf("%d bytes of memory are reserved for what is on the disk", s.Missing)
	}
	if n := len(r.kept); n < 5 {
		t.Errorf("%d pieces are pinned on the disk", n)
	}
	r.Close()
	if s := f.tier.Stats(); s.Pinned != 0 {
		t.Errorf("%d bytes stay pinned", s.Pinned)
	}
	if _, now := sw.count(); now != calls {
		t.Error("the swarm was asked")
	}
}

// eventually waits for what other goroutines are about to do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// What is pinned is held on the disk, more than fits into memory, and is there
// after a restart.
func TestDiskPins(t *testing.T) {
	f := newDiskFixture(t, mib, 64*mib)
	tor := f.add(f.ft)
	if err := tor.Pin(nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all is here", func() bool { return tor.Complete(tor.Root()) })
	eventually(t, "all is pinned on the disk", func() bool { return f.tier.Flush() == nil && f.tier.Stats().Pinned == 2048*kib })
	eventually(t, "memory is free", func() bool { return f.cache.Pinned() == 0 })
	tor = f.restart(t)
	f.engine.of(f.ft).setPeers(0)
	mustEqual(t, "complete", tor.Complete(tor.Root()), true)
	eventually(t, "all is pinned again", func() bool { return f.tier.Stats().Pinned == 2048*kib })
	if err := tor.Unpin(nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is pinned", func() bool { return f.tier.Stats().Pinned == 0 })
}
