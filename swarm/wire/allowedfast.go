package wire

import (
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"slices"
)

// AllowedFastSet returns the pieces that a peer at address ip may request while it is choked (BEP 6, "allowed fast
// set"): k piece indices below count, fewer if the torrent has fewer, in the order in which they are drawn. Every
// client computes the same set for an IPv4 address. For IPv6, on which the BEP is silent, the whole address is hashed
// as libtorrent does. k is meant to be about ten: the time grows with its square.
func AllowedFastSet(ip netip.Addr, infoHash [20]byte, count, k int) []int {
	ip = ip.Unmap()
	if !ip.IsValid() || count <= 0 || k <= 0 {
		return nil
	}
	k = min(k, count)
	seed := ip.AsSlice()
	if ip.Is4() {
		seed[3] = 0
	}
	x := sha1.Sum(append(seed, infoHash[:]...))
	set := make([]int, 0, k)
	for {
		for i := 0; i < len(x); i += 4 {
			index := int(uint64(binary.BigEndian.Uint32(x[i:])) % uint64(count))
			if slices.Contains(set, index) {
				continue
			}
			if set = append(set, index); len(set) == k {
				return set
			}
		}
		x = sha1.Sum(x[:])
	}
}
