package metainfo

import (
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
)

// WithPieceLayers returns a copy of the info that knows more piece layers, by pieces root: the hashes of the pieces of
// a file, 32 bytes each. Every layer must belong to a file of more than one piece and hash to its root; otherwise
// nothing is taken. Layers known before are kept. The layers given are kept and must not be changed.
func (fi *Info) WithPieceLayers(layers map[[32]byte][]byte) (*Info, error) {
	if len(layers) == 0 {
		return fi, nil
	}
	next := *fi
	next.trees = maps.Clone(fi.trees)
	if next.trees == nil {
		next.trees = make(map[digest]*Tree, len(layers))
	}
	used := make(map[digest]struct{}, len(layers))
	for f := range fi.Files {
		root, ok := fi.Root(f)
		layer, given := layers[root]
		if !ok || !given || fi.Files[f].Length <= fi.PieceLength {
			continue
		}
		// Files with one root have the same length, or one of them fails here: the layer has one hash for each piece,
		// and the root of a longer tree would be a collision.
		tree, err := NewTree(root, fi.Files[f].Length, fi.PieceLength, layer)
		if err != nil {
			return nil, fmt.Errorf("%w (file %d)", err, f)
		}
		next.trees[root] = tree
		used[root] = struct{}{}
	}
	if len(used) < len(layers) {
		return nil, errors.New("metainfo: piece layer for no file of the torrent")
	}
	return &next, nil
}

// Tree returns the hash tree of file f from the piece layer up. false if the file has no v2 hashes, or if its piece
// layer is not known yet and has to be asked from peers.
func (fi *Info) Tree(f int) (*Tree, bool) {
	root, ok := fi.Root(f)
	if !ok {
		return nil, false
	}
	if length := fi.Files[f].Length; length <= fi.PieceLength {
		t, err := NewTree(root, length, fi.PieceLength, nil)
		return t, err == nil
	}
	t, ok := fi.trees[root]
	return t, ok
}

// PieceLayers returns the known piece layers by pieces root. Read only.
func (fi *Info) PieceLayers() map[[32]byte][]byte {
	layers := make(map[digest][]byte, len(fi.trees))
	for root, t := range fi.trees {
		layers[root] = t.PieceLayer()
	}
	return layers
}

// PieceHashV2 returns what piece i has to hash to in the v2 tree of its file, and how many leaves (a power of two) the
// piece's part of the tree has. false if there are no v2 hashes or the layer is not known.
func (fi *Info) PieceHashV2(i int) (hash [32]byte, leaves int, ok bool) {
	if !fi.V2 {
		return digest{}, 0, false
	}
	f, _ := fi.dataInPiece(i)
	file := &fi.Files[f]
	if file.Length <= fi.PieceLength {
		return fi.roots[f], 1 << TreeHeight(file.Length), true
	}
	t, ok := fi.trees[fi.roots[f]]
	if !ok {
		return digest{}, 0, false
	}
	first := int(file.Offset / fi.PieceLength)
	return digest(t.PieceLayer()[(i-first)*sha256.Size:]), int(fi.PieceLength / leafSize), true
}

var (
	// ErrPieceHash means that the data of a piece are not what the torrent says: some peer sent a wrong block.
	ErrPieceHash = errors.New("metainfo: piece hash mismatch")
	// ErrInconsistent means that the v1 and the v2 hash of a piece of a hybrid torrent cannot both be met. The torrent
	// is broken; peers are not to blame.
	ErrInconsistent = errors.New("metainfo: v1 and v2 hashes of the torrent contradict each other")
	// ErrNoPieceHash means that a v2 piece cannot be verified before its file's piece layer is known.
	ErrNoPieceHash = errors.New("metainfo: piece layer not known")
)

// VerifyPiece checks the data of piece i, PieceSize(i) bytes, against every hash that is known. It returns nil,
// ErrPieceHash, ErrInconsistent or ErrNoPieceHash.
func (fi *Info) VerifyPiece(i int, data []byte) error {
	if int64(len(data)) != fi.PieceSize(i) {
		return ErrPieceHash
	}
	want, leaves, hasV2 := fi.PieceHashV2(i)
	okV2 := hasV2
	if hasV2 {
		_, size := fi.dataInPiece(i)
		okV2 = PieceRoot(data[:size], leaves) == want
	}
	if !fi.V1 {
		switch {
		case !hasV2:
			return ErrNoPieceHash
		case !okV2:
			return ErrPieceHash
		}
		return nil
	}
	okV1 := sha1.Sum(data) == fi.PieceHash(i)
	switch {
	case hasV2 && okV1 != okV2:
		return ErrInconsistent
	case !okV1:
		return ErrPieceHash
	}
	return nil
}
