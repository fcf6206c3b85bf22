package fetch

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

const kib, mib = 1 << 10, 1 << 20

func TestReadContents(t *testing.T) {
	ft := makeTorrent(t, "mixed", 64*kib,
		fakeFile{path: "a", size: 100_000},
		fakeFile{path: "empty", size: 0},
		fakeFile{path: "b", size: 1},
		fakeFile{path: ".pad/1", size: 31071, attr: "p"},
		fakeFile{path: "dir/c", size: 300_000},
		fakeFile{path: "d", size: 5})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		e.latency = 40 * time.Millisecond
		f := newFixture(t, 4*mib, e)
		defer f.close()
		tor := f.add(ft)
		for _, tt := range []struct {
			name   string
			path   string
			index  int
			off    int64
			n      int
			lo, hi int64
			parts  int
		}{
			{"the whole of a file", "a", 0, 0, 100_000, 0, 100_000, 2},
			{"within one piece", "a", 0, 100, 200, 100, 300, 1},
			{"across a piece border", "a", 0, 65_530, 20, 65_530, 65_550, 2},
			{"beyond the end is cut", "a", 0, 99_990, 4096, 99_990, 100_000, 1},
			{"at the end", "a", 0, 100_000, 10, 0, 0, 0},
			{"far behind the end", "a", 0, 1 << 60, 10, 0, 0, 0},
			{"nothing", "a", 0, 5, 0, 0, 0, 0},
			{"an empty file", "empty", 1, 0, 4096, 0, 0, 0},
			{"a file that shares its piece", "b", 2, 0, 4096, 0, 1, 1},
			{"five pieces", "dir/c", 4, 0, 1 << 30, 0, 300_000, 5},
			{"the last short piece", "d", 5, 0, 10, 0, 5, 1},
			{"the largest n", "d", 5, 2, int(^uint(0) >> 1), 2, 5, 1},
		} {
			r := f.reader(tor, tt.path)
			for range 2 { // from the swarm, then from the cache
				parts, err := r.Read(t.Context(), tt.off, tt.n)
				if err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				if got, want := join(parts), ft.file(tt.index)[tt.lo:tt.hi]; !bytes.Equal(got, want) {
					t.Fatalf("%s: %d bytes, want %d, or they differ", tt.name, len(got), len(want))
				}
				if len(parts) != tt.parts {
					t.Errorf("%s: %d slices, want %d", tt.name, len(parts), tt.parts)
				}
			}
			r.Close()
		}
		r := f.reader(tor, "a")
		defer r.Close()
		for _, bad := range []struct {
			off int64
			n   int
		}{{-1, 1}, {0, -1}} {
			if _, err := r.Read(t.Context(), bad.off, bad.n); !errors.Is(err, ErrInvalid) {
				t.Errorf("read of %d at %d: %v", bad.n, bad.off, err)
			}
		}
	})
}

// A hit hands out slices of the pieces in the cache.
func TestHitDoesNotCopy(t *testing.T) {
	ft := makeTorrent(t, "one", 64*kib, fakeFile{path: "", size: 256 * kib})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 4*mib, newFakeEngine(ft))
		defer f.close()
		tor := f.add(ft)
		r := f.reader(tor, "one")
		defer r.Close()
		if r.Has(60*kib, 8*kib) || !r.Has(256*kib, 1) || !r.Has(0, 0) {
			t.Error("Has before the read")
		}
		defer func() {
			if !r.Has(60*kib, 8*kib) || !r.Has(0, 128*kib) || r.Has(0, 129*kib) {
				t.Error("Has after the read")
			}
		}()
		parts, err := r.Read(t.Context(), 60*kib, 8*kib)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range parts {
			if data := f.cache.Get(tor.key(i)); &data[:len(data):len(data)][[]int{60 * kib, 0}[i]] != &p[0] {
				t.Errorf("part %d was copied", i)
			}
			if cap(p) != len(p) {
				t.Errorf("part %d can be appended to", i)
			}
		}
	})
}

// A probe fetches what it reads and nothing else, and wants nothing afterwards.
func TestProbeIsExact(t *testing.T) {
	ft := makeTorrent(t, "probe", 256*kib, fakeFile{path: "f.bin", size: 64 * 256 * kib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		e.latency = 10 * time.Millisecond
		f := newFixture(t, 32*mib, e)
		defer f.close()
		tor := f.add(ft)
		r := f.reader(tor, "f.bin")
		defer r.Close()
		for _, off := range []int64{0, 10 * mib, 5 * mib, 15 * mib} {
			if _, err := r.Read(t.Context(), off, 16*kib); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		mustEqual(t, "wants", e.of(ft).wanted(), "-...................-...................-...................-...")
	})
}

// Sequential reading: what is read in a row is wanted ahead, and a jump cancels it
// at once.
func TestPlayerAndJump(t *testing.T) {
	ft := makeTorrent(t, "film", 1*mib, fakeFile{path: "f.bin", size: 64 * mib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		e.latency, e.rate = 20*time.Millisecond, 10*mib
		f := newFixture(t, 256*mib, e)
		defer f.close()
		tor := f.add(ft)
		r := f.reader(tor, "f.bin")
		defer r.Close()
		read := func(from, to int64) {
			t.Helper()
			for off := from; off < to; off += 128 * kib {
				parts, err := r.Read(t.Context(), off, 128*kib)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(join(parts), ft.file(0)[off:off+128*kib]) {
					t.Fatalf("wrong bytes at %d", off)
				}
			}
		}
		sw := e.of(ft)
		read(0, 1920*kib)
		mustEqual(t, "a probe before 2 MiB", sw.wanted()[:12], "--..........")
		read(1920*kib, 2*mib)
		mustEqual(t, "after 2 MiB", sw.wanted()[:12], "--ww........")
		read(2*mib, 4*mib)
		mustEqual(t, "after 4 MiB, planned with the head a block behind 3 MiB", sw.wanted()[:12], "---+www.....")
		read(4*mib, 8*mib)
		mustEqual(t, "after 8 MiB", sw.wanted()[:20], "-------+wwwwwww.....")

		// The jump: nothing of the old window is wanted any more.
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := r.Read(ctx, 40*mib, 128*kib)
			done <- err
		}()
		synctest.Wait()
		pic := sw.wanted()
		mustEqual(t, "after the jump", pic[8:], "................................!.......................")
		// And a read given up takes its want along.
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled read: %v", err)
		}
		synctest.Wait()
		mustEqual(t, "after the cancel", sw.wanted()[8:], "........................................................")
	})
}

// The sequential rate of a consumer that takes everything is the line's, but for
// the start.
func TestSequentialKeepsLineBusy(t *testing.T) {
	for _, tt := range []struct {
		name     string
		pieceLen int64
		within   float64 // times the line's time
	}{
		{"16 KiB pieces", 16 * kib, 1.15},
		{"256 KiB pieces", 256 * kib, 1.15},
		{"1 MiB pieces", 1 * mib, 1.15},
		{"16 MiB pieces", 16 * mib, 1.15},
	} {
		t.Run(tt.name, func(t *testing.T) {
			size := max(64*mib, tt.pieceLen*8)
			ft := makeTorrent(t, "seq", tt.pieceLen, fakeFile{path: "f.bin", size: size})
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine(ft)
				e.latency, e.rate = 40*time.Millisecond, 12*mib
				f := newFixture(t, 256*mib, e)
				defer f.close()
				r := f.reader(f.add(ft), "f.bin")
				defer r.Close()
				start := time.Now()
				for off := int64(0); off < size; off += 128 * kib {
					if _, err := r.Read(t.Context(), off, 128*kib); err != nil {
						t.Fatal(err)
					}
				}
				took := time.Since(start).Seconds()
				line := float64(size) / e.rate
				delivered, calls := e.of(ft).count()
				t.Logf("%.2f s, line %.2f s; %d pieces delivered, SetWants called %d times", took, line, delivered, calls)
				if took > line*tt.within {
					t.Errorf("took %.2f s, the line needs %.2f s", took, line)
				}
				if delivered != ft.info.NumPieces() {
					t.Errorf("%d pieces delivered of %d", delivered, ft.info.NumPieces())
				}
			})
		})
	}
}
