package fetch

import (
	"fmt"
	"sync"
	"time"
)

const (
	restEvery = 5 * time.Second
	// tightFor is how long windows stay small after memory had run out.
	tightFor = 10 * time.Second
)

// readers are the open handles of a library: they share the cache's memory.
type readers struct {
	budget int64

	mu      sync.Mutex // leaf; guards:
	open    map[*Reader]struct{}
	lastID  uint64
	players int
	kept    int64     // of the budget, by pins
	tight   time.Time // until then memory is short
	share   int64     // of each reader while it is
	past    []past    // oldest first
}

func newReaders(budget int64) *readers {
	return &readers{budget: budget, open: make(map[*Reader]struct{})}
}

func (l *Library) addReader(r *Reader) error {
	rs := l.readers
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !l.open() {
		return fmt.Errorf("fetch: %w", ErrClosed)
	}
	rs.lastID++
	r.id = rs.lastID
	rs.open[r] = struct{}{}
	return nil
}

func (rs *readers) remove(r *Reader) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.open, r)
}

func (rs *readers) countPlayer(playing bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if playing {
		rs.players++
	} else {
		rs.players--
	}
}

// limits is what one reader may pin ahead: an equal share of three quarters of the
// memory. The last quarter is for what lies behind the readers, for probes, and
// for history.
func (rs *readers) limits(now time.Time) limits {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if now.Before(rs.tight) {
		return limits{ahead: rs.share, tight: true}
	}
	return limits{ahead: (rs.budget - rs.kept) / 4 * 3 / int64(max(1, rs.players))}
}

// setKept notes how much of the memory is not for readers.
func (rs *readers) setKept(bytes int64) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.kept = min(bytes, rs.budget)
}

// list returns the open readers.
func (rs *readers) list() []*Reader {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	all := make([]*Reader, 0, len(rs.open))
	for r := range rs.open {
		all = append(all, r)
	}
	return all
}

// squeeze makes room when pins fill the memory and a read found no place for the
// piece it sleeps on: for a while every reader has to do with half of an equal
// share, less the piece under its head, even if that is nothing ahead.
func (rs *readers) squeeze(now time.Time) {
	all := rs.list()
	active, largest := int64(0), int64(0)
	for _, r := range all {
		r.mu.Lock()
		if !r.win.idle {
			active++
			largest = max(largest, r.file.pieceLen)
		}
		r.mu.Unlock()
	}
	rs.mu.Lock()
	fresh := now.Add(tightFor / 2).After(rs.tight)
	if fresh {
		rs.tight = now.Add(tightFor)
		rs.share = max(0, (rs.budget-rs.kept)/2/max(1, active)-largest)
	}
	rs.mu.Unlock()
	if !fresh {
		return
	}
	for _, r := range all {
		r.sync(now)
	}
}

// run gives up the windows of readers that rest.
func (rs *readers) run(stop <-chan struct{}) {
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			now := time.Now()
			rs.mu.Lock()
			rs.fade(now)
			rs.mu.Unlock()
			for _, r := range rs.list() {
				r.rest(now)
				r.t.tellUnkept(nil, true)
			}
		}
	}
}
