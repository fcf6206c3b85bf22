package krpc

import (
	"hash/crc32"
	"math/rand/v2"
	"net/netip"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The bits of an address that go into a node ID (BEP 42, "Node ID
// restriction"): the less significant, the more of them.
var (
	secureMask4 = [4]byte{0x03, 0x0f, 0x3f, 0xff}
	secureMask6 = [8]byte{0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff}
)

// secureCRC is the CRC32C that a node ID of addr begins with, for the random
// number r (only its low three bits count).
func secureCRC(addr netip.Addr, r byte) uint32 {
	var buf [8]byte
	n := copy(buf[:], addr.AsSlice())
	mask := secureMask6[:]
	if addr.Is4() {
		mask = secureMask4[:]
	}
	for i := range buf[:n] {
		buf[i] &= mask[i]
	}
	buf[0] |= r & 7 << 5
	return crc32.Checksum(buf[:n], castagnoli)
}

// SecureID makes a node ID that is valid for the external address addr (BEP
// 42): 21 bits follow from the address, the rest is random.
func SecureID(addr netip.Addr, rng *rand.Rand) ID {
	id := RandomID(rng)
	crc := secureCRC(addr.Unmap(), id[19])
	id[0], id[1] = byte(crc>>24), byte(crc>>16)
	id[2] = byte(crc>>8)&0xf8 | id[2]&0x07
	return id
}

// Compliant tells whether a node at addr may call itself id (BEP 42). Nodes in
// local networks may always: their external address is another one.
func Compliant(id ID, addr netip.Addr) bool {
	addr = addr.Unmap()
	if exempt(addr) {
		return true
	}
	if !addr.IsValid() {
		return false
	}
	crc := secureCRC(addr, id[19])
	return id[0] == byte(crc>>24) && id[1] == byte(crc>>16) && (id[2]^byte(crc>>8))&0xf8 == 0
}

// exempt are the ranges that BEP 42 takes out, and their IPv6 equivalents.
func exempt(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}
