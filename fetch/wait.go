package fetch

import (
	"context"
	"fmt"
	"time"
)

// waiter is a read that sleeps on pieces. It is registered with its torrent under
// each piece it lacks; slots and missing are guarded by Torrent.mu.
type waiter struct {
	r       *Reader
	since   time.Time
	off, to int64 // in the file
	first   int
	slots   [][]byte // by piece - first; nil: not here yet
	missing int
	done    chan struct{} // closed when nothing is missing
}

// fill takes a piece; Torrent.mu is held.
func (w *waiter) fill(piece int, data []byte) {
	if w.slots[piece-w.first] != nil {
		return
	}
	w.slots[piece-w.first] = data
	if w.missing--; w.missing == 0 {
		close(w.done)
	}
}

// poll is how often a waiting read looks at its clocks.
const poll = time.Second

// wait fills the empty slots, of the pieces from first on, or fails.
func (r *Reader) wait(ctx context.Context, now time.Time, off, to int64, first int, slots [][]byte) error {
	if err := r.retryOfFailed(now, off, to); err != nil {
		return err
	}
	w, lacking, err := r.t.await(ctx, r, now, off, to, first, slots)
	if err != nil {
		return err
	}
	r.sync(now)
	if len(lacking) > 0 {
		err = r.sleep(ctx, w, now, lacking)
		r.t.unawait(w, lacking)
		// Wants of a probe end with its read, those of a read that failed
		// too; a player's are set anew when it moves on.
		if err != nil || !r.playing() {
			r.sync(time.Now())
		}
		if err != nil {
			r.noteFailure(off, to, err)
			return err
		}
	}
	copy(slots, w.slots) // done is closed, or nothing was lacking: nobody writes any more
	return nil
}

// sleep returns when the waiter is done, or why it should not go on.
func (r *Reader) sleep(ctx context.Context, w *waiter, start time.Time, lacking []int) error {
	lib := r.t.lib
	fail := lib.failure()
	p := patience{noPeers: lib.noPeers, noBlocks: lib.noBlocks, start: start, deliverable: start}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		select {
		case <-w.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-r.closed:
			return ErrClosed
		case <-r.t.removed:
			return r.t.gone()
		case <-lib.closing:
			return ErrClosed
		case <-fail.ch:
			return fail.err
		case <-tick.C:
			r.t.refill(ctx, w, lacking)
			now := time.Now()
			supply := r.t.swarm().Supply(r.t.stillMissing(w, lacking[0]))
			verdict := p.check(now, supply, r.t.stalledState(supply))
			if verdict == waitOn {
				continue
			}
			select {
			case <-w.done: // it came while we asked
				return nil
			default:
			}
			r.t.setStalled(now, verdict, supply, lacking[0])
			return fmt.Errorf("fetch: %s, piece %d: %s: %w", r.t.Name(), lacking[0], verdict, ErrTimeout)
		}
	}
}

func (r *Reader) playing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.win.playing()
}

func (r *Reader) noteFailure(off, to int64, err error) {
	if !isTimeout(err) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = failure{off, to, time.Now(), err}
}

// retryOfFailed answers at once for a part of a range that just timed out.
func (r *Reader) retryOfFailed(now time.Time, off, to int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &r.failed
	part := f.err != nil && off >= f.from && to <= f.to && to-off < f.to-f.from
	if !part || now.Sub(f.at) > retryFor {
		return nil
	}
	f.at = now
	return f.err
}
