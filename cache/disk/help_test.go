package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

const piece = 16 << 10 // length of a piece in most tests

// payload is what a piece of a test's torrent holds.
func payload(id ID, p int, size int64) []byte {
	src := rand.NewChaCha8([32]byte{id[0], id[1], byte(p), byte(p >> 8), 1})
	data := make([]byte, size)
	_, _ = src.Read(data) // never fails
	return data
}

var errWrong = errors.New("wrong hash")

// torrent is a torrent of tests: what a tier should serve.
type torrent struct {
	id   ID
	l    Layout
	lay  *layout
	mu   sync.Mutex
	lost map[int]int // how often each piece was reported
	seen int         // calls of Verify
}

func newTestTorrent(t testing.TB, n byte, l Layout) *torrent {
	t.Helper()
	lay, err := newLayout(l)
	if err != nil {
		t.Fatal(err)
	}
	return &torrent{id: ID{n}, l: l, lay: lay, lost: make(map[int]int)}
}

// single is a torrent of one file of n pieces, the last one shorter.
func single(t testing.TB, id byte, n int) *torrent {
	return newTestTorrent(t, id, Layout{PieceLength: piece, Files: []File{{Path: []string{"film.mkv"}, Length: int64(n)*piece - 100}}})
}

// many is a torrent of files that share pieces, with padding.
func many(t testing.TB, id byte) *torrent {
	l := Layout{PieceLength: piece}
	var off int64
	for i, n := range []int64{100, 3 * piece, 0, 5000, 5000, piece - 777, 1, 2 * piece} {
		l.Files = append(l.Files, File{Path: []string{"dir", fmt.Sprintf("sub%d", i%2), fmt.Sprintf("f%d", i)}, Offset: off, Length: n})
		off += n
		if i == 3 {
			pad := (piece - off%piece) % piece
			l.Files = append(l.Files, File{Path: []string{".pad", "1"}, Offset: off, Length: pad, Pad: true})
			off += pad
		}
	}
	return newTestTorrent(t, id, l)
}

// data is a piece as it should be: padding is zeros.
func (x *torrent) data(p int) []byte {
	data := make([]byte, x.lay.size(p))
	full := payload(x.id, p, x.lay.size(p))
	for _, s := range x.lay.segments(p) {
		copy(data[s.from:s.to], full[s.from:])
	}
	return data
}

func (x *torrent) verify(p int, data []byte) error {
	x.mu.Lock()
	x.seen++
	x.mu.Unlock()
	if !bytes.Equal(data, x.data(p)) {
		return errWrong
	}
	return nil
}

func (x *torrent) verified() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen
}

func (x *torrent) reported(p int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.lost[p] > 0
}

func (x *torrent) open(t testing.TB, d *Tier) *Torrent {
	t.Helper()
	h, err := d.OpenTorrent(x.id, x.options())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (x *torrent) options() Options {
	return Options{Layout: x.l, Verify: x.verify, OnLost: func(pieces []int) {
		x.mu.Lock()
		defer x.mu.Unlock()
		for _, p := range pieces {
			x.lost[p]++
		}
	}}
}

// put puts pieces and waits until they are on the disk.
func (x *torrent) put(t testing.TB, h *Torrent, pieces ...int) {
	t.Helper()
	for _, p := range pieces {
		if !h.Put(p, x.data(p)) {
			t.Fatalf("piece %d was refused", p)
		}
		if err := h.d.Flush(); err != nil {
			t.Fatalf("flush: %v", err)
		}
	}
}

// check reads a piece that has to be there.
func (x *torrent) check(t testing.TB, h *Torrent, p int) {
	t.Helper()
	data, err := h.Get(context.Background(), p)
	if err != nil {
		t.Fatalf("piece %d: %v", p, err)
	}
	if !bytes.Equal(data, x.data(p)) {
		t.Fatalf("piece %d holds other bytes", p)
	}
}

// here draws which pieces are there: # clean, + dirty, ? suspect, q queued, . none.
func here(h *Torrent) string {
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	var b strings.Builder
	for p := range h.entries {
		e := h.at(p)
		if e == nil {
			b.WriteByte('.')
			continue
		}
		b.WriteByte("qw+#?x"[e.state])
	}
	return b.String()
}

func wantHere(t testing.TB, h *Torrent, want string) {
	t.Helper()
	if got := here(h); got != want {
		t.Errorf("pieces %s, want %s", got, want)
	}
}

// mem opens a tier on a disk in memory, without a floor.
func mem(t testing.TB, m *memFiles, cfg Config) *Tier {
	t.Helper()
	if cfg.FreeBytes == 0 {
		cfg.FreeBytes, cfg.FreePercent = -1, -1
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	d, err := open(cfg, m)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closeTier(t testing.TB, d *Tier) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leaving < 0 || d.used < 0 || d.queued != 0 || d.dirty < 0 {
		t.Errorf("sums after close: used %d, leaving %d, queued %d, dirty %d", d.used, d.leaving, d.queued, d.dirty)
	}
	var used int64
	for _, f := range d.folders {
		used += f.cost
	}
	if used != d.used {
		t.Errorf("used %d, but the torrents have %d", d.used, used)
	}
}

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
