// Package search decides whom an iterative lookup asks next (BEP 5, Kademlia
// "FIND_NODE"): pure data, without goroutine, socket or clock. The caller sends
// the queries and reports what became of them.
//
// # Candidates
//
// A candidate is fresh, then asked, and then answered or failed; an asked one
// is overdue once it takes longer than answers usually do. Overdue candidates
// hold no slot (the search goes on without them) but their answers still
// count. All candidates are kept in order of their distance to the target.
//
// # Whom to ask
//
// The window is the K closest candidates that have not failed. Fresh ones
// inside it are asked, closest first, with Alpha queries in flight; queries
// outside of it do not count against Alpha, since they were sent before closer
// nodes were known (libtorrent calls this aggressive). The search is done when
// everybody in the window answered.
//
// # Hostile answers
//
//   - Node IDs that do not fit their address (BEP 42) cost nothing to make and
//     can be placed next to the target. Candidates with such IDs are asked like
//     others, but the window always reaches to the K-th candidate whose ID
//     fits, so that the others cannot push honest nodes out of it.
//   - Addresses where nobody answers can be named with any ID. A candidate is
//     doubtful when only one informant named it and the first few of its others
//     did not answer; doubtful candidates are asked last and hold no place.
//   - One candidate per IP address and per /24 (IPv6: /64) unless local, at
//     most MaxPerAnswer from one answer, at most MaxQueries in all.
package search
