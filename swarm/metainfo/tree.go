package metainfo

import "strconv"

// names is the tree of the visible files of a torrent while it is being laid out: every folder and file by its parent
// and its name. It is one map rather than one for each folder, because hostile torrents have folders without end.
type names struct {
	files   []File
	entries map[nameKey]entryID
}

// nameKey is a name in a folder.
type nameKey struct {
	folder entryID
	name   string
}

// entryID is a folder, counted from 0, the root, or a file as its index's complement.
type entryID int32

func fileID(i int) entryID       { return entryID(^i) }
func (e entryID) isFolder() bool { return e >= 0 }
func (e entryID) file() int      { return int(^e) }

const rootFolder entryID = 0

// uniqueNames gives every visible file a path of its own and returns the tree. Folders keep their names. Of several
// files of one name, and of a file named like a folder, the first that can keeps it; the others become "name.1.ext",
// "name.2.ext" and so on, skipping names in use. The work is linear in the size of the metainfo, and the outcome is a
// function of it alone.
func uniqueNames(files []File) *names {
	n := &names{files: files, entries: make(map[nameKey]entryID, len(files))}
	parents := make([]entryID, len(files))
	folders := rootFolder
	for i := range files {
		if files[i].Pad {
			continue
		}
		at := rootFolder
		path := files[i].Path
		for _, e := range path[:len(path)-1] {
			key := nameKey{at, e}
			id, ok := n.entries[key]
			if !ok {
				folders++
				id = folders
				n.entries[key] = id
			}
			at = id
		}
		parents[i] = at
	}
	var clashes []int
	for i := range files {
		if files[i].Pad {
			continue
		}
		path := files[i].Path
		key := nameKey{parents[i], path[len(path)-1]}
		if _, taken := n.entries[key]; taken {
			clashes = append(clashes, i)
			continue
		}
		n.entries[key] = fileID(i)
	}
	// The last number given out to each name: without it n equal names would take n² attempts.
	numbers := make(map[nameKey]int)
	for _, i := range clashes {
		n.rename(i, parents[i], numbers)
	}
	return n
}

// rename finds a free name for file i.
func (n *names) rename(i int, parent entryID, numbers map[nameKey]int) {
	f := &n.files[i]
	last := len(f.Path) - 1
	old := nameKey{parent, f.Path[last]}
	stem, ext := splitExt(old.name)
	for {
		numbers[old]++
		key := nameKey{parent, stem + "." + strconv.Itoa(numbers[old]) + ext}
		if _, taken := n.entries[key]; taken {
			continue
		}
		n.entries[key] = fileID(i)
		if f.rawPath == nil {
			f.rawPath = f.Path
			f.Path = append([]string(nil), f.Path...)
		}
		f.Path[last] = key.name
		return
	}
}
