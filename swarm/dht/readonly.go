package dht

import (
	"net/netip"
	"time"
)

// readOnly decides whether our queries carry ro (BEP 43).
//
// A node that nobody can reach unasked only costs others: they put it into
// their tables and their queries get lost. Whether we are such a node shows by
// queries from addresses that we did not contact before. None within
// readOnlyTrial: the flag is set. Since nobody would contact us any more then,
// the flag is taken back for another trial every readOnlyPause.
type readOnly struct {
	mode        ReadOnly
	on          bool
	changed     time.Time // start of the trial, or of the time with the flag
	unsolicited bool      // a query came in this trial
	asked       bool      // we have sent queries in this trial

	// Addresses that we sent queries to in this and in the previous
	// contactMemory: a NAT may let their packets in.
	recent, older map[netip.Addr]bool
	since         time.Time
}

const (
	readOnlyTrial = 10 * time.Minute
	readOnlyPause = time.Hour
	contactMemory = 30 * time.Minute // longer than NATs keep a UDP mapping

	// readOnlyTable is how many good nodes we must know for the silence of
	// strangers to mean something: a small network has none (guess).
	readOnlyTable = 32
)

func newReadOnly(mode ReadOnly, now time.Time) readOnly {
	return readOnly{mode: mode, on: mode == ReadOnlyAlways, changed: now, since: now}
}

// contacted notes that we send a query to ip.
func (r *readOnly) contacted(ip netip.Addr, now time.Time) {
	if r.mode != ReadOnlyAuto {
		return
	}
	r.forget(now)
	r.recent[ip] = true
	r.asked = true
}

// forget ages the memory of contacts.
func (r *readOnly) forget(now time.Time) {
	past := now.Sub(r.since)
	if past < contactMemory && r.recent != nil {
		return
	}
	r.older = nil
	if past < 2*contactMemory {
		r.older = r.recent
	}
	r.recent, r.since = make(map[netip.Addr]bool), now
}

// queried notes that ip sent us a query.
func (r *readOnly) queried(ip netip.Addr, now time.Time) {
	if r.mode != ReadOnlyAuto || r.unsolicited && !r.on {
		return
	}
	if r.forget(now); r.recent[ip] || r.older[ip] {
		return
	}
	r.unsolicited = true
	if r.on {
		r.on, r.changed = false, now
	}
}

// update ends trials and pauses. good is the number of good nodes we know.
func (r *readOnly) update(good int, now time.Time) {
	if r.mode != ReadOnlyAuto {
		return
	}
	past := now.Sub(r.changed)
	switch {
	case r.on && past >= readOnlyPause:
		r.on, r.unsolicited, r.asked, r.changed = false, false, false, now
	case r.on || past < readOnlyTrial:
	case r.unsolicited && past >= readOnlyPause:
		// Reachable so far; look whether that is still so.
		r.unsolicited, r.asked, r.changed = false, false, now
	case !r.unsolicited && r.asked && good >= readOnlyTable:
		r.on, r.changed = true, now
	}
}
