package disk

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

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
