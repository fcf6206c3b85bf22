package disk

import (
	"context"
	"errors"
	"slices"
	"testing"
)

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
	if b.Fd() < 0 || b.Doubtful() {
		t.Error("no descriptor, or not trusted")
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
