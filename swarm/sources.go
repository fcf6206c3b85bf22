package swarm

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"magnetfs/swarm/dht"
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
func (fs *finders) rows(pex SourceStatus) []SourceStatus {
	all := fs.all()
	rows := []SourceStatus{fs.dhtStatus(all), fs.lpdStatus(all), pex}
	at := map[string]int{} // by URL
	for _, f := range all {
		for _, row := range f.trackerRows() {
			if i, known := at[row.Name]; known {
				rows[i] = joined(rows[i], row)
				continue
			}
			at[row.Name] = len(rows)
			rows = append(rows, row)
		}
	}
	return rows
}

// trackerRows are the trackers that are asked for this info-hash.
func (f *finder) trackerRows() (rows []SourceStatus) {
	f.mu.Lock()
	a := f.trackers
	f.mu.Unlock()
	if a == nil {
		return nil
	}
	for _, t := range a.Status() {
		rows = append(rows, SourceStatus{Name: t.URL, Status: t.Status, Next: untilNext(t.Next), Seeds: t.Seeds, Peers: t.Peers})
	}
	return rows
}

// joined is what a tracker says of both hashes of a hybrid torrent. Most peers are
// in both swarms, so the larger one counts. If it serves one hash only, it works.
func joined(a, b SourceStatus) SourceStatus {
	better := func(s string) bool { return strings.HasPrefix(s, wordWorking) }
	if better(b.Status) && (!better(a.Status) || a.Status == wordNobody) {
		a.Status = b.Status
	}
	if a.Next < 0 || b.Next >= 0 && b.Next < a.Next {
		a.Next = b.Next
	}
	a.Seeds, a.Peers = max(a.Seeds, b.Seeds), max(a.Peers, b.Peers)
	return a
}

func (fs *finders) dhtStatus(all []*finder) SourceStatus {
	row := SourceStatus{Name: SourceDHT, Next: -1, Seeds: -1, Peers: -1}
	d := fs.t.session.dht
	switch {
	case d == nil:
		row.Status = wordDisabled
		return row
	case fs.t.isPrivate():
		row.Status = wordPrivate
		return row
	}
	good := d.good()
	fault := fs.t.session.fault("udp")
	var sum dhtSum
	for _, f := range all {
		f.mu.Lock()
		sum.add(f.searches, time.Now())
		f.mu.Unlock()
	}
	row.Next = sum.next
	for _, s := range sum.scrapes {
		row.Seeds = max(row.Seeds, 0) + s.Seeds
		row.Peers = max(row.Peers, 0) + s.Peers
	}
	known := len(sum.found)
	if row.Peers < 0 && (sum.looked || known > 0) {
		row.Peers = known
	}
	switch {
	case fault != nil:
		row.Status = "error: " + fault.Error()
	case good == 0:
		row.Status = "bootstrapping"
	case !sum.looked && !sum.running:
		row.Status = wordNotYet
	case sum.running && !sum.looked && known == 0:
		row.Status = wordAnnouncing
	case known == 0:
		row.Status = wordNobody
	default:
		row.Status = fmt.Sprintf("%s (%d nodes)", wordWorking, good)
	}
	return row
}

// dhtSum is what all searches together have come to.
type dhtSum struct {
	looked, running bool
	next            time.Duration // negative: none
	found           map[netip.AddrPort]bool
	scrapes         map[*dht.Server]dht.ScrapeResult // one for each family, that of the larger swarm of a hybrid
}

// add takes the searches for one info-hash, and forgets the old of what they found.
func (s *dhtSum) add(searches []*dhtSearch, now time.Time) {
	if s.found == nil {
		s.found, s.scrapes, s.next = map[netip.AddrPort]bool{}, map[*dht.Server]dht.ScrapeResult{}, -1
	}
	for _, ds := range searches {
		for a, at := range ds.found {
			if now.Sub(at) > knownFor {
				delete(ds.found, a)
				continue
			}
			s.found[a] = true
		}
		s.looked, s.running = s.looked || ds.looked, s.running || ds.running
		if !ds.running && !ds.next.IsZero() && (s.next < 0 || ds.next.Sub(now) < s.next) {
			s.next = max(0, ds.next.Sub(now))
		}
		if !ds.scrape.Known() {
			continue
		}
		if old, ok := s.scrapes[ds.server]; !ok || old.Seeds+old.Peers < ds.scrape.Seeds+ds.scrape.Peers {
			s.scrapes[ds.server] = ds.scrape
		}
	}
}

func (fs *finders) lpdStatus(all []*finder) SourceStatus {
	row := SourceStatus{Name: SourceLPD, Next: -1, Seeds: -1, Peers: -1}
	switch {
	case fs.t.session.lpd == nil:
		row.Status = wordDisabled
		return row
	case fs.t.isPrivate():
		row.Status = wordPrivate
		return row
	}
	var hashes [][20]byte
	for _, f := range all {
		hashes = append(hashes, f.hash)
	}
	st := fs.t.session.lpd.Stats(hashes...)
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
