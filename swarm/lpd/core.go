package lpd

import (
	"bytes"
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"
)

const (
	period       = 5 * time.Minute        // between announces of a torrent (BEP 14)
	minGap       = time.Minute            // between regular packets, and of one torrent (BEP 14)
	burstGap     = 100 * time.Millisecond // between urgent packets on one link; guess
	answerJitter = 250 * time.Millisecond // so that a whole LAN does not answer at once; guess
	answerBurst  = 4                      // answers a torrent may give in a row; guess
	answerRefill = 15 * time.Second       // after which it may give one more; guess
	packAhead    = 2 * time.Minute        // a torrent due this soon rides in a packet that leaves anyway
	heardFor     = 15 * time.Minute       // an announcer is believed alive this long: three periods
	reportGap    = time.Minute            // between reports of the same announcer to OnPeer
	maxHeard     = 200                    // announcers kept per torrent
)

// core holds the rules of discovery. It has no goroutine, socket or clock:
// every call takes the time and returns what to do. Not safe for concurrent
// use; Server guards it.
//
// What is to be sent has two origins. Urgent hashes (first announces, answers)
// wait in their link's queue, paced by burstGap. Regular announces go by the
// torrents' due times, in one packet a minute for all links.
type core struct {
	port     uint16
	cookie   string
	jitter   func(time.Duration) time.Duration // a random duration below its argument
	torrents map[[20]byte]*torrent
	links    map[linkKey]*link
	limit    limiter
	regular  time.Time // when the next regular packet may leave
}

// torrent is one announced info-hash.
type torrent struct {
	due     time.Time // next regular announce
	last    time.Time // latest announce other than answers
	repeats int       // announces still to follow at minGap instead of period
	answers bucket
	heard   map[netip.AddrPort]*announcer
}

// announcer is a stranger that announced a torrent.
type announcer struct {
	cookie   string
	last     time.Time // latest announce
	reported time.Time // latest announce that was returned by packet
}

// linkKey names a link: one family on one interface.
type linkKey struct {
	family Family
	index  int
}

// link is a joined interface.
type link struct {
	key    linkKey
	ifi    Interface
	urgent [][20]byte // in order of arrival, no duplicates, may hold removed torrents
	wake   time.Time  // when the head of urgent may leave, but not before paced
	paced  time.Time
	broken bool // sending failed: nothing leaves until setLinks, reception goes on
}

// found is a peer to be reported.
type found struct {
	hash [20]byte
	peer netip.AddrPort
}

// send is a packet to be sent on one link.
type send struct {
	link linkKey
	data []byte
}

func newCore(port uint16, cookie string, jitter func(time.Duration) time.Duration) *core {
	return &core{
		port: port, cookie: cookie, jitter: jitter,
		torrents: make(map[[20]byte]*torrent),
		links:    make(map[linkKey]*link),
	}
}

// add starts announcing hash; a hash already there is left alone.
func (c *core) add(now time.Time, hash [20]byte) {
	if _, ok := c.torrents[hash]; ok {
		return
	}
	t := &torrent{repeats: 1, answers: newBucket(answerBurst, answerRefill), heard: make(map[netip.AddrPort]*announcer)}
	c.torrents[hash] = t
	t.announced(now, 0)
	for _, l := range c.links {
		l.push(now, hash)
	}
}

func (c *core) remove(hash [20]byte) { delete(c.torrents, hash) }

// setLinks replaces the joined links. On a link that is new, was broken, or
// whose addresses changed, everything is announced again.
func (c *core) setLinks(now time.Time, links map[linkKey]Interface) {
	for k := range c.links {
		if _, ok := links[k]; !ok {
			delete(c.links, k)
		}
	}
	for k, ifi := range links {
		old, ok := c.links[k]
		if ok && !old.broken && slices.Equal(old.ifi.Prefixes, ifi.Prefixes) {
			continue
		}
		l := &link{key: k, ifi: ifi, urgent: c.sorted(), wake: now}
		if ok {
			l.paced = old.paced
		}
		c.links[k] = l
	}
}

// failed notes that a packet could not be sent on a link.
func (c *core) failed(k linkKey) {
	if l := c.links[k]; l != nil {
		l.broken, l.urgent = true, nil
	}
}

// packet takes a datagram that arrived on link k from src, and returns the
// peers that are worth telling: new announcers, and known ones once a minute.
func (c *core) packet(now time.Time, k linkKey, src netip.AddrPort, data []byte) []found {
	l := c.links[k]
	from := src.Addr().Unmap()
	if l == nil || !l.ifi.local(from.WithZone("")) || !c.limit.allow(now, from) {
		return nil
	}
	a, err := ParseAnnounce(data)
	if err != nil || a.Cookie == c.cookie {
		return nil
	}
	if a.Port == c.port && l.ifi.owns(from.WithZone("")) {
		return nil // ourselves through another address, by someone who echoes
	}
	if from.Is6() && from.IsLinkLocalUnicast() {
		from = from.WithZone(l.ifi.Name)
	}
	peer := netip.AddrPortFrom(from, a.Port)
	var out []found
	for _, h := range a.Hashes {
		t := c.torrents[h]
		if t == nil {
			continue
		}
		report, stranger := t.hear(now, peer, a.Cookie)
		if report {
			out = append(out, found{h, peer})
		}
		switch {
		case !stranger || slices.Contains(l.urgent, h):
		case t.answers.take(now):
			l.answer(now, h, c.jitter(answerJitter))
		default: // one answer, later, for all that come until then
			l.answer(now, h, t.answers.reserve(now)+c.jitter(answerJitter))
		}
	}
	return out
}

// hear notes an announce of peer. report: tell the owner. stranger: it is new
// here or was started anew (its cookie differs), so it does not know us.
func (t *torrent) hear(now time.Time, peer netip.AddrPort, cookie string) (report, stranger bool) {
	a := t.heard[peer]
	if a == nil {
		if len(t.heard) >= maxHeard && !t.forget(now) {
			return false, false
		}
		a = &announcer{}
		t.heard[peer] = a
		stranger = true
	}
	stranger = stranger || a.cookie != cookie || now.Sub(a.last) > heardFor
	a.cookie, a.last = cookie, now
	if stranger || now.Sub(a.reported) >= reportGap {
		a.reported = now
		report = true
	}
	return report, stranger
}

// forget makes room by dropping whoever missed a whole period; it reports
// whether there was anyone.
func (t *torrent) forget(now time.Time) bool {
	n := len(t.heard)
	for p, a := range t.heard {
		if now.Sub(a.last) > period+minGap {
			delete(t.heard, p)
		}
	}
	return len(t.heard) < n
}

// announced sets the time of the next regular announce.
func (t *torrent) announced(now time.Time, jitter time.Duration) {
	t.last = now
	wait := period + jitter
	if t.repeats > 0 {
		t.repeats--
		wait = minGap
	}
	t.due = now.Add(wait)
}

// push queues hash to leave at once.
func (l *link) push(now time.Time, hash [20]byte) {
	l.wake = now
	l.enqueue(hash)
}

// answer queues hash to leave after a delay, or with what leaves earlier.
func (l *link) answer(now time.Time, hash [20]byte, delay time.Duration) {
	if at := now.Add(delay); len(l.urgent) == 0 || at.Before(l.wake) {
		l.wake = at
	}
	l.enqueue(hash)
}

func (l *link) enqueue(hash [20]byte) {
	if !l.broken && !slices.Contains(l.urgent, hash) {
		l.urgent = append(l.urgent, hash)
	}
}

// ready is when the link's next urgent packet may leave; false without one.
func (l *link) ready() (time.Time, bool) {
	if len(l.urgent) == 0 {
		return time.Time{}, false
	}
	if l.paced.After(l.wake) {
		return l.paced, true
	}
	return l.wake, true
}

// tick returns the packets that are due, and when to call again at the latest;
// a zero time means not before something changes.
func (c *core) tick(now time.Time) (out []send, next time.Time) {
	for _, l := range c.links {
		if at, ok := l.ready(); ok && !at.After(now) {
			if hashes := c.takeUrgent(l); len(hashes) > 0 {
				l.paced = now.Add(burstGap)
				out = append(out, send{l.key, c.encode(l.key.family, hashes)})
			}
		}
		if at, ok := l.ready(); ok {
			next = earlier(next, at)
		}
	}
	out = append(out, c.tickRegular(now)...)
	for _, t := range c.torrents {
		next = earlier(next, later(t.due, c.regular))
	}
	return out, next
}

// takeUrgent removes up to a packet of hashes from the link's queue.
func (c *core) takeUrgent(l *link) [][20]byte {
	var hashes [][20]byte
	n := 0
	for _, h := range l.urgent {
		if len(hashes) == packHashes {
			break
		}
		n++
		if c.torrents[h] != nil {
			hashes = append(hashes, h)
		}
	}
	l.urgent = slices.Delete(l.urgent, 0, n)
	return hashes
}

// tickRegular returns one packet for each link if a torrent is due.
func (c *core) tickRegular(now time.Time) []send {
	if now.Before(c.regular) {
		return nil
	}
	var hashes [][20]byte
	someDue := false
	for h, t := range c.torrents {
		if t.due.Sub(now) <= packAhead && now.Sub(t.last) >= minGap {
			hashes = append(hashes, h)
			someDue = someDue || !t.due.After(now)
		}
	}
	if !someDue {
		return nil
	}
	slices.SortFunc(hashes, func(a, b [20]byte) int {
		return cmp.Or(c.torrents[a].due.Compare(c.torrents[b].due), bytes.Compare(a[:], b[:]))
	})
	hashes = hashes[:min(len(hashes), packHashes)]
	jitter := c.jitter(period / 20)
	for _, h := range hashes {
		c.torrents[h].announced(now, jitter)
	}
	c.regular = now.Add(minGap)
	out := make([]send, 0, len(c.links))
	for k, l := range c.links {
		if !l.broken {
			out = append(out, send{k, c.encode(k.family, hashes)})
		}
	}
	return out
}

func (c *core) encode(f Family, hashes [][20]byte) []byte {
	a := Announce{Host: f.Group().String(), Port: c.port, Hashes: hashes, Cookie: c.cookie}
	return a.Append(make([]byte, 0, 128+52*len(hashes)))
}

// stats counts the neighbours that announced any of the hashes in the last 15
// minutes, and drops the others. next is zero if all are unknown.
func (c *core) stats(now time.Time, hashes ...[20]byte) (announcers int, next time.Time) {
	heard := make(map[netip.AddrPort]*announcer)
	for _, h := range hashes {
		t := c.torrents[h]
		if t == nil {
			continue
		}
		for p, a := range t.heard {
			if now.Sub(a.last) > heardFor {
				delete(t.heard, p)
			}
		}
		maps.Copy(heard, t.heard)
		next = earlier(next, later(t.due, c.regular))
	}
	return neighbours(heard), next
}

// neighbours counts clients. One that announces over IPv4 and IPv6, or on several
// links, was heard from several addresses. Its cookie tells; those without one are
// taken to be the same if they differ in nothing but the family.
func neighbours(heard map[netip.AddrPort]*announcer) int {
	cookies := make(map[string]bool)
	plain := make(map[uint16][numFamilies]int) // by port: addresses without a cookie
	for p, a := range heard {
		if a.cookie != "" {
			cookies[a.cookie] = true
			continue
		}
		n, f := plain[p.Port()], IPv4
		if p.Addr().Is6() {
			f = IPv6
		}
		n[f]++
		plain[p.Port()] = n
	}
	count := len(cookies)
	for _, n := range plain {
		count += max(n[IPv4], n[IPv6])
	}
	return count
}

// sorted lists the info-hashes in order.
func (c *core) sorted() [][20]byte {
	hashes := make([][20]byte, 0, len(c.torrents))
	for h := range c.torrents {
		hashes = append(hashes, h)
	}
	slices.SortFunc(hashes, func(a, b [20]byte) int { return bytes.Compare(a[:], b[:]) })
	return hashes
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
