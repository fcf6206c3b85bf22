package metainfo

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"magnetfs/swarm/benc"
)

const (
	// MaxPieces is the largest number of pieces accepted. Bitmaps and tables by piece stay small. As in libtorrent.
	MaxPieces = 1 << 21
	// MaxPieceLength is the largest piece length accepted, in bytes. As in libtorrent.
	MaxPieceLength = 32767 * leafSize
	// maxPathElements bounds the depth of a path. As in libtorrent.
	maxPathElements = 100
)

// ErrUnsupported is wrapped by errors about torrents that are well formed but of a kind that nobody can load here.
var ErrUnsupported = errors.New("unsupported kind of torrent")

// parser collects an Info.
type parser struct {
	Info
	elements map[string]string // safe form of folder names already met
}

// ParseInfo checks an info dictionary and lays out its files. raw must be exactly the dictionary; it is kept and must
// not be changed. Input from strangers is welcome: work is linear, memory a small multiple of the input, and every
// error means that raw is no acceptable torrent.
func ParseInfo(raw []byte) (*Info, error) {
	v, err := benc.Parse(raw, benc.Limits{})
	if err != nil {
		return nil, fmt.Errorf("metainfo: info: %w", err)
	}
	return parseInfo(v)
}

// parseInfo is ParseInfo for a dictionary inside a larger document.
func parseInfo(v benc.Value) (*Info, error) {
	if v.Kind() != benc.Dict {
		return nil, fmt.Errorf("metainfo: %w", missing("info", "dictionary", v))
	}
	p := parser{Info: Info{Raw: v.Raw()}, elements: make(map[string]string)}
	if err := p.parse(v); err != nil {
		return nil, fmt.Errorf("metainfo: %w", err)
	}
	info := p.Info // not &p.Info, which would keep the parser's tables
	return &info, nil
}

func (p *parser) parse(v benc.Value) error {
	if err := p.parseKind(v); err != nil {
		return err
	}
	v1, v2 := HashInfo(p.Raw)
	if p.V2 {
		p.InfoHash, p.InfoHashV2 = v2.Truncated(), v2
	}
	if p.V1 {
		p.InfoHash = v1
	}
	private, _ := v.Get("private").Int()
	p.Private = private != 0 // BEP 27 says 1; libtorrent and Transmission take any other number as well
	if err := p.parseName(v); err != nil {
		return err
	}
	if err := p.parsePieceLength(v); err != nil {
		return err
	}
	if p.V1 {
		if err := p.parseFiles(v); err != nil {
			return err
		}
	}
	if p.V2 {
		if err := p.parseTree(v.Get("file tree")); err != nil {
			return err
		}
	}
	if p.V1 {
		if err := p.parsePieces(v.Get("pieces")); err != nil {
			return err
		}
	}
	uniqueNames(p.Files).resolveLinks()
	for i := range p.Files {
		if f := &p.Files[i]; !f.Pad {
			p.Size += f.Length
		}
	}
	return nil
}

// parseKind finds out which kinds of hashes there are, and how strict to be.
func (p *parser) parseKind(v benc.Value) error {
	version := v.Get("meta version")
	p.V1 = v.Get("pieces").Kind() != benc.Invalid
	if version.Kind() != benc.Invalid {
		n, ok := version.Int()
		if !ok || n < 1 {
			return errors.New("meta version is not a positive number")
		}
		if n > 2 {
			return fmt.Errorf("meta version %d: %w", n, ErrUnsupported)
		}
		p.V2 = n == 2
	}
	switch {
	case p.V1 || p.V2:
	case v.Get("root hash").Kind() != benc.Invalid:
		return fmt.Errorf("merkle torrent of BEP 30: %w", ErrUnsupported)
	case v.Get("file tree").Kind() != benc.Invalid:
		return errors.New("file tree without meta version")
	default:
		return errors.New("no pieces")
	}
	fault := v.Fault()
	if fault == nil {
		return nil
	}
	if p.V2 {
		return fmt.Errorf("v2 info is not canonical: %w", fault)
	}
	return repeatedKey(v)
}

// repeatedKey looks for a dictionary with a repeated key anywhere in v: readers would disagree which value counts.
// The depth of v is bounded.
func repeatedKey(v benc.Value) error {
	switch v.Kind() {
	case benc.List:
		for item := range v.Items() {
			if err := repeatedKey(item); err != nil {
				return err
			}
		}
	case benc.Dict:
		var keys [][]byte
		for key, value := range v.Entries() {
			keys = append(keys, key)
			if err := repeatedKey(value); err != nil {
				return err
			}
		}
		slices.SortFunc(keys, bytes.Compare)
		for i := 1; i < len(keys); i++ {
			if bytes.Equal(keys[i-1], keys[i]) {
				return fmt.Errorf("key %q is repeated", clip(string(keys[i])))
			}
		}
	}
	return nil
}

// parseName reads the torrent's name. The UTF-8 variant of old creators is preferred.
func (p *parser) parseName(v benc.Value) error {
	name, ok := v.Get("name.utf-8").Bytes()
	if !ok || len(name) == 0 || !utf8.Valid(name) {
		if name, ok = v.Get("name").Bytes(); !ok {
			return missing("name", "string", v.Get("name"))
		}
	}
	p.RawName = string(name)
	p.Name = SafeName(p.RawName, p.InfoHash.String())
	return nil
}

func (p *parser) parsePieceLength(v benc.Value) error {
	n, ok := v.Get("piece length").Int()
	switch {
	case !ok:
		return missing("piece length", "integer", v.Get("piece length"))
	case n <= 0:
		return fmt.Errorf("piece length %d", n)
	case n > MaxPieceLength:
		return fmt.Errorf("piece length %d is over the limit of %d", n, int64(MaxPieceLength))
	case p.V2 && (n < leafSize || n&(n-1) != 0):
		return fmt.Errorf("piece length %d of a v2 torrent is not a power of two from 16 KiB on", n)
	}
	p.PieceLength = n
	return nil
}

// parsePieces checks the v1 piece hashes against the layout. For hybrids it also checks that both layouts have the
// same number of pieces.
func (p *parser) parsePieces(v benc.Value) error {
	pieces, ok := v.Bytes()
	if !ok {
		return missing("pieces", "string", v)
	}
	if len(pieces)%20 != 0 {
		return fmt.Errorf("pieces has %d bytes, not a multiple of 20", len(pieces))
	}
	want, err := p.countPieces(0, p.Length)
	if err != nil {
		return err
	}
	if len(pieces)/20 != want {
		return fmt.Errorf("%d piece hashes for %d pieces", len(pieces)/20, want)
	}
	if p.V2 && want != p.numPieces {
		return fmt.Errorf("%d v1 pieces and %d v2 pieces", want, p.numPieces)
	}
	p.pieces, p.numPieces = pieces, want
	return nil
}

// countPieces adds the pieces of a run of bytes to a number of pieces.
func (p *parser) countPieces(n int, length int64) (int, error) {
	if length == 0 {
		return n, nil
	}
	more := (length-1)/p.PieceLength + 1
	if more > MaxPieces || n+int(more) > MaxPieces {
		return 0, fmt.Errorf("more than %d pieces", MaxPieces)
	}
	return n + int(more), nil
}

// appendFile puts a file of v1 behind the ones before.
func (p *parser) appendFile(f File) error {
	if f.Length > math.MaxInt64-p.Length {
		return errors.New("total size does not fit 64 bits")
	}
	f.Offset = p.Length
	p.Length += f.Length
	p.Files = append(p.Files, f)
	return nil
}

// attributes applies the letters of BEP 47; symlinks are left to the caller. Unknown letters are ignored.
func (f *File) attributes(v benc.Value) (link bool) {
	attr, _ := v.Get("attr").Bytes()
	for _, c := range attr {
		switch c {
		case 'p':
			f.Pad = true
		case 'x':
			f.Executable = true
		case 'h':
			f.Hidden = true
		case 'l':
			link = true
		}
	}
	return link
}

// setPath stores a file's path in safe form, and as it was if that differs.
func (p *parser) setPath(f *File, raw []string) {
	f.Path = make([]string, len(raw))
	for i, e := range raw {
		if i < len(raw)-1 {
			f.Path[i] = p.folder(e)
		} else {
			f.Path[i] = SafeName(e, placeholder)
		}
	}
	if !slices.Equal(f.Path, raw) {
		f.rawPath = slices.Clone(raw)
	}
}

// folder returns the safe form of a folder name. Equal names share their bytes: most files have many neighbours.
func (p *parser) folder(raw string) string {
	if safe, ok := p.elements[raw]; ok {
		return safe
	}
	safe := SafeName(raw, placeholder)
	p.elements[raw] = safe
	return safe
}

// missing explains why a required value is not there.
func missing(key, want string, got benc.Value) error {
	if got.Kind() == benc.Invalid {
		return fmt.Errorf("no %s", key)
	}
	return fmt.Errorf("%s is of type %v, not %s", key, got.Kind(), want)
}
