package disk

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestManyAtOnce lets goroutines do everything at once on a real directory, with
// little room, and looks at every byte served.
func TestManyAtOnce(t *testing.T) {
	d, err := Open(Config{Dir: t.TempDir(), Bytes: 40 * piece, FreeBytes: -1, FreePercent: -1, QueueBytes: 8 * piece})
	if err != nil {
		t.Fatal(err)
	}
	all := []*torrent{many(t, 1), single(t, 2, 60)}
	handles := []*Torrent{all[0].open(t, d), all[1].open(t, d)}
	var mu sync.Mutex // guards handles[0], which is closed and opened again
	handle := func(i int) *Torrent {
		mu.Lock()
		defer mu.Unlock()
		return handles[i]
	}
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(9, uint64(g)))
			for range 1500 {
				i := rnd.IntN(2)
				x, h := all[i], handle(i)
				p := rnd.IntN(x.lay.pieces)
				switch k := rnd.IntN(100); {
				case k < 45:
					h.Put(p, x.data(p))
				case k < 80:
					data, err := h.Get(context.Background(), p)
					if err == nil && !bytes.Equal(data, x.data(p)) {
						t.Errorf("piece %d of %d: wrong bytes", p, i)
						return
					}
					if err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrClosed) {
						t.Errorf("piece %d of %d: %v", p, i, err)
					}
				case k < 85:
					h.Pin(p)
					h.Visit(p)
					h.Unpin(p)
				case k < 90:
					h.Discard(p)
				case k < 92:
					if b, err := h.OpenFile(x.l.Files[rnd.IntN(len(x.l.Files))]); err == nil {
						_ = b.Close()
					}
				case k < 94:
					_ = d.Flush()
				case k < 96:
					d.Stats()
					d.List()
				case k == 96 && g == 0:
					if rnd.IntN(3) == 0 {
						handle(0).Purge()
					} else {
						handle(0).Close()
					}
					again := all[0].open(t, d)
					mu.Lock()
					handles[0] = again
					mu.Unlock()
				}
				if used := d.Used(); used > d.Budget() {
					t.Errorf("used %d of %d", used, d.Budget())
					return
				}
			}
		})
	}
	wg.Wait()
	s := d.Stats()
	if s.Corrupt > 0 || s.Errors > 0 || s.Evicted == 0 || s.BytesRead == 0 {
		t.Errorf("stats %+v", s)
	}
	closeTier(t, d)
}

// BenchmarkPut writes pieces and waits until they are durable at the end.
func BenchmarkPut(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(size.name, func(b *testing.B) {
			x, h := benchTorrent(b, size.piece)
			data := payload(x.id, 0, size.piece)
			b.SetBytes(size.piece)
			for i := 0; b.Loop(); i++ {
				p := i % x.lay.pieces
				if p == 0 && i > 0 {
					h.Discard(allPieces(x)...)
					_ = h.d.Flush()
				}
				h.Put(p, data)
				if h.d.Stats().Queued > defaultQueue/2 { // keep from dropping
					_ = h.d.Flush()
				}
			}
			_ = h.d.Flush()
			if dropped := h.d.Stats().Dropped; dropped > 0 {
				b.Errorf("%d dropped", dropped)
			}
		})
	}
}

// BenchmarkGet reads pieces that are in the kernel's page cache.
func BenchmarkGet(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(size.name, func(b *testing.B) {
			x, h := benchTorrent(b, size.piece)
			data := payload(x.id, 0, size.piece)
			n := min(x.lay.pieces, 64)
			for p := range n {
				h.Put(p, data)
				_ = h.d.Flush()
			}
			b.SetBytes(size.piece)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := h.Get(context.Background(), i%n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReopen opens a torrent of 10 000 pieces that are all there.
func BenchmarkReopen(b *testing.B) {
	x, h := benchTorrent(b, 16<<10)
	data := payload(x.id, 0, 16<<10)
	for p := range x.lay.pieces {
		h.Put(p, data)
		if p%1000 == 0 {
			_ = h.d.Flush()
		}
	}
	d := h.d
	_ = d.Flush()
	for b.Loop() {
		h.Close()
		h = x.open(b, d)
	}
	b.ReportMetric(float64(len(h.Have())), "pieces")
}

var benchSizes = []struct {
	name  string
	piece int64
}{{"16KiB", 16 << 10}, {"256KiB", 256 << 10}, {"4MiB", 4 << 20}}

func benchTorrent(b *testing.B, size int64) (*torrent, *Torrent) {
	d, err := Open(Config{Dir: b.TempDir(), Bytes: 2 << 30, FreeBytes: -1, FreePercent: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = d.Close() })
	n := min(10000, (512<<20)/size)
	x := newTestTorrent(b, 1, Layout{PieceLength: size, Files: []File{{Path: []string{"film.mkv"}, Length: n * size}}})
	return x, x.open(b, d)
}

func allPieces(x *torrent) []int {
	all := make([]int, x.lay.pieces)
	for p := range all {
		all[p] = p
	}
	return all
}
