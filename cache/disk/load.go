package disk

import (
	"context"
	"fmt"
)

// load is a read of one piece under way; all who want the piece wait for it.
type load struct {
	done chan struct{}
	data []byte // set before done is closed
	err  error
}

// Get reads a piece. What is still to be verified is verified first. The data is
// shared: nobody may write to it.
//
// It fails with ErrMissing, ErrClosed, the context's error, or one that will pass
// (no descriptors left). A piece that cannot be read, or is wrong, is ErrMissing
// and is reported lost.
func (t *Torrent) Get(ctx context.Context, piece int) ([]byte, error) {
	ld, data, err := t.begin(ctx, piece)
	if ld == nil {
		return data, err
	}
	select {
	case <-ld.done:
		return ld.data, ld.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin finds a piece in memory, or the load that reads it, or starts one.
func (t *Torrent) begin(ctx context.Context, piece int) (*load, []byte, error) {
	d := t.d
	slot := false
	for {
		d.mu.Lock()
		e := t.at(piece)
		var ld *load
		var data []byte
		var err error
		switch {
		case t.gone:
			err = ErrClosed
		case e == nil:
			err = ErrMissing
			d.stats.misses++
		case e.data != nil:
			data = e.data
		case e.load != nil:
			ld = e.load
		case slot:
			ld = &load{done: make(chan struct{})}
			e.load = ld
			d.wg.Go(func() { d.read(e, ld) })
			slot = false // read gives it back
		default: // a slot is needed
			d.mu.Unlock()
			select {
			case d.loads <- struct{}{}:
				slot = true
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
			continue
		}
		if e != nil && err == nil {
			d.touch(e)
			d.stats.hits++
		}
		d.mu.Unlock()
		if slot {
			<-d.loads
		}
		return ld, data, err
	}
}

// read reads the piece of an entry for all who wait for ld.
func (d *Tier) read(e *entry, ld *load) {
	defer func() { <-d.loads }()
	t := e.t
	data, err := t.readPiece(e.piece)

	d.mu.Lock()
	unproven := e.state == suspect
	d.mu.Unlock()
	var wrong error
	if err == nil && unproven {
		wrong = errUnknown
		if t.opts.Verify != nil {
			wrong = t.opts.Verify(e.piece, data)
		}
	}

	d.mu.Lock()
	defer d.mu.Unlock()
	e.load = nil
	switch {
	case t.gone:
		// The next one to open the torrent may have changed the files.
		data, err = nil, ErrClosed
	case err != nil && isOneOf(passing, err):
		err = fmt.Errorf("disk: piece %d of %s: %w", e.piece, t.id, err)
	case err != nil:
		d.stats.errors++
		d.doubt(err)
		d.complain("a piece on disk cannot be read and is given up", "torrent", t.id, "piece", e.piece, "err", err)
		d.drop(e, true)
		err = ErrMissing
	case wrong != nil:
		d.stats.corrupt++
		d.complain("a piece on disk is damaged and is given up", "torrent", t.id, "piece", e.piece, "err", wrong)
		d.drop(e, true)
		data, err = nil, ErrMissing
	case unproven && e.state == suspect:
		e.state = dirty
		t.dirty = append(t.dirty, e)
		for _, s := range t.lay.segments(e.piece) {
			t.touched[s.file] = true
		}
		d.dirty += e.cost
		d.work()
	}
	if e.state == leaving { // the keeper waited for us
		d.kick(true)
	}
	d.stats.bytesRead += int64(len(data))
	ld.data, ld.err = data, err
	close(ld.done)
}
