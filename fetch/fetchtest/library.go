package fetchtest

import (
	"log/slog"
	"time"

	"magnetfs/cache"
	"magnetfs/cache/disk"
	"magnetfs/fetch"
)

// Options are the settings of a library over an Engine.
type Options struct {
	StateDir          string
	Bytes             int64  // of the cache; 0 = 64 MiB
	DiskDir           string // of the disk tier, of 1 GiB; empty: none
	NoPeers, NoBlocks time.Duration
	Log               *slog.Logger
}

// Open makes a library over the engine, with a cache of its own. closeAll closes
// all of it.
func Open(e *Engine, o Options) (lib *fetch.Library, closeAll func(), err error) {
	if o.Bytes == 0 {
		o.Bytes = 64 << 20
	}
	c, err := cache.New(cache.Config{Bytes: o.Bytes})
	if err != nil {
		return nil, nil, err
	}
	var tier *disk.Tier
	closeTier := func() {}
	if o.DiskDir != "" {
		tier, err = disk.Open(disk.Config{Dir: o.DiskDir, Bytes: 1 << 30, FreeBytes: -1, FreePercent: -1, Log: o.Log})
		if err != nil {
			c.Close()
			return nil, nil, err
		}
		closeTier = func() { _ = tier.Close() }
	}
	lib, err = fetch.Open(fetch.Config{Engine: e, Cache: c, Disk: tier, StateDir: o.StateDir, Log: o.Log,
		NoPeersTimeout: o.NoPeers, NoBlocksTimeout: o.NoBlocks})
	if err != nil {
		closeTier()
		c.Close()
		return nil, nil, err
	}
	return lib, func() { _ = lib.Close(); closeTier(); c.Close() }, nil
}
