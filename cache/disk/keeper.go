package disk

import (
	"errors"
	"maps"
	"slices"
	"time"
)

// syncAllFrom is how many files are synced by one syncfs instead of one by one: it
// writes what others have written as well, but a thousand fdatasync take seconds.
const syncAllFrom = 64

// keep syncs what was written, writes maps, punches holes and ends torrents, until
// the tier is closed, and then once more.
func (d *Tier) keep() {
	timer := time.NewTimer(checkEvery)
	defer timer.Stop()
	for last := false; !last; {
		d.mu.Lock()
		timer.Reset(d.pause())
		d.mu.Unlock()
		select {
		case <-d.wake:
		case <-timer.C:
		case <-d.stop:
			last = true
		}
		d.mu.Lock()
		due := last || d.pause() <= 0
		d.mu.Unlock()
		if due || d.crowded() {
			d.round()
		}
	}
	d.mu.Lock()
	d.idle = true
	d.cond.Broadcast()
	d.mu.Unlock()
}

// pause is how long the keeper may rest; mu is held.
func (d *Tier) pause() time.Duration {
	now := time.Now()
	wait := checkEvery
	if !d.dirtySince.IsZero() {
		due := d.dirtySince.Add(syncAfter)
		if d.off.err != nil && d.off.until.After(due) {
			due = d.off.until
		}
		wait = min(wait, due.Sub(now))
	}
	if !d.readSince.IsZero() {
		wait = min(wait, d.readSince.Add(timesAfter).Sub(now))
	}
	if d.urgent {
		wait = 0
	}
	return wait
}

// crowded evicts what the tier has too much of, because the budget is a smaller one
// than last time or others took the free space. It tells whether it did.
func (d *Tier) crowded() bool {
	spare, err := d.spare()
	d.mu.Lock()
	defer d.mu.Unlock()
	over := d.used - d.leaving - d.cfg.Bytes
	if err == nil {
		over = max(over, -spare-d.leaving)
	}
	return over > 0 && d.evict(over, d.slack()) > 0
}

// round does all there is to do.
func (d *Tier) round() {
	d.mu.Lock()
	d.turns++
	turn := d.turns
	d.urgent = false
	d.dirtySince = time.Time{}
	times := !d.readSince.IsZero() && time.Since(d.readSince) >= timesAfter
	if times {
		d.readSince = time.Time{}
	}
	var work []*Torrent
	var doomed []ID
	for id, f := range d.folders {
		switch {
		case f.t != nil && (len(f.t.dirty) > 0 || len(f.t.leaving) > 0 || f.t.mapOld || f.t.ended != staying || times && f.t.readOf):
			work = append(work, f.t)
		case f.doom && !f.busy:
			doomed = append(doomed, id)
		}
	}
	d.mu.Unlock()

	for _, id := range doomed {
		d.removeDormant(id)
	}
	for _, t := range work {
		t.settle()
	}

	d.mu.Lock()
	d.turned = turn
	d.cond.Broadcast()
	d.mu.Unlock()
}

// removeDormant removes a torrent that is not open.
func (d *Tier) removeDormant(id ID) {
	err := d.files.removeAll(id.String())
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.folders[id]
	f.doom = false
	d.leaving -= f.cost
	d.cond.Broadcast()
	if err != nil {
		d.fail(removing, err)
		f.last = minuteOf(time.Now()) // others first
		return
	}
	d.works(removing)
	d.used -= f.cost
	delete(d.folders, id)
}

// settle does what is due for one torrent.
func (t *Torrent) settle() {
	d := t.d
	d.mu.Lock()
	how := t.ended
	if how != staying && (t.busy || how == closing && t.queued > 0) {
		how = staying // the writer has the turn; it kicks
	}
	if how == purging {
		d.mu.Unlock()
		t.finish(how, d.files.removeAll(t.id.String()))
		return
	}
	d.mu.Unlock()
	err := t.commit()
	if how == closing {
		// Holes were punched after the map was written: note the files' new
		// looks, or all their pieces would be verified at the next start.
		err = errors.Join(err, t.commit())
		t.finish(how, err)
	}
}

// commit syncs what was written, then puts it on the map, then frees what left the
// map, in this order.
func (t *Torrent) commit() error {
	d := t.d
	d.mu.Lock()
	batch, touched := t.dirty, t.touched
	t.dirty, t.touched = nil, make(map[int]bool)
	for _, e := range batch {
		d.dirty -= e.cost
	}
	// Freed once the map that is written now leaves them out. A reader of a
	// piece that is leaving has to have its bytes first.
	leavers := slices.DeleteFunc(slices.Clone(t.leaving), func(e *entry) bool { return e.load != nil })
	d.mu.Unlock()

	stamps, err := t.syncFiles(touched)
	d.mu.Lock()
	maps.Copy(t.stamps, stamps)
	for _, e := range batch {
		if e.state != dirty {
			continue
		}
		e.state = clean
		if err != nil {
			// The kernel drops pages that it could not write, and says so once.
			e.state = suspect
		}
		t.mapOld = true
	}
	switch {
	case err != nil:
		d.fail(syncing, err)
	case len(batch) > 0:
		d.works(syncing)
	}
	d.mu.Unlock()

	err = t.writeMap(len(leavers) > 0)
	if err != nil {
		d.mu.Lock()
		d.fail(mapping, err)
		t.mapOld = true
		d.work()
		d.mu.Unlock()
	}
	if err == nil || errors.Is(err, errNoMap) {
		err = t.freeAll(leavers)
	}
	return err
}

// syncFiles makes the data of files durable and returns how they look now.
func (t *Torrent) syncFiles(touched map[int]bool) (map[int]stamp, error) {
	all := len(touched) >= syncAllFrom
	if all {
		if err := t.d.files.sync(); err != nil {
			return nil, err
		}
	}
	stamps := make(map[int]stamp, len(touched))
	for i := range touched {
		s, err := t.syncFile(i, !all)
		if isAbsent(err) {
			continue // removed when it became empty, or by somebody
		}
		if err != nil {
			return nil, err
		}
		stamps[i] = s
	}
	return stamps, nil
}

func (t *Torrent) syncFile(i int, sync bool) (s stamp, err error) {
	f, err := t.d.files.open(t.name(i), look)
	if err != nil {
		return stamp{}, err
	}
	defer f.Close()
	if sync {
		if err := f.sync(); err != nil {
			return stamp{}, err
		}
	}
	// Whatever is written after this, to other pieces of the file, makes it look
	// changed after a crash: then more is verified than need be.
	return f.stamp()
}

// finish makes a torrent dormant, or forgets it.
func (t *Torrent) finish(how ending, err error) {
	d := t.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.ended != how {
		d.kick(true) // purged while it was being closed
		return
	}
	f := d.folders[t.id]
	f.t, f.busy = nil, false
	f.cost = t.cost()
	for _, e := range t.leaving {
		d.leaving -= e.cost
	}
	for _, e := range t.entries {
		if e != nil && e.stored {
			f.last = max(f.last, e.minute)
		}
	}
	clear(t.entries)
	t.leaving, t.dirty = nil, nil
	if how == purging && err != nil {
		d.fail(removing, err)
	} else if how == purging {
		d.works(removing)
		d.used -= f.cost
		delete(d.folders, t.id)
	} else if f.cost == 0 {
		f.doom = true // nothing but an empty map
		d.kick(true)
	}
	d.cond.Broadcast()
}
