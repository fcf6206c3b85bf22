package table

import (
	"math/bits"
	"net/netip"
	"slices"
)

// spare puts n into the replacement cache, whose last entry is the one that
// answered last. The longest unheard of goes when it is full.
func (b *bucket) spare(n *Node) {
	b.drop(n.Addr)
	if len(b.replacements) == maxReplacements {
		b.replacements = slices.Delete(b.replacements, 0, 1)
	}
	b.replacements = append(b.replacements, n)
}

// drop takes addr out of the replacement cache.
func (b *bucket) drop(addr netip.AddrPort) {
	b.replacements = slices.DeleteFunc(b.replacements, func(r *Node) bool { return r.Addr == addr })
}

// victim returns the node of the full bucket with index i that the newcomer
// replaces, or nil if all stay (see "Who is preferred" of the package).
func (b *bucket) victim(i int, newcomer *Node) *Node {
	var worst *Node
	for _, n := range b.nodes {
		if n.Fails > 0 && (worst == nil || n.Fails > worst.Fails) {
			worst = n
		}
	}
	if worst != nil {
		return worst
	}
	if newcomer.Compliant {
		for j := len(b.nodes) - 1; j >= 0; j-- {
			if !b.nodes[j].Compliant {
				return b.nodes[j]
			}
		}
	}
	return b.crowded(i, newcomer)
}

// crowded returns the youngest node of the fullest branch of a full bucket, if
// the branch of the newcomer is empty. A bucket of capacity 2^d has 2^d
// branches: the d bits behind the one that all of its nodes share.
func (b *bucket) crowded(i int, newcomer *Node) *Node {
	depth := bits.Len(uint(capacity(i))) - 1
	var count [16 * K]uint8
	most := uint8(1)
	for _, n := range b.nodes {
		br := branch(n, i, depth)
		count[br]++
		most = max(most, count[br])
	}
	mine := branch(newcomer, i, depth)
	if count[mine] > 0 || most < 2 || !newcomer.Compliant {
		return nil
	}
	for j := len(b.nodes) - 1; j >= 0; j-- {
		if n := b.nodes[j]; count[branch(n, i, depth)] == most {
			return n
		}
	}
	return nil
}

// branch returns the depth bits of n's ID behind bit i.
func branch(n *Node, i, depth int) (br int) {
	for j := i + 1; j <= i+depth; j++ {
		br <<= 1
		if j < len(n.ID)*8 {
			br |= int(n.ID.Bit(j))
		}
	}
	return br
}
