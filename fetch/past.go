package fetch

import (
	"slices"
	"time"
)

const (
	// pastFor is how long a closed handle is remembered: a server's next request
	// follows the last one when its client has played what it got.
	pastFor = 10 * time.Second
	// maxPast bounds how many are remembered, of all torrents together.
	maxPast = 32
)

// past is the history of a handle that was closed. A program that soon opens the file
// again goes on with it: a server of HTTP does so for each request, and a player
// behind it would never be taken for one. Other programs begin anew, so one scanner
// after the other gets what it reads and no more.
//
// What the closed handle wanted is given up all the same. It is wanted again at the
// next handle's first read, and what was on its way is not asked twice (see
// picker/recall.go).
type past struct {
	t     *Torrent
	file  int // metainfo's index
	owner string
	at    time.Time
	win   window
}

// goOn takes over the history of the last handle that the same program had of the file,
// at the first read: the kernel may tell of a close only after the next open.
func (r *Reader) goOn(now time.Time) {
	r.mu.Lock()
	first, owner := !r.began, r.owner
	r.began = true
	r.mu.Unlock()
	if !first || owner == "" {
		return
	}
	old, ok := r.t.lib.readers.recall(r, owner, now)
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok && len(r.win.runs) == 0 {
		r.win = old
	}
}

// is tells whether it is the history of a program's handles of a file.
func (p *past) is(r *Reader, owner string) bool {
	return p.t == r.t && p.file == r.node.File && p.owner == owner
}

// leave notes the history of a reader that is closed.
func (rs *readers) leave(r *Reader, now time.Time) {
	r.mu.Lock()
	owner, win := r.owner, r.win.past()
	r.mu.Unlock()
	if owner == "" || len(win.runs) == 0 {
		return
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.past = slices.DeleteFunc(rs.past, func(p past) bool { return p.is(r, owner) })
	if len(rs.past) == maxPast {
		rs.past = slices.Delete(rs.past, 0, 1)
	}
	rs.past = append(rs.past, past{r.t, r.node.File, owner, now, win})
}

// recall takes the history that a new handle goes on with.
func (rs *readers) recall(r *Reader, owner string, now time.Time) (window, bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.fade(now)
	for i, p := range rs.past {
		if p.is(r, owner) {
			rs.past = slices.Delete(rs.past, i, i+1)
			return p.win, true
		}
	}
	return window{}, false
}

// fade forgets what is too old; mu is held.
func (rs *readers) fade(now time.Time) {
	rs.past = slices.DeleteFunc(rs.past, func(p past) bool { return now.Sub(p.at) >= pastFor })
}

// past is a copy of the window for another handle: it wants nothing until that one
// reads.
func (w *window) past() window {
	old := *w
	old.idle, old.lastRead = false, time.Time{}
	old.use.inflight, old.use.since = 0, time.Time{}
	old.runs = make([]*run, 0, maxRuns)
	for _, r := range w.runs {
		c := *r
		c.live, c.seen = false, slices.Clone(r.seen)
		old.runs = append(old.runs, &c)
	}
	return old
}
