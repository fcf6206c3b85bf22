package disk

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// badNames are errors that the names of a torrent's files cause; a file with such a
// name does not exist.
var badNames = []error{unix.ENAMETOOLONG, unix.EISDIR, unix.ENOTDIR, unix.EEXIST, unix.ELOOP, unix.EILSEQ}

// passing are errors that say nothing about the file that was to be used.
var passing = []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, unix.EAGAIN}

func isOneOf(errs []error, err error) bool {
	return slices.ContainsFunc(errs, func(e error) bool { return errors.Is(err, e) })
}

// isFlaw tells errors that are due to one torrent, to its names and the sizes of
// its files, from those of the disk.
func isFlaw(err error) bool {
	return isOneOf(badNames, err) || errors.Is(err, unix.EFBIG) || errors.Is(err, unix.EINVAL)
}

// isAbsent tells whether there is no such file.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) || isOneOf(badNames, err) }

// task is what the tier does to the disk.
type task string

const (
	placing  task = "writing"
	syncing  task = "syncing"
	mapping  task = "writing a map"
	freeing  task = "freeing space"
	removing task = "removing a torrent"
	asking   task = "asking for free space"
)

const (
	offFirst = 30 * time.Second
	offMost  = 10 * time.Minute
)

// outage is whether the tier is off, guarded by Tier.mu. After until pieces are
// taken again as a try; err stays until the task that failed succeeds.
type outage struct {
	err   error // nil: on
	in    task  // that failed
	until time.Time
	pause time.Duration // doubles while failures follow one another
	ended time.Time     // when it was over last

	noRoom     bool // the last piece found no room though the budget had some
	complained time.Time
}

// now tells whether pieces are refused.
func (o *outage) now() bool { return o.err != nil && time.Now().Before(o.until) }

// fail switches the tier off; mu is held.
func (d *Tier) fail(in task, err error) {
	d.stats.errors++
	o := &d.off
	if o.now() {
		return
	}
	if o.err == nil && time.Since(o.ended) > offMost {
		o.pause = 0
	}
	o.pause = min(max(2*o.pause, offFirst), offMost)
	o.until = time.Now().Add(o.pause)
	if o.err == nil {
		d.log.Warn("the disk cache is off; pieces are kept in memory only", "dir", d.cfg.Dir, "while", in, "err", err, "retry", o.pause)
	} else {
		d.log.Debug("the disk cache stays off", "dir", d.cfg.Dir, "while", in, "err", err, "retry", o.pause)
	}
	o.err, o.in = err, in
	for d.queue.n > 0 {
		d.stats.dropped++
		d.drop(d.queue.oldest(), true)
	}
}

// works notes that a task was done; mu is held.
func (d *Tier) works(in task) {
	if d.off.err == nil || d.off.in != in {
		return
	}
	d.log.Info("the disk cache is on again", "dir", d.cfg.Dir)
	d.off.err, d.off.ended = nil, time.Now()
	d.off.until = d.off.ended
}

// complain logs an error that concerns single pieces, not for each of them; mu is
// held.
func (d *Tier) complain(msg string, args ...any) {
	if now := time.Now(); now.Sub(d.off.complained) >= offFirst || d.off.complained.IsZero() {
		d.off.complained = now
		d.log.Warn(msg, args...)
	}
}

// doubt notes that the disk could not read what it had; mu is held.
func (d *Tier) doubt(err error) {
	if errors.Is(err, unix.EIO) && !d.doubtful {
		d.doubtful = true
		d.log.Warn("the disk of the cache failed to read; whole files are not passed through any more", "dir", d.cfg.Dir, "err", err)
	}
}
