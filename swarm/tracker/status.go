package tracker

import (
	"fmt"
	"time"
)

// Status is the row of one tracker in the status table.
type Status struct {
	URL    string // as it was given
	Tier   int    // from 0
	Status string // "not contacted yet", "announcing", "working", "working (nobody found)", "timed out, 2nd try", "error: …", "disabled"
	Next   time.Time
	Seeds  int // -1: not known, as below
	Peers  int // without seeds

	Downloaded int    // completed downloads ever
	Found      int    // peers in the latest reply
	Warning    string // of the tracker, for people
}

// status returns the rows of all trackers, tier by tier.
func (c *core) status() []Status {
	var rows []Status
	for _, t := range c.tiers {
		for _, e := range t.list {
			rows = append(rows, Status{
				URL: e.url, Tier: e.rank, Status: c.word(e), Next: c.due(e),
				Seeds: e.counts.Seeds, Peers: e.counts.Leechers, Downloaded: e.counts.Downloaded,
				Found: e.found, Warning: e.warning,
			})
		}
	}
	return rows
}

// word says in the words of the table what is going on with e.
func (c *core) word(e *entry) string {
	switch {
	case e.dead != nil:
		return "error: " + describe(e.dead)
	case c.stopped:
		return "disabled"
	case e.tier.busy == e && !e.answered:
		return "announcing"
	case e.fails > 0 && isTimeout(e.err):
		return fmt.Sprintf("timed out, %s try", ordinal(e.fails+1))
	case e.fails > 0:
		return "error: " + describe(e.err)
	case !e.started && e.counts == noCounts:
		return "not contacted yet"
	case c.alone(e):
		return "working (nobody found)"
	}
	return "working"
}

// alone reports whether e knows nobody but us: trackers count us, and many
// name us among the peers.
func (c *core) alone(e *entry) bool {
	n := e.counts
	switch {
	case e.found > 1 || n.Seeds+n.Leechers > 1:
		return false
	case n.Seeds < 0 && n.Leechers < 0:
		return e.found == 0
	case c.state.Known && c.state.Left == 0:
		return n.Leechers <= 0 // the seed is us
	}
	return n.Seeds <= 0 // the other one is us
}

// due returns when e is announced to next, as far as can be told: zero while
// that goes on, and for trackers that are not in use.
func (c *core) due(e *entry) time.Time {
	if c.stopped || e.dead != nil || e.tier.busy == e || e.tier.using != nil && e.tier.using != e {
		return time.Time{}
	}
	return e.next
}

// ordinal writes 1st, 2nd, 3rd, 4th …
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}
