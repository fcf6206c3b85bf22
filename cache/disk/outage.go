package disk

import (
	"time"

	"golang.org/x/sys/unix"
)

// flaws are errors that the names or sizes of a torrent's files cause.
var flaws = []error{
	unix.ENAMETOOLONG, unix.EISDIR, unix.ENOTDIR, unix.EEXIST, unix.EINVAL, unix.ELOOP, unix.EFBIG, unix.EILSEQ,
}

const (
	offFirst = 30 * time.Second
	offMost  = 10 * time.Minute
)

// outage is whether the tier is off, guarded by Tier.mu. After until a piece is
// taken again as a try; err stays until one was written.
type outage struct {
	err   error // nil: on
	until time.Time
	pause time.Duration

	noRoom     bool // the last piece found no room though the budget had some
	complained time.Time
}

// now tells whether pieces are refused.
func (o *outage) now() bool { return o.err != nil && time.Now().Before(o.until) }

// fail switches the tier off; mu is held.
func (d *Tier) fail(what string, err error) {
	d.stats.errors++
	o := &d.off
	if o.now() {
		return
	}
	o.pause = min(max(2*o.pause, offFirst), offMost)
	o.until = time.Now().Add(o.pause)
	if o.err == nil {
		d.log.Warn("the disk cache is off; pieces are kept in memory only", "dir", d.cfg.Dir, "while", what, "err", err, "retry", o.pause)
	} else {
		d.log.Debug("the disk cache stays off", "dir", d.cfg.Dir, "while", what, "err", err, "retry", o.pause)
	}
	o.err = err
	for d.queue.n > 0 {
		d.stats.dropped++
		d.drop(d.queue.oldest(), true)
	}
}

// works notes that the disk took what was written and synced; mu is held.
func (d *Tier) works() {
	if d.off.err == nil || d.off.now() {
		return
	}
	d.log.Info("the disk cache is on again", "dir", d.cfg.Dir)
	d.off.err, d.off.pause = nil, 0
}

// complain logs an error that concerns single pieces, not for each of them; mu is
// held.
func (d *Tier) complain(msg string, args ...any) {
	if now := time.Now(); now.Sub(d.off.complained) >= offFirst || d.off.complained.IsZero() {
		d.off.complained = now
		d.log.Warn(msg, args...)
	}
}
