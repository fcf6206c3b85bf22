package dht

import (
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/table"
	"magnetfs/swarm/endpoint"
)

// Pace of the pings that verify nodes: those of an earlier run, those that
// queried us, those that peers told us of.
const (
	pingRate  = 10 // per second
	pingBurst = 16
	maxVerify = 400
)

// savedHeadStart is how long nodes of an earlier run may take to answer before
// bootstrap hosts are asked as well.
const savedHeadStart = time.Second

// retryPauses are the pauses between attempts to find nodes while fewer than
// eight are good; the last repeats (Transmission paces 2, 15, 40 s).
var retryPauses = []time.Duration{5 * time.Second, 40 * time.Second, 5 * time.Minute}

const (
	maxChecks = 4               // nodes checked per second
	scanPause = 5 * time.Second // between looks for nodes to check, if not many are
	idlePause = time.Minute     // between looks at a table that needs nothing

	// While a large bucket has room, a node of it is asked for others each
	// fillPause; after maxFillMisses such queries that led to nobody new the
	// pause doubles, until it is as long as that between refreshes (guesses).
	fillPause     = time.Second
	maxFillMisses = 16

	// Without an answer to any check for outageAfter our own network is taken
	// to be down; one node is checked every outagePause then.
	outageAfter = 30 * time.Second
	outagePause = 5 * time.Second
)

// bootstrap is what is known about the way into the DHT.
type bootstrap struct {
	saved      []krpc.NodeInfo  // of an earlier run, not verified
	routers    []netip.AddrPort // addresses of bootstrap hosts
	askRouters bool
	lookup     *lookup // of our own ID; nil when none runs
	tries      int     // in a row that left the table poor
	retryAt    time.Time
	routersAt  time.Time // when askRouters becomes true
}

// running tells whether the lookup of our own ID is under way.
func (b *bootstrap) running() bool { return b.lookup != nil }

func (b *bootstrap) isRouter(a netip.AddrPort) bool { return slices.Contains(b.routers, a) }

// upkeep is the state of what keeps the table fresh.
type upkeep struct {
	at       time.Time // next call of maintain
	refresh  *lookup   // of a bucket; nil when none runs
	checkAt  time.Time // next look for nodes to check
	checked  time.Time // last time that nodes were checked
	expireAt time.Time
	fillAt   time.Time // next query to fill a large bucket
	misses   int       // such queries in a row that led to nobody new
	good     int       // good nodes at the last look
}

// start begins the work of a new node: it looks for itself among the nodes of
// an earlier run, and has the names of the bootstrap hosts looked up.
func (c *core) start(now time.Time) {
	c.boot.routersAt = now
	if len(c.boot.saved) >= k {
		c.boot.routersAt = now.Add(savedHeadStart)
	}
	c.boot.askRouters = !c.boot.routersAt.After(now)
	c.upkeep.expireAt = now.Add(5 * time.Minute)
	c.upkeep.at = now
	c.verify = append(c.verify, closest(c.id, c.boot.saved, len(c.boot.saved))...)
	c.attempt(now)
}

// attempt tries to find nodes while the table is poor.
func (c *core) attempt(now time.Time) {
	c.resolve = true
	c.boot.retryAt = now.Add(retryPauses[min(c.boot.tries, len(retryPauses)-1)])
	c.boot.tries++
	for _, l := range c.starved() {
		if l.result.Answers == 0 {
			c.seed(l)
			c.pump(l, now)
		}
	}
	c.startBootstrap(now)
}

// startBootstrap looks for our own ID, so that we know our neighbours and they
// us.
func (c *core) startBootstrap(now time.Time) {
	c.boot.lookup = c.startLookup(request{goal: goalNodes, target: c.id, internal: true}, now)
	if c.boot.lookup.phase == finished {
		c.boot.lookup = nil
	}
}

// addRouters takes in addresses of bootstrap hosts.
func (c *core) addRouters(addrs []netip.AddrPort, now time.Time) {
	for _, a := range addrs {
		// The user names them: any address will do.
		if c.boot.isRouter(a) || len(c.boot.routers) >= maxRouters ||
			!c.usable(a, endpoint.FromMagnet, netip.Addr{}) {
			continue
		}
		c.boot.routers = append(c.boot.routers, a)
		if c.boot.askRouters {
			c.feedAddr(a, now)
		}
	}
	if c.boot.askRouters && c.good(now) < k && !c.boot.running() {
		c.startBootstrap(now)
	}
}

// releaseRouters lets bootstrap hosts be asked.
func (c *core) releaseRouters(now time.Time) {
	c.boot.askRouters = true
	if c.good(now) >= k {
		return
	}
	for _, a := range c.boot.routers {
		c.feedAddr(a, now)
	}
	if !c.boot.running() {
		c.startBootstrap(now)
	}
}

// addNode takes in a node that the user or a peer named, its ID if known.
func (c *core) addNode(n krpc.NodeInfo, src endpoint.Source, informant netip.Addr, now time.Time) {
	if !c.usable(n.Addr, src, informant) || c.table.Get(n.Addr) != nil {
		return
	}
	c.toVerify(n, now)
	c.feedAddr(n.Addr, now)
	if c.table.Len() == 0 && !c.boot.running() {
		c.startBootstrap(now)
	}
}

// toVerify has a node pinged, for the table.
func (c *core) toVerify(n krpc.NodeInfo, now time.Time) {
	if len(c.verify) >= maxVerify || c.waiting[n.Addr] > 0 ||
		slices.ContainsFunc(c.verify, func(v krpc.NodeInfo) bool { return v.Addr == n.Addr }) {
		return
	}
	c.verify = append(c.verify, n)
	soon := now
	if !c.pings.has(1, now) {
		soon = now.Add(time.Second / pingRate)
	}
	c.upkeep.at = earliest(c.upkeep.at, soon)
}

// maintain does what is due and sets the time of its next call.
func (c *core) maintain(now time.Time) {
	if !c.boot.askRouters && !c.boot.routersAt.After(now) {
		c.releaseRouters(now)
	}
	c.sendPings(now)
	c.sendChecks(now)
	switch {
	case c.good(now) >= k:
		c.boot.tries = 0
		c.boot.retryAt = now.Add(retryPauses[0])
	case !c.boot.retryAt.After(now) && !c.boot.running():
		c.attempt(now)
	}
	c.refreshBuckets(now)
	c.fill(now)
	if c.table.Len() > routersUntil {
		c.table.DropRouters()
	}
	if !c.upkeep.expireAt.After(now) {
		c.peers.Expire(now)
		c.items.Expire(now)
		c.upkeep.expireAt = now.Add(5 * time.Minute)
	}
	c.readOnly.update(c.good(now), now)

	next := earliest(earliest(c.upkeep.checkAt, c.upkeep.fillAt), now.Add(idlePause))
	if !c.boot.askRouters {
		next = earliest(next, c.boot.routersAt)
	}
	if c.boot.tries > 0 {
		next = earliest(next, c.boot.retryAt)
	}
	if len(c.verify) > 0 {
		next = now
	}
	c.upkeep.at = latest(next, now.Add(time.Second/pingRate))
}

// sendPings pings nodes that are to be verified.
func (c *core) sendPings(now time.Time) {
	for len(c.verify) > 0 && len(c.pending) < maxPending && c.pings.take(1, now) {
		n := c.verify[0]
		c.verify = c.verify[1:]
		if c.table.Get(n.Addr) != nil || c.waiting[n.Addr] > 0 {
			continue
		}
		m := krpc.Message{Method: krpc.Ping}
		if n.ID != (krpc.ID{}) && c.table.Room(n.ID) > k {
			// A query that names more nodes of the same bucket.
			m = krpc.Message{Method: krpc.FindNode, Target: c.table.RefreshTarget(n.ID, c.rng), HasTarget: true}
		}
		c.send(n, &m, query{}, now)
	}
}

// fill asks for nodes of a large bucket that has room. Without it tables fill as
// fast as strangers happen to ask, and lookups take a step more until then.
func (c *core) fill(now time.Time) {
	if c.upkeep.fillAt.After(now) {
		return
	}
	c.upkeep.fillAt = now.Add(fillPause)
	if c.boot.running() || len(c.verify) > 0 || c.table.Len() == 0 || !c.fills.has(1, now) || len(c.pending) >= maxPending {
		return // others are asked already, or nobody can be
	}
	n := c.table.Roomy(c.rng)
	pause := fillPause << max(0, c.upkeep.misses-maxFillMisses)
	if n == nil || pause >= staleAfter {
		c.upkeep.misses = 0
		c.upkeep.fillAt = now.Add(staleAfter)
		return
	}
	c.upkeep.fillAt = now.Add(pause)
	c.upkeep.misses++
	m := krpc.Message{Method: krpc.FindNode, Target: c.table.RefreshTarget(n.ID, c.rng), HasTarget: true}
	c.send(n.NodeInfo, &m, query{}, now)
}

// sendChecks checks questionable and suspect nodes: each is asked for a random
// ID of its own bucket, which refreshes that as well.
func (c *core) sendChecks(now time.Time) {
	if c.upkeep.checkAt.After(now) {
		return
	}
	most, pause := maxChecks, scanPause
	if c.upkeep.checked.Sub(c.heard) > outageAfter {
		// Nobody answered the checks of the last half minute: no use in hurry.
		most, pause = 1, outagePause
	}
	nodes, next := c.table.Due(most, now)
	if len(nodes) == maxChecks {
		pause = time.Second
	}
	if len(nodes) > 0 {
		c.upkeep.checked = now
	}
	if len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n *table.Node) bool { return n.Fails == 0 }) {
		// Beside suspects one that lives is asked: if it is silent as well, our
		// own network is down and nobody is to blame.
		if n := c.table.LastHeard(); n != nil {
			nodes = append(nodes, n)
		}
	}
	for _, n := range nodes {
		target := c.table.RefreshTarget(n.ID, c.rng)
		m := krpc.Message{Method: krpc.FindNode, Target: target, HasTarget: true}
		c.send(n.NodeInfo, &m, query{}, now)
	}
	if next.IsZero() {
		next = now.Add(idlePause)
	}
	// The scan is not free: not more often than needed, and one a minute at least.
	c.upkeep.checkAt = latest(now.Add(pause), earliest(next, now.Add(idlePause)))
	c.upkeep.good = c.table.Good(now)
}

// failed notes that a node left a query unanswered.
func (c *core) failed(addr netip.AddrPort, now time.Time) {
	c.table.Failed(addr, now)
	c.upkeep.checkAt = latest(now, earliest(c.upkeep.checkAt, now.Add(table.SuspectPause)))
	c.upkeep.at = earliest(c.upkeep.at, c.upkeep.checkAt)
}

// good counts the good nodes. While a large table has enough of them it tells
// what the last check saw.
func (c *core) good(now time.Time) int {
	if c.table.Len() < 4*k || c.upkeep.good < k {
		c.upkeep.good = c.table.Good(now)
	}
	return c.upkeep.good
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// refreshBuckets looks for nodes of a bucket that has room and was quiet for
// long, one at a time.
func (c *core) refreshBuckets(now time.Time) {
	if c.upkeep.refresh != nil || c.boot.running() {
		return
	}
	depth, ok := c.table.Stale(now.Add(-staleAfter))
	if !ok {
		return
	}
	c.table.Refreshed(depth, now)
	target := krpc.RandomSharing(c.id, depth, c.rng)
	c.upkeep.refresh = c.startLookup(request{goal: goalNodes, target: target, internal: true}, now)
	if c.upkeep.refresh.phase == finished {
		c.upkeep.refresh = nil
	}
}

// upkeepDone notes the end of an internal lookup.
func (c *core) upkeepDone(l *lookup, now time.Time) {
	switch l {
	case c.boot.lookup:
		c.boot.lookup = nil
		if l.result.Answers > 0 {
			c.boot.saved = nil // they are verified or dead
		}
		c.pumpAll(now)
	case c.upkeep.refresh:
		c.upkeep.refresh = nil
	}
	if c.upkeep.at.After(now) {
		c.upkeep.at = now
	}
}
