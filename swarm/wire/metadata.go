package wire

import (
	"strconv"

	"magnetfs/swarm/benc"
)

// MetadataBlockSize is the unit in which the info dictionary is exchanged, in bytes; the last block is shorter (BEP 9).
const MetadataBlockSize = 16 << 10

// maxMetadataBlocks is the number of blocks of the largest info dictionary that we deal with.
const maxMetadataBlocks = MaxMetadata / MetadataBlockSize

// MetadataType is the msg_type of a ut_metadata message.
type MetadataType uint8

// Types of ut_metadata messages (BEP 9). MetadataUnknown stands for all others, which are to be ignored.
const (
	MetadataRequest MetadataType = 0
	MetadataData    MetadataType = 1
	MetadataReject  MetadataType = 2
	MetadataUnknown MetadataType = 255
)

// MetadataMessage is the payload of a ut_metadata message (BEP 9).
type MetadataMessage struct {
	Type      MetadataType
	Piece     int    // number of the block, from 0
	TotalSize int    // MetadataData only: bytes of the whole info dictionary
	Data      []byte // MetadataData only: the block
}

// Append appends the payload to b. MetadataUnknown cannot be sent: b comes back as it was.
func (m MetadataMessage) Append(b []byte) []byte {
	if m.Type == MetadataUnknown {
		return b
	}
	b = append(b, "d8:msg_typei"...)
	b = strconv.AppendUint(b, uint64(m.Type), 10)
	b = append(b, "e5:piecei"...)
	b = strconv.AppendInt(b, int64(m.Piece), 10)
	b = append(b, 'e')
	if m.Type == MetadataData {
		b = append(b, "10:total_sizei"...)
		b = strconv.AppendInt(b, int64(m.TotalSize), 10)
		b = append(b, 'e')
	}
	b = append(b, 'e')
	return append(b, m.Data...)
}

// ParseMetadataMessage parses the payload of a ut_metadata message. Data refers to payload. The block number is within
// MaxMetadata, and a block of data has exactly the size that its number and TotalSize demand. Of an unknown type only
// Type is set. The error wraps ErrMalformed.
func ParseMetadataMessage(payload []byte) (MetadataMessage, error) {
	v, n, err := benc.ParsePrefix(payload, extLimits)
	if err != nil {
		return MetadataMessage{}, malformed("ut_metadata: %v", err)
	}
	typ, ok := v.Get("msg_type").Int()
	if !ok {
		return MetadataMessage{}, malformed("ut_metadata: no msg_type")
	}
	if typ < int64(MetadataRequest) || typ > int64(MetadataReject) {
		return MetadataMessage{Type: MetadataUnknown}, nil
	}
	piece, ok := v.Get("piece").Int()
	if !ok || piece < 0 || piece >= maxMetadataBlocks {
		return MetadataMessage{}, malformed("ut_metadata: piece %d", piece)
	}
	m := MetadataMessage{Type: MetadataType(typ), Piece: int(piece)}
	if m.Type != MetadataData {
		return m, nil
	}
	total, ok := v.Get("total_size").Int()
	if !ok || total <= 0 || total > MaxMetadata {
		return MetadataMessage{}, malformed("ut_metadata: total_size %d", total)
	}
	m.TotalSize, m.Data = int(total), payload[n:]
	if want := MetadataBlock(m.TotalSize, m.Piece); want == 0 || want != len(m.Data) {
		return MetadataMessage{}, malformed("ut_metadata: %d bytes of data, want %d", len(m.Data), want)
	}
	return m, nil
}

// MetadataBlock returns the size in bytes of block number piece of an info dictionary of size bytes; 0 if it has no
// such block.
func MetadataBlock(size, piece int) int {
	if piece < 0 || size <= 0 || piece > (size-1)/MetadataBlockSize {
		return 0
	}
	return min(MetadataBlockSize, size-piece*MetadataBlockSize)
}
