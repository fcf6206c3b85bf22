package metainfo

import (
	"crypto/sha256"
)

// Info is a checked info dictionary. It is immutable and may be shared.
//
// Its bytes form one space, cut into pieces of PieceLength: piece i covers the offsets from i·PieceLength on.
//
//   - v1 and hybrid: all files one after the other in the order of the list, padding included, without gaps.
//   - v2 only: files in the order of the tree, each starting at a piece border. The gap behind a file belongs to no
//     file and to no piece: it is never sent.
type Info struct {
	Name    string // safe for use as one path element; the info-hash in hex if the torrent's own name was unusable
	RawName string // as it stands in the info dictionary; untrusted, for web seed URLs

	PieceLength int64 // bytes; > 0, at most MaxPieceLength; for v2 a power of two ≥ 16 KiB
	Length      int64 // end of the byte space: the sum of all files, padding and (v2 only) gaps included
	Size        int64 // sum of the files a user can see: without padding and gaps

	Files   []File // in the order of the metainfo; never empty
	Single  bool   // a file without a folder: the path of the only file is Name
	Private bool   // BEP 27: peers come from trackers only

	V1, V2     bool       // which kinds of hashes it has; both: hybrid
	InfoHash   InfoHash   // of v1 if V1, otherwise the truncated one of v2
	InfoHashV2 InfoHashV2 // zero unless V2

	// Raw is the info dictionary as it was received: what the info-hash is computed of and ut_metadata sends.
	Raw []byte

	pieces    []byte // v1: SHA-1 of every piece, 20 bytes each, inside Raw
	numPieces int
	roots     []digest         // v2: pieces root by file index; zero for padding, links and empty files
	trees     map[digest]*Tree // v2: by pieces root, for files of several pieces whose layer is known
}

// digest is a node of a v2 hash tree.
type digest = [sha256.Size]byte

// File is one entry of the file list or a leaf of the v2 file tree.
type File struct {
	// Path from the torrent's folder down: safe elements, at least one. The paths of visible files are unique, and
	// none of them is also a directory. Padding files may share paths.
	Path []string

	Length int64 // bytes; 0 for symlinks
	Offset int64 // of its first byte in the byte space of the torrent

	Pad        bool // padding: contents are zero, not stored, not shown (BEP 47)
	Executable bool // attribute x
	Hidden     bool // attribute h

	// BadLink marks a symlink whose target is missing, empty or a loop. It is not shown.
	BadLink bool
	// Symlink is the target of a symlink, as safe elements from the torrent's folder down; nil for other files. Some
	// visible file or directory of the torrent has this path, perhaps by way of other links.
	Symlink []string

	rawPath []string // nil if equal to Path
}

// Visible reports whether users should see the file: it is neither padding nor a link that leads nowhere.
func (f *File) Visible() bool { return !f.Pad && !f.BadLink }

// RawPath returns the path elements as they stand in the metainfo: untrusted, for web seed URLs only.
func (f *File) RawPath() []string {
	if f.rawPath == nil {
		return f.Path
	}
	return f.rawPath
}

// PieceHash returns the SHA-1 of piece i, 0 ≤ i < NumPieces; zero if the torrent is v2 only.
func (fi *Info) PieceHash(i int) [20]byte {
	if !fi.V1 {
		return [20]byte{}
	}
	return [20]byte(fi.pieces[i*20:])
}

// Root returns the pieces root of file f: the root of its hash tree (BEP 52). false for torrents without v2 hashes and
// for files without data.
func (fi *Info) Root(f int) (root [32]byte, ok bool) {
	if !fi.V2 || fi.roots[f] == (digest{}) {
		return digest{}, false
	}
	return fi.roots[f], true
}
