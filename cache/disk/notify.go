package disk

import (
	"maps"
	"slices"
)

// report notes that a piece was lost, for its torrent to be told; mu is held.
func (d *Tier) report(e *entry) {
	t := e.t
	if t.gone || t.opts.OnLost == nil {
		return
	}
	if d.lost[t] == nil {
		d.lost[t] = make(map[int]struct{})
	}
	d.lost[t][e.piece] = struct{}{}
	select {
	case d.tell <- struct{}{}:
	default:
	}
}

// notify calls the OnLost functions. Each piece is noted once, so that a slow one
// costs no more than an entry a piece.
func (d *Tier) notify() {
	for {
		select {
		case <-d.tell:
			d.tellLost()
		case <-d.stop:
			d.tellLost()
			return
		}
	}
}

func (d *Tier) tellLost() {
	d.mu.Lock()
	lost := d.lost
	d.lost = make(map[*Torrent]map[int]struct{})
	for t, pieces := range lost {
		maps.DeleteFunc(pieces, func(p int, _ struct{}) bool { return t.at(p) != nil })
		if t.gone && !d.closed {
			clear(pieces)
		}
	}
	d.mu.Unlock()
	for t, pieces := range lost {
		if len(pieces) > 0 {
			t.opts.OnLost(slices.Sorted(maps.Keys(pieces)))
		}
	}
}
