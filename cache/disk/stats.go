package disk

import (
	"bytes"
	"slices"
	"time"
)

// counters are guarded by Tier.mu.
type counters struct {
	puts, hits, misses, written, evicted, dropped, corrupt, errors int64
	bytesRead, bytesWritten                                        int64
}

// Stats is a snapshot of a tier.
type Stats struct {
	Budget int64 // bytes
	Used   int64 // bytes of the budget, dormant torrents included
	Pinned int64 // bytes that cannot be evicted now
	Queued int64 // bytes that wait to be written
	Dirty  int64 // bytes that were written and not yet synced

	Torrents int // open
	Dormant  int // on the disk and not open

	// Since the start; pieces but for the last two.
	Puts, Hits, Misses int64
	Written            int64
	Evicted            int64
	Dropped            int64 // taken, but the queue was full or the disk failed
	Corrupt            int64 // found wrong when verified
	Errors             int64 // of the disk
	BytesRead          int64
	BytesWritten       int64

	Off   error     // why nothing is written at present; nil: it is
	Retry time.Time // when it is tried again, if Off
	Full  bool      // no room though the budget has some, for want of free space
}

// Stats returns a snapshot. It looks at every open torrent's pins.
func (d *Tier) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &d.stats
	s := Stats{
		Budget: d.cfg.Bytes, Used: d.used, Queued: d.queued, Dirty: d.dirty,
		Puts: c.puts, Hits: c.hits, Misses: c.misses, Written: c.written, Evicted: c.evicted,
		Dropped: c.dropped, Corrupt: c.corrupt, Errors: c.errors,
		BytesRead: c.bytesRead, BytesWritten: c.bytesWritten,
		Off: d.off.err, Retry: d.off.until, Full: d.off.noRoom,
	}
	for _, f := range d.folders {
		if f.t == nil {
			s.Dormant++
			continue
		}
		s.Torrents++
		for p := range f.t.pins {
			if e := f.t.at(p); e != nil && e.stored {
				s.Pinned += e.cost
			}
		}
	}
	return s
}

// Usage is what one torrent takes of the budget.
type Usage struct {
	ID       ID
	Bytes    int64
	LastRead time.Time // to the minute; zero: unknown
	Open     bool
}

// List says which torrents are on the disk, the largest first.
func (d *Tier) List() []Usage {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]Usage, 0, len(d.folders))
	for id, f := range d.folders {
		u := Usage{ID: id, Bytes: f.cost, Open: f.t != nil && !f.t.gone}
		last := f.last
		if f.t != nil {
			u.Bytes = f.t.cost()
			for _, e := range f.t.entries {
				if e != nil {
					last = max(last, e.minute)
				}
			}
		}
		if last > 0 {
			u.LastRead = time.Unix(int64(last)*60, 0)
		}
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b Usage) int {
		if a.Bytes != b.Bytes {
			return int(min(max(b.Bytes-a.Bytes, -1), 1))
		}
		return bytes.Compare(a.ID[:], b.ID[:])
	})
	return list
}
