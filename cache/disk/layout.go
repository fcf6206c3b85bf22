package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"sort"
	"strings"
)

// block is what a file system allocates at least; the budget counts in it.
const block = 4096

// maxPieces is the largest number of pieces of a torrent that is accepted.
const maxPieces = 1 << 26

// File is one file of a torrent.
type File struct {
	// Path holds the elements of the path below the torrent's data folder. They
	// have to be safe file names. To let other clients find the files, the first
	// one is the torrent's name if it is a folder.
	Path   []string
	Offset int64 // of its first byte in the byte space of the torrent
	Length int64 // bytes
	Pad    bool  // padding: zeros that are part of pieces but not stored
}

// Layout says where the pieces of a torrent are in its files. Piece i begins at
// i × PieceLength of the byte space and ends where the next one begins, or with the
// last file in it.
type Layout struct {
	PieceLength int64 // bytes
	// Files are in order of Offset and do not overlap. Gaps are allowed where a
	// piece ends (torrents of version 2 have them behind each file). Paths of
	// files with data are unique.
	Files []File
}

// layout is a checked Layout.
type layout struct {
	pieceLen int64
	files    []storedFile // with data, padding included, in order
	pieces   int
	digest   [sha256.Size]byte // of all that determines where bytes are
}

type storedFile struct {
	name     string // slash path below the data folder; "" for padding
	off, len int64
}

// segment is the part of a piece that is in one file.
type segment struct {
	file     int   // index in layout.files
	off      int64 // in the file
	from, to int64 // in the piece
}

func newLayout(l Layout) (*layout, error) {
	if l.PieceLength <= 0 || l.PieceLength > math.MaxInt32 {
		return nil, fmt.Errorf("disk: piece length of %d bytes", l.PieceLength)
	}
	lay := &layout{pieceLen: l.PieceLength}
	sum := sha256.New()
	number := func(n int64) { _ = binary.Write(sum, binary.BigEndian, n) } // a hash takes everything
	number(l.PieceLength)

	names := make(map[string]bool) // true: a file; false: a folder
	var end int64
	for i, f := range l.Files {
		if f.Length == 0 {
			continue
		}
		if f.Length < 0 || f.Offset < end || f.Length > math.MaxInt64-f.Offset {
			return nil, fmt.Errorf("disk: file %d: %d bytes at %d, the one before ends at %d", i, f.Length, f.Offset, end)
		}
		if gap := f.Offset - end; gap > 0 && (gap >= l.PieceLength || f.Offset%l.PieceLength != 0) {
			return nil, fmt.Errorf("disk: file %d: begins %d bytes behind the one before", i, gap)
		}
		end = f.Offset + f.Length
		s := storedFile{off: f.Offset, len: f.Length}
		if !f.Pad {
			if err := claim(names, f.Path); err != nil {
				return nil, fmt.Errorf("disk: file %d: %w", i, err)
			}
			s.name = path.Join(f.Path...)
		}
		lay.files = append(lay.files, s)
		number(f.Offset)
		number(f.Length)
		number(int64(len(s.name)))
		sum.Write([]byte(s.name))
	}
	n := end / l.PieceLength
	if end%l.PieceLength != 0 {
		n++
	}
	if n == 0 || n > maxPieces {
		return nil, fmt.Errorf("disk: torrent of %d pieces", n)
	}
	lay.pieces = int(n)
	sum.Sum(lay.digest[:0])
	return lay, nil
}

// claim checks a path and notes it, and the folders it is in, as taken.
func claim(names map[string]bool, elements []string) error {
	if len(elements) == 0 {
		return errors.New("empty path")
	}
	name := ""
	for i, e := range elements {
		if e == "" || e == "." || e == ".." || len(e) > 255 || strings.ContainsAny(e, "/\x00") {
			return fmt.Errorf("unsafe path %q", elements)
		}
		name = path.Join(name, e)
		isFile, taken := names[name]
		last := i == len(elements)-1
		if taken && (isFile || last) {
			return fmt.Errorf("path %q is taken", elements)
		}
		names[name] = last
	}
	return nil
}

// at is the index of the first file that ends behind an offset of the torrent.
func (l *layout) at(off int64) int {
	return sort.Search(len(l.files), func(i int) bool { return l.files[i].off+l.files[i].len > off })
}

// size is the length of a piece in bytes.
func (l *layout) size(piece int) int64 {
	begin := int64(piece) * l.pieceLen
	end := begin + l.pieceLen
	// The last file that begins before the end of the piece.
	i := sort.Search(len(l.files), func(i int) bool { return l.files[i].off >= end }) - 1
	return min(end, l.files[i].off+l.files[i].len) - begin
}

// segments lists where a piece is stored, in order; padding is left out.
func (l *layout) segments(piece int) []segment {
	begin := int64(piece) * l.pieceLen
	end := begin + l.pieceLen
	var segs []segment
	for i := l.at(begin); i < len(l.files) && l.files[i].off < end; i++ {
		f := l.files[i]
		if f.name == "" {
			continue
		}
		lo, hi := max(begin, f.off), min(end, f.off+f.len)
		segs = append(segs, segment{i, lo - f.off, lo - begin, hi - begin})
	}
	return segs
}

// cost is what a piece takes of the budget: its stored bytes in whole blocks, so
// that torrents of thousands of tiny files are not counted too low.
func (l *layout) cost(piece int) (bytes int64) {
	for _, s := range l.segments(piece) {
		bytes += (s.to - s.from + block - 1) / block * block
	}
	return bytes
}

// span is the range of pieces [first, last] that a file touches.
func (l *layout) span(file int) (first, last int) {
	f := l.files[file]
	return int(f.off / l.pieceLen), int((f.off + f.len - 1) / l.pieceLen)
}

// stored finds the file that a caller's index means; -1 if it has no data.
func (l *layout) stored(f File) int {
	if f.Length == 0 || f.Pad {
		return -1
	}
	name := path.Join(f.Path...)
	i := l.at(f.Offset)
	if i < len(l.files) && l.files[i].name == name {
		return i
	}
	return -1
}

// byName maps the paths of stored files to their index.
func (l *layout) byName() map[string]int {
	m := make(map[string]int, len(l.files))
	for i, f := range l.files {
		if f.name != "" {
			m[f.name] = i
		}
	}
	return m
}

// extent is a range of a file that holds data, [from, to).
type extent struct{ from, to int64 }

// covers tells whether [from, to) is in one of the extents, which are sorted and
// do not touch.
func covers(exts []extent, from, to int64) bool {
	i, found := slices.BinarySearchFunc(exts, from, func(e extent, from int64) int {
		switch {
		case e.to <= from:
			return -1
		case e.from > from:
			return 1
		}
		return 0
	})
	return found && exts[i].to >= to
}
