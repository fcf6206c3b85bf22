package metainfo

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/bits"
)

// Tree is the verified upper part of a file's hash tree: the piece layer and all above it. It is immutable.
type Tree struct {
	base   int      // layer of layers[0]
	height int      // layer of the root
	layers [][]byte // from the piece layer to the root, 32 bytes per node, padding nodes left out
}

// NewTree builds the tree of a file from its piece layer: one hash of 32 bytes for each piece. It fails if the layer
// does not have the right size or does not reduce to root. layer is kept. A file of at most one piece has no layer;
// its tree is root alone and layer is ignored.
func NewTree(root [32]byte, length, pieceLength int64, layer []byte) (*Tree, error) {
	t := &Tree{height: TreeHeight(length)}
	t.base = min(log2(pieceLength/leafSize), t.height)
	if length <= pieceLength {
		t.layers = [][]byte{root[:]}
		return t, nil
	}
	pieces := (length + pieceLength - 1) / pieceLength
	if int64(len(layer)) != pieces*sha256.Size {
		return nil, fmt.Errorf("metainfo: piece layer of %d bytes for %d pieces", len(layer), pieces)
	}
	t.layers = append(t.layers, layer)
	for h := t.base; h < t.height; h++ {
		row := t.layers[len(t.layers)-1]
		t.layers = append(t.layers, nextLayer(make([]byte, 0, len(row)/2+sha256.Size), row, h))
	}
	if top := t.layers[len(t.layers)-1]; digest(top) != root {
		return nil, errors.New("metainfo: piece layer does not hash to the pieces root")
	}
	return t, nil
}

// PieceLayer returns the hashes of the file's pieces, 32 bytes each. Read only.
func (t *Tree) PieceLayer() []byte { return t.layers[0] }

// Height returns the number of layers above the leaves.
func (t *Tree) Height() int { return t.height }

// node returns a node on or above the piece layer, padding included.
func (t *Tree) node(layer, index int) digest {
	row := t.layers[layer-t.base]
	if off := index * sha256.Size; off < len(row) {
		return digest(row[off:])
	}
	return padHashes[layer]
}

// ErrNoHashes is returned for nodes below the piece layer when the data of that piece are not at hand.
var ErrNoHashes = errors.New("metainfo: hashes not available")

// Hashes answers a request: Length nodes, then the uncles, 32 bytes each. leaves returns the leaf hashes of a piece of
// the file (counted from the file's first piece) if they can be computed, and is only called for layer 0; layers
// between that and the piece layer are not served. The error is ErrNoHashes or tells why the request is out of bounds.
func (t *Tree) Hashes(r HashRequest, leaves func(piece int) ([]byte, bool)) ([]byte, error) {
	if err := r.Check(t.height); err != nil {
		return nil, err
	}
	base, index, count := int(r.Base), int(r.Index), int(r.Length)
	below := func(int, int) (digest, bool) { return digest{}, false }
	if base < t.base {
		if base != 0 {
			return nil, ErrNoHashes
		}
		below = t.lower(index, leaves)
	}
	get := func(layer, i int) (digest, bool) {
		if layer >= t.base {
			return t.node(layer, i), true
		}
		return below(layer, i)
	}
	out := make([]byte, 0, (count+r.Uncles())*sha256.Size)
	for i := range count {
		n, ok := get(base, index+i)
		if !ok {
			return nil, ErrNoHashes
		}
		out = append(out, n[:]...)
	}
	span := log2(int64(count))
	for i := range r.Uncles() {
		layer := base + span + i
		n, ok := get(layer, index>>(span+i)^1)
		if !ok {
			return nil, ErrNoHashes
		}
		out = append(out, n[:]...)
	}
	return out, nil
}

// lower returns a lookup of nodes below the piece layer. It asks for the leaves of each piece once and keeps the last
// one: a request and its uncles below the piece layer lie in one piece, or go through pieces in order.
func (t *Tree) lower(first int, leaves func(int) ([]byte, bool)) func(layer, index int) (digest, bool) {
	piece, rows := -1, [][]byte(nil)
	pieces := len(t.layers[0]) / sha256.Size
	return func(layer, index int) (digest, bool) {
		p := index >> (t.base - layer)
		if p >= pieces {
			return padHashes[layer], true
		}
		if p != piece {
			row, ok := leaves(p)
			if !ok {
				return digest{}, false
			}
			piece, rows = p, [][]byte{row}
			for h := range t.base - 1 {
				row = nextLayer(nil, row, h)
				rows = append(rows, row)
			}
		}
		off := (index - p<<(t.base-layer)) * sha256.Size
		if row := rows[layer]; off < len(row) {
			return digest(row[off:]), true
		}
		return padHashes[layer], true
	}
}

// HashRequest names a run of nodes of one layer of a file's hash tree, and the proof wanted with them: the fields of
// the hash request, hashes and hash reject messages (BEP 52).
type HashRequest struct {
	Root   [32]byte // pieces root of the file
	Base   uint32   // layer of the nodes; 0: leaves
	Index  uint32   // of the first node, a multiple of Length
	Length uint32   // number of nodes: a power of two, 2 to 512
	Proof  uint32   // number of layers above Base to prove
}

// maxHashRequest is the largest number of nodes in one message (BEP 52 recommends 512).
const maxHashRequest = 512

// Check reports whether the request lies within a tree of the given height.
func (r HashRequest) Check(height int) error {
	if r.Length < 2 || r.Length > maxHashRequest || bits.OnesCount32(r.Length) != 1 {
		return fmt.Errorf("metainfo: hash request for %d nodes", r.Length)
	}
	if height < 0 || height > maxHeight || int64(r.Base) >= int64(height) {
		return fmt.Errorf("metainfo: hash request for layer %d of a tree of height %d", r.Base, height)
	}
	width := int64(1) << (height - int(r.Base))
	if r.Index%r.Length != 0 || int64(r.Index)+int64(r.Length) > width {
		return fmt.Errorf("metainfo: hash request for nodes %d+%d of %d", r.Index, r.Length, width)
	}
	if int64(r.Proof) > int64(height)-int64(r.Base)-1 {
		return fmt.Errorf("metainfo: hash request with a proof of %d layers, from layer %d of %d", r.Proof, r.Base, height)
	}
	return nil
}

// Uncles returns the number of proof nodes that follow the nodes. Siblings below the root of the run itself can be
// computed and are not sent.
func (r HashRequest) Uncles() int {
	return max(0, int(r.Proof)-(log2(int64(r.Length))-1))
}

// FullProof sets Proof so that the answer can be verified against the root of a tree of the given height.
func (r HashRequest) FullProof(height int) HashRequest {
	r.Proof = uint32(max(0, height-int(r.Base)-1))
	return r
}

// Verify checks an answer, Length nodes and then the uncles, against the root of a tree of the given height. The proof
// must reach the root. A failure is the fault of whoever sent the hashes, provided that the request was ours.
func (r HashRequest) Verify(height int, hashes []byte) error {
	if err := r.Check(height); err != nil {
		return err
	}
	nodes := int(r.Length) * sha256.Size
	if want := nodes + r.Uncles()*sha256.Size; len(hashes) != want {
		return fmt.Errorf("metainfo: answer of %d bytes to a hash request for %d", len(hashes), want)
	}
	span := log2(int64(r.Length))
	if reach := int(r.Base) + span + r.Uncles(); reach != height {
		return fmt.Errorf("metainfo: proof ends at layer %d of %d", reach, height)
	}
	sum := MerkleRoot(hashes[:nodes], int(r.Base))
	index := r.Index >> span
	for uncles := hashes[nodes:]; len(uncles) > 0; uncles = uncles[sha256.Size:] {
		if index&1 == 0 {
			sum = pairHash(sum, digest(uncles))
		} else {
			sum = pairHash(digest(uncles), sum)
		}
		index >>= 1
	}
	if sum != r.Root {
		return errors.New("metainfo: hashes do not lead to the pieces root")
	}
	return nil
}
