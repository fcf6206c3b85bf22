package tracker

import (
	"errors"
	"slices"
	"strings"
	"time"
)

const (
	maxTrackers = 64 // of one torrent, in all tiers; magnets can name thousands

	defaultInterval = 30 * time.Minute // when the tracker names none
	minInterval     = 5 * time.Minute  // never announce more often unasked (libtorrent)
	maxInterval     = 24 * time.Hour   // nor less often
	maxJitter       = time.Minute      // added to intervals, at most a twentieth of them

	// hurryGap and retryGap are kept even when the owner wants an announce now:
	// between announces to a tracker that works, and to one that does not.
	hurryGap = time.Minute
	retryGap = 15 * time.Second

	minRetryIn = time.Minute // bounds of what a tracker may tell us to wait
	maxRetryIn = 24 * time.Hour

	// scrapeGap is how old counts become before a tracker is scraped: those that give
	// none with their replies, that are announced to seldom, or stand by in their tier.
	scrapeGap = 30 * time.Minute

	defaultWant = 200 // peers asked for (libtorrent)
)

// backoff is the pause after the n-th failure in a row, n ≥ 1: 17 s, 55 s,
// 2 min, 3½ min … up to an hour (libtorrent's rule).
func backoff(n int) time.Duration {
	n = min(n, 100)
	return min(5*time.Second+time.Duration(n*n)*12500*time.Millisecond, time.Hour)
}

// State is what the torrent tells its trackers. The zero value is right for a
// torrent of unknown size.
type State struct {
	Uploaded   int64 // payload bytes since the torrent was started
	Downloaded int64
	Left       int64 // bytes missing; of no meaning unless Known
	Known      bool
	NoPeers    bool // ask for none: nobody reads
}

// core holds the rules for the trackers of one torrent. It has no goroutine,
// socket or clock; every call takes the time. Each tier is either busy with one
// tracker, or waits for the next announce to the one it uses, or (using nil)
// looks for one that answers. The Announcer's goroutine owns it.
type core struct {
	tiers     []*tier
	known     map[string]bool // keys of all entries
	state     State
	private   bool
	complete  bool // the torrent was completed during this run
	stopped   bool
	jitter    func(time.Duration) time.Duration // a random duration below its argument
	shuffle   func(n int, swap func(i, j int))
	tierCount int
}

// tier is a list of trackers of which one is enough.
type tier struct {
	list  []*entry // in order of trying
	using *entry   // answered last; nil while looking for one
	busy  *entry   // being announced to
}

// entry is one tracker.
type entry struct {
	url    string // as given, cleaned
	target target
	rank   int // tier it came in; within a tier of a private torrent they differ
	tier   *tier

	dead      error     // it will never work; nil otherwise
	last      time.Time // start of the latest announce
	next      time.Time // no announce before this; zero: any time
	fails     int       // announces in a row without an answer
	err       error     // of the latest of these
	ordered   bool      // next was demanded by the tracker (retry in)
	started   bool      // it has answered an announce with the started event
	completed bool      // likewise, completed

	again     bool // if the announce under way fails, the next one is due
	answered  bool // the announce under way had a reply
	counts    Counts
	found     int // peers in the latest reply that was to have any
	warning   string
	trackerID string
	minGap    time.Duration // demanded between announces
	counted   time.Time     // when it gave counts, or was scraped in vain
}

// job is an announce to be done, or a scrape.
type job struct {
	entry   *entry
	target  target
	request Request // what core knows of it: event, numbers, tracker ID
	scrape  bool    // scrape as well, should the reply give no counts
	only    bool    // do nothing but scrape
}

// add appends tiers of trackers; known ones are skipped, and what goes beyond
// maxTrackers. For private torrents all tiers share one list.
func (c *core) add(tiers [][]string) {
	for _, urls := range tiers {
		t := &tier{}
		if c.private && len(c.tiers) > 0 {
			t = c.tiers[0]
		}
		var fresh []*entry
		for _, u := range urls {
			if e := c.entry(u); e != nil {
				e.rank, e.tier = c.tierCount, t
				fresh = append(fresh, e)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		c.shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
		if len(t.list) == 0 {
			c.tiers = append(c.tiers, t)
		}
		t.list = append(t.list, fresh...)
		c.tierCount++
	}
}

// entry makes an entry of a URL; nil if there is nothing to add. A URL that
// cannot be used becomes a dead entry, so that the status can tell why.
func (c *core) entry(url string) *entry {
	url = strings.TrimSpace(url)
	if url == "" || len(c.known) >= maxTrackers {
		return nil
	}
	e := &entry{url: cleanTo([]byte(url), maxURL), counts: noCounts}
	key := e.url
	if e.target, e.dead = parseTarget(url); e.dead == nil {
		key = e.target.key()
	}
	if c.known[key] {
		return nil
	}
	if c.known == nil {
		c.known = make(map[string]bool)
	}
	c.known[key] = true
	return e
}

// tick returns the announces that are due, and when to call again at the
// latest; a zero time means not before something happens.
func (c *core) tick(now time.Time) (jobs []job, next time.Time) {
	if c.stopped {
		return nil, time.Time{}
	}
	for _, t := range c.tiers {
		if t.busy != nil {
			continue
		}
		if t.using != nil && t.using.next.After(now) {
			next = earlier(next, t.using.next)
			var at time.Time
			if jobs, at = c.scrapes(now, t, jobs); !at.IsZero() {
				next = earlier(next, at)
			}
			continue
		}
		t.using = nil // from the top: a better one may be back
		e, at := t.candidate(now)
		if e != nil {
			jobs = append(jobs, c.start(now, e))
		} else if !at.IsZero() {
			next = earlier(next, at)
		}
	}
	return jobs, next
}

// scrapes appends the scrapes that are due in a tier, and says when the next one is.
// Those of private torrents hear of us only when it is their turn (BEP 27).
func (c *core) scrapes(now time.Time, t *tier, jobs []job) (list []job, next time.Time) {
	if c.private {
		return jobs, next
	}
	for _, e := range t.list {
		at := e.counted.Add(scrapeGap)
		switch {
		case e.dead != nil || e.fails > 0:
		case e == t.using && e.next.Before(at.Add(scrapeGap/2)): // an announce is near
		case at.After(now):
			next = earlier(next, at)
		default:
			e.counted = now
			jobs = append(jobs, job{entry: e, target: e.target, only: true})
		}
	}
	return jobs, next
}

// candidate returns the first tracker that may be asked now, or when one may.
func (t *tier) candidate(now time.Time) (e *entry, at time.Time) {
	for _, e := range t.list {
		if e.dead != nil {
			continue
		}
		if !e.next.After(now) {
			return e, time.Time{}
		}
		at = earlier(at, e.next)
	}
	return nil, at
}

func (c *core) start(now time.Time, e *entry) job {
	e.tier.busy = e
	e.last, e.answered = now, false
	r := c.request(e)
	switch {
	case !e.started:
		r.Event = Started
	case c.complete && !e.completed:
		r.Event = Completed
	}
	j := job{entry: e, target: e.target, request: r, scrape: now.Sub(e.counted) >= scrapeGap}
	if j.scrape {
		e.counted = now
	}
	return j
}

func (c *core) request(e *entry) Request {
	r := Request{
		Uploaded: c.state.Uploaded, Downloaded: c.state.Downloaded, Left: -1,
		NumWant: defaultWant, TrackerID: e.trackerID,
	}
	if c.state.Known {
		r.Left = max(c.state.Left, 0)
	}
	if c.state.NoPeers {
		r.NumWant = 0
	}
	return r
}

// reply takes a reply to the announce under way; there may be one for each
// address family.
func (c *core) reply(now time.Time, e *entry, event Event, r Reply) {
	first := !e.answered
	e.answered, e.started = true, true
	e.completed = e.completed || event == Completed || event == Started && c.state.Known && c.state.Left == 0
	e.fails, e.err, e.ordered = 0, nil, false
	e.warning, e.trackerID = r.Warning, r.TrackerID
	if first {
		if r.Counts != noCounts { // else those of the latest scrape stand
			e.counts = noCounts
		}
		e.minGap, e.next = 0, time.Time{}
		if !c.state.NoPeers {
			e.found = 0
		}
	}
	if e.counts = e.counts.max(r.Counts); r.Counts != noCounts {
		e.counted = now
	}
	e.found += len(r.Peers)
	e.minGap = max(e.minGap, min(r.MinInterval, maxInterval))
	interval := r.Interval
	if interval == 0 {
		interval = defaultInterval
	}
	interval = min(max(interval, r.MinInterval, minInterval), maxInterval)
	e.next = later(e.next, now.Add(interval+c.jitter(min(interval/20, maxJitter))))
	e.tier.promote(e)
}

// promote makes e the tracker in use and moves it to the front of those it
// came with.
func (t *tier) promote(e *entry) {
	t.using = e
	from := slices.Index(t.list, e)
	to := slices.IndexFunc(t.list, func(o *entry) bool { return o.rank == e.rank })
	copy(t.list[to+1:from+1], t.list[to:from])
	t.list[to] = e
}

// finished ends the announce to e. err is of use only if there was no reply.
func (c *core) finished(now time.Time, e *entry, err error) {
	e.tier.busy = nil
	if e.answered {
		e.again = false
		return
	}
	if err == nil {
		err = errNotBencoded
	}
	e.fails++
	e.err = err
	pause := backoff(e.fails)
	pause += c.jitter(pause / 10)
	wait, never := demanded(err)
	if e.ordered = wait > 0; e.ordered {
		pause = min(max(wait, minRetryIn), maxRetryIn)
	}
	if never {
		e.dead = err
	}
	if e.again && !e.ordered {
		pause = 0
	}
	e.again = false
	e.next = now.Add(pause)
}

// demanded returns what a tracker told us about trying again (BEP 31, or
// HTTP's Retry-After).
func demanded(err error) (wait time.Duration, never bool) {
	var f *Failure
	var h *httpError
	switch {
	case errors.As(err, &f):
		return f.RetryIn, f.Never
	case errors.As(err, &h):
		return h.retryIn, false
	}
	return 0, false
}

// scraped takes the counts of a scrape; those of a failed one are unknown.
func (c *core) scraped(now time.Time, e *entry, n Counts) {
	e.counted = now
	if n != noCounts {
		e.counts = n
	}
}

// hurry moves announces forward as far as the gaps and the trackers allow.
func (c *core) hurry(now time.Time) {
	for _, t := range c.tiers {
		for _, e := range t.list {
			var at time.Time
			switch {
			case e == t.busy || e.dead != nil || e.ordered:
				continue
			case e == t.using:
				at = e.last.Add(max(hurryGap, e.minGap))
			case e.fails > 0:
				at = e.last.Add(retryGap)
			default:
				continue
			}
			if at = later(at, now); at.Before(e.next) {
				e.next = at
			}
		}
	}
}

// retry makes the trackers due that did not answer.
func (c *core) retry(now time.Time) {
	for _, t := range c.tiers {
		for _, e := range t.list {
			switch {
			case e == t.busy:
				e.again = true
			case e.dead == nil && !e.ordered && e.fails > 0 && now.Before(e.next):
				e.next = now
			}
		}
	}
}

// setState replaces the state. When the torrent has become complete all
// trackers in use are told at once, one time.
func (c *core) setState(now time.Time, s State) {
	done := s.Known && s.Left == 0 && (!c.state.Known || c.state.Left > 0)
	c.state = s
	if !done || c.complete {
		return
	}
	c.complete = true
	for _, t := range c.tiers {
		if t.using != nil && t.busy == nil {
			t.using.next = now
		}
	}
}

// stop ends all announcing and returns the last announces to each tracker, in order:
// the stopped event, and before it completed if it has not heard of that.
func (c *core) stop() (jobs [][]job) {
	c.stopped = true
	for _, t := range c.tiers {
		for _, e := range t.list {
			if !e.started || e.dead != nil {
				continue
			}
			var list []job
			for _, ev := range []Event{Completed, Stopped} {
				if ev == Completed && (!c.complete || e.completed || e.fails > 0) {
					continue
				}
				r := c.request(e)
				r.Event, r.NumWant = ev, 0
				list = append(list, job{entry: e, target: e.target, request: r})
			}
			jobs = append(jobs, list)
		}
	}
	return jobs
}

// max takes the larger of each number: the families of a tracker count mostly
// the same peers, so they are not added up.
func (c Counts) max(d Counts) Counts {
	return Counts{max(c.Seeds, d.Seeds), max(c.Leechers, d.Leechers), max(c.Downloaded, d.Downloaded)}
}

// earlier returns the earlier of two times; a zero a counts as never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
