package layout

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// module is the import path of the tree.
const module = "magnetfs"

// File is one Go file of the tree.
type File struct {
	Dir     string // of the file, from the root, with slashes; "." for the root
	Name    string // file name
	Package string // name in the package clause
	Comment bool   // has a package comment
	Imports []string
	Test    bool // *_test.go
}

// Path returns the file's path from the root.
func (f File) Path() string { return path.Join(f.Dir, f.Name) }

// Load parses the imports of all Go files below root. Folders named testdata and
// such that start with "." or "_" are left out, as the go command does, and so are
// modules inside.
func Load(root string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			if name != root && (base == "testdata" || base[0] == '.' || base[0] == '_' || isModule(name)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || base[0] == '.' || base[0] == '_' {
			return nil
		}
		f, err := load(root, name)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func load(root, name string) (File, error) {
	ast, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return File{}, err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return File{}, err
	}
	f := File{
		Dir:     path.Dir(filepath.ToSlash(rel)),
		Name:    filepath.Base(name),
		Package: ast.Name.Name,
		Comment: ast.Doc != nil,
		Test:    strings.HasSuffix(name, "_test.go"),
	}
	for _, spec := range ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, fmt.Errorf("%s: %w", f.Path(), err)
		}
		f.Imports = append(f.Imports, p)
	}
	return f, nil
}
