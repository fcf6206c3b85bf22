package store

import (
	"crypto/sha1"
	"math"
	"math/bits"
	"net/netip"
	"slices"

	"magnetfs/swarm/dht/krpc"
)

// Filter is the Bloom filter of IP addresses of BEP 33: 2,048 bits, two of them
// set for each address.
type Filter [krpc.FilterLen]byte

// filterBits is m, the number of bits.
const filterBits = krpc.FilterLen * 8

// bitsOf returns the two indices for ip. They are little-endian, alone in this
// protocol.
func bitsOf(ip netip.Addr) (i, j int) {
	h := sha1.Sum(ip.Unmap().AsSlice())
	return (int(h[0]) | int(h[1])<<8) % filterBits, (int(h[2]) | int(h[3])<<8) % filterBits
}

// Insert adds ip.
func (f *Filter) Insert(ip netip.Addr) {
	i, j := bitsOf(ip)
	f[i/8] |= 1 << (i % 8)
	f[j/8] |= 1 << (j % 8)
}

// Has tells whether ip was inserted; of others it is true by chance now and then.
func (f *Filter) Has(ip netip.Addr) bool {
	i, j := bitsOf(ip)
	return f[i/8]&(1<<(i%8)) != 0 && f[j/8]&(1<<(j%8)) != 0
}

// Union adds all addresses of g.
func (f *Filter) Union(g *Filter) {
	for i := range f {
		f[i] |= g[i]
	}
}

// zeros counts the bits that are not set.
func (f *Filter) zeros() int {
	n := filterBits
	for _, b := range f {
		n -= bits.OnesCount8(b)
	}
	return n
}

// Full tells that the filter has no room left: the estimate is a lower bound.
func (f *Filter) Full() bool { return f.zeros() == 0 }

// Estimate returns about how many addresses were inserted: 0 for an empty
// filter (the formula of BEP 33 gives 0.5), some 7,800 for a full one.
func (f *Filter) Estimate() float64 {
	c := f.zeros()
	if c == filterBits {
		return 0
	}
	c = max(1, min(c, filterBits-1))
	return math.Log(float64(c)/filterBits) / (2 * math.Log(1-1.0/filterBits))
}

// Combine unites filters of several nodes and leaves out those that hold far
// more than the others: any node can send a full filter. They are measured
// against the median of the filters that are not empty.
func Combine(filters []Filter) (sum Filter) {
	var sizes []float64
	for i := range filters {
		if e := filters[i].Estimate(); e > 0 {
			sizes = append(sizes, e)
		}
	}
	if len(sizes) == 0 {
		return sum
	}
	slices.Sort(sizes)
	limit := outlierFactor*sizes[(len(sizes)-1)/2] + outlierSlack
	for i := range filters {
		if filters[i].Estimate() <= limit {
			sum.Union(&filters[i])
		}
	}
	return sum
}

// A filter is left out above factor × median + slack (guess: nodes that are
// near the hash differ by what the last announces reached).
const (
	outlierFactor = 4
	outlierSlack  = 32
)
