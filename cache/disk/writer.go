package disk

import "errors"

// maxEvictions is how often the writer evicts for one piece, while others take the
// space away that it frees.
const maxEvictions = 4

// write takes pieces off the queue and puts them into their files. It ends when the
// tier is closed and the queue is empty.
func (d *Tier) write() {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() {
		d.drained = true
		d.cond.Broadcast()
	}()
	for {
		for d.queue.n == 0 && !d.closed {
			d.cond.Wait()
		}
		if d.queue.n == 0 {
			return
		}
		e := d.queue.oldest()
		t := e.t
		d.dequeue(e)
		e.state = writing
		d.writing = e.seq
		t.busy = true
		d.place(e)
		t.busy = false
		d.writing = 0
		d.cond.Broadcast()
		if t.gone {
			d.kick(true) // its end waited for the writer
		}
	}
}

// place writes one piece. mu is held, but not while the disk works.
func (d *Tier) place(e *entry) {
	t := e.t
	data := e.data
	if e.doomed || t.flaw != nil || !d.room(e) {
		d.forget(e)
		return
	}
	d.store(e)
	for t.prune {
		d.cond.Wait()
	}
	d.mu.Unlock()
	err := t.writePiece(e.piece, data)
	d.mu.Lock()

	segs := t.lay.segments(e.piece)
	for _, s := range segs {
		t.touched[s.file] = true
	}
	d.stats.bytesWritten += int64(len(data))
	switch {
	case err != nil && isFlaw(err):
		if t.flaw == nil {
			t.flaw = err
			d.log.Warn("a torrent cannot be kept on disk", "torrent", t.id, "err", err)
		}
		e.doomed = true
		d.report(e)
	case err != nil:
		if !e.doomed {
			d.stats.dropped++
			d.report(e)
		}
		e.doomed = true
		d.fail(placing, err)
	default:
		d.stats.written++
		d.works(placing)
	}
	e.state, e.data = dirty, nil
	if e.doomed { // or discarded while it was written
		d.leave(e)
		return
	}
	t.dirty = append(t.dirty, e)
	d.dirty += e.cost
	d.rank(e)
	d.work()
	if d.dirty >= syncBytes {
		d.kick(true)
	}
}

// forget removes the entry of a piece of which nothing is on the disk.
func (d *Tier) forget(e *entry) {
	if !e.doomed {
		d.stats.dropped++
		d.report(e)
	}
	e.t.entries[e.piece] = nil
}

// room makes sure that a piece may be written: within the budget, and within what
// the file system has free above the floor. It waits for the keeper to free what
// has to be evicted. mu is held, but not all the time.
func (d *Tier) room(e *entry) bool {
	for range maxEvictions {
		d.mu.Unlock()
		spare, err := d.spare()
		d.mu.Lock()
		if err != nil {
			d.fail(asking, err)
			return false
		}
		d.works(asking)
		if e.doomed || d.off.now() {
			return false
		}
		limit := min(d.cfg.Bytes, d.used+spare)
		if d.used+e.cost <= limit {
			if d.off.noRoom {
				d.off.noRoom = false
				d.log.Info("the disk cache has room again", "dir", d.cfg.Dir)
			}
			return true
		}
		over := d.used - d.leaving + e.cost - limit
		if over > 0 {
			d.evict(over, d.slack())
		}
		if d.used-d.leaving+e.cost > limit {
			break
		}
		d.turn()
	}
	if !d.off.noRoom {
		d.off.noRoom = true
		d.log.Warn("the disk cache has no room for new pieces", "dir", d.cfg.Dir, "used", d.used, "budget", d.cfg.Bytes)
	}
	return false
}

// slack is how much more than needed may be evicted, so that the map is not written
// for every piece; mu is held.
func (d *Tier) slack() int64 { return min(d.used/32, syncBytes) }

// spare is how many bytes more the file system lets us take; negative if others
// went below the floor.
func (d *Tier) spare() (int64, error) {
	total, avail, err := d.files.free()
	if err != nil {
		return 0, err
	}
	return avail - d.floor(total), nil
}

// floor is what is left free of a file system of total bytes.
func (d *Tier) floor(total int64) int64 {
	return max(0, d.cfg.FreeBytes, total/100*int64(max(0, d.cfg.FreePercent)))
}

// name is the path of a file in the cache directory.
func (t *Torrent) name(file int) string { return t.dataDir() + "/" + t.lay.files[file].name }
func (t *Torrent) dataDir() string      { return t.id.String() + "/data" }
func (t *Torrent) mapName() string      { return mapName(t.id) }
func mapName(id ID) string              { return id.String() + "/map" }

// writePiece writes the parts of a piece into its files.
func (t *Torrent) writePiece(piece int, data []byte) error {
	for _, s := range t.lay.segments(piece) {
		f, err := t.d.files.open(t.name(s.file), create)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(data[s.from:s.to], s.off)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// readPiece reads a piece from its files; padding is zeros.
func (t *Torrent) readPiece(piece int) ([]byte, error) {
	data := make([]byte, t.lay.size(piece))
	for _, s := range t.lay.segments(piece) {
		f, err := t.d.files.open(t.name(s.file), look)
		if err != nil {
			return nil, err
		}
		n, err := f.ReadAt(data[s.from:s.to], s.off)
		if int64(n) == s.to-s.from {
			err = nil // io.EOF is allowed then
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return data, nil
}
