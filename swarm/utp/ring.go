package utp

// ring is a queue of bytes in one piece of memory, which grows as needed. The zero
// value is empty.
type ring struct {
	buf  []byte // length a power of two, or none
	head int    // index of the first byte
	size int    // bytes in it
}

const minRing = 4 << 10

// push appends b.
func (r *ring) push(b []byte) {
	if need := r.size + len(b); need > len(r.buf) {
		r.grow(need)
	}
	at := (r.head + r.size) & (len(r.buf) - 1)
	n := copy(r.buf[at:], b)
	copy(r.buf, b[n:])
	r.size += len(b)
}

func (r *ring) grow(need int) {
	n := max(minRing, len(r.buf))
	for n < need {
		n *= 2
	}
	buf := make([]byte, n)
	a, b := r.view(0, r.size)
	copy(buf[copy(buf, a):], b)
	r.buf, r.head = buf, 0
}

// view returns n bytes from the offset on, in at most two parts. They are valid
// until the ring is changed.
func (r *ring) view(offset, n int) (a, b []byte) {
	if n == 0 {
		return nil, nil
	}
	at := (r.head + offset) & (len(r.buf) - 1)
	if end := at + n; end > len(r.buf) {
		return r.buf[at:], r.buf[:end-len(r.buf)]
	}
	return r.buf[at : at+n], nil
}

// drop removes the first n bytes.
func (r *ring) drop(n int) {
	r.size -= n
	if r.size == 0 {
		r.head = 0
		return
	}
	r.head = (r.head + n) & (len(r.buf) - 1)
}

// pop moves bytes from the front to p.
func (r *ring) pop(p []byte) int {
	n := min(len(p), r.size)
	a, b := r.view(0, n)
	copy(p[copy(p, a):], b)
	r.drop(n)
	return n
}

// shrink gives the memory of an empty ring back.
func (r *ring) shrink() {
	if r.size == 0 {
		r.buf = nil
	}
}
