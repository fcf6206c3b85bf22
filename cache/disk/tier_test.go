package disk

import (
	"context"
	"errors"
	"os"
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
