package swarm

import (
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/wire"
)

const (
	maxCandidates = 3000 // per torrent
	maxPerSource  = 1000
	// maxPerAddr ports of one address are taken from strangers. People share addresses
	// (NATs), but a list of ports is how somebody would have us scan a host. Guess.
	maxPerAddr     = 8
	maxFailures    = 4 // in a row; then the address is forgotten
	retryBase      = 15 * time.Second
	banTime        = time.Hour
	reconnectAfter = 5 * time.Second // after a connection that worked
	// hungUpPause and maxHungUp: a dial of libtorrent's takes up to 18 s, by uTP and
	// then by TCP; the holes of most NATs last for 30 s at least.
	hungUpPause = 5 * time.Second
	maxHungUp   = 5
)

// candidate is an address at which a peer may listen.
type candidate struct {
	addr      netip.AddrPort
	source    endpoint.Source
	priority  uint32 // BEP 40
	local     bool   // of our own network: first, it costs nobody's uplink
	failures  int    // in a row
	worked    bool   // we were connected once
	notBefore time.Time
	busy      bool              // being dialled, or connected
	dials     int               // under way
	punching  bool              // one of them through a hole
	dialledAt time.Time         // begin of the last one
	way       way               // to dial it in first: what worked last, or what we heard
	flags     wire.PexFlags     // what peers said of it
	punchedAt time.Time         // when relays were asked for it last; see holepunch.go
	switched  bool              // it was connected to anew, by uTP; see holepunch.go
	hungUp    int               // times in a row that it was reached by uTP, and hung up
	via       transport         // what worked last
	hash      metainfo.InfoHash // of a hybrid torrent: by which it knows that; zero if any will do
}

// candidates is the bounded list of addresses of one torrent, owned by its loop.
type candidates struct {
	selves [2]netip.AddrPort // our address in each family, for BEP 40; zero if not known
	list   map[netip.AddrPort]*candidate
	counts map[endpoint.Source]int
	hosts  map[netip.Addr]int // candidates of each address
	banned map[netip.Addr]time.Time
	own    map[netip.AddrPort]bool // addresses that turned out to be ourselves
	waits  bool                    // somebody waits for data: seeds first
	others bool                    // it is the turn of those that not only peers told of
}

func newCandidates() *candidates {
	return &candidates{
		list:   map[netip.AddrPort]*candidate{},
		counts: map[endpoint.Source]int{},
		hosts:  map[netip.Addr]int{},
		banned: map[netip.Addr]time.Time{},
		own:    map[netip.AddrPort]bool{},
	}
}

// add takes an address and says whether it is new. A peer that was found before
// is due again at once if it is only waiting for a retry and somebody vouches
// for it anew by a better source.
func (c *candidates) add(addr netip.AddrPort, source endpoint.Source, now time.Time) bool {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if c.own[addr] || c.isBanned(addr, now) {
		return false
	}
	if old := c.list[addr]; old != nil {
		if rank(source) < rank(old.source) {
			c.counts[old.source]--
			c.counts[source]++
			old.source = source
		}
		return false
	}
	if len(c.list) >= maxCandidates || c.counts[source] >= maxPerSource || c.hosts[addr.Addr()] >= maxPerAddr && stranger(source) {
		return false
	}
	c.list[addr] = &candidate{
		addr:     addr,
		source:   source,
		priority: c.priority(addr),
		local:    isLocal(addr.Addr()),
	}
	c.counts[source]++
	c.hosts[addr.Addr()]++
	return true
}

// stranger says whether a source repeats what anybody may have said.
func stranger(s endpoint.Source) bool {
	switch s {
	case endpoint.FromPEX, endpoint.FromDHT, endpoint.FromTracker, endpoint.FromHolepunch:
		return true
	}
	return false
}

// priority is the canonical one (BEP 40); 0 while our own address is not known.
func (c *candidates) priority(addr netip.AddrPort) uint32 {
	return max(endpoint.Priority(c.selves[0], addr), endpoint.Priority(c.selves[1], addr))
}

// weAre takes our addresses as the Internet sees them.
func (c *candidates) weAre(selves [2]netip.AddrPort) {
	if selves == c.selves {
		return
	}
	c.selves = selves
	for a, d := range c.list {
		d.priority = c.priority(a)
	}
}

// next returns the best address to dial now and marks it busy; nil if there is
// none. Every other one is not from peer exchange, if there are such, because
// whoever lies there claims that all are seeds.
func (c *candidates) next(now time.Time) *candidate {
	var best, other *candidate
	for _, d := range c.list {
		if d.busy || now.Before(d.notBefore) {
			continue
		}
		if best == nil || d.before(best, c.waits) {
			best = d
		}
		if d.source != endpoint.FromPEX && (other == nil || d.before(other, c.waits)) {
			other = d
		}
	}
	if c.others && other != nil {
		best = other
	}
	if best != nil {
		c.others = !c.others
		best.busy = true
	}
	return best
}

// nextTime is when next may have something, if nothing is added; zero if never.
func (c *candidates) nextTime() (at time.Time) {
	for _, d := range c.list {
		if !d.busy && (at.IsZero() || d.notBefore.Before(at)) {
			at = d.notBefore
		}
	}
	return at
}

// waiting counts the addresses that are not connected.
func (c *candidates) waiting() (n int) {
	for _, d := range c.list {
		if !d.busy {
			n++
		}
	}
	return n
}

// ended notes that a dial failed, or that a connection is over. worked means
// that the peer was useful.
func (c *candidates) ended(addr netip.AddrPort, worked bool, now time.Time) {
	d := c.list[addr]
	if d == nil {
		return
	}
	d.busy = false
	if worked {
		d.failures, d.hungUp, d.worked = 0, 0, true
		d.notBefore = now.Add(reconnectAfter)
		return
	}
	d.failures++
	if d.failures >= maxFailures && !d.worked {
		c.remove(addr)
		return
	}
	d.notBefore = now.Add(retryBase << min(d.failures-1, 6))
}

// hangsUp notes that a peer was reached by uTP and hung up before its handshake. If
// it is behind a NAT it may be dialling us at the moment, and want only that
// connection (libtorrent); but its NAT is open for us now, and not for long.
func (c *candidates) hangsUp(addr netip.AddrPort, now time.Time) {
	d := c.list[addr]
	if d == nil || d.busy || d.flags&wire.PexHolepunch == 0 || d.hungUp >= maxHungUp {
		return
	}
	d.hungUp++
	d.failures = max(0, d.failures-1)
	d.via = overUTP
	d.notBefore = now.Add(hungUpPause)
}

// setWay notes in which way to dial addr first, unless that is wayUnknown.
func (c *candidates) setWay(addr netip.AddrPort, w way) {
	if d := c.list[addr]; d != nil && w != wayUnknown {
		d.way = w
	}
}

// hintWay is setWay for hearsay: what we found out ourselves counts more.
func (c *candidates) hintWay(addr netip.AddrPort, w way) {
	if d := c.list[addr]; d != nil && d.way == wayUnknown {
		d.way = w
	}
}

// setVia notes by what the connection to addr was made.
func (c *candidates) setVia(addr netip.AddrPort, via transport) {
	if d := c.list[addr]; d != nil {
		d.via = via
	}
}

// setHash notes by which info-hash the connection to addr was made.
func (c *candidates) setHash(addr netip.AddrPort, hash metainfo.InfoHash) {
	if d := c.list[addr]; d != nil {
		d.hash = hash
	}
}

// under notes by which info-hash addr knows the torrent, if nothing is known of that.
func (c *candidates) under(addr netip.AddrPort, hash metainfo.InfoHash) {
	if d := c.list[addr]; d != nil && d.hash == (metainfo.InfoHash{}) {
		d.hash = hash
	}
}

// hint notes what a peer says of addr by its flags in PEX (BEP 11).
func (c *candidates) hint(addr netip.AddrPort, f wire.PexFlags) {
	d := c.list[addr]
	if d == nil {
		return
	}
	d.flags |= f
	if f&wire.PexEncryption != 0 {
		c.hintWay(addr, wayMSE)
	}
}

// again makes an address due at once.
func (c *candidates) again(addr netip.AddrPort, now time.Time) {
	if d := c.list[addr]; d != nil {
		d.notBefore = now
	}
}

// revive makes every address due at once: somebody waits.
func (c *candidates) revive(now time.Time) {
	for _, d := range c.list {
		if !d.busy && d.failures < 2 {
			d.notBefore = now
		}
	}
}

// itself notes that addr is our own.
func (c *candidates) itself(addr netip.AddrPort) {
	c.own[addr] = true
	c.remove(addr)
}

// ban keeps an address away for an hour; on loopback only that port, since whole
// swarms of tests share the address.
func (c *candidates) ban(addr netip.AddrPort, now time.Time) {
	if addr.Addr().IsLoopback() {
		c.itself(addr)
		return
	}
	c.banned[addr.Addr()] = now.Add(banTime)
	for a := range c.list {
		if a.Addr() == addr.Addr() {
			c.remove(a)
		}
	}
}

func (c *candidates) isBanned(addr netip.AddrPort, now time.Time) bool {
	until, ok := c.banned[addr.Addr()]
	if ok && !now.Before(until) {
		delete(c.banned, addr.Addr())
		return false
	}
	return ok
}

func (c *candidates) remove(addr netip.AddrPort) {
	if d := c.list[addr]; d != nil {
		c.counts[d.source]--
		delete(c.list, addr)
		if c.hosts[addr.Addr()]--; c.hosts[addr.Addr()] == 0 {
			delete(c.hosts, addr.Addr())
		}
	}
}

// forget drops the addresses of a source, as a torrent that turns out to be
// private must (BEP 27).
func (c *candidates) forget(sources ...endpoint.Source) {
	for a, d := range c.list {
		if slices.Contains(sources, d.source) && !d.busy {
			c.remove(a)
		}
	}
}

// before orders by promise: fewest failures, own network, a peer that worked
// before, those of the magnet and of our own memory, seeds if somebody waits, who told us, those that others could dial, then
// BEP 40.
func (d *candidate) before(e *candidate, waits bool) bool {
	has := func(f wire.PexFlags) (mine, differ bool) {
		mine = d.flags&f != 0
		return mine, mine != (e.flags&f != 0)
	}
	given := func(c *candidate) bool { return rank(c.source) <= rank(endpoint.FromSaved) }
	seed, seeds := has(wire.PexSeed)
	reachable, reachables := has(wire.PexReachable)
	switch {
	case d.failures != e.failures:
		return d.failures < e.failures
	case d.local != e.local:
		return d.local
	case d.worked != e.worked:
		return d.worked
	case given(d) != given(e):
		return given(d)
	case waits && seeds:
		return seed
	case rank(d.source) != rank(e.source):
		return rank(d.source) < rank(e.source)
	case reachables:
		return reachable
	}
	return d.priority > e.priority
}

// rank orders sources by how much is known of what they tell.
func rank(s endpoint.Source) int {
	switch s {
	case endpoint.FromMagnet:
		return 0
	case endpoint.FromSaved:
		return 1
	case endpoint.FromTracker:
		return 2
	case endpoint.FromLPD:
		return 3
	case endpoint.FromDHT:
		return 4
	}
	return 5
}

func isLocal(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback()
}
