package metainfo

import (
	"sort"
)

// Span is a run of bytes that lies in one piece and in one file.
type Span struct {
	File       int   // index in Info.Files; may be padding
	FileOffset int64 // of its first byte in the file
	Begin      int64 // of its first byte in the piece
	Length     int64 // bytes, > 0
}

// NumPieces returns the number of pieces; 0 if there are no data.
func (fi *Info) NumPieces() int { return fi.numPieces }

// PieceSize returns the number of bytes of piece i, 0 ≤ i < NumPieces: what peers may be asked for. It is PieceLength
// except at the end of the torrent, or of a file if the torrent is v2 only.
func (fi *Info) PieceSize(i int) int64 {
	begin := int64(i) * fi.PieceLength
	end := fi.Length
	if !fi.V1 {
		f := &fi.Files[fi.fileAt(begin)]
		end = f.Offset + f.Length
	}
	return min(fi.PieceLength, end-begin)
}

// FilePieces returns the first and the last piece that hold bytes of file f. An empty file has none: first > last.
func (fi *Info) FilePieces(f int) (first, last int) {
	file := &fi.Files[f]
	first = int(file.Offset / fi.PieceLength)
	if file.Length == 0 {
		return first, first - 1
	}
	return first, int((file.Offset + file.Length - 1) / fi.PieceLength)
}

// PieceSpans lists the parts of files that make up piece i, in order and without gaps. Parts of padding files are
// zeros that nobody needs to send.
func (fi *Info) PieceSpans(i int) []Span {
	begin := int64(i) * fi.PieceLength
	end := begin + fi.PieceSize(i)
	var spans []Span
	for f := fi.fileAt(begin); f < len(fi.Files) && fi.Files[f].Offset < end; f++ {
		file := &fi.Files[f]
		from, to := max(begin, file.Offset), min(end, file.Offset+file.Length)
		if from < to {
			spans = append(spans, Span{f, from - file.Offset, from - begin, to - from})
		}
	}
	return spans
}

// FileAt returns the file that holds the byte at offset off of the byte space, or -1 if none does: off is outside the
// torrent or in a gap of a v2 torrent.
func (fi *Info) FileAt(off int64) int {
	f := fi.fileAt(off)
	if off < 0 || f == len(fi.Files) || off < fi.Files[f].Offset {
		return -1
	}
	return f
}

// fileAt returns the first file that ends behind off. Ends never decrease in the order of the files.
func (fi *Info) fileAt(off int64) int {
	return sort.Search(len(fi.Files), func(f int) bool {
		return fi.Files[f].Offset+fi.Files[f].Length > off
	})
}

// dataInPiece returns how many bytes of piece i the v2 hash covers, and the file they belong to: all but the padding
// that a hybrid has behind the file.
func (fi *Info) dataInPiece(i int) (f int, size int64) {
	begin := int64(i) * fi.PieceLength
	f = fi.fileAt(begin)
	file := &fi.Files[f]
	return f, min(fi.PieceLength, file.Offset+file.Length-begin)
}
