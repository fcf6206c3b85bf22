package disk

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

// memFiles is a disk in memory, which fails and loses power as the test says.
type memFiles struct {
	mu    sync.Mutex // never held over a wait
	files map[string]*memFile
	size  int64                       // of the file system
	taken int64                       // by others
	fault func(op, name string) error // asked before each operation; may be nil
	ticks int64
}

type memFile struct {
	disk *memFiles
	name string
	// What a program sees, and what is there after a loss of power. Between two
	// syncs each block may be either.
	now, safe     []byte
	data, dataOld []bool // by block: not a hole
	mtime, mtimeS int64
}

func newMem(size int64) *memFiles {
	return &memFiles{files: make(map[string]*memFile), size: size}
}

func (m *memFiles) ask(op, name string) error {
	m.mu.Lock()
	fault := m.fault
	m.mu.Unlock()
	if fault != nil {
		if err := fault(op, name); err != nil {
			return &fs.PathError{Op: op, Path: name, Err: err}
		}
	}
	return nil
}

func (m *memFiles) setFault(f func(op, name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// tick is a modification time; the clock of a real one is as coarse.
func (m *memFiles) tick() int64 {
	m.ticks++
	return 1e9 + m.ticks/2
}

func (m *memFiles) used() (n int64) {
	for _, f := range m.files {
		for _, d := range f.data {
			if d {
				n += block
			}
		}
	}
	return n
}

func (m *memFiles) open(name string, how mode) (file, error) {
	if err := m.ask("open", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		if how != create {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		f = &memFile{disk: m, name: name, mtime: m.tick()}
		m.files[name] = f
	}
	return f, nil
}

func (m *memFiles) read(name string, limit int64) ([]byte, error) {
	if err := m.ask("read", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.files[name]
	if f == nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if int64(len(f.now)) > limit {
		return nil, fmt.Errorf("%s is too large", name)
	}
	return append([]byte(nil), f.now...), nil
}

func (m *memFiles) write(name string, data []byte) error {
	if err := m.ask("replace", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = &memFile{disk: m, name: name, now: data, safe: data}
	return nil
}

func (m *memFiles) remove(name, top string) error {
	if err := m.ask("remove", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memFiles) removeAll(name string) error {
	if err := m.ask("removeAll", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for n := range m.files {
		if strings.HasPrefix(n, name+"/") {
			delete(m.files, n)
		}
	}
	return nil
}

func (m *memFiles) folders() (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := make(map[string]bool)
	for n := range m.files {
		if top, _, ok := strings.Cut(n, "/"); ok && !seen[top] {
			seen[top] = true
			names = append(names, top)
		}
	}
	return names, nil
}

func (m *memFiles) walk(name string, f func(rel string, allocated int64)) error {
	m.mu.Lock()
	var rels []string
	for n := range m.files {
		if rel, ok := strings.CutPrefix(n, name+"/"); ok {
			rels = append(rels, rel)
		}
	}
	m.mu.Unlock()
	for _, rel := range rels {
		f(rel, block)
	}
	return nil
}

func (m *memFiles) sync() error {
	if err := m.ask("syncfs", ""); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.files {
		f.settle()
	}
	return nil
}

func (m *memFiles) free() (total, avail int64, err error) {
	if err := m.ask("statfs", ""); err != nil {
		return 0, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size, m.size - m.taken - m.used(), nil
}

func (m *memFiles) close() error { return nil }

// crash is the disk after a loss of power: what was not synced is there or not,
// block by block. Files whose data was never synced keep their names.
func (m *memFiles) crash(rnd *rand.Rand) *memFiles {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := newMem(m.size)
	after.ticks = m.ticks + 1000
	for name, f := range m.files {
		g := &memFile{disk: after, name: name, now: append([]byte(nil), f.now...), mtime: f.mtime}
		g.data = append([]bool(nil), f.data...)
		if rnd.IntN(2) == 0 {
			g.mtime = f.mtimeS
		}
		for b := range g.data {
			if rnd.IntN(2) == 0 {
				continue
			}
			// The old block, zeros where there was none.
			blank := g.now[b*block : min((b+1)*block, len(g.now))]
			clear(blank)
			g.data[b] = b < len(f.dataOld) && f.dataOld[b]
			if b*block < len(f.safe) {
				copy(blank, f.safe[b*block:])
			}
		}
		g.settle()
		after.files[name] = g
	}
	return after
}

// kill is the disk after the process was killed: as it was.
func (m *memFiles) kill() *memFiles {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := newMem(m.size)
	after.ticks = m.ticks
	for name, f := range m.files {
		g := &memFile{disk: after, name: name, now: append([]byte(nil), f.now...), mtime: f.mtime}
		g.data = append([]bool(nil), f.data...)
		g.settle()
		after.files[name] = g
	}
	return after
}

// settle makes what is seen safe.
func (f *memFile) settle() {
	f.safe = append(f.safe[:0:0], f.now...)
	f.dataOld = append(f.dataOld[:0:0], f.data...)
	f.mtimeS = f.mtime
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.disk.ask("pread", f.name); err != nil {
		return 0, err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if off >= int64(len(f.now)) {
		return 0, io.EOF
	}
	n := copy(p, f.now[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.disk.ask("pwrite", f.name); err != nil {
		return 0, err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if end := int(off) + len(p); end > len(f.now) {
		f.now = append(f.now, make([]byte, end-len(f.now))...)
		f.data = append(f.data, make([]bool, (end+block-1)/block-len(f.data))...)
	}
	copy(f.now[off:], p)
	for b := int(off) / block; b < (int(off)+len(p)+block-1)/block; b++ {
		f.data[b] = true
	}
	f.mtime = f.disk.tick()
	return len(p), nil
}

func (f *memFile) punch(off, n int64) error {
	if err := f.disk.ask("punch", f.name); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	end := min(off+n, int64(len(f.now)))
	if off >= end {
		return nil
	}
	clear(f.now[off:end])
	for b := (off + block - 1) / block; (b+1)*block <= end || end == int64(len(f.now)) && b*block < end; b++ {
		f.data[b] = false
	}
	f.mtime = f.disk.tick()
	return nil
}

func (f *memFile) sync() error {
	if err := f.disk.ask("fdatasync", f.name); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	mtime := f.mtimeS
	f.settle()
	f.mtimeS = mtime // fdatasync leaves it out
	return nil
}

func (f *memFile) stamp() (stamp, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return stamp{int64(len(f.now)), f.mtime}, nil
}

func (f *memFile) extents() (exts []extent, err error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	for b, data := range f.data {
		from, to := int64(b)*block, min(int64(b+1)*block, int64(len(f.now)))
		switch n := len(exts); {
		case !data:
		case n > 0 && exts[n-1].to == from:
			exts[n-1].to = to
		default:
			exts = append(exts, extent{from, to})
		}
	}
	return exts, nil
}

func (f *memFile) Close() error { return nil }
func (f *memFile) Fd() uintptr  { return ^uintptr(0) }

// TestMemFiles keeps the model honest.
func TestMemFiles(t *testing.T) {
	m := newMem(1 << 20)
	f, _ := m.open("a/b", create)
	if _, err := f.WriteAt(make([]byte, 3*block), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.punch(block, block); err != nil {
		t.Fatal(err)
	}
	exts, _ := f.extents()
	if len(exts) != 2 || exts[0] != (extent{0, block}) || exts[1] != (extent{2 * block, 3 * block}) {
		t.Errorf("extents %v", exts)
	}
	if _, avail, _ := m.free(); avail != 1<<20-2*block {
		t.Errorf("free %d", avail)
	}
}
