package fetch

import (
	"context"
	"time"
)

// A player that reads ahead as fast as it can, as mpv does, sits in a read of the
// piece that comes next nearly all the time. When its user seeks, that read has to
// end before it can ask for the new place, and nobody can tell that it is not
// wanted any more: up to the time of a piece, 1.4 s where a swarm brings 0.75 MB/s
// in pieces of 1 MiB. So the last three eighths of a piece behind which there is nothing
// yet is not handed out at once, but about as fast as the next piece comes: then
// the read that is under way when the user seeks is a short one.
//
//	pieces come      1               2               3
//	handed out       ##### #  #  #   ##### #  #  #   #####
//	or else          ########        ########        ########
//	                         └ waits ┘
//
// It is never later than handing out every byte at the rate of the line from the
// arrival of its piece on, so a player that the line can feed is fed; and nothing
// waits when more is here, so a copy takes as long as before.
const (
	// paceFrom is the least time between two pieces that is worth it.
	paceFrom = 300 * time.Millisecond
	// paceMost bounds that time where pieces come even more slowly, or stopped coming.
	paceMost = 5 * time.Second
	// paceLeft is how much of a piece, in eighths, is held back. mpv goes on after it
	// ran dry when it has a second's worth; with half of a piece, which was less in
	// one film of 4 Mbit/s, it did so 0.3 s later than with all of it.
	paceLeft = 3
	// paceShare of the time until the next piece is spread over what is here, since
	// it may come sooner than is thought.
	paceShare = 0.8
)

// pace sleeps before a read of [off, to), all of which is here, is answered. It
// returns sooner if the next piece comes, or the read had better end.
func (r *Reader) pace(ctx context.Context, off, to int64) {
	d, came := r.delay(time.Now(), off, to)
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-came:
	case <-ctx.Done():
	case <-r.closed:
	case <-r.t.removed:
	case <-r.t.lib.closing:
	case <-r.t.lib.failure().ch:
	}
}

// delay is how long a read of [off, to) is to be delayed; came is closed when the
// next piece of the torrent comes.
func (r *Reader) delay(now time.Time, off, to int64) (d time.Duration, came <-chan struct{}) {
	next := r.file.piece(to-1) + 1
	end := r.file.begin(next)
	left := end - off // here, and not handed out
	if end >= r.file.size || left > r.file.pieceLen/8*paceLeft || !r.readsAhead(next-1) || r.here(next) {
		return 0, nil
	}
	expected, came := r.t.nextPiece(now)
	return time.Duration(float64(to-off) / float64(left) * paceShare * float64(expected)), came
}

// readsAhead tells whether a film is played by somebody who takes whatever there is,
// and has had more than the piece in which it began to: that much it may need before
// the first picture is there, and to have something in hand.
func (r *Reader) readsAhead(piece int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.win.media || !r.win.playing() || piece <= r.file.piece(r.win.runs[0].start) {
		return false
	}
	_, calm := r.win.use.rate()
	return !calm
}

// nextPiece is how long it takes until the next piece is there, 0 if that is soon
// after the last in any case; came is closed then.
func (t *Torrent) nextPiece(now time.Time) (expected time.Duration, came <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	every := time.Duration(float64(t.info.PieceLength) / t.line.rate() * float64(time.Second))
	if every < paceFrom || t.line.last.IsZero() {
		return 0, nil
	}
	if t.came == nil {
		t.came = make(chan struct{})
	}
	return max(0, t.line.last.Add(min(every, paceMost)).Sub(now)), t.came
}
