// Package tracker asks the trackers of a torrent for peers and tells them about
// us: over HTTP and HTTPS (BEP 3, 7, 23, 24, 31, 48) and UDP (BEP 15, 41), in
// tiers (BEP 12).
//
// An Announcer owns the trackers of one torrent: when each is asked, with which
// event, and what the status table says about it. A Client does the talking and
// is shared by all torrents of a session: it holds one UDP socket per address
// family, the connection IDs of UDP trackers, a small DNS cache and the bound
// on simultaneous HTTP requests.
//
// # Tiers
//
// All tiers are announced to in parallel, as most clients do; in a magnet each
// tracker is a tier of its own. Inside a tier the trackers are shuffled once and
// tried in order until one answers, which moves to the front and is the only one
// used until it fails; the others are scraped now and then. For private torrents all tiers count as one list, of
// which one tracker is used at a time (BEP 27).
//
// # Address families
//
// A tracker with addresses of both families is announced to over each of them
// (BEP 7), in parallel: each announce tells it one of our addresses. The tracker
// works if one of the two does.
//
// # Events
//
// started is repeated until a tracker has answered it. completed is sent once,
// when what is left falls to zero during the run. stopped goes only to trackers
// that have answered. As long as the size is unknown we report 16384 bytes left:
// with 0 we would look like a seed and get no seeds.
//
// # Hostile trackers
//
// Replies are capped before and after decompression, at most five redirects are
// followed, and the addresses behind a name are judged on each connect: a
// tracker on a local address must look like one, and a public tracker cannot
// send us to a local address. Names in peer lists are not resolved.
//
// # Goroutines
//
// The rules are in core, which has no goroutine, socket or clock. An Announcer
// has one goroutine that owns it and never waits, and one per announce under
// way; OnPeers is called from the latter.
//
// # Left out
//
// WebSocket trackers, obfuscated announces (BEP 8), port restrictions in DNS
// (BEP 34), and the paused event of BEP 21.
package tracker
