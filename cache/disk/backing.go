package disk

import (
	"context"
	"errors"
	"fmt"
)

var errUnknown = errors.New("nothing to verify it with")

// Backing is an open file of a torrent that is here as a whole and verified, to
// serve reads from directly (FUSE passthrough). Its pieces stay until Close.
type Backing struct {
	t    *Torrent
	f    file
	file int
}

// OpenFile opens one of the layout's files. The file is at least as long as the
// layout says and not longer, as far as we wrote it.
//
// It fails with ErrIncomplete (a caller may try again when more is here; pieces in
// the queue do not count), ErrUnverified (VerifyFile helps), ErrClosed, or an error
// of opening the file.
func (t *Torrent) OpenFile(f File) (*Backing, error) {
	d := t.d
	i := t.lay.stored(f)
	if i < 0 {
		return nil, ErrIncomplete
	}
	d.mu.Lock()
	if err := t.whole(i); err != nil {
		d.mu.Unlock()
		return nil, err
	}
	b := &Backing{t: t, file: i}
	d.backing[b] = struct{}{}
	t.pinFile(i, t.pin)
	d.mu.Unlock()

	open, err := d.files.open(t.name(i), look)
	if err == nil {
		var s stamp
		if s, err = open.stamp(); err == nil && s.size != t.lay.files[i].len {
			err = fmt.Errorf("disk: %s has %d bytes, want %d: %w", t.name(i), s.size, t.lay.files[i].len, ErrIncomplete)
		}
		if err != nil {
			_ = open.Close()
		}
	}
	if err != nil {
		b.release()
		return nil, err
	}
	b.f = open
	return b, nil
}

// whole tells why a file cannot be served as a whole; mu is held.
func (t *Torrent) whole(file int) error {
	if t.gone {
		return ErrClosed
	}
	unverified := false
	first, last := t.lay.span(file)
	for p := first; p <= last; p++ {
		e := t.at(p)
		if e == nil || !e.settled() {
			return ErrIncomplete
		}
		unverified = unverified || e.state == suspect
	}
	if unverified {
		return ErrUnverified
	}
	return nil
}

// pinFile calls pin or unpin for the pieces of a file; mu is held.
func (t *Torrent) pinFile(file int, f func(piece int)) {
	first, last := t.lay.span(file)
	for p := first; p <= last; p++ {
		f(p)
	}
}

// VerifyFile verifies what is still to be verified of a file, by reading it. It
// fails with ErrIncomplete if something of it is missing or was wrong, or as Get.
func (t *Torrent) VerifyFile(ctx context.Context, f File) error {
	i := t.lay.stored(f)
	if i < 0 {
		return ErrIncomplete
	}
	first, last := t.lay.span(i)
	for p := first; p <= last; p++ {
		t.d.mu.Lock()
		e := t.at(p)
		unproven := e != nil && e.state == suspect
		t.d.mu.Unlock()
		if e == nil {
			return ErrIncomplete
		}
		if !unproven {
			continue
		}
		if _, err := t.Get(ctx, p); errors.Is(err, ErrMissing) {
			return ErrIncomplete
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Fd is the file's descriptor, valid until Close.
func (b *Backing) Fd() int { return int(b.f.Fd()) }

// ReadAt reads from the file.
func (b *Backing) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.f.ReadAt(p, off)
	if err != nil {
		d := b.t.d
		d.mu.Lock()
		d.doubt(err)
		d.mu.Unlock()
	}
	return n, err
}

// Doubtful tells whether the disk failed a read since it was opened: others are
// likely to fail, and whoever reads the descriptor has to cope with that.
func (b *Backing) Doubtful() bool {
	d := b.t.d
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.doubtful
}

// Close closes the descriptor and lets the pieces go. It may be called more than
// once.
func (b *Backing) Close() error {
	if !b.release() {
		return nil
	}
	return b.f.Close()
}

// release takes back the pins, of the torrent that is open now: it may have been
// closed and opened again meanwhile. It tells whether this was the first time.
func (b *Backing) release() bool {
	d := b.t.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.backing[b]; !ok {
		return false
	}
	delete(d.backing, b)
	if f := d.folders[b.t.id]; f != nil && f.t != nil && f.t.lay.digest == b.t.lay.digest {
		f.t.pinFile(b.file, f.t.unpin)
	}
	return true
}

// backed lists the pieces of a torrent that open files need; mu is held.
func (d *Tier) backed(id ID) map[int]bool {
	pieces := make(map[int]bool)
	for b := range d.backing {
		if b.t.id == id {
			b.t.pinFile(b.file, func(p int) { pieces[p] = true })
		}
	}
	return pieces
}
