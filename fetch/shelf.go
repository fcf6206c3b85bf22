package fetch

import (
	"context"
	"slices"

	"magnetfs/cache/disk"
	"magnetfs/swarm/metainfo"
)

// shelf is what a torrent has on the disk tier. The zero value is empty and takes
// nothing: a torrent that is kept in memory only.
//
// A piece is here while memory or disk has it, and each tier tells what it lost.
// Whoever is told looks into the other tier before the swarm hears of it: a tier
// lets a piece go before it reports that, so when both lose it at the same time,
// at least one of the two sees that it is gone from both.
type shelf struct{ d *disk.Torrent }

func (s shelf) put(piece int, data []byte) bool { return s.d != nil && s.d.Put(piece, data) }
func (s shelf) contains(piece int) bool         { return s.d != nil && s.d.Contains(piece) }

// get reads a piece, nil if it is not here. The error is the context's.
func (s shelf) get(ctx context.Context, piece int) ([]byte, error) {
	if s.d == nil {
		return nil, nil
	}
	data, err := s.d.Get(ctx, piece)
	if err != nil {
		return nil, ctx.Err()
	}
	return data, nil
}

func (s shelf) visit(piece int) {
	if s.d != nil {
		s.d.Visit(piece)
	}
}

func (s shelf) pin(piece int) {
	if s.d != nil {
		s.d.Pin(piece)
	}
}

func (s shelf) unpin(piece int) {
	if s.d != nil {
		s.d.Unpin(piece)
	}
}

// missing returns those of the pieces that are not here.
func (s shelf) missing(pieces []int) []int {
	if s.d == nil {
		return pieces
	}
	return s.d.Missing(pieces, nil)
}

// have lists the pieces that are here.
func (s shelf) have() []int {
	if s.d == nil {
		return nil
	}
	return s.d.Have()
}

func (s shelf) close() {
	if s.d != nil {
		s.d.Close()
	}
}

func (s shelf) purge() {
	if s.d != nil {
		s.d.Purge()
	}
}

// openShelf opens what the disk has of a torrent. A torrent that the disk cannot
// take is kept in memory only.
func (t *Torrent) openShelf(info *metainfo.Info) shelf {
	if t.lib.disk == nil {
		return shelf{}
	}
	d, err := t.lib.disk.OpenTorrent(disk.ID(t.hash), disk.Options{
		Layout: layoutOf(info),
		Verify: t.verifyPiece(info),
		OnLost: t.diskLost,
	})
	if err != nil {
		t.lib.log.Warn("torrent is kept in memory only", "hash", t.hash, "err", err)
		return shelf{}
	}
	return shelf{d}
}

// layoutOf is the torrent's layout with the paths that other clients give it.
func layoutOf(info *metainfo.Info) disk.Layout {
	lay := disk.Layout{PieceLength: info.PieceLength, Files: make([]disk.File, len(info.Files))}
	for i := range info.Files {
		lay.Files[i] = fileOnDisk(info, i)
	}
	return lay
}

func fileOnDisk(info *metainfo.Info, i int) disk.File {
	f := &info.Files[i]
	path := f.Path
	if !info.Single {
		path = slices.Concat([]string{info.Name}, f.Path)
	}
	return disk.File{Path: path, Offset: f.Offset, Length: f.Length, Pad: f.Pad}
}

// diskLost is told by the disk tier that pieces are gone.
func (t *Torrent) diskLost(pieces []int) {
	t.lost(t.lib.cache.Missing(t.handle, pieces, nil))
}

// lost notes that pieces are on no tier any more.
func (t *Torrent) lost(pieces []int) {
	if len(pieces) == 0 {
		return
	}
	t.mu.Lock()
	if t.left || t.have == nil {
		t.mu.Unlock()
		return
	}
	for _, p := range pieces {
		t.have.Clear(uint(p))
	}
	sw := t.sw
	t.mu.Unlock()
	sw.Evicted(pieces...)
	t.pokePins(pieces...)
}

// get finds a piece in memory or on the disk, nil if it is on neither. What it
// reads from the disk goes into memory too. The error is the context's.
func (r *Reader) get(ctx context.Context, piece int) ([]byte, error) {
	key := r.t.key(piece)
	if data := r.t.lib.cache.Get(key); data != nil {
		return data, nil
	}
	data, err := r.shelf.get(ctx, piece)
	if data != nil {
		r.t.lib.cache.Put(key, data)
	}
	return data, err
}
