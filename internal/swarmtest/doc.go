// Package swarmtest has what tests of a BitTorrent engine need around it:
// torrents made from a seed, peers that follow a script, seeders with faults,
// trackers and a small DHT. Everything runs on any network with the methods of
// Network: internal/simnet inside a testing/synctest bubble, or real sockets.
//
//   - MakeTorrent builds an info dictionary (v1, hybrid or v2) and its payload.
//   - FakePeer sends and expects what its script says, legal or not. It decides
//     nothing.
//   - Seeder is an honest seeder that answers whatever it is asked, counts it,
//     and has faults to order: Faults. It uploads and never downloads.
//   - Tracker answers announces by HTTP and UDP.
//   - DHT is a set of nodes that know each other and answer honestly.
//
// Faults belong here and never into production code. Nothing in this package
// shares code with the engine above the level of encoding, so that a mistake
// there does not hide here as well.
//
// Goroutines are started by Start, Serve and Dial methods only and have ended
// when Close has returned. All waits are on connections, channels and
// conditions, which lets the clock of a synctest bubble run.
package swarmtest
