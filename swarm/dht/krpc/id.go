package krpc

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"magnetfs/swarm/endpoint"
)

// ID is a node ID, an info-hash or the target of a stored item: 160 bits,
// big-endian. The distance of two IDs is their XOR as an unsigned number (BEP
// 5, "Overview").
type ID [20]byte

// IDBits is the number of bits in an ID.
const IDBits = 160

// String returns 40 hex digits.
func (a ID) String() string { return hex.EncodeToString(a[:]) }

// CommonBits returns how many leading bits a and b share, 0 to 160.
func (a ID) CommonBits(b ID) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return i*8 + bits.LeadingZeros8(x)
		}
	}
	return IDBits
}

// Compare orders a and b by their distance to target: negative when a is
// closer.
func (target ID) Compare(a, b ID) int {
	for i := 0; i < 16; i += 8 {
		t := binary.BigEndian.Uint64(target[i:])
		x, y := binary.BigEndian.Uint64(a[i:])^t, binary.BigEndian.Uint64(b[i:])^t
		if x != y {
			if x < y {
				return -1
			}
			return 1
		}
	}
	t := binary.BigEndian.Uint32(target[16:])
	x, y := binary.BigEndian.Uint32(a[16:])^t, binary.BigEndian.Uint32(b[16:])^t
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// Bit returns bit i of a, 0 being the most significant.
func (a ID) Bit(i int) byte { return a[i/8] >> (7 - i%8) & 1 }

// RandomID returns an ID of random bits.
func RandomID(rng *rand.Rand) (id ID) {
	binary.BigEndian.PutUint64(id[:], rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], rng.Uint64())
	binary.BigEndian.PutUint32(id[16:], rng.Uint32())
	return id
}

// RandomSharing returns a random ID that shares exactly n leading bits with a
// (n below 160): a member of the bucket at depth n of a node called a.
func RandomSharing(a ID, n int, rng *rand.Rand) ID {
	id := RandomID(rng)
	for i := 0; i < n/8; i++ {
		id[i] = a[i]
	}
	// The byte with the border: n%8 bits of a, then a's next bit flipped.
	b, mask := n/8, byte(0xff)<<(8-n%8)
	flip := byte(0x80) >> (n % 8)
	id[b] = a[b]&mask | ^a[b]&flip | id[b]&^(mask|flip)
	return id
}

// NodeInfo is the contact of a node (BEP 5, "Contact Encoding"). ID is zero
// when only the address is known.
type NodeInfo struct {
	ID   ID
	Addr netip.AddrPort
}

// Lengths of compact node info: ID, address, port.
const (
	NodeLen4 = 20 + 4 + 2
	NodeLen6 = 20 + 16 + 2
)

// AppendNode appends the compact form of n: 26 bytes for IPv4, 38 for IPv6.
func AppendNode(b []byte, n NodeInfo) []byte {
	b = append(b, n.ID[:]...)
	return endpoint.AppendCompact(b, n.Addr)
}

// parseNodes reads compact node info with addrLen bytes per address. A length
// that is no multiple of an entry voids the whole field.
func parseNodes(b []byte, addrLen int) []NodeInfo {
	size := 20 + addrLen + 2
	if len(b) == 0 || len(b)%size != 0 {
		return nil
	}
	nodes := make([]NodeInfo, 0, len(b)/size)
	for ; len(b) > 0; b = b[size:] {
		ip, _ := netip.AddrFromSlice(b[20 : 20+addrLen])
		addr := netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(b[size-2:]))
		nodes = append(nodes, NodeInfo{ID(b[:20]), addr})
	}
	return nodes
}

// ParseNodes reads compact node info, IPv4 or IPv6. The result is nil when the
// length is no multiple of an entry.
func ParseNodes(b []byte, v6 bool) []NodeInfo {
	if v6 {
		return parseNodes(b, 16)
	}
	return parseNodes(b, 4)
}
