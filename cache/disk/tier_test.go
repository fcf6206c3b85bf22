package disk

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const plenty = 1 << 30

func TestPutGetReopen(t *testing.T) {
	for name, build := range map[string]func(t *testing.T) *torrent{
		"one file":   func(t *testing.T) *torrent { return single(t, 1, 7) },
		"many files": func(t *testing.T) *torrent { return many(t, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := newMem(plenty)
				d := mem(t, m, Config{Bytes: plenty})
				x := build(t)
				h := x.open(t, d)
				for p := range x.lay.pieces {
					if h.Contains(p) {
						t.Fatalf("piece %d is there before Put", p)
					}
					if !h.Put(p, x.data(p)) {
						t.Fatalf("piece %d was refused", p)
					}
					x.check(t, h, p) // at once
				}
				if err := d.Flush(); err != nil {
					t.Fatal(err)
				}
				wantHere(t, h, strings.Repeat("#", x.lay.pieces))
				for p := range x.lay.pieces {
					x.check(t, h, p)
				}
				closeTier(t, d)
				if h.Contains(0) || h.Put(0, x.data(0)) {
					t.Error("there after Close")
				}
				if _, err := h.Get(context.Background(), 0); !errors.Is(err, ErrClosed) {
					t.Errorf("get after Close: %v", err)
				}

				d = mem(t, m, Config{Bytes: plenty})
				defer closeTier(t, d)
				if !d.NeedsRead(x.id) || d.NeedsRead(ID{9}) {
					t.Error("the torrent on disk is not known, or another one is")
				}
				used := d.Used()
				h = x.open(t, d)
				if d.Used() != used {
					t.Errorf("dormant %d bytes, open %d", used, d.Used())
				}
				wantHere(t, h, strings.Repeat("#", x.lay.pieces))
				for p := range x.lay.pieces {
					x.check(t, h, p)
				}
				if x.verified() != 0 {
					t.Error("verified again after a clean end")
				}
			})
		})
	}
}

// TestAfterKill: what a killed process left is all there, what its last map does
// not vouch for is verified, and wrong bytes are not served.
func TestAfterKill(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles // what is left
		want   string
		then   string // after reading all
	}{
		{"nothing unsynced", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			x.put(t, h, 0, 1, 2)
			return m.kill()
		}, "###.", "###."},
		{"written after the map", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			x.put(t, h, 0, 1)
			h.Put(2, x.data(2))
			waitFor(h, func() bool { return here(h) == "##+." })
			return m.kill()
		}, "???.", "###."},
		{"no map yet", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			h.Put(3, x.data(3))
			waitFor(h, func() bool { return here(h) == "...+" })
			return m.kill()
		}, "...?", "...#"},
		{"changed by somebody", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			x.put(t, h, 0, 1)
			f, _ := m.open(h.name(0), change)
			m.ticks += 10 // a clock is coarse
			_, _ = f.WriteAt([]byte{^x.data(1)[5]}, piece+5)
			return m.kill()
		}, "??..", "#..."},
		{"cut by somebody", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			x.put(t, h, 0, 1)
			f := m.files[h.name(0)]
			f.now, f.data, f.mtime = f.now[:piece+block], f.data[:piece/block+1], 5
			return m.kill()
		}, "?...", "#..."},
		{"removed by somebody", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			x.put(t, h, 0, 1)
			_ = m.remove(h.name(0), "")
			return m.kill()
		}, "....", "...."},
		{"damaged map", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			x.put(t, h, 0, 1)
			m.files[h.mapName()].now[20]++
			return m.kill()
		}, "??..", "##.."},
		{"of another layout", func(t *testing.T, x *torrent, h *Torrent, m *memFiles) *memFiles {
			x.put(t, h, 0, 1)
			x.l.Files[0].Path = []string{"renamed"}
			return m.kill()
		}, "....", "...."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := newMem(plenty)
				d := mem(t, m, Config{Bytes: plenty})
				x := single(t, 1, 4)
				left := tt.before(t, x, x.open(t, d), m)
				closeTier(t, d)

				d = mem(t, left, Config{Bytes: plenty})
				h := x.open(t, d)
				wantHere(t, h, tt.want)
				for p := range 4 {
					had := h.Contains(p)
					if data, err := h.Get(context.Background(), p); err == nil {
						if x.verify(p, data) != nil {
							t.Errorf("piece %d: wrong bytes", p)
						}
					} else if !errors.Is(err, ErrMissing) || had && x.verified() == 0 {
						t.Errorf("piece %d: %v", p, err)
					}
				}
				_ = d.Flush()
				wantHere(t, h, tt.then)
				closeTier(t, d) // reports what is not reported yet
				for p, c := range tt.want {
					if lost := c != '.' && tt.then[p] == '.'; lost != x.reported(p) {
						t.Errorf("piece %d: lost %v, reported %v", p, lost, x.reported(p))
					}
				}
			})
		})
	}
}

// waitFor waits until something is so, in virtual time.
func waitFor(h *Torrent, so func() bool) {
	for !so() {
		time.Sleep(time.Millisecond)
	}
}

func TestSuspectsStaySo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: plenty})
		x := single(t, 1, 4)
		h := x.open(t, d)
		x.put(t, h, 0, 1, 2)
		m.files[h.name(0)].mtime++
		left := m.kill()
		closeTier(t, d)

		d = mem(t, left, Config{Bytes: plenty})
		h = x.open(t, d)
		x.check(t, h, 1)
		closeTier(t, d)

		d = mem(t, left, Config{Bytes: plenty})
		h = x.open(t, d)
		wantHere(t, h, "?#?.")
		x.check(t, h, 1)
		if got := x.verified(); got != 1 {
			t.Errorf("verified %d times, want once", got)
		}
		closeTier(t, d)
	})
}

func TestEviction(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: 4 * piece})
		x := single(t, 1, 8)
		h := x.open(t, d)
		x.put(t, h, 0, 1, 2, 3)
		h.Pin(1)
		x.check(t, h, 0) // 2 and 3 are now the least recently read
		x.put(t, h, 4)
		if h.Contains(2) || !h.Contains(0) || !h.Contains(1) || !h.Contains(4) {
			t.Errorf("pieces %s", here(h))
		}
		x.put(t, h, 5, 6)
		if !h.Contains(1) {
			t.Error("a pinned piece was evicted")
		}
		h.Unpin(1)
		x.put(t, h, 7, 2, 3, 0)
		if h.Contains(1) {
			t.Error("an unpinned piece stays for ever")
		}
		if used := d.Used(); used > d.Budget() {
			t.Errorf("used %d of %d", used, d.Budget())
		}
		if got := m.used(); got > d.Budget() {
			t.Errorf("%d bytes on the disk", got)
		}
		have := h.Have()
		closeTier(t, d)
		for _, p := range []int{1, 3, 4, 5} {
			if !slices.Contains(have, p) && !x.reported(p) {
				t.Errorf("piece %d is gone without a report", p)
			}
		}

		// The order survives, to the minute.
		d = mem(t, m, Config{Bytes: 4 * piece})
		h = x.open(t, d)
		for _, p := range h.Have() {
			x.check(t, h, p)
		}
		closeTier(t, d)
	})
}

func TestAllPinned(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := mem(t, newMem(plenty), Config{Bytes: 2 * piece})
		defer closeTier(t, d)
		x := single(t, 1, 4)
		h := x.open(t, d)
		for p := range 3 {
			h.Pin(p)
		}
		for p := range 3 {
			h.Put(p, x.data(p))
		}
		_ = d.Flush()
		wantHere(t, h, "##..")
		time.Sleep(time.Second)
		if !x.reported(2) {
			t.Error("the piece without room was not reported")
		}
		s := d.Stats()
		if !s.Full || s.Dropped != 1 || s.Pinned != 2*piece {
			t.Errorf("stats %+v", s)
		}
		h.Unpin(0)
		x.put(t, h, 2)
		wantHere(t, h, ".##.")
		h.Unpin(0) // one too many
		h.Unpin(77)
	})
}

// TestOrderOverRestart: least recently read first, also for what an earlier process
// read.
func TestOrderOverRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: 3 * piece})
		x := single(t, 1, 4)
		h := x.open(t, d)
		for _, p := range []int{1, 2, 0} {
			x.put(t, h, p)
			time.Sleep(2 * time.Minute)
		}
		h.Visit(1)
		time.Sleep(timesAfter + time.Minute) // the map learns of it by itself
		left := m.kill()
		closeTier(t, d)
		d = mem(t, left, Config{Bytes: 3 * piece})
		defer closeTier(t, d)
		h = x.open(t, d)
		wantHere(t, h, "###.")
		x.put(t, h, 3)
		wantHere(t, h, "##.#")
	})
}

func TestFloor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(20 * piece)
		d := mem(t, m, Config{Bytes: plenty, FreeBytes: 10 * piece, FreePercent: -1})
		defer closeTier(t, d)
		x := single(t, 1, 30)
		h := x.open(t, d)
		for p := range 30 {
			x.put(t, h, p)
			if _, avail, _ := m.free(); avail < 10*piece-block {
				t.Fatalf("%d bytes free after piece %d", avail, p)
			}
		}
		if n := len(h.Have()); n < 9 {
			t.Errorf("%d pieces kept, want 9 or 10", n)
		}
		// Others take space: we give way.
		m.mu.Lock()
		m.taken = 5 * piece
		m.mu.Unlock()
		time.Sleep(checkEvery + time.Second)
		if _, avail, _ := m.free(); avail < 10*piece {
			t.Errorf("%d bytes free", avail)
		}
		m.mu.Lock()
		m.taken = 15 * piece
		m.mu.Unlock()
		time.Sleep(checkEvery + time.Second)
		h.Put(0, x.data(0))
		_ = d.Flush()
		if n := len(h.Have()); n != 0 || !d.Stats().Full {
			t.Errorf("%d pieces, full %v", n, d.Stats().Full)
		}
	})
}

func TestPercentFloor(t *testing.T) {
	d := &Tier{cfg: Config{FreeBytes: 5 << 30, FreePercent: 5}}
	for total, want := range map[int64]int64{1 << 30: 5 << 30, 1000 << 30: 50 << 30} {
		if got := d.floor(total); got/block != want/block {
			t.Errorf("of %d: %d, want %d", total, got, want)
		}
	}
	d.cfg.FreeBytes, d.cfg.FreePercent = -1, -1
	if got := d.floor(plenty); got != 0 {
		t.Errorf("none: %d", got)
	}
}

func TestQueueDropsTheOldest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		gate := make(chan struct{})
		m.setFault(func(op, name string) error {
			if op == "pwrite" && strings.HasSuffix(name, "film.mkv") {
				<-gate
			}
			return nil
		})
		d := mem(t, m, Config{Bytes: plenty, QueueBytes: 2 * piece})
		defer closeTier(t, d)
		x := single(t, 1, 6)
		h := x.open(t, d)
		h.Put(0, x.data(0))
		time.Sleep(time.Second) // the writer has it, and hangs
		for p := 1; p < 5; p++ {
			if !h.Put(p, x.data(p)) {
				t.Errorf("piece %d was refused", p)
			}
		}
		h.Pin(3)
		h.Unpin(3) // stays in the queue
		wantHere(t, h, "w..qq.")
		x.check(t, h, 0)
		x.check(t, h, 4)
		if s := d.Stats(); s.Queued != 2*piece || s.Dropped != 2 {
			t.Errorf("stats %+v", s)
		}
		close(gate)
		_ = d.Flush()
		wantHere(t, h, "#..##.")
		time.Sleep(time.Second)
		if !x.reported(1) || !x.reported(2) || x.reported(0) {
			t.Errorf("reported %v", x.lost)
		}
	})
}

func TestRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := mem(t, newMem(plenty), Config{Bytes: piece})
		defer closeTier(t, d)
		x := single(t, 1, 3)
		h := x.open(t, d)
		for name, ok := range map[string]bool{
			"index below zero": h.Put(-1, x.data(0)),
			"index too large":  h.Put(3, x.data(0)),
			"short":            h.Put(0, x.data(0)[1:]),
			"empty":            h.Put(0, nil),
			"of the last":      h.Put(2, x.data(0)),
		} {
			if ok {
				t.Errorf("%s: taken", name)
			}
		}
		if _, err := h.Get(context.Background(), 99); !errors.Is(err, ErrMissing) {
			t.Errorf("get: %v", err)
		}
		if _, err := d.OpenTorrent(x.id, x.options()); !errors.Is(err, ErrOpen) {
			t.Errorf("opened twice: %v", err)
		}
		h.Pin(-1)
		h.Pin(99)
		h.Discard(-1, 99, 0)
		h.Visit(99)
		if got := h.Missing([]int{-1, 0, 99}, nil); len(got) != 3 {
			t.Errorf("missing %v", got)
		}
	})
}

func TestDiscardAndPurge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: plenty})
		x, y := many(t, 1), single(t, 2, 3)
		h, g := x.open(t, d), y.open(t, d)
		x.put(t, h, 0, 1, 2, 3, 4)
		y.put(t, g, 0, 1, 2)
		h.Discard(0, 1, 2)
		_ = d.Flush()
		wantHere(t, h, "...##..."[:x.lay.pieces])
		closeTier(t, d)

		d = mem(t, m, Config{Bytes: plenty})
		h, g = x.open(t, d), y.open(t, d)
		x.check(t, h, 3)
		h.Purge()
		h.Purge()
		h.Close()
		h = x.open(t, d) // waits for the purge
		if len(h.Have()) != 0 {
			t.Errorf("pieces %s after a purge", here(h))
		}
		y.check(t, g, 2)
		x.put(t, h, 1)
		h.Close()
		d.Purge(x.id)
		d.Purge(ID{77})
		h = x.open(t, d)
		if len(h.Have()) != 0 {
			t.Errorf("pieces %s after a purge of the closed torrent", here(h))
		}
		y.check(t, g, 0)
		x.put(t, h, 1)
		h.Close()
		_ = d.Flush()
		if l := d.List(); len(l) != 2 || l[0].ID != y.id || !l[0].Open || l[1].Open || l[1].Bytes == 0 || l[1].LastRead.IsZero() {
			t.Errorf("list %+v", l)
		}
		d.Purge(x.id)
		_ = d.Flush()
		if l := d.List(); len(l) != 1 {
			t.Errorf("list %+v", l)
		}
		g.Pin(1)
		if err := d.Clear(); err != nil {
			t.Fatal(err)
		}
		wantHere(t, g, ".#.")
		closeTier(t, d)
		if len(x.lost) > 0 {
			t.Errorf("reported %v", x.lost)
		}
		if !y.reported(0) || y.reported(1) {
			t.Errorf("reported %v", y.lost)
		}
	})
}

func TestDormant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: 8 * piece})
		x, y := single(t, 1, 4), single(t, 2, 8)
		x.put(t, x.open(t, d), 0, 1, 2, 3)
		closeTier(t, d)

		time.Sleep(time.Hour)
		d = mem(t, m, Config{Bytes: 8 * piece})
		h := y.open(t, d)
		x4 := d.Used()
		y.put(t, h, 0, 1, 2, 3, 4) // too early: it gives up its own
		if s := d.Stats(); s.Dormant != 1 || d.Used() < x4 {
			t.Errorf("stats %+v", s)
		}
		time.Sleep(dormantFor)
		y.put(t, h, 5, 6, 7)
		if s := d.Stats(); s.Dormant != 0 {
			t.Errorf("stats %+v", s)
		}
		closeTier(t, d)
	})
}

func TestSmallerBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: plenty})
		x := single(t, 1, 8)
		x.put(t, x.open(t, d), 0, 1, 2, 3, 4, 5)
		closeTier(t, d)
		d = mem(t, m, Config{Bytes: 2 * piece})
		x.open(t, d)
		time.Sleep(checkEvery + time.Second)
		if d.Used() > d.Budget() || m.used() > d.Budget() {
			t.Errorf("used %d, on disk %d, budget %d", d.Used(), m.used(), d.Budget())
		}
		closeTier(t, d)
	})
}

func TestOpenFile(t *testing.T) {
	d, err := Open(Config{Dir: t.TempDir(), Bytes: plenty, FreeBytes: -1, FreePercent: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closeTier(t, d) }()
	x := many(t, 1)
	h := x.open(t, d)
	f := x.l.Files[1] // pieces 0 to 3
	open := func() error {
		b, err := h.OpenFile(f)
		if err == nil {
			err = b.Close()
		}
		return err
	}
	x.put(t, h, 0, 1, 2)
	if err := open(); !errors.Is(err, ErrIncomplete) {
		t.Errorf("incomplete: %v", err)
	}
	x.put(t, h, 3)
	if err := h.VerifyFile(context.Background(), f); err != nil {
		t.Error(err)
	}
	b, err := h.OpenFile(f)
	if err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, f.Length)
	compare := func() {
		t.Helper()
		if _, err := b.ReadAt(whole, 0); err != nil {
			t.Fatal(err)
		}
		for p := range 4 {
			for _, s := range x.lay.segments(p) {
				if x.lay.files[s.file].off == f.Offset && !slices.Equal(whole[s.off:s.off+s.to-s.from], x.data(p)[s.from:s.to]) {
					t.Fatalf("piece %d: wrong bytes", p)
				}
			}
		}
	}
	compare()
	if b.Fd() < 0 {
		t.Error("no descriptor")
	}
	h.Discard(0, 1, 2, 3)
	if err := d.Clear(); err != nil {
		t.Fatal(err)
	}
	compare()
	// Also when the torrent was closed and opened meanwhile.
	h.Close()
	h = x.open(t, d)
	if err := d.Clear(); err != nil {
		t.Fatal(err)
	}
	wantHere(t, h, "####....."[:x.lay.pieces])
	compare()
	h.Purge()
	_ = d.Flush()
	compare()
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	h = x.open(t, d)
	for _, f := range []File{{Path: []string{"no"}, Length: 1}, x.l.Files[2], x.l.Files[4]} {
		if _, err := h.OpenFile(f); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%v: %v", f.Path, err)
		}
		if err := h.VerifyFile(context.Background(), f); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%v: %v", f.Path, err)
		}
	}
}

func TestVerifyFile(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newMem(plenty)
		d := mem(t, m, Config{Bytes: plenty})
		x := single(t, 1, 3)
		h := x.open(t, d)
		x.put(t, h, 0, 1, 2)
		m.files[h.name(0)].mtime++
		left := m.kill()
		closeTier(t, d)
		d = mem(t, left, Config{Bytes: plenty})
		h = x.open(t, d)
		if _, err := h.OpenFile(x.l.Files[0]); !errors.Is(err, ErrUnverified) {
			t.Errorf("open: %v", err)
		}
		if err := h.VerifyFile(context.Background(), x.l.Files[0]); err != nil {
			t.Error(err)
		}
		b, err := h.OpenFile(x.l.Files[0])
		if err != nil {
			t.Fatal(err)
		}
		_ = b.Close()
		closeTier(t, d)
	})
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(Config{Dir: dir, Bytes: plenty})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(Config{Dir: dir, Bytes: plenty})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("second: %v", err)
	}
	closeTier(t, d)
	d, err = Open(Config{Dir: dir, Bytes: plenty})
	if err != nil {
		t.Fatalf("after close: %v", err)
	}
	closeTier(t, d)
}

// TestLeftovers: what a kill in the middle of writing a map leaves is removed, and
// folders that are not ours stay.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	x := single(t, 1, 2)
	cfg := Config{Dir: dir, Bytes: plenty, FreeBytes: -1, FreePercent: -1}
	d, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	x.put(t, x.open(t, d), 0)
	closeTier(t, d)
	left, foreign := dir+"/"+x.id.String()+"/.map123", dir+"/lost+found"
	if err := errors.Join(os.WriteFile(left, []byte("x"), 0o600), os.Mkdir(foreign, 0o700)); err != nil {
		t.Fatal(err)
	}
	if d, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	x.check(t, x.open(t, d), 0)
	if err := d.Clear(); err != nil {
		t.Fatal(err)
	}
	closeTier(t, d)
	if _, err := os.Stat(left); err == nil {
		t.Error("the unfinished map is there")
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir + "/" + x.id.String() + "/data/film.mkv"); err == nil {
		t.Error("an empty file is there")
	}
}
