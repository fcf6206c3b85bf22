package fetch

import (
	"fmt"
	"slices"
	"strings"

	"magnetfs/swarm/metainfo"
)

// maxLabel is the longest name that a user may choose, in bytes: what
// metainfo.SafeName leaves of longer ones.
const maxLabel = 240

// Label gives the torrent's folder a name of the user's choice, over restarts and
// whatever name the metadata brings. The names that the folder had before stay
// aliases of it, until another folder is called so.
//
// The error wraps ErrInvalid if the name is not a safe path element, is the front
// end's own, or reads as a link or as the hash of another torrent; ErrNameTooLong;
// ErrExists if another folder bears it; ErrRemoved.
func (t *Torrent) Label(name string) error {
	l := t.lib
	if err := checkLabel(name, t.hash); err != nil {
		return fmt.Errorf("fetch: label %q: %w", name, err)
	}
	l.edit()
	defer l.endEdit()
	if err := t.gone(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.taken(t)(name) {
		l.mu.Unlock()
		return fmt.Errorf("fetch: label %q: another torrent has it: %w", name, ErrExists)
	}
	old := l.rename(t, name)
	t.labelled = true
	l.alsoNamed(t, t.ownName)
	l.mu.Unlock()
	if old != name {
		l.events.send(Change{Torrent: t, Kind: Labelled, Name: name, Old: old})
	}
	l.saver.save(t)
	return nil
}

// checkLabel tells what is wrong with a name that the user chose.
func checkLabel(name string, hash metainfo.InfoHash) error {
	const magnetStart = "magnet:"
	m, err := metainfo.ParseMagnet(name)
	switch {
	case len(name) > maxLabel:
		return fmt.Errorf("%d bytes, more than %d: %w", len(name), maxLabel, ErrNameTooLong)
	case metainfo.SafeName(name, "") != name || name == controlDir:
		return fmt.Errorf("not a safe name: %w", ErrInvalid)
	case err == nil && m.InfoHash != hash:
		return fmt.Errorf("the hash of another torrent: %w", ErrInvalid)
	case len(name) >= len(magnetStart) && strings.EqualFold(name[:len(magnetStart)], magnetStart):
		return fmt.Errorf("a magnet link: %w", ErrInvalid)
	}
	return nil
}

// rename gives a folder another name and keeps the old one as an alias; mu is held.
func (l *Library) rename(t *Torrent, name string) (old string) {
	old = t.name
	if name == old {
		return old
	}
	delete(l.byName, old)
	l.byName[name] = t
	t.name = name
	t.oldNames = slices.DeleteFunc(t.oldNames, func(s string) bool { return s == name })
	l.alsoNamed(t, old)
	return old
}

// alsoNamed makes a name an alias of a folder. Aliases come after every folder's
// name and every spelling typed. Of two folders that had a name, it leads to the
// one that is called so by its metadata, then to the one that had it last; mu is
// held.
func (l *Library) alsoNamed(t *Torrent, name string) {
	if name == "" || name == t.name {
		return
	}
	if o := l.oldNames[name]; o == nil || o.ownName != name || t.ownName == name {
		l.oldNames[name] = t
	}
	t.oldNames = slices.DeleteFunc(t.oldNames, func(s string) bool { return s == name })
	if dropped := push(&t.oldNames, name, maxOldNames); l.oldNames[dropped] == t {
		delete(l.oldNames, dropped)
	}
}
