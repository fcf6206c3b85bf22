package metainfo

import (
	"crypto/sha256"
	"math/bits"
)

// Hash trees of BEP 52. Leaves are the SHA-256 of blocks of 16 KiB; the last block of a file is hashed short. Layer 0
// are the leaves, layer h+1 has the hashes of pairs of layer h. A layer is padded to a power of two with the roots of
// subtrees whose leaves are zero.

// leafSize is the number of bytes under one leaf, whatever the piece length.
const leafSize = 16 << 10

// maxHeight bounds trees: 2^21 pieces of at most 2^15 leaves.
const maxHeight = 36

// padHashes holds the root of a tree of 2^h zero leaves at index h.
var padHashes = func() (pads [maxHeight + 1]digest) {
	for h := range maxHeight {
		pads[h+1] = pairHash(pads[h], pads[h])
	}
	return pads
}()

// pairHash is the node above two siblings.
func pairHash(left, right digest) digest {
	var b [2 * sha256.Size]byte
	copy(b[:], left[:])
	copy(b[sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// PadHash returns the root of a tree whose 2^height leaves are zero, 0 ≤ height ≤ 36.
func PadHash(height int) [32]byte { return padHashes[height] }

// LeafHash returns the leaf for one block, at most 16 KiB of data.
func LeafHash(block []byte) [32]byte { return sha256.Sum256(block) }

// LeafHashes returns the leaves for data that start at a block border of a file, 32 bytes each.
func LeafHashes(data []byte) []byte {
	leaves := make([]byte, 0, leafCount(int64(len(data)))*sha256.Size)
	for len(data) > 0 {
		n := min(len(data), leafSize)
		leaf := LeafHash(data[:n])
		leaves = append(leaves, leaf[:]...)
		data = data[n:]
	}
	return leaves
}

// MerkleRoot reduces a layer, a sequence of one or more hashes of 32 bytes, to its root. The layer is padded to the
// next power of two with the roots of zero subtrees of the given height (0 if the hashes are leaves).
func MerkleRoot(layer []byte, height int) [32]byte {
	row := append([]byte(nil), layer...)
	for ; len(row) > sha256.Size; height++ {
		row = nextLayer(row[:0], row, height)
	}
	return digest(row)
}

// PieceRoot returns the root over the blocks of data, padded with zero leaves to the given number, a power of two.
func PieceRoot(data []byte, leaves int) [32]byte {
	row := LeafHashes(data)
	if len(row) == 0 {
		return padHashes[log2(int64(leaves))]
	}
	for height := range log2(int64(leaves)) {
		row = nextLayer(row[:0], row, height)
	}
	return digest(row)
}

// nextLayer appends to dst the layer above row, whose nodes have the given height. dst may be row[:0].
func nextLayer(dst, row []byte, height int) []byte {
	const pair = 2 * sha256.Size
	for len(row) > 0 {
		var node digest
		if len(row) >= pair {
			node = sha256.Sum256(row[:pair])
			row = row[pair:]
		} else {
			node = pairHash(digest(row), padHashes[height])
			row = nil
		}
		dst = append(dst, node[:]...)
	}
	return dst
}

// leafCount returns the number of blocks in so many bytes.
func leafCount(size int64) int64 {
	return (size + leafSize - 1) / leafSize
}

// log2 returns the exponent of the smallest power of two that is not below n, n ≥ 1.
func log2(n int64) int { return bits.Len64(uint64(n - 1)) }

// TreeHeight returns the height of the hash tree of a file of so many bytes: the number of layers above the leaves.
func TreeHeight(length int64) int {
	if length <= leafSize {
		return 0
	}
	return log2(leafCount(length))
}
