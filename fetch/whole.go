package fetch

import (
	"fmt"

	"magnetfs/cache/disk"
)

// Whole is a file that is on the disk as a whole, verified, and stays there until
// Close: it can be read without us.
type Whole struct {
	t *Torrent
	n *Node
	b *disk.Backing
}

// Fd is the descriptor of the file on the disk, valid until Close.
func (w *Whole) Fd() int { return w.b.Fd() }

// Doubtful tells whether the disk failed a read: then the descriptor should be given
// to nobody who takes its errors for final.
func (w *Whole) Doubtful() bool { return w.b.Doubtful() }

// ReadAt reads from the file. It fails as a Reader does when the torrent is gone; any
// other error is the disk's, and a Reader may still get the data from elsewhere.
func (w *Whole) ReadAt(p []byte, off int64) (int, error) {
	if err := w.t.gone(); err != nil {
		return 0, err
	}
	return w.b.ReadAt(p, off)
}

// Close lets the file's pieces be evicted again, and frees them if the file was
// hidden meanwhile. It may be called more than once.
func (w *Whole) Close() error {
	err := w.b.Close()
	w.t.mu.Lock()
	hidden := w.t.hidden.has(w.n)
	w.t.mu.Unlock()
	if hidden && w.t.gone() == nil {
		w.t.Discard(w.n)
	}
	return err
}

// OpenWhole opens the file on the disk that a node of this torrent's tree is kept
// in. It never waits. The pieces count as read just now, since nobody will see
// whether they are.
//
// The error wraps ErrNotReady if the file is not on the disk as a whole, or not
// verified yet; ErrRemoved; ErrClosed. Others are the disk's.
func (t *Torrent) OpenWhole(n *Node) (*Whole, error) {
	if err := t.gone(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	info, shelf := t.info, t.shelf
	t.mu.Unlock()
	if info == nil || shelf.d == nil || n.Kind != File || n.File >= len(info.Files) {
		return nil, fmt.Errorf("fetch: open %q on the disk: %w", n.Path, ErrNotReady)
	}
	b, err := shelf.d.OpenFile(fileOnDisk(info, n.File))
	if err != nil {
		return nil, fmt.Errorf("fetch: open %q on the disk: %w: %w", n.Path, ErrNotReady, err)
	}
	first, last := info.FilePieces(n.File)
	for p := first; p <= last; p++ {
		shelf.visit(p)
	}
	return &Whole{t, n, b}, nil
}
