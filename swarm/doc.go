// Package swarm is the BitTorrent engine: it joins the swarms of torrents and
// fetches the pieces that readers want, by their deadlines.
//
// # Owners
//
// A [Session] owns the sockets, the DHT node and local discovery. Each torrent
// has two types: [Torrent] is the handle, safe anywhere; loop is the state, and
// only the torrent's own goroutine touches it. Everything that happens to a
// torrent (a message of a peer, a hash result, a reader's new wants, a finished
// dial) is one event in one inbox. loop.handle takes the event and the time and
// never waits: no socket, disk, name lookup or hash is done there.
//
// # Who does what
//
//   - picker decides which block is asked from whom, and keeps the rates;
//   - assembly holds the blocks of pieces that are not verified yet and finds
//     out who sent wrong ones (blame.go);
//   - metadata fetches the info dictionary (BEP 9);
//   - candidates are the addresses known but not connected;
//   - the choker decides whom we upload to;
//   - discovery asks DHT, LPD and trackers for more candidates.
//
// BEPs: 3 (peer wire), 6 (fast extension), 9 and 10 (metadata), 11 (peer
// exchange), 40 (candidate priority), 54 (donthave); 5, 14 and 15 are in the
// packages dht, lpd and tracker.
package swarm
