package fs

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"magnetfs/fetch"
)

// controlName is the folder through which programs ask and tell the mount. The
// root does not list it.
const controlName = ".magnetfs"

// controlDir is the control folder or one below it. Its entries come from
// functions, so that nothing has to be kept in step with the library.
type controlDir struct {
	node
	path string // from the root, for the inode number
	list func() []string
	find func(name string) controlEntry
}

// controlEntry is one entry: dir, text, add or command is set; none of them means that
// there is no such entry.
type controlEntry struct {
	dir  *controlDir
	text func() ([]byte, error)
	// sized texts never change: their length is told beforehand, so that they
	// can be copied and mapped.
	sized   bool
	add     bool
	command func(line string) error
}

var (
	_ fusefs.NodeLookuper       = (*controlDir)(nil)
	_ fusefs.NodeGetattrer      = (*controlDir)(nil)
	_ fusefs.NodeOpendirHandler = (*controlDir)(nil)
)

// controlRoot answers the lookup of the control folder.
func (m *mount) controlRoot(ctx context.Context, parent *fusefs.Inode, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return m.controlInode(ctx, parent, controlName, controlEntry{dir: m.controlTop()}, out)
}

// controlTop is .magnetfs itself.
func (m *mount) controlTop() *controlDir {
	texts := map[string]func() ([]byte, error){
		"status":      m.statusText,
		"status.json": func() ([]byte, error) { return marshal(m.reports()) },
		"metrics":     m.metricsText,
		"pins.json":   m.pinRoomText,
		"pid":         func() ([]byte, error) { return fmt.Appendln(nil, os.Getpid()), nil },
	}
	maps.Copy(texts, m.cfg.Files)
	torrents := m.controlFolder("torrents", m.metainfoNames, m.metainfoEntry)
	byHash := m.controlFolder("by-hash", m.hashes, m.hashEntry)
	return m.controlFolder("",
		func() []string {
			return slices.Concat(sortedKeys(texts), sortedKeys(m.cfg.Commands), []string{"add", "by-hash", "torrents"})
		},
		func(name string) controlEntry {
			switch name {
			case "add":
				return controlEntry{add: true}
			case "torrents":
				return controlEntry{dir: torrents}
			case "by-hash":
				return controlEntry{dir: byHash}
			}
			return controlEntry{text: texts[name], command: m.cfg.Commands[name]}
		})
}

func (m *mount) controlFolder(path string, list func() []string, find func(string) controlEntry) *controlDir {
	return &controlDir{node: node{m: m}, path: controlName + "/" + path, list: list, find: find}
}

func (m *mount) hashes() (names []string) {
	for _, t := range m.lib.Torrents() {
		names = append(names, t.HashString())
	}
	return names
}

func (m *mount) metainfoNames() (names []string) {
	for _, t := range m.lib.Torrents() {
		if t.Root() != nil {
			names = append(names, t.HashString()+".torrent")
		}
	}
	return names
}

func (m *mount) metainfoEntry(name string) controlEntry {
	hash, ok := strings.CutSuffix(name, ".torrent")
	t := m.byHash(hash)
	if !ok || t == nil || t.Root() == nil {
		return controlEntry{}
	}
	return controlEntry{text: t.Metainfo, sized: true}
}

// byHash finds a torrent by its hash and nothing else.
func (m *mount) byHash(hash string) *fetch.Torrent {
	if t := m.lib.Lookup(hash); t != nil && t.HashString() == hash {
		return t
	}
	return nil
}

// hashEntry is the folder of one torrent.
func (m *mount) hashEntry(hash string) controlEntry {
	t := m.byHash(hash)
	if t == nil {
		return controlEntry{}
	}
	texts := map[string]func(*report, *bytes.Buffer){
		"status":  func(r *report, b *bytes.Buffer) { r.text(b) },
		"sources": func(r *report, b *bytes.Buffer) { r.sourcesText(b) },
		"peers":   func(r *report, b *bytes.Buffer) { r.peersText(b) },
		"reads":   func(r *report, b *bytes.Buffer) { r.readersText(b) },
		"pieces":  func(_ *report, b *bytes.Buffer) { piecesText(t, b) },
	}
	return controlEntry{dir: m.controlFolder("by-hash/"+hash,
		func() []string { return append(sortedKeys(texts), "status.json") },
		func(name string) controlEntry {
			if name == "status.json" {
				return controlEntry{text: func() ([]byte, error) { return marshal(newReport(t, time.Now())) }}
			}
			write := texts[name]
			if write == nil {
				return controlEntry{}
			}
			return controlEntry{text: func() ([]byte, error) {
				var b bytes.Buffer
				r := newReport(t, time.Now())
				write(&r, &b)
				return b.Bytes(), nil
			}}
		})}
}

// statusText is the table of every torrent.
func (m *mount) statusText() ([]byte, error) {
	var b bytes.Buffer
	if m.cfg.Notice != nil {
		if line := m.cfg.Notice(); line != "" {
			fmt.Fprintf(&b, "%s\n\n", line)
		}
	}
	reports := m.reports()
	for i, r := range reports {
		if i > 0 {
			b.WriteByte('\n')
		}
		r.text(&b)
	}
	if len(reports) == 0 {
		b.WriteString("no torrents: add one with mkdir '<folder>/magnet:?xt=urn:btih:…'\n")
	}
	return b.Bytes(), nil
}

// Lookup implements fusefs.NodeLookuper.
func (d *controlDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	return d.m.controlInode(ctx, &d.Inode, d.path+"/"+name, d.find(name), out)
}

// controlInode answers a lookup with an entry.
func (m *mount) controlInode(ctx context.Context, parent *fusefs.Inode, path string, e controlEntry, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	id := fusefs.StableAttr{Mode: fuse.S_IFREG, Ino: hashNumber("control\x00" + path)}
	var child fusefs.InodeEmbedder
	switch {
	case e.dir != nil:
		id.Mode = fuse.S_IFDIR
		child = e.dir
		m.fill(&out.Attr, fuse.S_IFDIR|0o555, m.started)
	case e.add:
		child = &writeNode{node{m: m}, func() fusefs.FileWriter { return &addHandle{m: m} }}
		m.fill(&out.Attr, fuse.S_IFREG|0o200, m.started)
	case e.command != nil:
		child = &writeNode{node{m: m}, func() fusefs.FileWriter { return commandHandle{m, e.command} }}
		m.fill(&out.Attr, fuse.S_IFREG|0o200, m.started)
	case e.text != nil:
		t := &textNode{node: node{m: m}, text: e.text, sized: e.sized}
		if errno := t.fill(&out.Attr); errno != 0 {
			return nil, errno
		}
		child = t
	default:
		return nil, syscall.ENOENT
	}
	out.Attr.Ino = id.Ino
	out.SetEntryTimeout(notValid)
	out.SetAttrTimeout(notValid)
	return parent.NewInode(ctx, child, id), 0
}

// Getattr implements fusefs.NodeGetattrer.
func (d *controlDir) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.m.fill(&out.Attr, fuse.S_IFDIR|0o555, d.m.started)
	return 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (d *controlDir) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	entries := func(context.Context) ([]fuse.DirEntry, syscall.Errno) {
		var out []fuse.DirEntry
		for _, name := range d.list() {
			mode := uint32(fuse.S_IFREG)
			if d.find(name).dir != nil {
				mode = fuse.S_IFDIR
			}
			out = append(out, fuse.DirEntry{Name: name, Mode: mode, Ino: hashNumber("control\x00" + d.path + "/" + name)})
		}
		return out, 0
	}
	return &listing{self: d.StableAttr().Ino, parent: 1, entries: entries}, 0, 0
}

// textNode is a file whose contents are written when it is opened.
type textNode struct {
	node
	text  func() ([]byte, error)
	sized bool
}

var (
	_ fusefs.NodeGetattrer = (*textNode)(nil)
	_ fusefs.NodeOpener    = (*textNode)(nil)
)

// fill sets the attributes. The length of a text that changes is not told: reads
// go past the page cache and end when the text does.
func (n *textNode) fill(a *fuse.Attr) syscall.Errno {
	n.m.fill(a, fuse.S_IFREG|0o444, n.m.started)
	if n.sized {
		b, err := n.text()
		if err != nil {
			return n.m.errno("control file", err)
		}
		a.Size = uint64(len(b))
	}
	return 0
}

// Getattr implements fusefs.NodeGetattrer.
func (n *textNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	return n.fill(&out.Attr)
}

// Open implements fusefs.NodeOpener.
func (n *textNode) Open(_ context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	b, err := n.text()
	if err != nil {
		return nil, 0, n.m.errno("control file", err)
	}
	if n.sized {
		return textHandle(b), fuse.FOPEN_NOFLUSH, 0
	}
	return textHandle(b), fuse.FOPEN_NOFLUSH | fuse.FOPEN_DIRECT_IO, 0
}

// textHandle is an open text.
type textHandle []byte

// Read implements fusefs.FileReader.
func (t textHandle) Read(_ context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	off = min(off, int64(len(t)))
	return fuse.ReadResultData(t[off:min(off+int64(len(dest)), int64(len(t)))]), 0
}

// joinSorted makes one word per flag, in a fixed order.
func joinSorted(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
