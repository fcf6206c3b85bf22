package disk

import (
	"errors"
	"slices"
)

// freeAll frees the space of pieces that are off the map.
func (t *Torrent) freeAll(leavers []*entry) (err error) {
	for _, e := range leavers {
		if freeErr := t.free(e); freeErr != nil {
			err = freeErr
		}
	}
	t.d.mu.Lock()
	defer t.d.mu.Unlock()
	t.leaving = slices.DeleteFunc(t.leaving, func(e *entry) bool { return !e.stored })
	if err != nil {
		t.d.fail(freeing, err)
		t.d.work() // they are tried again
	} else if len(leavers) > 0 {
		t.d.works(freeing)
	}
	return err
}

// free punches the hole of one piece, or removes files of which it was the last.
func (t *Torrent) free(e *entry) error {
	d := t.d
	d.mu.Lock()
	empty := make(map[int]bool)
	for _, s := range t.lay.segments(e.piece) {
		if t.live[s.file] == 1 {
			empty[s.file] = true
			delete(t.stamps, s.file)
		}
	}
	t.prune = len(empty) > 0 // the writer must not open what is about to be removed
	d.mu.Unlock()

	var err error
	for _, s := range t.lay.segments(e.piece) {
		if empty[s.file] {
			err = errors.Join(err, d.files.remove(t.name(s.file), t.dataDir()))
		} else {
			err = errors.Join(err, t.punch(s))
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	t.prune = false
	d.cond.Broadcast()
	if err != nil {
		return err
	}
	for _, s := range t.lay.segments(e.piece) {
		if !empty[s.file] {
			t.touched[s.file] = true // its stamp is old
			t.mapOld = true
			d.work()
		}
	}
	d.leaving -= e.cost
	d.unstore(e)
	t.entries[e.piece] = nil
	return nil
}

func (t *Torrent) punch(s segment) error {
	f, err := t.d.files.open(t.name(s.file), change)
	if isAbsent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.punch(s.off, s.to-s.from), f.Close())
}
