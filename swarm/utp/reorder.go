package utp

// reorderLen is how many packets after a missing one are kept (libutp: 1024).
const reorderLen = 1024

// reorder keeps packets that came before their turn. A packet is known by its
// distance from the next one in order, 1 … reorderLen-1. The zero value is empty.
type reorder struct {
	slots [][]byte // by sequence number modulo reorderLen; nil while nothing is kept
	count int
	bytes int
}

// put keeps a copy of the payload; false if it is there already or too far ahead.
func (r *reorder) put(next, seq uint16, payload []byte) bool {
	if d := ahead(seq, next); d < 1 || d >= reorderLen {
		return false
	}
	if r.slots == nil {
		r.slots = make([][]byte, reorderLen)
	}
	slot := &r.slots[seq%reorderLen]
	if *slot != nil {
		return false
	}
	*slot = append(make([]byte, 0, len(payload)), payload...) // never nil
	r.count++
	r.bytes += len(payload)
	return true
}

// take returns the payload of seq, which is next in order, nil if it is not there.
func (r *reorder) take(seq uint16) []byte {
	if r.count == 0 {
		return nil
	}
	slot := &r.slots[seq%reorderLen]
	b := *slot
	if b != nil {
		*slot = nil
		r.count--
		r.bytes -= len(b)
	}
	return b
}

// mask appends the selective acknowledgement: bit 0 is next+1. Its length is a
// multiple of four bytes, as some clients expect.
func (r *reorder) mask(b []byte, next uint16) []byte {
	begin := len(b)
	for d, left := 1, r.count; left > 0 && d < reorderLen; d++ {
		if r.slots[(next+uint16(d))%reorderLen] == nil {
			continue
		}
		left--
		bit := d - 1
		for len(b)-begin <= bit/8 {
			b = append(b, 0, 0, 0, 0)
		}
		b[begin+bit/8] |= 1 << (bit % 8)
	}
	return b
}

// clear drops all.
func (r *reorder) clear() { *r = reorder{} }
