package disk

import (
	"slices"
	"testing"
	"time"
)

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
