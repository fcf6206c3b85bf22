package dht

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Family is an address family.
type Family uint8

// The families.
const (
	IPv4 Family = iota
	IPv6
)

// String returns IPv4 or IPv6.
func (f Family) String() string {
	if f == IPv6 {
		return "IPv6"
	}
	return "IPv4"
}

// is tells whether a, unmapped, is of this family.
func (f Family) is(a netip.Addr) bool {
	if f == IPv6 {
		return a.Is6()
	}
	return a.Is4()
}

// ReadOnly says whether our queries carry the flag ro (BEP 43), by which others
// know not to send us queries.
type ReadOnly uint8

// The modes.
const (
	// ReadOnlyAuto sets the flag when no unsolicited query arrived for ten
	// minutes, as behind a NAT that lets none in, and tries again every hour.
	ReadOnlyAuto ReadOnly = iota
	ReadOnlyNever
	ReadOnlyAlways
)

// DefaultBootstrap are the hosts that a node without saved nodes asks first:
// those of libtorrent, qBittorrent and Transmission that answered in 2026.
var DefaultBootstrap = []string{
	"dht.libtorrent.org:25401",
	"dht.transmissionbt.com:6881",
	"router.bt.ouinet.work:6881",
	"router.bittorrent.com:6881",
}

// Config describes a server. Only Conn is required.
type Config struct {
	// Conn is the socket. The server does not close it.
	Conn net.PacketConn

	// Passive means that the server does not read Conn: its owner calls
	// HandlePacket.
	Passive bool

	Family Family

	// State is what Server.State returned in an earlier run; nil for none.
	// Broken state is ignored with a log line.
	State []byte

	// External is our address as the Internet sees it, if known; else it is
	// found by votes.
	External netip.Addr

	// Bootstrap are the hosts, host:port, that are asked when the table is
	// poor. nil means none: nodes come from State or AddNode.
	Bootstrap []string

	// Resolve looks up a name of Bootstrap; nil means the system's resolver.
	// Addresses of the other family are dropped.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// Names leaves the names of Bootstrap to Conn, which takes them in a net.Addr
	// whose String is host:port, as a proxy does: a node is pinged by its name, and
	// known by the address that answers. Resolve is not used.
	Names bool

	// Blocked tells with whom nothing is to be exchanged; nil: nobody. It is called
	// from any goroutine.
	Blocked func(netip.Addr) bool

	ReadOnly ReadOnly

	// ReplyBytesPerSec limits what we send in answers; 0 means 16 KiB. Bursts
	// of four seconds are allowed.
	ReplyBytesPerSec int

	// Seed makes the random numbers of the server repeatable, for tests; nil
	// means a seed of the system.
	Seed *[32]byte

	Log *slog.Logger // nil: none
}

// Numbers of the protocol and of this implementation.
const (
	k     = 8 // nodes closest to a target that count (BEP 5)
	alpha = 4 // queries in flight per lookup (libtorrent 5, jech/dht 4)

	// maxPending bounds the queries that wait for an answer, of all lookups.
	maxPending = 512

	// maxAnswer is the largest packet we send (BEP 32), but for one with an
	// item of BEP 44.
	maxAnswer = 1024

	// maxRouters bounds the known addresses of bootstrap hosts.
	maxRouters = 32

	// routersUntil is the size of the table above which bootstrap hosts are
	// not kept in it (guess).
	routersUntil = 32

	// saveNodes is how many nodes State holds (Transmission: 300).
	saveNodes = 300

	// staleAfter is when a bucket that nobody answered from is refreshed (BEP
	// 5, "Routing Table").
	staleAfter = 15 * time.Minute
)
