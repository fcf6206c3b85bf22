package fetch

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"magnetfs/swarm/metainfo"
)

// maxMetainfo is the largest .torrent file that is taken, in bytes.
const maxMetainfo = 16 << 20

// Add adds the torrent of a magnet link or of a bare info-hash in any spelling.
// It never waits for the network. text becomes an alias of the folder.
//
// If the torrent is there already, trackers and peers are merged into it, what was
// hidden of it is shown again, and created is false; whether that very spelling was known is for
// Torrent.TypedAs to say, asked before. The error wraps ErrInvalid and says what
// is wrong with the text.
func (l *Library) Add(text string) (t *Torrent, created bool, err error) {
	m, err := metainfo.ParseMagnet(text)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	return l.add(m.InfoHash, recordOf(m), text, nil)
}

// AddMetainfo adds the torrent of a .torrent file. If it is there already it
// gains the file's trackers, and its metadata if that was missing; what was hidden
// of it is shown again. The error
// wraps ErrInvalid or, above 16 MiB, ErrTooLarge.
func (l *Library) AddMetainfo(raw []byte) (t *Torrent, created bool, err error) {
	if len(raw) > maxMetainfo {
		return nil, false, fmt.Errorf("fetch: torrent file of %d bytes: %w", len(raw), ErrTooLarge)
	}
	m, err := metainfo.ParseMetainfo(raw)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", err, ErrInvalid)
	}
	rec := recordOf(m.Magnet())
	rec.Trackers = m.Trackers // with their tiers
	return l.add(m.InfoHash, rec, "", m.Info)
}

func (l *Library) add(hash metainfo.InfoHash, rec record, typed string, info *metainfo.Info) (t *Torrent, created bool, err error) {
	l.edit()
	defer l.endEdit()
	if !l.open() {
		return nil, false, l.errGone()
	}
	l.mu.Lock()
	if t = l.byHash[hash]; t == nil {
		t = l.byHash[rec.truncatedV2()] // known by a link that names v2 only
	}
	l.mu.Unlock()
	if t != nil {
		l.merge(t, hash, rec, typed, info)
		l.keeper.poke(t)
		l.saver.save(t)
		return t, false, nil
	}

	rec.Added = time.Now().Round(0) // no monotonic part: it will be compared with loaded ones
	base := metainfo.SafeName(rec.DisplayName, hash.String())
	if info != nil {
		base = info.Name
	}
	if typed != "" {
		rec.Spellings = []string{typed}
	}
	t = l.newTorrent(hash, rec)
	if info != nil {
		t.tree = newTree(info, t.openShelf(info))
		close(t.ready)
	}
	l.insert(t, base)
	// Before it is joined: what the swarm finds comes after.
	l.events.send(Change{Torrent: t, Kind: Added, Name: t.Name()})
	if info != nil {
		l.events.send(Change{Torrent: t, Kind: Ready, Name: t.Name()})
	}
	l.join(t)
	l.saver.save(t)
	return t, true, nil
}

// taken tells whether a torrent other than t bears a folder's name; mu is held.
func (l *Library) taken(t *Torrent) func(string) bool {
	return func(name string) bool { return l.byName[name] != nil && l.byName[name] != t }
}

// insert makes a torrent known, under a name made from base and its spellings.
func (l *Library) insert(t *Torrent, base string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.name = folderName(base, t.hash, l.taken(t))
	l.byHash[t.hash] = t
	l.alsoHash(t, t.rec.truncatedV2())
	if t.info != nil {
		l.alsoHash(t, t.info.InfoHash)
		l.alsoHash(t, t.info.InfoHashV2.Truncated())
		t.ownName = t.info.Name
	}
	l.byHandle[t.handle] = t
	l.byName[t.name] = t
	for _, s := range t.rec.Spellings {
		l.aliases[s] = t
	}
	for _, s := range slices.Clone(t.oldNames) {
		l.alsoNamed(t, s)
	}
}

// alsoHash makes a torrent known under another of its hashes, unless that is zero
// or somebody else's; mu is held.
func (l *Library) alsoHash(t *Torrent, hash metainfo.InfoHash) {
	if hash != (metainfo.InfoHash{}) && l.byHash[hash] == nil {
		l.byHash[hash] = t
	}
}

// onlyHashes takes hashes away from a torrent that are not those of its info: a link
// may have named others. mu is held.
func (l *Library) onlyHashes(t *Torrent, info *metainfo.Info) {
	maps.DeleteFunc(l.byHash, func(h metainfo.InfoHash, owner *Torrent) bool {
		return owner == t && h != t.hash && h != info.InfoHash && h != info.InfoHashV2.Truncated()
	})
}

// merge adds to a torrent what another link to it, or its metainfo, knows. The
// caller is editing.
func (l *Library) merge(t *Torrent, hash metainfo.InfoHash, rec record, typed string, info *metainfo.Info) {
	dropped, known := "", true
	t.mu.Lock()
	trackers, peers := t.rec.merge(&rec)
	t.unhide()
	if typed != "" && !slices.Contains(t.rec.Spellings, typed) {
		known = false
		dropped = push(&t.rec.Spellings, typed, maxSpellings)
	}
	missing := t.info == nil
	sw := t.sw
	t.mu.Unlock()
	l.mu.Lock()
	l.alsoHash(t, hash)
	l.alsoHash(t, rec.truncatedV2())
	if !known {
		if l.aliases[dropped] == t {
			delete(l.aliases, dropped)
		}
		l.aliases[typed] = t
	}
	l.mu.Unlock()
	if info != nil && missing {
		// The swarm takes metadata only when it is joined.
		sw.Close()
		l.gotInfo(t, info) // a no-op if the swarm's arrived meanwhile
		l.join(t)
		return
	}
	for _, h := range []metainfo.InfoHash{hash, rec.truncatedV2()} {
		if missing && h != t.hash && h != (metainfo.InfoHash{}) {
			sw.AddHash(h)
		}
	}
	if len(trackers) > 0 {
		sw.AddTrackers(trackers)
	}
	if len(peers) > 0 {
		sw.AddPeers(peers)
	}
}

// gotInfo makes a torrent ready. The swarm calls it, without the edit token: the
// swarm's Close may be waiting for it.
func (l *Library) gotInfo(t *Torrent, info *metainfo.Info) {
	if t.Root() != nil {
		return
	}
	tree := newTree(info, t.openShelf(info))
	t.mu.Lock()
	if t.info != nil || t.left {
		t.mu.Unlock()
		tree.shelf.close()
		return
	}
	t.tree = tree
	t.restoreHidden() // nothing, unless the metadata had been lost
	t.restorePins()
	if t.rec.HashV2 != "" && t.rec.HashV2 != info.InfoHashV2.String() {
		t.rec.HashV2 = "" // the link was wrong
	}
	t.mu.Unlock()

	l.mu.Lock()
	old := t.name
	if l.byHash[t.hash] == t {
		l.onlyHashes(t, info)
		l.alsoHash(t, info.InfoHash)
		l.alsoHash(t, info.InfoHashV2.Truncated())
		t.ownName = info.Name
		if t.labelled {
			l.alsoNamed(t, info.Name)
		} else {
			l.rename(t, folderName(info.Name, t.hash, l.taken(t)))
		}
	}
	name := t.name
	l.mu.Unlock()

	t.tellHeld()
	close(t.ready)
	if name != old {
		l.events.send(Change{Torrent: t, Kind: Renamed, Name: name, Old: old})
	}
	l.events.send(Change{Torrent: t, Kind: Ready, Name: name})
	l.saver.mark(t.hash)
	l.keeper.poke(t)
}

// Remove leaves the torrent and forgets it. Its blocked reads fail with
// ErrRemoved. Removing it again returns ErrRemoved. What the disk has of it stays
// there until the room is needed, in case it is added again.
func (l *Library) Remove(t *Torrent) error { return l.remove(t, shelf.close) }

// Purge removes the torrent, and what the disk has of it.
func (l *Library) Purge(t *Torrent) error { return l.remove(t, shelf.purge) }

func (l *Library) remove(t *Torrent, leave func(shelf)) error {
	l.edit()
	defer l.endEdit()
	if !l.open() {
		return l.errGone()
	}
	t.mu.Lock()
	left := t.left
	t.left = true
	sw := t.sw
	t.mu.Unlock()
	if left {
		return fmt.Errorf("fetch: %w", ErrRemoved)
	}
	l.mu.Lock()
	name := t.name
	maps.DeleteFunc(l.byHash, func(_ metainfo.InfoHash, owner *Torrent) bool { return owner == t })
	delete(l.byHandle, t.handle)
	for _, names := range []map[string]*Torrent{l.byName, l.aliases, l.oldNames} {
		maps.DeleteFunc(names, func(_ string, owner *Torrent) bool { return owner == t })
	}
	l.mu.Unlock()

	close(t.removed)
	sw.Close()
	leave(t.onDisk())
	l.cache.Drop(t.handle)
	l.keeper.poke(t)
	l.events.send(Change{Torrent: t, Kind: Removed, Name: name})
	l.saver.save(t)
	return nil
}
