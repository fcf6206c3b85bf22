// Package disk keeps verified pieces in sparse files, under a byte budget, beyond
// the end of the process.
//
// # On disk
//
//	<dir>/lock             flock'd while a process uses the directory
//	<dir>/CACHEDIR.TAG     tells backup programs to leave it out
//	<dir>/<id>/map         which pieces are here, verified; see mapfile.go
//	<dir>/<id>/data/...    the torrent's files, with holes where pieces are missing
//
// The id is 40 hex digits. The files have the names and offsets of the torrent, so
// that another client can take them over. Padding is not stored. A torrent whose
// folder exists but that was not opened with [Tier.OpenTorrent] is dormant: it
// counts in the budget and is given up whole.
//
// # Life of a piece
//
//	Put ─► queued ─► writing ─► dirty ──fdatasync──► clean ──┐
//	         │          │         ▲                          ├─► leaving ─► gone
//	   queue full   disk error    └──verified── suspect ─────┘   (map, then hole)
//	         └──────────┴─► gone                   ▲
//	                          found after a crash ─┘
//
// [Torrent.Get] serves all but the last two. What is suspect is checked with the
// torrent's hash first, and is dropped if it is wrong.
//
// # What a crash can do
//
// A piece enters the map after fdatasync of its files, and leaves it before its
// hole is punched. The map notes size and modification time of every file; when a
// file has others at the next start (the process was killed, or somebody changed
// the file) all its pieces are suspect. Data that is in the files but not in the
// map is found by SEEK_DATA and is suspect as well, so that a kill loses nothing
// that was written. Without a map, or with a damaged one, everything is suspect.
// The loss of power may in addition take what was written in the last seconds.
//
// # Who does what
//
// One mutex, a leaf, guards all state. One goroutine writes pieces (writer.go), one
// syncs, writes maps and punches holes (keeper.go), one reports losses (notify.go),
// and up to maxLoads read for callers of Get (load.go), who wait for them, or for
// their context. Put never waits: it queues, and when the queue is full the oldest
// piece in it is dropped.
//
// # A disk that fails
//
// An error of writing or syncing switches the tier off: Put refuses, the queue is
// dropped, one line is logged. It is tried again after 30 s, later more seldom. What
// is on the disk is still read. A piece that cannot be read is reported lost; an
// error of the disk never becomes one of a reader's.
//
// Linux only: fallocate(FALLOC_FL_PUNCH_HOLE), SEEK_DATA, flock. The package
// imports nothing else of this project.
package disk
