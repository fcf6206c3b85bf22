package fetch

// Has tells whether a Read of the same range would find all of it in the cache. It
// is no read: it moves no window and counts for no piece.
func (r *Reader) Has(off int64, n int) bool {
	to := min(off+int64(n), r.file.size)
	if off < 0 || off >= to {
		return true
	}
	for p := r.file.piece(off); p <= r.file.piece(to-1); p++ {
		if !r.t.lib.cache.Contains(r.t.key(p)) {
			return false
		}
	}
	return true
}
