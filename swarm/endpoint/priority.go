package endpoint

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Priority is the canonical peer priority of BEP 40: of two connections the one with the higher value is kept, or
// dialled first. Both ends compute the same value, and so all peers together form a random graph that nobody can bend
// to his will. a and b are our external address and the peer's, in either order. It is 0 if they are of different
// families or one is missing.
func Priority(a, b netip.AddrPort) uint32 {
	a, b = Unmap4(a), Unmap4(b)
	if !a.IsValid() || !b.IsValid() || a.Addr().Is4() != b.Addr().Is4() {
		return 0
	}
	x, y := a.Addr().AsSlice(), b.Addr().AsSlice()
	if bytes.Equal(x, y) {
		return checksum(binary.BigEndian.AppendUint16(nil, a.Port()), binary.BigEndian.AppendUint16(nil, b.Port()))
	}
	shared := 0
	for x[shared] == y[shared] {
		shared++
	}
	// Bytes that count in full: the first two (IPv4) or six (IPv6), and one more than both have in common. libtorrent
	// takes two more for IPv6; this is the rule of the text.
	whole := 2
	if a.Addr().Is6() {
		whole = 6
	}
	for i := max(whole, shared+1); i < len(x); i++ {
		x[i] &= 0x55
		y[i] &= 0x55
	}
	return checksum(x, y)
}

// checksum is the CRC-32C of x and y, the smaller one first.
func checksum(x, y []byte) uint32 {
	if bytes.Compare(x, y) > 0 {
		x, y = y, x
	}
	return crc32.Update(crc32.Checksum(x, castagnoli), castagnoli, y)
}
