package fetch

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Readers whose pieces hardly fit: windows shrink to the piece under the head, and
// nothing is fetched over and over.
func TestShortMemory(t *testing.T) {
	for _, tt := range []struct {
		readers  int
		budget   int64
		pieceLen int64
		most     float64 // deliveries for each piece
	}{
		{1, 12 * mib, 4 * mib, 1},
		{2, 12 * mib, 4 * mib, 1.2},
		{3, 16 * mib, 4 * mib, 1.2},
		{8, 32 * mib, 1 * mib, 1.2},
		{40, 10 * mib, 256 * kib, 1.2},
		{40, 5 * mib, 256 * kib, 3}, // half a piece for each
	} {
		t.Run(fmt.Sprintf("%d readers, %d pieces of memory", tt.readers, tt.budget/tt.pieceLen), func(t *testing.T) {
			const perReader = 8
			var files []fakeFile
			for i := range tt.readers {
				files = append(files, fakeFile{path: fmt.Sprintf("f%d", i), size: perReader * tt.pieceLen})
			}
			ft := makeTorrent(t, "big", tt.pieceLen, files...)
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine(ft)
				e.latency, e.rate = 20*time.Millisecond, 20*mib
				f := newFixture(t, tt.budget, e)
				defer f.close()
				tor := f.add(ft)
				var wg sync.WaitGroup
				for i := range tt.readers {
					path := files[i].path
					if len(files) == 1 {
						path = "f0"
					}
					r := f.reader(tor, path)
					defer r.Close()
					wg.Go(func() {
						for off := int64(0); off < perReader*tt.pieceLen; off += 128 * kib {
							parts, err := r.Read(t.Context(), off, 128*kib)
							if err != nil || !bytes.Equal(join(parts), ft.file(i)[off:off+128*kib]) {
								t.Errorf("reader %d at %d: %v", i, off, err)
								return
							}
							if used := f.cache.Used(); used > f.cache.Budget() {
								t.Errorf("cache over its bound: %d", used)
							}
							time.Sleep(5 * time.Millisecond) // so that they go in step
						}
					})
				}
				wg.Wait()
				n, _ := e.of(ft).count()
				t.Logf("%d deliveries for %d pieces", n, ft.info.NumPieces())
				if float64(n) > tt.most*float64(ft.info.NumPieces()) {
					t.Errorf("%d deliveries for %d pieces", n, ft.info.NumPieces())
				}
			})
		})
	}
}

// A handle that rests for a minute gives its window back.
func TestRestingReader(t *testing.T) {
	ft := makeTorrent(t, "film", 1*mib, fakeFile{path: "", size: 64 * mib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		f := newFixture(t, 256*mib, e)
		defer f.close()
		r := f.reader(f.add(ft), "film")
		defer r.Close()
		for off := int64(0); off < 8*mib; off += 128 * kib {
			if _, err := r.Read(t.Context(), off, 128*kib); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(50 * time.Second)
		if f.cache.Pinned() < 8*mib {
			t.Errorf("%d bytes pinned after 50 s", f.cache.Pinned())
		}
		time.Sleep(16 * time.Second)
		if n := f.cache.Pinned(); n != 0 {
			t.Errorf("%d bytes pinned after 66 s", n)
		}
		mustEqual(t, "players", f.lib.readers.players, 0)
		// What was fetched is still there.
		before, _ := e.of(ft).count()
		if _, err := r.Read(t.Context(), 8*mib, 128*kib); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		after, _ := e.of(ft).count()
		if after-before > 2 { // the window moved on
			t.Errorf("%d pieces were fetched again", after-before)
		}
		mustEqual(t, "players", f.lib.readers.players, 1)
	})
}

// Two players get equal shares of the memory.
func TestFairShare(t *testing.T) {
	ft := makeTorrent(t, "films", 1*mib, fakeFile{path: "a", size: 48 * mib}, fakeFile{path: "b", size: 48 * mib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		f := newFixture(t, 32*mib, e)
		defer f.close()
		tor := f.add(ft)
		a, b := f.reader(tor, "a"), f.reader(tor, "b")
		defer a.Close()
		defer b.Close()
		for off := int64(0); off < 20*mib; off += 128 * kib {
			for _, r := range []*Reader{a, b} {
				if _, err := r.Read(t.Context(), off, 128*kib); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range []*Reader{a, b} { // 12 ahead, the head's, up to 2 behind
			if n := len(r.pins); n < 13 || n > 15 {
				t.Errorf("%d pieces pinned", n)
			}
		}
	})
}

// Everything at once on real time, for the race detector: reads at random places,
// cancelled and not, a cache far too small, removal and close in the middle.
func TestStress(t *testing.T) {
	ft := makeTorrent(t, "stress", 32*kib, fakeFile{path: "a", size: 3*mib + 777}, fakeFile{path: "b.mkv", size: 20 * mib}, fakeFile{path: "c.srt", size: 200 * kib})
	e := newFakeEngine(ft)
	f := newFixture(t, 2*mib, e)
	defer f.close()
	tor := f.add(ft)
	stop := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(g)))
			for time.Now().Before(stop) {
				i := rnd.IntN(3)
				r, err := tor.Open(tor.Root().Children[i])
				if err != nil {
					t.Error(err)
					return
				}
				off := rnd.Int64N(ft.info.Files[i].Length)
				for range rnd.IntN(40) {
					n := 1 + rnd.IntN(200*kib)
					parts, err := r.Read(t.Context(), off, n)
					want := ft.file(i)[min(off, ft.info.Files[i].Length):min(off+int64(n), ft.info.Files[i].Length)]
					if err != nil || !bytes.Equal(join(parts), want) {
						t.Errorf("%d bytes at %d of file %d: %v", n, off, i, err)
						return
					}
					off += int64(n)
				}
				r.Close()
			}
		})
	}
	wg.Wait()
	if used := f.cache.Used(); used > f.cache.Budget() {
		t.Errorf("cache over its bound: %d", used)
	}
	if f.cache.Pinned() != 0 {
		t.Errorf("%d bytes pinned with no reader open", f.cache.Pinned())
	}
}

// BenchmarkReadHit is a read(2) of 128 KiB whose piece is in the cache.
func BenchmarkReadHit(b *testing.B) {
	ft := makeTorrent(b, "hit", 1*mib, fakeFile{path: "", size: 16 * mib})
	f := newFixture(b, 64*mib, newFakeEngine(ft))
	defer f.close()
	r := f.reader(f.add(ft), "hit")
	defer r.Close()
	ctx := b.Context()
	if _, err := r.Read(ctx, 0, 16*mib); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(128 * kib)
	off := int64(0)
	for b.Loop() {
		if _, err := r.Read(ctx, off, 128*kib); err != nil {
			b.Fatal(err)
		}
		if off += 128 * kib; off == 16*mib {
			off = 0
		}
	}
}
