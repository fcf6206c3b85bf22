package endpoint

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Sizes in bytes of a peer in compact form: address and port, big-endian.
const (
	Compact4Len = 4 + 2  // BEP 23
	Compact6Len = 16 + 2 // BEP 7
)

// Unmap4 returns a with an IPv4 address in IPv6 clothes undressed; other addresses as they are.
func Unmap4(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// AppendCompact appends the compact form of a to b: 6 bytes for IPv4, 18 for IPv6 (without zone), none if a has no
// address.
func AppendCompact(b []byte, a netip.AddrPort) []byte {
	addr := a.Addr().Unmap()
	switch {
	case addr.Is4():
		ip := addr.As4()
		b = append(b, ip[:]...)
	case addr.Is6():
		ip := addr.As16()
		b = append(b, ip[:]...)
	default:
		return b
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// ParseCompact4 parses a list of IPv4 peers, 6 bytes each. The error says that the length is no multiple of that.
func ParseCompact4(b []byte) ([]netip.AddrPort, error) { return parseCompact(b, Compact4Len) }

// ParseCompact6 parses a list of IPv6 peers, 18 bytes each. Mapped IPv4 addresses are unmapped. The error says that the
// length is no multiple of 18.
func ParseCompact6(b []byte) ([]netip.AddrPort, error) { return parseCompact(b, Compact6Len) }

// parseCompact parses a list of peers of size bytes each. Addresses and ports are taken as they are, see Dialable.
func parseCompact(b []byte, size int) ([]netip.AddrPort, error) {
	if len(b)%size != 0 {
		return nil, fmt.Errorf("endpoint: compact peers: %d bytes are no multiple of %d", len(b), size)
	}
	if len(b) == 0 {
		return nil, nil
	}
	peers := make([]netip.AddrPort, 0, len(b)/size)
	for ; len(b) > 0; b = b[size:] {
		ip, _ := netip.AddrFromSlice(b[:size-2])
		peers = append(peers, netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(b[size-2:])))
	}
	return peers, nil
}
