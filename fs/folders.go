package fs

import (
	"sync"

	"magnetfs/fetch"
)

// folder is what this mount knows of one torrent.
//
// The same folder can be reached by several names: its own, those it had, and every
// spelling that was typed. A directory must have one parent and one name in the kernel's
// view (it would move it about otherwise), so each of these gets a view of
// its own: another node with the same inode number, told apart by its generation.
// Files are shared by all views.
type folder struct {
	m   *mount
	t   *fetch.Torrent
	gen uint64 // of the main view and of the files

	mu     sync.Mutex
	views  map[string]uint64 // guarded by mu; generation by spelling
	former map[string]bool   // guarded by mu; names before the metadata came, that the kernel may know
}

// folders are the known folders.
type folders struct {
	mu  sync.Mutex
	all map[*fetch.Torrent]*folder // guarded by mu
	gen uint64                     // guarded by mu; last generation handed out
}

// folder returns the folder of a torrent, nil if the torrent was removed.
func (m *mount) folder(t *fetch.Torrent) *folder {
	select {
	case <-t.Removed():
		return nil
	default:
	}
	fs := &m.folders
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.all[t]
	if f == nil {
		if fs.all == nil {
			fs.all = map[*fetch.Torrent]*folder{}
		}
		fs.gen++
		f = &folder{m: m, t: t, gen: fs.gen, views: map[string]uint64{}, former: map[string]bool{}}
		fs.all[t] = f
	}
	return f
}

// forget drops the folder of a removed torrent.
func (fs *folders) forget(t *fetch.Torrent) *folder {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.all[t]
	delete(fs.all, t)
	return f
}

// nextGen returns a generation that no node had before.
func (fs *folders) nextGen() uint64 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.gen++
	return fs.gen
}

// view returns the generation under which a name shows the folder. The folder's
// own name, and the one it had before the metadata came, are the main view; all
// others have their own.
func (f *folder) view(name string) uint64 {
	own := f.isMain(name)
	f.mu.Lock()
	gen := f.views[name]
	f.mu.Unlock()
	if own {
		return f.gen
	}
	if gen != 0 {
		return gen
	}
	gen = f.m.folders.nextGen()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.views[name] == 0 {
		f.views[name] = gen
	}
	return f.views[name]
}

// isMain tells whether the kernel knows the folder itself under a name, and not a
// view of it. A nil folder has none.
func (f *folder) isMain(name string) bool {
	if f == nil {
		return false
	}
	own := name == f.t.Name()
	f.mu.Lock()
	defer f.mu.Unlock()
	return own || f.former[name]
}

// renamed remembers a name that the folder had.
func (f *folder) renamed(old string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.former[old] = true
}
