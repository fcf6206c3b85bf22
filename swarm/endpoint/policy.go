package endpoint

import (
	"errors"
	"fmt"
	"net/netip"
)

// Source tells how we came to know of a peer.
type Source uint8

// The sources.
const (
	FromDHT       Source = iota // BEP 5
	FromPEX                     // BEP 11
	FromLPD                     // BEP 14
	FromTracker                 // BEP 3, 15
	FromMagnet                  // x.pe, typed by the user
	FromIncoming                // it connected to us
	FromSaved                   // connected in an earlier run
	FromHolepunch               // BEP 55
	NumSources    = iota
)

// String returns the name of the source for status displays.
func (s Source) String() string {
	switch s {
	case FromDHT:
		return "DHT"
	case FromPEX:
		return "PEX"
	case FromLPD:
		return "LPD"
	case FromTracker:
		return "tracker"
	case FromMagnet:
		return "magnet"
	case FromIncoming:
		return "incoming"
	case FromSaved:
		return "saved"
	case FromHolepunch:
		return "holepunch"
	}
	return fmt.Sprintf("source %d", uint8(s))
}

// local tells whether the source speaks for the user's own network, so that private addresses make sense.
func (s Source) local() bool {
	return s == FromLPD || s == FromMagnet || s == FromSaved
}

// ErrRefused is wrapped by the errors of Dialable.
var ErrRefused = errors.New("endpoint: refused")

var (
	thisNet  = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122, 3.2.1.3
	reserved = netip.MustParsePrefix("240.0.0.0/4")   // RFC 1112; with broadcast
	carrier  = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598, shared by an operator's customers
	oldSite  = netip.MustParsePrefix("fec0::/10")     // RFC 3879, once site-local
)

// Dialable is the address policy: it tells whether we may send anything to a, which we heard of from src. Strangers
// name addresses to make us attack their neighbours or ours, so every address passes here before each dial, after name
// resolution. informant is who told us (the tracker, DHT node or peer; zero if nobody in the network did).
//
//   - Nobody may name port 0, or an address that is unspecified, multicast, broadcast or reserved.
//   - Loopback is for informants on loopback and for the user (x.pe).
//   - Private, link-local and carrier-grade NAT addresses are for LPD, the user and peers of earlier runs, and for
//     informants that are in such a net themselves.
//
// Our own addresses and block lists are for the caller. The error wraps ErrRefused and tells the address and the rule.
func Dialable(a netip.AddrPort, src Source, informant netip.Addr) error {
	ip := a.Addr().Unmap()
	informant = informant.Unmap()
	refuse := func(why string) error { return fmt.Errorf("%w: %v from %v: %s", ErrRefused, a, src, why) }
	switch {
	case !ip.IsValid():
		return refuse("no address")
	case a.Port() == 0:
		return refuse("port 0")
	case ip.IsUnspecified() || thisNet.Contains(ip):
		return refuse("unspecified")
	case ip.IsMulticast():
		return refuse("multicast")
	case reserved.Contains(ip):
		return refuse("reserved")
	case ip.IsLoopback():
		if src != FromMagnet && !informant.IsLoopback() {
			return refuse("loopback")
		}
	case isLocal(ip):
		if !src.local() && !isLocal(informant) {
			return refuse("private")
		}
	}
	return nil
}

// isLocal tells whether an unmapped address is of a net that is not routed in the Internet, this host included.
func isLocal(ip netip.Addr) bool {
	return ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsLoopback() ||
		carrier.Contains(ip) || oldSite.Contains(ip.WithZone(""))
}

// Private tells whether an address is of a net that is not routed in the Internet, this host included.
func Private(ip netip.Addr) bool { return isLocal(ip.Unmap()) }
