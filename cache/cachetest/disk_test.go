package cachetest_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"magnetfs/cache"
	"magnetfs/cache/cachetest"
	"magnetfs/cache/disk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestDisk runs the suite over the disk tier.
func TestDisk(t *testing.T) {
	cachetest.Run(t, func(t *testing.T, budget int64) cachetest.Tier {
		d, err := disk.Open(disk.Config{
			Dir: t.TempDir(), Bytes: budget, QueueBytes: 64 * slot, FreeBytes: -1, FreePercent: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		return &tier{d: d, torrents: make(map[uint64]*disk.Torrent)}
	})
}

// slot holds a piece of the suite, behind its length, in whole blocks.
const slot = 68 << 10

// tier shows the disk tier, whose pieces have the sizes that their torrent says, as
// one that takes pieces of any size.
type tier struct {
	d *disk.Tier

	mu       sync.Mutex
	torrents map[uint64]*disk.Torrent
	listener func([]cache.Key)
}

// torrent returns the torrent of a key, nil if there can be none.
func (c *tier) torrent(key cache.Key, make bool) *disk.Torrent {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.torrents[key.Torrent]; t != nil || !make || key.Torrent == 0 || key.Torrent >= 1<<32 {
		return t
	}
	var id disk.ID
	binary.BigEndian.PutUint64(id[:], key.Torrent)
	t, err := c.d.OpenTorrent(id, disk.Options{
		Layout: disk.Layout{PieceLength: slot, Files: []disk.File{{Path: []string{fmt.Sprint("t", key.Torrent)}, Length: 1000 * slot}}},
		OnLost: func(pieces []int) {
			c.mu.Lock()
			f := c.listener
			c.mu.Unlock()
			var keys []cache.Key
			for _, p := range pieces {
				keys = append(keys, cache.Key{Torrent: key.Torrent, Piece: p})
			}
			if f != nil {
				f(keys)
			}
		},
	})
	if err != nil {
		return nil
	}
	c.torrents[key.Torrent] = t
	return t
}

func (c *tier) Put(key cache.Key, data []byte) bool {
	t := c.torrent(key, true)
	if t == nil || len(data) == 0 || len(data) > slot-8 {
		return false
	}
	b := make([]byte, slot)
	binary.BigEndian.PutUint64(b, uint64(len(data)))
	copy(b[8:], data)
	return t.Put(key.Piece, b)
}

func (c *tier) Get(key cache.Key) []byte {
	t := c.torrent(key, false)
	if t == nil {
		return nil
	}
	b, err := t.Get(context.Background(), key.Piece)
	if err != nil {
		return nil
	}
	return b[8 : 8+binary.BigEndian.Uint64(b)]
}

func (c *tier) Contains(key cache.Key) bool {
	t := c.torrent(key, false)
	return t != nil && t.Contains(key.Piece)
}

func (c *tier) Drop(torrent uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.torrents[torrent]; t != nil {
		t.Purge()
		delete(c.torrents, torrent)
	}
}

// Used is what is written; what is queued is in memory. While that is little the
// suite sees it settled.
func (c *tier) Used() int64 {
	if used := c.d.Used(); used > 16*slot {
		return used
	}
	_ = c.d.Flush()
	return c.d.Used()
}

func (c *tier) Budget() int64 { return c.d.Budget() }

func (c *tier) OnEvict(f func([]cache.Key)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listener = f
}

func (c *tier) Close() { _ = c.d.Close() }
