package metainfo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"magnetfs/swarm/benc"
)

// bitcometPad begins the names of padding files in torrents older than BEP 47.
const bitcometPad = "_____padding_file_"

// parseFiles reads the v1 files: the list, or the only one. If there are both, the list counts, as in libtorrent.
func (p *parser) parseFiles(v benc.Value) error {
	list := v.Get("files")
	switch list.Kind() {
	case benc.Invalid:
		return p.parseSingle(v)
	case benc.List:
	default:
		return missing("files", "list", list)
	}
	count := 0
	for range list.Items() {
		count++
	}
	p.Files = make([]File, 0, count)
	for item := range list.Items() {
		if err := p.parseFile(item); err != nil {
			return fmt.Errorf("file %d: %w", len(p.Files), err)
		}
	}
	if len(p.Files) == 0 {
		return errors.New("files is empty")
	}
	return nil
}

// parseSingle reads a torrent that is one file. Its name is that of the torrent.
func (p *parser) parseSingle(v benc.Value) error {
	length, err := fileLength(v)
	if err != nil {
		return err
	}
	f := File{Path: []string{p.Name}, Length: length}
	if p.RawName != p.Name {
		f.rawPath = []string{p.RawName}
	}
	f.attributes(v)
	f.Pad = false // it would be a torrent of nothing
	p.Single = true
	return p.appendFile(f)
}

// parseFile reads one entry of the list.
func (p *parser) parseFile(v benc.Value) error {
	if v.Kind() != benc.Dict {
		return missing("entry", "dictionary", v)
	}
	var f File
	link := f.attributes(v)
	if !link { // links have no data, whatever their length says
		var err error
		if f.Length, err = fileLength(v); err != nil {
			return err
		}
	}
	path, err := filePath(v)
	if err != nil {
		return err
	}
	if len(path) > 0 && strings.HasPrefix(path[len(path)-1], bitcometPad) {
		f.Pad = true
	}
	if len(path) == 0 {
		if !f.Pad {
			if v.Get("path").Kind() == benc.List {
				return errors.New("path is empty")
			}
			return missing("path", "list", v.Get("path"))
		}
		path = []string{".pad", strconv.FormatInt(f.Length, 10)}
	}
	p.setPath(&f, path)
	// Without a target it is an empty file rather than a link, as in libtorrent.
	if target := v.Get("symlink path"); link && !f.Pad && target.Kind() == benc.List {
		if err := p.setTarget(&f, target); err != nil {
			return err
		}
	}
	return p.appendFile(f)
}

// fileLength reads the length of a file with data.
func fileLength(v benc.Value) (int64, error) {
	n, ok := v.Get("length").Int()
	if !ok {
		return 0, missing("length", "integer", v.Get("length"))
	}
	if n < 0 {
		return 0, fmt.Errorf("length %d", n)
	}
	return n, nil
}

// filePath reads the path of a file: path.utf-8 if it is there and holds up, else path. It is empty if neither is a
// list of strings with something in it.
func filePath(v benc.Value) ([]string, error) {
	if path, err := pathElements(v.Get("path.utf-8")); err == nil && len(path) > 0 && allUTF8(path) {
		return path, nil
	}
	return pathElements(v.Get("path"))
}

// pathElements reads a list of strings. Anything but a list is an empty path.
func pathElements(v benc.Value) ([]string, error) {
	var path []string
	for item := range v.Items() {
		e, ok := item.Bytes()
		if !ok {
			return nil, missing("path element", "string", item)
		}
		if len(path) == maxPathElements {
			return nil, fmt.Errorf("path of more than %d elements", maxPathElements)
		}
		path = append(path, string(e))
	}
	return path, nil
}

func allUTF8(path []string) bool {
	for _, e := range path {
		if !utf8.ValidString(e) {
			return false
		}
	}
	return true
}

// setTarget stores where a symlink points, in safe form. Whether that exists is found out when all files are known.
func (p *parser) setTarget(f *File, v benc.Value) error {
	raw, err := pathElements(v)
	if err != nil {
		return fmt.Errorf("symlink %w", err)
	}
	f.Symlink = make([]string, len(raw)) // not nil, even if the target is empty: it is a link
	for i, e := range raw {
		f.Symlink[i] = p.folder(e)
	}
	return nil
}
