package disk

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// probe finds out whether holes can be punched. That the disk is full or broken is
// left to be found by the first write.
func (d *Tier) probe() error {
	const name = "probe"
	f, err := d.files.open(name, create)
	if err != nil {
		d.fail(placing, err)
		return nil
	}
	_, err = f.WriteAt(make([]byte, block), 0)
	if err == nil {
		err = f.punch(0, block)
	}
	err = errors.Join(err, f.Close(), d.files.remove(name, "."))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errors.Join(ErrNoHoles, err)
	}
	if err != nil {
		d.fail(placing, err)
	}
	return nil
}

// survey finds the torrents of earlier processes. They are dormant.
func (d *Tier) survey() error {
	names, err := d.files.folders()
	if err != nil {
		return err
	}
	for _, name := range names {
		id, ok := parseID(name)
		if !ok {
			continue
		}
		f := &folder{}
		if m, err := d.readMap(id); err == nil {
			f.cost, f.last = m.cost, m.minute()
		} else {
			_ = d.files.walk(name, func(_ string, allocated int64) { f.cost += allocated })
		}
		d.folders[id] = f
		d.used += f.cost
	}
	return nil
}

func (d *Tier) readMap(id ID) (*mapFile, error) {
	raw, err := d.files.read(mapName(id), maxMapBytes)
	if err != nil {
		return nil, err
	}
	return parseMap(raw)
}

// inspect finds out what is on the disk of a torrent: entries in the order of their
// pieces, in state clean or suspect. It is called without mu, before anybody else
// has the torrent.
func (t *Torrent) inspect() []*entry {
	d := t.d
	m, err := d.readMap(t.id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m = &mapFile{}
	case err != nil:
		d.log.Warn("a map of the disk cache is damaged; its data is verified piece by piece", "torrent", t.id, "err", err)
		m = &mapFile{}
	case m.layout != t.lay.digest || m.pieces != t.lay.pieces:
		d.log.Warn("data in the disk cache is of another layout and is dropped", "torrent", t.id)
		if err := d.files.removeAll(t.id.String()); err != nil {
			d.log.Warn("disk cache", "torrent", t.id, "err", err)
		}
		return nil
	}
	b := t.browse(m)
	for _, r := range m.runs {
		for p := r.first; p < r.first+r.n; p++ {
			switch trusted, covered := b.look(p); {
			case trusted && !r.suspect:
				b.add(p, clean, r.minute)
			case covered:
				b.add(p, suspect, r.minute)
			}
		}
	}
	// What was written after the map.
	now := minuteOf(time.Now())
	for i, exts := range b.extents {
		for _, x := range exts {
			off := t.lay.files[i].off
			for p := int((off + x.from) / t.lay.pieceLen); p < t.lay.pieces && int64(p)*t.lay.pieceLen < off+x.to; p++ {
				if _, covered := b.look(p); b.found[p] == nil && covered {
					b.add(p, suspect, now)
				}
			}
		}
	}
	var found []*entry
	for _, e := range b.found {
		found = append(found, e)
	}
	slices.SortFunc(found, func(x, y *entry) int { return cmp.Compare(x.piece, y.piece) })
	return found
}

// browser is what inspect knows of the files.
type browser struct {
	t       *Torrent
	extents map[int][]extent // by file; a file that is missing has none
	same    map[int]bool     // files that look as the map says
	found   map[int]*entry
}

func (t *Torrent) browse(m *mapFile) *browser {
	b := &browser{t, make(map[int][]extent), make(map[int]bool), make(map[int]*entry)}
	noted := make(map[int]stamp, len(m.files))
	for _, f := range m.files {
		noted[f.file] = f.stamp
	}
	names := t.lay.byName()
	var there []int
	err := t.d.files.walk(t.id.String(), func(rel string, _ int64) {
		if name, ok := strings.CutPrefix(rel, "data/"); !ok {
			if strings.HasPrefix(rel, ".map") { // left by a kill while a map was written
				_ = t.d.files.remove(t.id.String()+"/"+rel, t.id.String())
			}
		} else if i, ok := names[name]; ok {
			there = append(there, i)
		}
	})
	if err != nil {
		t.d.log.Warn("disk cache", "torrent", t.id, "err", err)
	}
	for _, i := range there {
		f, err := t.d.files.open(t.name(i), look)
		if err != nil {
			continue
		}
		s, err := f.stamp()
		if err == nil {
			b.extents[i], err = f.extents()
		}
		if err == nil {
			t.stamps[i] = s
			b.same[i] = noted[i] == s
		}
		_ = f.Close()
	}
	return b
}

// look tells whether all files of a piece are as the map says, and whether all of
// the piece is data.
func (b *browser) look(piece int) (trusted, covered bool) {
	trusted, covered = true, true
	for _, s := range b.t.lay.segments(piece) {
		trusted = trusted && b.same[s.file]
		covered = covered && covers(b.extents[s.file], s.off, s.off+s.to-s.from)
	}
	return trusted, covered
}

func (b *browser) add(piece int, s state, minute uint32) {
	b.found[piece] = &entry{t: b.t, piece: piece, state: s, minute: minute, cost: b.t.lay.cost(piece)}
}

// adopt makes found entries those of the torrent; mu is held.
func (t *Torrent) adopt(found []*entry) {
	d := t.d
	for b := range d.backing {
		if b.t.id == t.id && b.t.lay.digest == t.lay.digest {
			t.pinFile(b.file, t.pin)
		}
	}
	for _, e := range found {
		t.entries[e.piece] = e
		d.store(e)
	}
	// Into the list by time, as far as that is known: it is in order itself.
	slices.SortStableFunc(found, func(x, y *entry) int { return cmp.Compare(x.minute, y.minute) })
	at := d.lru.oldest()
	for _, e := range found {
		if t.pins[e.piece] > 0 {
			continue
		}
		for at != &d.lru.head && at.minute <= e.minute {
			at = at.next
		}
		d.lru.insert(e, at)
	}
	if d.used > d.cfg.Bytes {
		d.kick(false)
	}
}
