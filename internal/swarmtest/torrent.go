package swarmtest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/metainfo"
)

// Format is the kind of a torrent's hashes.
type Format uint8

// The formats of BEP 3 and BEP 52.
const (
	V1 Format = iota
	Hybrid
	V2
)

func (f Format) String() string { return [...]string{"v1", "hybrid", "v2"}[f] }

// Spec describes a torrent. The zero value is a v1 torrent of one file of 256 KiB
// in pieces of 32 KiB.
type Spec struct {
	Name        string // "" = "test.bin", or "test" when there are files
	Seed        int64  // of the payload; each file has its own sequence
	Format      Format
	PieceLength int64      // bytes; 0 = 32 KiB
	Length      int64      // of the single file, when Files is nil; 0 = 256 KiB
	Files       []FileSpec // in this order (v1), or in the order of their paths
	Private     bool       // BEP 27
}

// FileSpec is one file of a Spec.
type FileSpec struct {
	Path    string // elements joined by "/"
	Length  int64  // bytes
	Attr    string // BEP 47: "x", "h", "p" (v1 only; zeros)
	Symlink string // target from the torrent's folder; the file has no data
}

// Torrent is a torrent with its payload. It is immutable.
type Torrent struct {
	*metainfo.Info // with all piece layers

	// Payload is the byte space of the torrent as metainfo.Info defines it:
	// padding included, gaps of a v2 torrent as zeros.
	Payload []byte

	files []madeFile
}

// madeFile is a file with its place in the payload.
type madeFile struct {
	FileSpec
	offset int64
	root   [32]byte // v2 pieces root
	layer  []byte   // v2 piece layer, of files longer than a piece
}

// MakeTorrent builds the torrent of a Spec. A Spec that is no torrent fails the
// test.
func MakeTorrent(tb testing.TB, spec Spec) *Torrent {
	tb.Helper()
	t, err := NewTorrent(spec)
	if err != nil {
		tb.Fatalf("swarmtest: %v", err)
	}
	return t
}

// NewTorrent is MakeTorrent outside of tests.
func NewTorrent(spec Spec) (*Torrent, error) {
	single := spec.Files == nil
	if spec.Name == "" {
		spec.Name = "test"
		if single {
			spec.Name = "test.bin"
		}
	}
	if spec.PieceLength == 0 {
		spec.PieceLength = 32 << 10
	}
	if single {
		if spec.Length == 0 {
			spec.Length = 256 << 10
		}
		spec.Files = []FileSpec{{Path: spec.Name, Length: spec.Length}}
	}
	t := &Torrent{}
	t.layOut(spec)
	raw, err := benc.Marshal(t.dictionary(spec, single))
	if err != nil {
		return nil, err
	}
	info, err := metainfo.ParseInfo(raw)
	if err != nil {
		return nil, err
	}
	layers := make(map[[32]byte][]byte)
	for _, f := range t.files {
		if f.layer != nil {
			layers[f.root] = f.layer
		}
	}
	t.Info, err = info.WithPieceLayers(layers)
	return t, err
}

// layOut orders and places the files and makes the payload and the hash trees.
func (t *Torrent) layOut(spec Spec) {
	files := slices.Clone(spec.Files)
	if spec.Format != V1 {
		slices.SortStableFunc(files, func(a, b FileSpec) int {
			return slices.Compare(strings.Split(a.Path, "/"), strings.Split(b.Path, "/"))
		})
	}
	for i, f := range files {
		if spec.Format != V1 && i > 0 && f.Symlink == "" && f.Length > 0 {
			t.align(spec)
		}
		made := madeFile{FileSpec: f, offset: int64(len(t.Payload))}
		if f.Symlink != "" {
			made.Length = 0
		}
		data := fileData(spec.Seed, made.FileSpec)
		t.Payload = append(t.Payload, data...)
		if spec.Format != V1 && len(data) > 0 {
			made.hash(data, spec.PieceLength)
		}
		t.files = append(t.files, made)
	}
}

// align fills the payload up to the next piece border: by a padding file in a
// hybrid, by a gap in a v2 torrent.
func (t *Torrent) align(spec Spec) {
	offset := int64(len(t.Payload))
	gap := (spec.PieceLength - offset%spec.PieceLength) % spec.PieceLength
	if gap == 0 {
		return
	}
	t.Payload = append(t.Payload, make([]byte, gap)...)
	if spec.Format == Hybrid {
		pad := FileSpec{Path: fmt.Sprintf(".pad/%d", gap), Length: gap, Attr: "p"}
		t.files = append(t.files, madeFile{FileSpec: pad, offset: offset})
	}
}

// fileData returns the contents of a file: random, but fixed by seed and path.
func fileData(seed int64, f FileSpec) []byte {
	data := make([]byte, f.Length)
	if !strings.Contains(f.Attr, "p") {
		key := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, uint64(seed)), f.Path...))
		rand.NewChaCha8(key).Read(data)
	}
	return data
}

// hash makes the v2 tree of a file.
func (f *madeFile) hash(data []byte, pieceLength int64) {
	if int64(len(data)) <= pieceLength {
		f.root = metainfo.MerkleRoot(metainfo.LeafHashes(data), 0)
		return
	}
	leaves := int(pieceLength / (16 << 10))
	for piece := range slices.Chunk(data, int(pieceLength)) {
		root := metainfo.PieceRoot(piece, leaves)
		f.layer = append(f.layer, root[:]...)
	}
	f.root = metainfo.MerkleRoot(f.layer, metainfo.TreeHeight(pieceLength))
}

// dictionary returns the info dictionary.
func (t *Torrent) dictionary(spec Spec, single bool) map[string]any {
	d := map[string]any{"name": spec.Name, "piece length": spec.PieceLength}
	if spec.Private {
		d["private"] = 1
	}
	if spec.Format != V2 {
		var pieces []byte
		for p := range slices.Chunk(t.Payload, int(spec.PieceLength)) {
			sum := sha1.Sum(p)
			pieces = append(pieces, sum[:]...)
		}
		d["pieces"] = string(pieces)
		if single {
			d["length"] = spec.Length
		} else {
			d["files"] = t.fileList()
		}
	}
	if spec.Format != V1 {
		d["meta version"] = 2
		d["file tree"] = t.fileTree()
	}
	return d
}

func (t *Torrent) fileList() []any {
	var list []any
	for _, f := range t.files {
		e := map[string]any{"length": f.Length, "path": strings.Split(f.Path, "/")}
		f.attributes(e)
		list = append(list, e)
	}
	return list
}

func (t *Torrent) fileTree() map[string]any {
	root := make(map[string]any)
	for _, f := range t.files {
		if strings.Contains(f.Attr, "p") {
			continue
		}
		dir := root
		for _, element := range strings.Split(f.Path, "/") {
			next, _ := dir[element].(map[string]any)
			if next == nil {
				next = make(map[string]any)
				dir[element] = next
			}
			dir = next
		}
		e := map[string]any{"length": f.Length}
		if f.Length > 0 {
			e["pieces root"] = string(f.root[:])
		}
		f.attributes(e)
		dir[""] = e
	}
	return root
}

// attributes adds what BEP 47 has to a file's entry.
func (f *madeFile) attributes(e map[string]any) {
	attr := f.Attr
	if f.Symlink != "" {
		e["symlink path"] = strings.Split(f.Symlink, "/")
		if !strings.Contains(attr, "l") {
			attr += "l"
		}
	}
	if attr != "" {
		e["attr"] = attr
	}
}

// Piece returns the data of a piece. Read only, as the results of Block and File.
func (t *Torrent) Piece(i int) []byte {
	begin := int64(i) * t.PieceLength
	return t.Payload[begin : begin+t.PieceSize(i)]
}

// Block returns length bytes of a piece from begin on, or nil when the piece does
// not have them.
func (t *Torrent) Block(piece, begin, length uint32) []byte {
	if int64(piece) >= int64(t.NumPieces()) {
		return nil
	}
	p := t.Piece(int(piece))
	if int64(begin)+int64(length) > int64(len(p)) {
		return nil
	}
	return p[begin : begin+length]
}

// File returns the contents of the file that the Spec calls path, nil if there is
// none.
func (t *Torrent) File(path string) []byte {
	for _, f := range t.files {
		if f.Path == path {
			return t.Payload[f.offset : f.offset+f.Length : f.offset+f.Length]
		}
	}
	return nil
}

// Metainfo returns a .torrent file. Each tracker is a tier of its own.
func (t *Torrent) Metainfo(trackers ...string) []byte {
	d := map[string]any{"info": benc.Bytes(t.Raw)}
	if len(trackers) > 0 {
		d["announce"] = trackers[0]
		var tiers [][]string
		for _, tr := range trackers {
			tiers = append(tiers, []string{tr})
		}
		d["announce-list"] = tiers
	}
	layers := make(map[string]string)
	for _, f := range t.files {
		if f.layer != nil {
			layers[string(f.root[:])] = string(f.layer)
		}
	}
	if t.V2 {
		d["piece layers"] = layers
	}
	raw, err := benc.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("swarmtest: metainfo: %v", err)) // plain maps and strings
	}
	return raw
}

// Magnet returns the magnet link with the given peers ("host:port") in x.pe. It
// names every hash the torrent has.
func (t *Torrent) Magnet(peers ...string) string {
	var parts []string
	if t.V1 {
		parts = append(parts, "xt=urn:btih:"+t.InfoHash.String())
	}
	if t.V2 {
		parts = append(parts, "xt=urn:btmh:1220"+t.InfoHashV2.String())
	}
	parts = append(parts, "dn="+url.QueryEscape(t.Name))
	for _, p := range peers {
		parts = append(parts, "x.pe="+url.QueryEscape(p))
	}
	return "magnet:?" + strings.Join(parts, "&")
}
