package dht

import (
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/search"
	"magnetfs/swarm/dht/store"
	"magnetfs/swarm/endpoint"
)

// goal is what a lookup is for.
type goal uint8

const (
	goalNodes  goal = iota // the nodes closest to the target
	goalPeers              // peers of an info-hash, and maybe announcing
	goalScrape             // Bloom filters of an info-hash
)

// request describes a lookup.
type request struct {
	goal     goal
	target   krpc.ID
	announce bool
	port     int
	implied  bool
	seed     bool
	noSeed   bool
	internal bool // upkeep of the table: nobody waits for it
}

// lookup is one running lookup. It goes through: asking nodes; announcing, if
// that is wanted; done. A lookup that no node has answered yet is not done when
// there is nobody left to ask: it waits for nodes to become known.
type lookup struct {
	request
	id         uint64
	search     *search.Search
	started    time.Time
	announcing int // announce_peer without an answer yet
	phase      phase
	seen       map[netip.AddrPort]bool // peers handed over
	seeds      []store.Filter
	leechers   []store.Filter
	result     outcome
}

type phase uint8

const (
	asking phase = iota
	announcing
	finished
)

// outcome is what a lookup came to.
type outcome struct {
	LookupStats
	seeds, peers []store.Filter
	self         netip.Addr // our own address, which may be in the filters
}

// maxSeen bounds the peers of one lookup.
const maxSeen = 5000

// startLookup begins a lookup and returns its number.
func (c *core) startLookup(r request, now time.Time) *lookup {
	c.lastID++
	l := &lookup{
		request: r,
		id:      c.lastID,
		started: now,
		search:  search.New(search.Config{Target: r.target, K: k, Alpha: alpha, Local: isLocal}),
	}
	if r.goal == goalPeers {
		l.seen = make(map[netip.AddrPort]bool)
	}
	c.lookups = append(c.lookups, l)
	l.search.Add(c.table.Closest(r.target, 2*k, nil), nil)
	l.search.Add(c.recent.get(r.target), nil)
	if l.search.Starved() {
		c.seed(l)
	}
	c.pump(l, now)
	return l
}

// seed gives a lookup that lacks candidates everything that might be a node:
// those of an earlier run, those that wait for a ping, bootstrap hosts.
func (c *core) seed(l *lookup) {
	l.search.Add(closest(l.target, c.boot.saved, 2*k), nil)
	bare := 0
	for _, n := range c.verify {
		if n.ID != (krpc.ID{}) {
			l.search.Add([]krpc.NodeInfo{n}, nil)
		} else if bare < k {
			bare++
			l.search.AddBare(n.Addr)
		}
	}
	if c.boot.askRouters {
		for _, a := range c.boot.routers {
			l.search.AddBare(a)
		}
	}
}

// closest returns the n nodes closest to target.
func closest(target krpc.ID, nodes []krpc.NodeInfo, n int) []krpc.NodeInfo {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b krpc.NodeInfo) int { return target.Compare(a.ID, b.ID) })
	return nodes[:min(n, len(nodes))]
}

// feed offers a node that proved itself to the lookups that lack candidates.
func (c *core) feed(n krpc.NodeInfo, now time.Time) {
	for _, l := range c.starved() {
		l.search.Add([]krpc.NodeInfo{n}, nil)
		c.pump(l, now)
	}
}

// feedAddr offers an address that might be a node to the lookups that lack
// candidates.
func (c *core) feedAddr(a netip.AddrPort, now time.Time) {
	for _, l := range c.starved() {
		l.search.AddBare(a)
		c.pump(l, now)
	}
}

// starved returns the lookups that lack candidates, or that nobody answered yet.
func (c *core) starved() (list []*lookup) {
	for _, l := range c.lookups {
		if l.phase == asking && (l.result.Answers == 0 || l.search.Starved()) {
			list = append(list, l)
		}
	}
	return list
}

// pump sends what l may send, and ends its phase when nothing is left to do.
func (c *core) pump(l *lookup, now time.Time) {
	if l.phase != asking {
		return
	}
	for {
		if len(c.pending) >= maxPending {
			c.blocked = true
			return
		}
		cand := l.search.Next()
		if cand == nil {
			break
		}
		c.ask(l, cand, now)
	}
	if !l.search.Done() {
		return
	}
	if l.result.Answers == 0 && !l.internal {
		return // waits for nodes
	}
	if l.search.Starved() && !l.internal && c.boot.running() {
		return // more nodes are on their way
	}
	c.conclude(l, now)
}

// unblock lets lookups go on that the limit of pending queries stopped.
func (c *core) unblock(now time.Time) {
	if c.blocked && len(c.pending) < maxPending {
		c.blocked = false
		c.pumpAll(now)
	}
}

// pumpAll pumps every lookup.
func (c *core) pumpAll(now time.Time) {
	for _, l := range slices.Clone(c.lookups) {
		c.pump(l, now)
	}
}

// ask sends the query of l to a candidate.
func (c *core) ask(l *lookup, cand *search.Candidate, now time.Time) {
	m := krpc.Message{Method: krpc.GetPeers, Target: l.target, HasTarget: true}
	switch l.goal {
	case goalNodes:
		m.Method = krpc.FindNode
	case goalPeers:
		m.NoSeed = l.noSeed
	case goalScrape:
		m.Scrape = true
	}
	l.result.Queries++
	c.send(cand.NodeInfo, &m, query{lookup: l, candidate: cand}, now)
}

// lookupAnswered takes in an answer and the usable nodes in it.
func (c *core) lookupAnswered(q *query, m *krpc.Message, nodes []krpc.NodeInfo, now time.Time) {
	l := q.lookup
	if l == nil || l.phase == finished {
		return
	}
	if q.announce {
		l.result.Announced++
		c.announced(l, now)
		return
	}
	if !l.search.Answered(q.candidate, m.ID, slices.Clone(m.Token)) {
		c.pump(l, now)
		return
	}
	if l.result.Answers++; l.result.Answers == 1 {
		l.result.FirstAnswer = now.Sub(l.started)
	}
	c.deliver(l, m, q, now)
	l.search.Add(nodes, q.candidate)
	c.pump(l, now)
}

// deliver hands over the peers or filters of an answer.
func (c *core) deliver(l *lookup, m *krpc.Message, q *query, now time.Time) {
	if l.goal == goalScrape && m.Seeds != nil && m.Peers != nil {
		l.seeds = append(l.seeds, store.Filter(m.Seeds))
		l.leechers = append(l.leechers, store.Filter(m.Peers))
	}
	if l.goal != goalPeers {
		return
	}
	var peers []netip.AddrPort
	for _, a := range m.Values {
		if l.seen[a] || len(l.seen) >= maxSeen || !c.family.is(a.Addr()) || l.ourselves(a, c.self()) ||
			endpoint.Dialable(a, endpoint.FromDHT, q.to.Addr()) != nil {
			continue
		}
		l.seen[a] = true
		peers = append(peers, a)
	}
	if len(peers) == 0 {
		return
	}
	if l.result.Peers == 0 {
		l.result.FirstPeers = now.Sub(l.started)
		l.result.FirstPeersHops = q.candidate.Depth + 1
	}
	l.result.Peers += len(peers)
	c.notes = append(c.notes, note{lookup: l.id, peers: peers, from: q.to})
}

// ourselves tells whether a is what we announced, and not another peer.
func (l *lookup) ourselves(a netip.AddrPort, self netip.Addr) bool {
	return a.Addr() == self && l.port != 0 && int(a.Port()) == l.port
}

// lookupFailed notes that no usable answer to q is expected any more.
func (c *core) lookupFailed(q *query, now time.Time) {
	l := q.lookup
	switch {
	case l == nil || l.phase == finished:
	case q.announce:
		q.lookup = nil // a late answer does not count again
		c.announced(l, now)
	default:
		l.search.Failed(q.candidate)
		c.pump(l, now)
	}
}

// conclude ends the asking of l: it announces, or is done.
func (c *core) conclude(l *lookup, now time.Time) {
	nodes := l.search.Closest(k)
	infos := make([]krpc.NodeInfo, len(nodes))
	for i, n := range nodes {
		infos[i] = n.NodeInfo
		l.result.Hops = max(l.result.Hops, n.Depth+1)
	}
	l.result.Closest = infos
	if l.goal != goalNodes {
		c.recent.put(l.target, infos)
	}
	if !l.announce {
		c.done(l, now)
		return
	}
	l.phase = announcing
	for _, n := range nodes {
		if len(n.Token) == 0 {
			continue
		}
		m := krpc.Message{
			Method: krpc.AnnouncePeer, Target: l.target, HasTarget: true, Token: n.Token,
			Port: l.port, ImpliedPort: l.implied, Seed: l.seed,
		}
		l.announcing++
		l.result.Queries++
		c.send(n.NodeInfo, &m, query{lookup: l, announce: true}, now)
	}
	if l.announcing == 0 {
		c.done(l, now)
	}
}

// announced notes the end of one announce_peer.
func (c *core) announced(l *lookup, now time.Time) {
	if l.announcing--; l.announcing == 0 {
		c.done(l, now)
	}
}

// done ends l and tells whoever waits.
func (c *core) done(l *lookup, now time.Time) {
	l.phase = finished
	c.lookups = slices.DeleteFunc(c.lookups, func(x *lookup) bool { return x == l })
	l.result.Took = now.Sub(l.started)
	l.result.seeds, l.result.peers, l.result.self = l.seeds, l.leechers, c.self()
	if l.internal {
		c.upkeepDone(l, now)
		return
	}
	c.notes = append(c.notes, note{lookup: l.id, done: &l.result})
}

// cancel ends the lookup with that number, if it runs.
func (c *core) cancel(id uint64, now time.Time) {
	for _, l := range c.lookups {
		if l.id == id {
			c.done(l, now)
			return
		}
	}
}

// recentNodes remembers the closest nodes of the last lookups, so that the next
// one for the same target starts there.
type recentNodes struct {
	nodes map[krpc.ID][]krpc.NodeInfo
	order []krpc.ID // oldest first
}

// maxRecent bounds the remembered lookups.
const maxRecent = 128

func (r *recentNodes) get(target krpc.ID) []krpc.NodeInfo { return r.nodes[target] }

func (r *recentNodes) put(target krpc.ID, nodes []krpc.NodeInfo) {
	if r.nodes == nil {
		r.nodes = make(map[krpc.ID][]krpc.NodeInfo)
	}
	r.order = append(slices.DeleteFunc(r.order, func(x krpc.ID) bool { return x == target }), target)
	r.nodes[target] = nodes
	if len(r.order) > maxRecent {
		delete(r.nodes, r.order[0])
		r.order = r.order[1:]
	}
}
