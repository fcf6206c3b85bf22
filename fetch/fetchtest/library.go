package fetchtest

import (
	"log/slog"
	"time"

	"magnetfs/cache"
	"magnetfs/fetch"
)

// Options are the settings of a library over an Engine.
type Options struct {
	StateDir          string
	Bytes             int64 // of the cache; 0 = 64 MiB
	NoPeers, NoBlocks time.Duration
	Log               *slog.Logger
}

// Open makes a library over the engine, with a cache of its own. closeAll closes
// both.
func Open(e *Engine, o Options) (lib *fetch.Library, closeAll func(), err error) {
	if o.Bytes == 0 {
		o.Bytes = 64 << 20
	}
	c, err := cache.New(cache.Config{Bytes: o.Bytes})
	if err != nil {
		return nil, nil, err
	}
	lib, err = fetch.Open(fetch.Config{Engine: e, Cache: c, StateDir: o.StateDir, Log: o.Log,
		NoPeersTimeout: o.NoPeers, NoBlocksTimeout: o.NoBlocks})
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return lib, func() { _ = lib.Close(); c.Close() }, nil
}
