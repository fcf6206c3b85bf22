package swarm

import (
	"fmt"
	"net/netip"
	"time"

	"magnetfs/swarm/wire"
)

// Names of the rows of the status table that are not trackers.
const (
	SourceDHT = "[DHT]"
	SourceLPD = "[Local Peer Discovery]"
	SourcePEX = "[Peer Exchange]"
)

const (
	wordDisabled   = "disabled"
	wordPrivate    = "not allowed (private)"
	wordWorking    = "working"
	wordNobody     = "working (nobody found)"
	wordAnnouncing = "announcing"
	wordNotYet     = "not contacted yet"
)

// rows returns the classic table: DHT, LPD, PEX, and each tracker. pex is the row
// that the loop has made.
func (f *finder) rows(pex SourceStatus) []SourceStatus {
	rows := []SourceStatus{f.dhtStatus(), f.lpdStatus(), pex}
	f.mu.Lock()
	a := f.trackers
	f.mu.Unlock()
	if a == nil {
		return rows
	}
	for _, t := range a.Status() {
		rows = append(rows, SourceStatus{Name: t.URL, Status: t.Status, Next: untilNext(t.Next), Seeds: t.Seeds, Peers: t.Peers})
	}
	return rows
}

func (f *finder) dhtStatus() SourceStatus {
	row := SourceStatus{Name: SourceDHT, Next: -1, Seeds: -1, Peers: -1}
	d := f.t.session.dht
	switch {
	case d == nil:
		row.Status = wordDisabled
		return row
	case f.t.isPrivate():
		row.Status = wordPrivate
		return row
	}
	good := d.good()
	fault := f.t.session.fault("udp")
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	known, looked, running := 0, false, false
	for _, ds := range f.searches {
		for a, at := range ds.found {
			if now.Sub(at) > knownFor {
				delete(ds.found, a)
			}
		}
		known += len(ds.found)
		looked, running = looked || ds.looked, running || ds.running
		if !ds.running && !ds.next.IsZero() && (row.Next < 0 || time.Until(ds.next) < row.Next) {
			row.Next = max(0, time.Until(ds.next))
		}
		if ds.scrape.Known() {
			row.Seeds = max(row.Seeds, 0) + ds.scrape.Seeds
			row.Peers = max(row.Peers, 0) + ds.scrape.Peers
		}
	}
	if row.Peers < 0 && (looked || known > 0) {
		row.Peers = known
	}
	switch {
	case fault != nil:
		row.Status = "error: " + fault.Error()
	case good == 0:
		row.Status = "bootstrapping"
	case !looked && !running:
		row.Status = wordNotYet
	case running && !looked && known == 0:
		row.Status = wordAnnouncing
	case known == 0:
		row.Status = wordNobody
	default:
		row.Status = fmt.Sprintf("%s (%d nodes)", wordWorking, good)
	}
	return row
}

func (f *finder) lpdStatus() SourceStatus {
	row := SourceStatus{Name: SourceLPD, Next: -1, Seeds: -1, Peers: -1}
	switch {
	case f.t.session.lpd == nil:
		row.Status = wordDisabled
		return row
	case f.t.isPrivate():
		row.Status = wordPrivate
		return row
	}
	st := f.t.session.lpd.Stats(f.t.spec.InfoHash)
	row.Next, row.Peers = untilNext(st.Next), st.Announcers
	switch {
	case st.Links == 0 && st.Err != nil:
		row.Status = "error: " + st.Err.Error()
	case st.Announcers == 0:
		row.Status = wordNobody
	default:
		row.Status = wordWorking
	}
	return row
}

// pexStatus counts the contacts that connected peers told and did not take back.
func (l *loop) pexStatus() SourceStatus {
	row := SourceStatus{Name: SourcePEX, Next: -1, Seeds: -1, Peers: -1}
	if l.private() {
		row.Status = wordPrivate
		return row
	}
	senders := 0
	live := map[netip.AddrPort]wire.PexFlags{}
	for _, r := range l.peers {
		if len(r.pex.live) > 0 {
			senders++
		}
		for a, f := range r.pex.live {
			if !l.cands.own[a] { // they tell us of ourselves
				live[a] |= f
			}
		}
	}
	row.Seeds, row.Peers = 0, 0
	for _, f := range live {
		if f&wire.PexSeed != 0 {
			row.Seeds++
		} else {
			row.Peers++
		}
	}
	row.Status = wordNobody
	if senders > 0 {
		row.Status = fmt.Sprintf("%s (%d senders)", wordWorking, senders)
	}
	return row
}

// untilNext is negative for no time.
func untilNext(t time.Time) time.Duration {
	if t.IsZero() {
		return -1
	}
	return max(0, time.Until(t))
}
