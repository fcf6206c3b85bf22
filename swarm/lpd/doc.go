// Package lpd finds peers on the local network: Local Peer Discovery, BEP 14.
//
// A Server announces the info-hashes it was given by multicast, over IPv4 and
// IPv6, on every suitable interface, and reports each stranger that announces
// one of them. Interfaces that come, go or change their address are noticed
// (netlink, with a minute's poll behind it) and served.
//
// # When a packet leaves
//
//   - a new info-hash at once, once more after a minute (multicast gets lost,
//     above all on wireless networks), then every five minutes;
//   - on an interface that appeared, everything at once;
//   - an answer, a fraction of a second after a stranger announced a hash of
//     ours, on that interface only, so that a newcomer need not wait for our
//     next turn. This goes beyond BEP 14, which makes him wait up to five
//     minutes; a budget per torrent keeps spoofed strangers from driving us.
//
// Regular packets leave at most once a minute and carry up to 25 hashes; with
// more than 125 torrents the period stretches rather than the rate.
//
// # What is believed
//
// A peer is the source address of the datagram with the port it names. The
// source must be private, link-local or inside a subnet of the interface on
// which it came; our own packets are known by their cookie. Reception is rate
// limited per source and in all, and everything kept is bounded.
//
// # Goroutines
//
// The rules are in core, which has no goroutine, socket or clock. A Server
// wraps it with one goroutine that sends and follows the interfaces, one that
// watches them, and one reader per address family. OnPeer is called from the
// readers.
//
// # Left out
//
// Private torrents must not be announced (BEP 27): the caller does not Add
// them. The multicast TTL is 1, so nothing crosses a router. Point-to-point
// interfaces are not used unless asked for by name: the other end of a tunnel
// is seldom one's own LAN.
package lpd
