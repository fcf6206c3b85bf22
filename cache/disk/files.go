package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// files is what the tier needs of a file system. Names are slash paths below the
// cache directory. Tests put one in memory in its place, which fails and crashes
// on demand.
type files interface {
	open(name string, m mode) (file, error)
	// read returns a whole file of at most limit bytes.
	read(name string, limit int64) ([]byte, error)
	// write replaces a whole file. It is durable when it returns, and never
	// seen in part.
	write(name string, data []byte) error
	// remove removes a file and the folders below top that become empty. It is
	// durable when it returns, as far as the file system can do that.
	remove(name, top string) error
	// removeAll removes a folder with all that is in it.
	removeAll(name string) error
	// folders lists the folders in the cache directory.
	folders() ([]string, error)
	// walk calls f with each file below a folder, by its path below it. A folder
	// that does not exist is an empty one.
	walk(name string, f func(rel string, allocated int64)) error
	// sync makes the data of all files durable.
	sync() error
	// free tells the size of the file system and what of it we may still use.
	free() (total, avail int64, err error)
	close() error
}

// mode is what a file is opened for.
type mode uint8

const (
	look   mode = iota // read it
	change             // read and write it
	create             // the same; it and its folders are made if missing
)

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Fd() uintptr
	// sync makes its data durable: fdatasync.
	sync() error
	// punch turns a range into a hole.
	punch(off, n int64) error
	stamp() (stamp, error)
	// extents lists the ranges that hold data.
	extents() ([]extent, error)
}

// osFiles is a directory of the system.
type osFiles struct {
	dir  string
	root *os.Root // keeps paths inside, symlinks included
}

func newOSFiles(dir string) (*osFiles, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &osFiles{dir, root}, nil
}

func (o *osFiles) open(name string, m mode) (file, error) {
	flags := [...]int{look: os.O_RDONLY, change: os.O_RDWR, create: os.O_RDWR | os.O_CREATE}
	f, err := o.root.OpenFile(name, flags[m], 0o600)
	// More than once, since remove may just be at an empty folder.
	for try := 0; m == create && try < 3 && errors.Is(err, fs.ErrNotExist); try++ {
		if err = o.root.MkdirAll(path.Dir(name), 0o700); err == nil {
			f, err = o.root.OpenFile(name, flags[m], 0o600)
		}
	}
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (o *osFiles) read(name string, limit int64) ([]byte, error) {
	f, err := o.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", name, limit)
	}
	return data, err
}

func (o *osFiles) write(name string, data []byte) error {
	dir := path.Dir(name)
	if err := o.root.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	full := filepath.Join(o.dir, filepath.FromSlash(name))
	if err := renameio.WriteFile(full, data, 0o600, renameio.WithTempDir(filepath.Dir(full))); err != nil {
		return err
	}
	return o.syncDir(dir)
}

// syncDir makes the entries of a folder durable.
func (o *osFiles) syncDir(name string) error {
	f, err := o.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

func (o *osFiles) remove(name, top string) error {
	if err := o.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := path.Dir(name)
	for len(dir) > len(top) && strings.HasPrefix(dir, top) {
		if o.root.Remove(dir) != nil { // not empty, as a rule
			break
		}
		dir = path.Dir(dir)
	}
	if err := o.syncDir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (o *osFiles) removeAll(name string) error { return o.root.RemoveAll(name) }

func (o *osFiles) folders() ([]string, error) {
	entries, err := fs.ReadDir(o.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (o *osFiles) walk(name string, f func(rel string, allocated int64)) error {
	err := fs.WalkDir(o.root.FS(), name, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		var allocated int64
		if fi, err := e.Info(); err == nil {
			if st, ok := fi.Sys().(*unixStat); ok {
				allocated = st.Blocks * 512
			}
		}
		f(strings.TrimPrefix(p, name+"/"), allocated)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (o *osFiles) sync() error {
	f, err := o.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func (o *osFiles) free() (total, avail int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(o.dir, &st); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", o.dir, err)
	}
	unit := int64(st.Frsize) // 32 bits wide on some machines
	if unit <= 0 {
		unit = int64(st.Bsize)
	}
	return int64(st.Blocks) * unit, int64(st.Bavail) * unit, nil
}

func (o *osFiles) close() error { return o.root.Close() }

type osFile struct{ *os.File }

func (f osFile) sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return wrap("fdatasync", f, err)
		}
	}
}

func (f osFile) punch(off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		if !errors.Is(err, unix.EINTR) {
			return wrap("punch", f, err)
		}
	}
}

func wrap(op string, f osFile, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.Name(), Err: err}
}

func (f osFile) stamp() (stamp, error) {
	fi, err := f.Stat()
	if err != nil {
		return stamp{}, err
	}
	return stamp{fi.Size(), fi.ModTime().UnixNano()}, nil
}

func (f osFile) extents() ([]extent, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var exts []extent
	for off := int64(0); off < fi.Size(); {
		from, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		switch {
		case errors.Is(err, unix.ENXIO): // no more data
			return exts, nil
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP): // cannot tell
			return []extent{{0, fi.Size()}}, nil
		case err != nil:
			return nil, wrap("seek", f, err)
		}
		to, err := unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE)
		if err != nil {
			return nil, wrap("seek", f, err)
		}
		exts = append(exts, extent{from, to})
		off = to
	}
	return exts, nil
}
