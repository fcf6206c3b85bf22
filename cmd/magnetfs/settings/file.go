package settings

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
)

// maxFile bounds the configuration file, in bytes.
const maxFile = 1 << 20

// mountsKey is the table of the sections for single mounts.
const mountsKey = "mounts"

// File is a configuration file. Nil is an empty one.
type File struct {
	Path   string
	keys   map[string]any
	mounts map[string]map[string]any // by absolute path
}

// Load reads a configuration file. home stands for ~ in the paths of mounts. The
// error names file, line and column of what is no TOML.
func Load(path, home string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFile)
	}
	return parse(path, raw, home)
}

// parse understands a file; see Load.
func parse(path string, raw []byte, home string) (*File, error) {
	f := &File{Path: path, mounts: map[string]map[string]any{}}
	if err := toml.Unmarshal(raw, &f.keys); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return nil, fmt.Errorf("%s:%d:%d: %s", path, row, column, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sections, ok := f.keys[mountsKey]
	delete(f.keys, mountsKey)
	if !ok {
		return f, nil
	}
	table, ok := sections.(map[string]any)
	if !ok {
		return nil, fmt.Errorf(`%s: %s: write sections such as [%s."/home/ann/t"]`, path, mountsKey, mountsKey)
	}
	for dir, section := range table {
		keys, ok := section.(map[string]any)
		if !ok {
			return nil, fmt.Errorf(`%s: %s.%s: write a section [%s.%q]`, path, mountsKey, dir, mountsKey, dir)
		}
		abs := Expand(dir, home)
		if !filepath.IsAbs(abs) {
			return nil, fmt.Errorf("%s: %s.%q: the path of a mount has to be absolute, or begin with ~/", path, mountsKey, dir)
		}
		f.mounts[filepath.Clean(abs)] = keys
	}
	return f, nil
}

// Expand puts home in the place of a ~ that a path begins with.
func Expand(path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	return path
}

// section returns the keys for a mount, by any of its spellings.
func (f *File) section(dirs []string) (dir string, keys map[string]any) {
	for _, dir := range dirs {
		if keys, ok := f.mounts[dir]; ok {
			return dir, keys
		}
	}
	return "", nil
}

// check finds keys that are no settings, and values that their setting does not
// take, in all sections. flags is changed by it.
func (f *File) check(flags *pflag.FlagSet) error {
	where := map[string]map[string]any{f.Path: f.keys}
	for dir, keys := range f.mounts {
		where[f.in(dir)] = keys
	}
	for _, place := range slices.Sorted(maps.Keys(where)) {
		keys := where[place]
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			flag := lookup(flags, key)
			if flag == nil {
				return fmt.Errorf("%s: there is no setting %q%s", place, key, DidYouMean(key, Keys(flags)))
			}
			if err := set(flag, keys[key]); err != nil {
				return fmt.Errorf("%s: %s: %w", place, key, err)
			}
		}
	}
	return nil
}

// in names a section of the file.
func (f *File) in(dir string) string { return fmt.Sprintf("%s, [%s.%q]", f.Path, mountsKey, dir) }

// set gives a flag a value of the file.
func set(flag *pflag.Flag, value any) error {
	list, isList := value.([]any)
	slice, takesList := flag.Value.(pflag.SliceValue)
	if isList != takesList && isList {
		return errors.New("one value is wanted, not a list")
	}
	if !isList {
		list = []any{value}
	}
	var texts []string
	for _, v := range list {
		text, err := text(v)
		if err != nil {
			return err
		}
		texts = append(texts, text)
	}
	if takesList && isList {
		return slice.Replace(texts)
	}
	return flag.Value.Set(texts[0])
}

// text writes a value as it would stand on the command line.
func text(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	}
	return "", errors.New("a text, a number, true or false is wanted")
}
