package wire

import (
	"encoding/binary"
	"math/bits"
)

// hashSpanLen is the encoded size of a HashSpan in bytes.
const hashSpanLen = 48

// Limits of a hash request. BEP 52 wants 512 at most; the height of a tree over 2^63 bytes is below 64.
const (
	maxHashRequest = 512
	maxTreeHeight  = 64
)

// HashSpan names hashes of a file's Merkle tree (BEP 52, "hash request"): it is the payload of HashRequest and
// HashReject, and the head of Hashes.
type HashSpan struct {
	Root        [32]byte // pieces root of the file
	BaseLayer   uint32   // layer of the hashes; 0 are the leaves, one per block
	Index       uint32   // of the first hash in that layer; a multiple of Length
	Length      uint32   // number of hashes; a power of two, at least 2
	ProofLayers uint32   // how many layers above BaseLayer to prove them with
}

// Append appends the 48 encoded bytes to b.
func (s HashSpan) Append(b []byte) []byte {
	b = append(b, s.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, s.BaseLayer)
	b = binary.BigEndian.AppendUint32(b, s.Index)
	b = binary.BigEndian.AppendUint32(b, s.Length)
	return binary.BigEndian.AppendUint32(b, s.ProofLayers)
}

// ParseHashSpan parses the Data of a HashRequest, Hashes or HashReject. rest refers to data: of Hashes it is Length
// hashes of 32 bytes, then those of the proof, else it is empty. The fields are checked as far as they can be without
// the torrent, so that arithmetic on them cannot overflow. The error wraps ErrMalformed.
func ParseHashSpan(data []byte) (s HashSpan, rest []byte, err error) {
	if len(data) < hashSpanLen {
		return HashSpan{}, nil, malformed("hash span of %d bytes", len(data))
	}
	copy(s.Root[:], data)
	s.BaseLayer = binary.BigEndian.Uint32(data[32:])
	s.Index = binary.BigEndian.Uint32(data[36:])
	s.Length = binary.BigEndian.Uint32(data[40:])
	s.ProofLayers = binary.BigEndian.Uint32(data[44:])
	switch {
	case s.Length < 2 || s.Length > maxHashRequest || bits.OnesCount32(s.Length) != 1:
		return HashSpan{}, nil, malformed("hash span of length %d", s.Length)
	case s.Index%s.Length != 0:
		return HashSpan{}, nil, malformed("hash span at %d of length %d", s.Index, s.Length)
	case s.BaseLayer >= maxTreeHeight || s.ProofLayers >= maxTreeHeight:
		return HashSpan{}, nil, malformed("hash span at layer %d with %d proof layers", s.BaseLayer, s.ProofLayers)
	}
	return s, data[hashSpanLen:], nil
}

// Uncles returns how many hashes of proof follow the Length hashes of the answer: those proof layers that cannot be
// computed from the hashes themselves.
func (s HashSpan) Uncles() int {
	return max(0, int(s.ProofLayers)-(bits.Len32(s.Length)-2))
}
