package cache_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"magnetfs/cache"
	"magnetfs/cache/cachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const piece = 64 << 10

func open(t testing.TB, budget int64) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Config{Bytes: budget})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSuite(t *testing.T) {
	cachetest.Run(t, func(t *testing.T, budget int64) cachetest.Tier { return open(t, budget) })
}

func key(i int) cache.Key { return cache.Key{Torrent: 1, Piece: i} }

func put(t testing.TB, c *cache.Cache, i int) bool {
	t.Helper()
	return c.Put(key(i), cachetest.Data(key(i), piece))
}

func TestConfig(t *testing.T) {
	for name, cfg := range map[string]cache.Config{
		"no budget":      {},
		"tiny":           {Bytes: cache.MinBytes - 1},
		"negative share": {Bytes: 1 << 30, RecentPercent: -1},
		"all recent":     {Bytes: 1 << 30, RecentPercent: 100},
	} {
		t.Run(name, func(t *testing.T) {
			if c, err := cache.New(cfg); err == nil {
				c.Close()
				t.Error("accepted")
			}
		})
	}
}

// A pinned piece outlives any flood, and the pins are within the bound.
func TestPins(t *testing.T) {
	const budget = 64 * piece

	t.Run("a pinned piece stays", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		put(t, c, 0)
		for i := range 8 {
			if !c.Pin(key(i), piece) { // 0 is here, the others are to come
				t.Fatalf("pin %d refused", i)
			}
		}
		for i := range 8 {
			put(t, c, i)
		}
		for i := 100; i < 1100; i++ {
			put(t, c, i)
		}
		for i := range 8 {
			if !c.Contains(key(i)) {
				t.Errorf("pinned piece %d was evicted", i)
			}
		}
	})

	t.Run("a pin reserves the bytes of its piece", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		for i := range 64 {
			if !c.Pin(key(i), piece) {
				t.Fatalf("pin %d refused within the budget", i)
			}
		}
		if c.Used() != budget || c.Pinned() != budget {
			t.Fatalf("used %d, pinned %d, want %d", c.Used(), c.Pinned(), budget)
		}
		if c.Pin(key(64), piece) {
			t.Error("pinned beyond the budget")
		}
		if put(t, c, 64) || c.Contains(key(64)) {
			t.Error("took an unpinned piece although pins fill the budget")
		}
		if c.Reserve(1) {
			t.Error("reserved although pins fill the budget")
		}
		if !put(t, c, 63) {
			t.Error("refused a piece whose pin has its bytes")
		}
		if !c.Pin(key(63), piece) {
			t.Error("refused a second pin on a piece that is here")
		}
		if !c.Pin(key(0), piece) {
			t.Error("refused a second pin on a piece that is to come")
		}
	})

	t.Run("pins are counted", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		c.Pin(key(0), piece)
		c.Pin(key(0), piece)
		put(t, c, 0)
		c.Unpin(key(0))
		if c.Pinned() != piece {
			t.Errorf("pinned %d after one of two unpins", c.Pinned())
		}
		c.Unpin(key(0))
		if c.Pinned() != 0 || !c.Contains(key(0)) {
			t.Errorf("pinned %d; here %v", c.Pinned(), c.Contains(key(0)))
		}
		c.Unpin(key(0)) // one too many
		c.Unpin(key(9)) // never pinned
		if c.Pinned() != 0 || c.Used() != piece {
			t.Errorf("pinned %d, used %d", c.Pinned(), c.Used())
		}
	})

	t.Run("a pin taken back before its piece came leaves nothing", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		c.Pin(key(0), piece)
		c.Unpin(key(0))
		if c.Used() != 0 {
			t.Errorf("used %d", c.Used())
		}
	})

	t.Run("a piece of another size than announced", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		c.Pin(key(0), piece)
		c.Put(key(0), make([]byte, piece/2))
		c.Pin(key(1), piece)
		c.Put(key(1), make([]byte, 2*piece))
		if want := int64(5 * piece / 2); c.Used() != want || c.Stats().Missing != 0 {
			t.Errorf("used %d, missing %d, want %d, 0", c.Used(), c.Stats().Missing, want)
		}
		c.Unpin(key(0))
		c.Unpin(key(1))
		if want := int64(5 * piece / 2); c.Used() != want || c.Pinned() != 0 {
			t.Errorf("used %d, pinned %d, want %d, 0", c.Used(), c.Pinned(), want)
		}
	})

	t.Run("dropped torrents keep their pins", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		c.Pin(key(0), piece)
		put(t, c, 0)
		c.Drop(1)
		if c.Contains(key(0)) || c.Pinned() != piece {
			t.Errorf("here %v, pinned %d", c.Contains(key(0)), c.Pinned())
		}
		put(t, c, 0)
		c.Unpin(key(0))
		if !c.Contains(key(0)) || c.Used() != piece {
			t.Errorf("here %v, used %d", c.Contains(key(0)), c.Used())
		}
	})

	t.Run("reservations push out what is not pinned", func(t *testing.T) {
		c := open(t, budget)
		defer c.Close()
		for i := range 100 {
			put(t, c, i)
		}
		if !c.Reserve(budget) {
			t.Fatal("refused although nothing is pinned")
		}
		if c.Used() != budget || c.Stats().Pieces != 0 {
			t.Errorf("used %d, %d pieces", c.Used(), c.Stats().Pieces)
		}
		if c.Reserve(1) || c.Reserve(-1) {
			t.Error("reserved too much, or a negative number")
		}
		c.Release(budget)
		if c.Used() != 0 || !put(t, c, 0) {
			t.Errorf("used %d after the release", c.Used())
		}
	})
}

func TestMissing(t *testing.T) {
	c := open(t, 64*piece)
	defer c.Close()
	put(t, c, 1)
	put(t, c, 3)
	c.Pin(key(2), piece)
	got := fmt.Sprint(c.Missing(1, []int{0, 1, 2, 3, 4}, nil))
	if want := "[0 2 4]"; got != want {
		t.Errorf("missing %s, want %s", got, want)
	}
}

func TestTorrentHandles(t *testing.T) {
	c := open(t, 64*piece)
	defer c.Close()
	if a, b := c.NewTorrent(), c.NewTorrent(); a != 1 || b != 2 {
		t.Errorf("handles %d, %d", a, b)
	}
}

// The freshest pieces survive although ristretto would refuse every one of them:
// they are new and all that it holds was visited.
func TestRecentSurvivesHotMain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, 1000*piece)
		defer c.Close()
		for i := range 900 {
			put(t, c, i)
		}
		for range 10 {
			for i := range 900 {
				c.Visit(key(i))
			}
			synctest.Wait()
		}
		for i := 10000; i < 12000; i++ {
			put(t, c, i)
			for j := max(10000, i-150); j <= i; j++ { // 15 % of the budget
				if !c.Contains(key(j)) {
					t.Fatalf("piece %d is gone when %d arrived", j, i)
				}
			}
		}
	})
}

// A slow listener holds up nobody, and gets each key once in the end.
func TestSlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, 64*piece)
		block := make(chan struct{})
		calls, keys := 0, map[cache.Key]int{}
		c.OnEvict(func(lost []cache.Key) {
			if calls++; calls == 1 {
				<-block
			}
			for _, k := range lost {
				keys[k]++
			}
		})
		for i := range 5000 {
			put(t, c, i)
		}
		synctest.Wait()
		close(block)
		c.Close()
		here := 64 // at the most
		if len(keys) < 5000-here {
			t.Errorf("%d keys reported, want at least %d", len(keys), 5000-here)
		}
		for k, n := range keys {
			if n != 1 {
				t.Fatalf("%v reported %d times", k, n)
			}
		}
	})
}
