package fetch

// Has tells whether a Read of the same range would find all of it in memory or on the disk. It
// is no read: it moves no window and counts for no piece.
func (r *Reader) Has(off int64, n int) bool {
	to := min(off+int64(n), r.file.size)
	if off < 0 || off >= to {
		return true
	}
	for p := r.file.piece(off); p <= r.file.piece(to-1); p++ {
		if !r.here(p) {
			return false
		}
	}
	return true
}

// here tells whether a piece is in memory or on the disk.
func (r *Reader) here(piece int) bool {
	return r.t.lib.cache.Contains(r.t.key(piece)) || r.shelf.contains(piece)
}
