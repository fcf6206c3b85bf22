// Package dht is a node of the BitTorrent DHT: it finds the peers of a torrent
// without a tracker, announces us, and serves others.
//
// One [Server] is one node of one address family on one UDP socket. IPv4 and
// IPv6 are two separate networks (BEP 32), with a server each; [Link] lets them
// help each other.
//
// # Who owns what
//
// All state belongs to one type, core, which has no goroutine, socket or clock:
// it is called with the time and a packet (or a command, or nothing: the time
// itself) and leaves behind packets to send and notes for the callers. One
// goroutine per server, the owner, calls it; everything reaches the owner
// through one inbox. A reader and a writer goroutine move packets between the
// socket and the owner, so that the owner never waits; a session that shares
// the socket with uTP feeds packets by [Server.HandlePacket] instead. Notes of
// a lookup go to a mailbox and are handed out by the goroutine that called
// [Server.Peers].
//
// Parts of the core with rules of their own are packages: krpc (messages, node
// IDs), table (routing table), search (whom a lookup asks next), store (what we
// keep for others).
//
// # Lookups
//
// Latency counts first. A lookup does not wait for the bootstrap: as long as
// the table is poor it asks bootstrap hosts, saved nodes and every address that
// becomes known directly for the info-hash. Four queries are in flight among
// the closest nodes, and more as soon as one of them takes longer than answers
// usually do. Peers are handed over as they arrive.
//
// # BEPs
//
// 5 (DHT), 32 (IPv6, want), 33 (scrape, both sides), 42 (node IDs, address
// votes; compliance is a preference), 43 (read-only), 44 (get and put are
// served), 51 (sample_infohashes is answered). Left out: 44 and 51 as a client.
//
// # Trust
//
// Everything that arrives is from strangers. An answer counts only if a query
// to exactly that address with that transaction ID is pending. Addresses pass
// the policy of package endpoint: local ones are believed from local informants
// only. Answers to strangers are limited per source and in all, and never
// larger than 1,024 bytes, or by the key, signature and IDs beside it than a
// stored item, which may have 1,000 (BEP 44); errors are never larger than the
// query; garbage is not answered.
package dht
