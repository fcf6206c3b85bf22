package fetch

import (
	"time"
)

const (
	// playerAfter is how much one reads in a row before the handle counts as a
	// player. Measured: ffprobe reads at most 2 077 575 bytes in a row of a
	// Matroska file (48 Mbit/s; 1.2 MB at 6 Mbit/s) and 0.4 MB of an MP4,
	// ffmpegthumbnailer the same; so their probing costs the pieces they read.
	playerAfter = 2 << 20
	// resumeAfter is the same for a handle that was a player, after a jump.
	resumeAfter = 256 << 10

	startAhead    = 2 << 20  // a window's first size, if two pieces are not more
	startAheadMax = 8 << 20  // even if two pieces are more
	maxAhead      = 32 << 20 // a window's largest size
	aheadTime     = 60 * time.Second
	minPieces     = 2    // of a window, unless memory is short
	maxPlan       = 1024 // pieces of a window, for torrents of tiny pieces

	maxRuns   = 4
	switchFor = 10 * time.Second // two places read within this are both wanted
	idleAfter = 60 * time.Second // then a reader's window is given up
	tailFor   = 30 * time.Second // as long is a media file's tail kept for its first read
	tailLag   = 200 * time.Millisecond
)

// span is where a file lies in the pieces of its torrent.
type span struct {
	pieceLen int64
	offset   int64 // of the file's first byte in the torrent
	size     int64 // of the file
}

func (s span) piece(off int64) int { return int((s.offset + off) / s.pieceLen) }

// begin is the offset in the file at which a piece begins; negative if it begins
// in an earlier file.
func (s span) begin(piece int) int64 { return int64(piece)*s.pieceLen - s.offset }

// window decides from the reads of one handle which pieces are to be fetched by
// when, and which are kept. It has no goroutine and no clock; its owner serialises
// the calls.
//
// A run of reads is a probe at first: nothing is fetched but what is read. After
// playerAfter bytes it is a player and has pieces ahead wanted, as many bytes as it
// has read in a row (so the window doubles as reading goes on, and never more is
// fetched in vain than was read), up to its cap. A read elsewhere begins another
// run and stops the wants of the first at once. Two places that are read by turns
// (an MP4 whose sound and picture lie apart) are both wanted.
type window struct {
	file      span
	media     bool // head and tail belong together
	companion bool // small: wanted whole

	runs     []*run // last read first
	proven   bool   // a run was a player
	use      useMeter
	lastRead time.Time
	idle     bool

	headRead int64 // distinct bytes read by the first run while it began the file
	tail     time.Time
	tailDone bool
	whole    bool
}

// limits are what the outside allows a window.
type limits struct {
	ahead int64   // bytes
	tight bool    // ahead holds even against minPieces
	line  float64 // bytes per second the torrent delivers
}

// planned is one piece of a plan.
type planned struct {
	piece    int
	deadline time.Time // zero: keep it if it is here, do not fetch it
}

// read notes a read of [from, to), from < to, not behind the end of the file. It
// tells whether a new plan is due.
func (w *window) read(now time.Time, from, to int64) (changed bool) {
	changed = w.idle
	w.idle = false
	w.lastRead = now

	r, fresh, jumped := w.place(now, from, to)
	changed = changed || jumped
	w.use.begin(now, fresh)

	if w.companion && !w.whole {
		w.whole, changed = true, true
	}
	if w.begins(r, from, fresh) {
		w.tail, w.tailDone, changed = now.Add(tailFor), true, true
	}
	if !w.proven && r.read >= playerAfter {
		w.proven, changed = true, true
	}
	plays := w.plays(r)
	changed = changed || plays != r.played // what comes next is to be fetched while it reads this
	r.played = plays
	switch {
	case !plays:
		changed = changed || w.file.piece(r.from) != w.file.piece(r.planned)
	default:
		// Not for every read(2), nor for every piece of a torrent of tiny ones.
		changed = changed || abs(r.head-r.planned) >= max(w.file.pieceLen, w.ahead(r, limits{ahead: maxAhead})/8)
	}
	return changed
}

// answered notes that the oldest read was answered.
func (w *window) answered(now time.Time) { w.use.end(now) }

// place finds the run that a read belongs to, or begins one.
func (w *window) place(now time.Time, from, to int64) (r *run, fresh int64, jumped bool) {
	best := -1
	var least int64
	for i, r := range w.runs {
		if d, ok := r.near(from, to); ok && (best < 0 || d < least) {
			best, least = i, d
		}
	}
	if best == 0 && w.runs[0].live {
		r = w.runs[0]
		return r, r.add(now, from, to), false
	}
	if best >= 0 {
		r = w.runs[best]
		together := now.Sub(r.last) <= switchFor
		for _, other := range w.runs {
			other.live = other.live && together && now.Sub(other.last) <= switchFor
		}
	} else {
		for _, other := range w.runs {
			other.live = false
		}
		r = &run{start: from, head: from, planned: -w.file.pieceLen}
		if len(w.runs) < maxRuns {
			w.runs = append(w.runs, nil)
		}
		best = len(w.runs) - 1
	}
	copy(w.runs[1:best+1], w.runs[:best])
	w.runs[0] = r
	r.live = true
	return r, r.add(now, from, to), true
}

// begins tells whether this read shows that a media file is being opened to play.
func (w *window) begins(r *run, from, fresh int64) bool {
	if w.tailDone || !w.media || w.file.size <= largeMedia || r.start != 0 || from >= slack {
		return false
	}
	w.headRead += fresh
	return w.headRead >= realRead
}

// plays tells whether a run is a player's.
func (w *window) plays(r *run) bool {
	return r.read >= playerAfter || w.proven && r.read >= resumeAfter
}

// ahead is how many bytes a player's run wants from its head on.
func (w *window) ahead(r *run, lim limits) int64 {
	floor := min(max(startAhead, minPieces*w.file.pieceLen), startAheadMax)
	if r.read < playerAfter {
		floor = w.file.pieceLen // after a jump
	}
	most := min(maxAhead, lim.ahead, maxPlan*w.file.pieceLen)
	if rate, ok := w.use.rate(); ok {
		most = min(most, int64(rate*aheadTime.Seconds()))
	}
	if !lim.tight {
		most = max(most, minPieces*w.file.pieceLen)
	}
	return min(max(floor, r.read), most)
}

// plan lists what is to be fetched and kept, the most important first, each piece
// once.
func (w *window) plan(now time.Time, lim limits) []planned {
	if w.idle {
		return nil
	}
	var p planner
	live := 0
	for i, r := range w.runs {
		if i > 0 && now.Sub(r.last) > switchFor {
			r.live = false
		}
		if r.live && w.plays(r) {
			live++
		}
	}
	lim.ahead /= int64(max(1, live))
	rate := lim.line
	if use, ok := w.use.rate(); ok {
		rate = min(rate, max(use, 1))
	}
	for i, r := range w.runs {
		r.planned = r.from
		switch {
		case !r.live:
		case w.plays(r):
			r.planned = r.head
			w.planAhead(&p, r, now, rate, lim)
		case i == 0:
			p.keep(w.file.piece(r.from), w.file.piece(r.to-1))
		}
	}
	if now.Before(w.tail) {
		for i := w.file.piece(max(0, w.file.size-tailBytes)); i <= w.file.piece(w.file.size-1); i++ {
			p.fetch(i, now.Add(tailLag))
		}
	}
	if w.whole {
		for i := w.file.piece(0); i <= w.file.piece(w.file.size-1); i++ {
			p.fetch(i, now.Add(tailLag))
		}
	}
	// What is behind comes last: it is what to give up first.
	for _, r := range w.runs {
		if r.live && w.plays(r) {
			behind := max(slack, w.ahead(r, lim)/10)
			if lim.tight {
				behind = 0
			}
			// One byte less than head: a head at a piece's border leaves that
			// piece, and so does a head at the end of the file.
			p.keep(w.file.piece(max(r.start, r.head-1-behind)), w.file.piece(r.head-1))
		}
	}
	return p.list
}

func (w *window) planAhead(p *planner, r *run, now time.Time, rate float64, lim limits) {
	if r.head >= w.file.size {
		return
	}
	end := min(w.file.size, r.head+max(1, w.ahead(r, lim)))
	for i := w.file.piece(r.head); i <= w.file.piece(end-1); i++ {
		distance := max(0, w.file.begin(i)-r.head)
		p.fetch(i, now.Add(time.Duration(float64(distance)/rate*float64(time.Second))))
	}
}

// rest gives the window up when nothing was read for long. It tells whether a new
// plan is due.
func (w *window) rest(now time.Time) (changed bool) {
	if w.idle || w.use.inflight > 0 || w.lastRead.IsZero() || now.Sub(w.lastRead) < idleAfter {
		return false
	}
	w.idle = true
	for _, r := range w.runs {
		r.live = false
	}
	return true
}

// playing tells whether the window claims a share of the memory.
func (w *window) playing() bool {
	return !w.idle && len(w.runs) > 0 && w.plays(w.runs[0])
}

// planner collects a plan. Plans are short enough for a map only when several
// parts meet; the usual one is one stretch.
type planner struct {
	list []planned
	have map[int]bool
}

func (p *planner) fetch(piece int, deadline time.Time) {
	if p.have == nil {
		p.have = make(map[int]bool)
	}
	if !p.have[piece] {
		p.have[piece] = true
		p.list = append(p.list, planned{piece, deadline})
	}
}

// keep adds pieces that are not to be fetched, the last first.
func (p *planner) keep(first, last int) {
	for i := last; i >= first && i > last-maxPlan; i-- {
		p.fetch(i, time.Time{})
	}
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
