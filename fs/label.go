package fs

import (
	"context"
	"path"
	"slices"
	"strings"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"golang.org/x/sys/unix"
)

// mv of a torrent's folder gives it a label: another name of the user's choice.
//
// Names that lead to a folder without being listed (the hash, what was typed, what
// it was called before) must not be in the way: mv to the torrent's own name takes
// a label back. The kernel looks the new name up before it sends RENAME, so that
// lookup is answered with ENOENT (renamesTo).

// Rename implements fusefs.NodeRenamer: torrents get a label, uploads their final
// name.
func (r *rootNode) Rename(ctx context.Context, name string, to fusefs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	m := r.m
	switch {
	case to.EmbeddedInode() != &r.Inode || name == controlName:
		return syscall.EROFS
	case flags&^unix.RENAME_NOREPLACE != 0:
		return syscall.EINVAL
	case !m.mayChange(ctx):
		return syscall.EACCES
	case m.uploads.get(name) != nil:
		if isTorrentFile(newName) && m.uploads.rename(name, newName) {
			return 0
		}
		return syscall.EROFS
	}
	t := m.lib.Lookup(name)
	if t == nil {
		return syscall.ENOENT
	}
	if other := m.lib.Lookup(newName); other != nil && other != t && m.folder(other).isMain(newName) {
		// The kernel would take the folder that bears the name for removed.
		return syscall.EEXIST
	}
	if errno := m.errno("mv", t.Label(newName)); errno != 0 {
		return errno
	}
	m.folders.dropView(newName)
	return 0
}

// dropView forgets the views of a name: the kernel takes them for removed when a
// folder is given the name.
func (fs *folders) dropView(name string) {
	fs.mu.Lock()
	all := make([]*folder, 0, len(fs.all))
	for _, f := range fs.all {
		all = append(all, f)
	}
	fs.mu.Unlock()
	for _, f := range all {
		f.mu.Lock()
		delete(f.views, name)
		f.mu.Unlock()
	}
}

// yields gives up a former name of the folder, which something else is to get.
func (f *folder) yields(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.former, name)
}

// renamesTo tells whether the caller looks a name up to give it to something.
// Where its system call cannot be read, the arguments of mv tell.
func (p procs) renamesTo(tid uint32, name string) bool {
	if tid == 0 {
		return false
	}
	last := func(s string) string { return path.Base(s) }
	switch nr, args := p.syscall(tid); {
	case slices.Contains(renameSyscalls, nr) && len(args) > 1:
		return last(p.text(tid, args[0])) != name && last(p.text(tid, args[1])) == name
	case slices.Contains(renameatSyscalls, nr) && len(args) > 3:
		return last(p.text(tid, args[1])) != name && last(p.text(tid, args[3])) == name
	case nr >= 0 || p.command(tid) != "mv":
		return false
	}
	words := p.arguments(tid)
	return len(words) > 2 && last(words[len(words)-1]) == name &&
		!slices.ContainsFunc(words[1:len(words)-1], func(w string) bool {
			return strings.HasPrefix(w, "-t") || strings.HasPrefix(w, "--t") || last(w) == name
		})
}
