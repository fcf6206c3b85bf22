// Package fetch turns torrents into trees of readable files and reads into
// pieces wanted from the swarm.
//
// # What it owns
//
//   - [Library]: the torrents of one mount, their names, and what of them is kept
//     over a restart (list, metadata).
//   - [Torrent]: one of them: its tree once the metadata is there, the reads that
//     wait for its pieces, and its place in the cache.
//   - [Reader]: one open handle. It keeps the history of its reads and decides
//     from it which pieces are wanted by when (window.go, which is pure).
//   - Pins: the files that are fetched whole and kept, though nobody reads them.
//     The keeper, a goroutine, wants their pieces with deadlines beyond every
//     window and holds them in the cache.
//
// It does not speak BitTorrent (package swarm does), keeps no piece itself
// (package cache does) and knows nothing of FUSE.
//
// # One read
//
// Read cuts the range into pieces and asks the cache for each. If all are there
// it returns slices of them: no copy, no hand-over. If not, it registers a waiter,
// asks the cache once more (the piece may have arrived in between), sends the
// reader's wants to the swarm and sleeps. Store.PieceVerified, called in a hash
// worker, puts the piece into the cache and hands its bytes to every waiter: a
// waiter never looks a second time, since a cache may have dropped the piece by
// then.
//
// # Locks
//
// Library.mu, Torrent.mu, Reader.mu and the rest are leaves: none is held together with
// another, during a call into another package, or over a wait. What must happen
// in order outside of a lock (a reader's pins and wants) is done by whoever holds
// the reader's turn, see Reader.sync.
package fetch
