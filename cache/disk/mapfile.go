package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// mapMagic begins every map file. A version that reads other bytes differently
// gets another one; older files are then found damaged, and their data is checked
// piece by piece.
const mapMagic = "magnetfs map 1\n"

// maxMapBytes bounds what is read of a map file. A run takes at most 11 bytes, so
// the worst torrent (2^26 pieces, every other one here) stays below.
const maxMapBytes = 512 << 20

// mapFile is the content of a map: what is here of a torrent.
//
//	"magnetfs map 1\n"
//	layout   32 bytes      SHA-256 of where bytes are; data of another layout is useless
//	cost     uvarint       bytes of the budget in use
//	pieces   uvarint       of the torrent
//	runs     uvarint       their number, then of each:
//	  gap    uvarint       pieces that are missing since the run before
//	  length uvarint       (pieces − 1) × 2, + 1 if they are suspect
//	  minute varint        last read, minutes since 1970, less those of the run before
//	files    uvarint       their number, then of each:
//	  gap    uvarint       files left out since the one before
//	  size   uvarint       bytes
//	  mtime  varint        nanoseconds since 1970
//	sum      32 bytes      SHA-256 of all before
type mapFile struct {
	layout [sha256.Size]byte
	cost   int64
	pieces int
	runs   []run          // in order, apart
	files  []stampedEntry // in order
}

// run is a number of pieces in a row of which the same is known.
type run struct {
	first, n int
	suspect  bool
	minute   uint32
}

// stamp is how a file looked when its pieces were put on the map.
type stamp struct{ size, mtime int64 }

type stampedEntry struct {
	file int
	stamp
}

func (m *mapFile) encode() []byte {
	b := make([]byte, 0, len(mapMagic)+2*sha256.Size+8*len(m.runs)+16*len(m.files)+32)
	b = append(b, mapMagic...)
	b = append(b, m.layout[:]...)
	b = binary.AppendUvarint(b, uint64(m.cost))
	b = binary.AppendUvarint(b, uint64(m.pieces))
	b = binary.AppendUvarint(b, uint64(len(m.runs)))
	next, minute := 0, int64(0)
	for _, r := range m.runs {
		n := uint64(r.n-1) * 2
		if r.suspect {
			n++
		}
		b = binary.AppendUvarint(b, uint64(r.first-next))
		b = binary.AppendUvarint(b, n)
		b = binary.AppendVarint(b, int64(r.minute)-minute)
		next, minute = r.first+r.n, int64(r.minute)
	}
	b = binary.AppendUvarint(b, uint64(len(m.files)))
	next = 0
	for _, f := range m.files {
		b = binary.AppendUvarint(b, uint64(f.file-next))
		b = binary.AppendUvarint(b, uint64(f.size))
		b = binary.AppendVarint(b, f.mtime)
		next = f.file + 1
	}
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// parseMap reads a map file. What it accepts can be encoded again.
func parseMap(raw []byte) (*mapFile, error) {
	body := len(raw) - sha256.Size
	if body < len(mapMagic)+sha256.Size {
		return nil, fmt.Errorf("map of %d bytes is cut off", len(raw))
	}
	if sha256.Sum256(raw[:body]) != [sha256.Size]byte(raw[body:]) {
		return nil, errors.New("map has a wrong checksum")
	}
	return parseMapBody(raw[:body])
}

// parseMapBody reads what stands before the checksum.
func parseMapBody(raw []byte) (*mapFile, error) {
	if len(raw) < len(mapMagic)+sha256.Size || string(raw[:len(mapMagic)]) != mapMagic {
		return nil, errors.New("not a map of this version")
	}
	m := &mapFile{}
	copy(m.layout[:], raw[len(mapMagic):])
	c := cursor{rest: raw[len(mapMagic)+sha256.Size:]}
	m.cost = c.uint(math.MaxInt64)
	m.pieces = int(c.uint(maxPieces))

	next, minute := int64(0), int64(0)
	for n := c.count(3); n > 0 && c.err == nil; n-- {
		first := next + c.uint(maxPieces)
		length := c.uint(2 * maxPieces)
		minute += c.int()
		r := run{first: int(first), n: int(length/2 + 1), suspect: length%2 == 1, minute: uint32(minute)}
		next = first + int64(r.n)
		if next > int64(m.pieces) || minute < 0 || minute > math.MaxUint32 {
			c.fail()
		}
		m.runs = append(m.runs, r)
	}
	next = 0
	for n := c.count(3); n > 0 && c.err == nil; n-- {
		file := next + c.uint(math.MaxInt32)
		f := stampedEntry{int(file), stamp{c.uint(math.MaxInt64), c.int()}}
		if next = file + 1; file > math.MaxInt32 {
			c.fail()
		}
		m.files = append(m.files, f)
	}
	if len(c.rest) > 0 {
		c.fail()
	}
	if c.err != nil {
		return nil, c.err
	}
	return m, nil
}

var errMap = errors.New("map holds nonsense")

// cursor reads numbers; after the first error it returns zeros.
type cursor struct {
	rest []byte
	err  error
}

func (c *cursor) fail() { c.err, c.rest = errMap, nil }

// uint reads a number up to limit.
func (c *cursor) uint(limit int64) int64 {
	v, n := binary.Uvarint(c.rest)
	if n <= 0 || v > uint64(limit) {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return int64(v)
}

func (c *cursor) int() int64 {
	v, n := binary.Varint(c.rest)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.rest = c.rest[n:]
	return v
}

// count reads the number of items that follow, of least bytes each at least.
func (c *cursor) count(least int64) int64 { return c.uint(int64(len(c.rest)) / least) }

// minute is the last time that a piece of the torrent was read.
func (m *mapFile) minute() (latest uint32) {
	for _, r := range m.runs {
		latest = max(latest, r.minute)
	}
	return latest
}
