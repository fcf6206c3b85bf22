package disk

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// errNoMap: the map could not be written, and was removed instead.
var errNoMap = errors.New("map removed")

// writeMap writes what is clean and suspect on the map, if that changed. If it
// cannot, on a full disk, and space is to be freed, it removes the map: then what
// remains is suspect after a crash, which costs time but no data.
func (t *Torrent) writeMap(freeing bool) error {
	d := t.d
	d.mu.Lock()
	if !t.mapOld && !freeing && !t.readOf {
		d.mu.Unlock()
		return nil
	}
	t.mapOld, t.readOf = false, false
	d.mu.Unlock()

	err := d.files.write(t.mapName(), t.chart().encode())
	if err == nil {
		d.mu.Lock()
		d.works(mapping)
		d.mu.Unlock()
		return nil
	}
	if freeing {
		if rmErr := d.files.remove(t.mapName(), t.id.String()); rmErr != nil {
			return errors.Join(err, rmErr)
		}
		return fmt.Errorf("%w: %w", errNoMap, err)
	}
	return err
}

// chartStep is how many pieces are looked at without letting others have the mutex.
const chartStep = 4096

// chart makes the map of what is clean and suspect. What changes meanwhile is in
// the next one: pieces leave only between two of them, by this goroutine's hand.
func (t *Torrent) chart() *mapFile {
	d := t.d
	m := &mapFile{layout: t.lay.digest, pieces: t.lay.pieces}
	for p := 0; p < len(t.entries); {
		d.mu.Lock()
		for end := min(p+chartStep, len(t.entries)); p < end; p++ {
			e := t.entries[p]
			if e == nil || e.state != clean && e.state != suspect {
				continue
			}
			m.cost += e.cost
			m.add(run{p, 1, e.state == suspect, e.minute})
		}
		d.mu.Unlock()
	}
	d.mu.Lock()
	for _, i := range slices.Sorted(maps.Keys(t.stamps)) {
		m.files = append(m.files, stampedEntry{i, t.stamps[i]})
	}
	d.mu.Unlock()
	return m
}

// add appends a run, to the last one if they are alike.
func (m *mapFile) add(r run) {
	if n := len(m.runs); n > 0 {
		if l := &m.runs[n-1]; l.first+l.n == r.first && l.suspect == r.suspect && l.minute == r.minute {
			l.n += r.n
			return
		}
	}
	m.runs = append(m.runs, r)
}
