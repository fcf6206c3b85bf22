package dht

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/search"
	"magnetfs/swarm/dht/store"
	"magnetfs/swarm/dht/table"
	"magnetfs/swarm/endpoint"
)

// core is a DHT node without socket, goroutine or clock. Every call takes the
// time, which never runs backwards; what is to be done is left in out and notes
// until take fetches it; next says when tick has to be called.
//
// One goroutine owns it.
type core struct {
	family  Family
	shunned func(netip.Addr) bool // Config.Blocked, never nil
	log     *slog.Logger
	rng     *rand.Rand

	id     krpc.ID
	table  *table.Table
	peers  *store.Peers
	items  *store.Items
	tokens *store.Tokens
	votes  votes
	claim  netip.Addr // our address as the last answer had it
	rtt    rtt

	pending map[uint32]*query
	waiting map[netip.AddrPort]int // pending queries per address
	blocked bool                   // maxPending stopped a lookup
	timers  queryHeap
	heard   time.Time // last valid answer, of anybody

	lookups []*lookup // running, oldest first
	lastID  uint64    // of a lookup
	recent  recentNodes

	boot     bootstrap
	verify   []krpc.NodeInfo // to be pinged, for the table; ID zero if unknown
	pings    *bucket         // for verify
	fills    *bucket         // of these, for nodes that others named
	upkeep   upkeep
	readOnly readOnly

	floods  floods
	replies *bucket // bytes
	puts    *bucket // signatures to check

	// other is the node of the other family: contacts to give to those that
	// want them, and whether it needs some itself. nil without one.
	other     func(krpc.ID) []krpc.NodeInfo
	otherPoor func() bool

	out     []packet
	notes   []note
	resolve bool // the names of bootstrap hosts are to be looked up
	stat    counters
}

// packet is a datagram to send.
type packet struct {
	to   netip.AddrPort
	data []byte
}

// note tells a caller what happened: to a lookup, or, if lookup is zero, that
// nodes of the other family became known.
type note struct {
	lookup  uint64
	peers   []netip.AddrPort
	from    netip.AddrPort
	done    *outcome
	foreign []krpc.NodeInfo
}

// counters are the totals of Stats.
type counters struct {
	queriesOut, answersIn, queriesIn, answersOut uint64
	bytesIn, bytesOut                            uint64
	malformed, unexpected, refused, dropped      uint64
}

// newCore returns a node that has not sent anything yet; start begins.
func newCore(cfg *Config, rng *rand.Rand, now time.Time) *core {
	shunned := cfg.Blocked
	if shunned == nil {
		shunned = func(netip.Addr) bool { return false }
	}
	c := &core{
		family:  cfg.Family,
		shunned: shunned,
		log:     cfg.Log,
		rng:     rng,
		peers:   store.NewPeers(store.Limits{}, isLocal),
		items:   store.NewItems(),
		pending: make(map[uint32]*query),
		waiting: make(map[netip.AddrPort]int),
		pings:   newBucket(pingRate, pingBurst, now),
		fills:   newBucket(1, pingBurst, now),
		puts:    newBucket(20, 40, now),
	}
	rate := float64(cfg.ReplyBytesPerSec)
	if rate == 0 {
		rate = 16 << 10
	}
	c.replies = newBucket(rate, max(4*rate, maxAnswer), now)
	var secret [32]byte
	for i := range secret {
		secret[i] = byte(rng.Uint32())
	}
	c.tokens = store.NewTokens(secret)
	c.readOnly = newReadOnly(cfg.ReadOnly, now)
	c.restore(cfg, now)
	c.table = table.New(c.id, isLocal)
	return c
}

// take hands over what the last calls left to be done.
func (c *core) take() (out []packet, notes []note, resolve bool) {
	out, notes, resolve = c.out, c.notes, c.resolve
	c.out, c.notes, c.resolve = nil, nil, false
	return out, notes, resolve
}

// next is when tick has to be called at the latest.
func (c *core) next() time.Time {
	at := c.upkeep.at
	if len(c.timers) > 0 && c.timers[0].at.Before(at) {
		at = c.timers[0].at
	}
	return at
}

// tick does what the time demands.
func (c *core) tick(now time.Time) {
	for len(c.timers) > 0 && !c.timers[0].at.After(now) {
		c.expire(c.timers[0], now)
	}
	if !c.upkeep.at.After(now) {
		c.maintain(now)
	}
}

// minPacket is the size below which nothing can be KRPC (libtorrent, node.cpp).
const minPacket = 20

// handle takes in one datagram. It keeps nothing of data.
func (c *core) handle(data []byte, from netip.AddrPort, now time.Time) {
	c.stat.bytesIn += uint64(len(data))
	from = endpoint.Unmap4(from)
	if len(data) < minPacket || data[0] != 'd' || data[len(data)-1] != 'e' {
		c.stat.malformed++
		return
	}
	if !c.family.is(from.Addr()) || c.shunned(from.Addr()) || endpoint.Dialable(from, endpoint.FromDHT, from.Addr()) != nil {
		c.stat.refused++
		return
	}
	if c.waiting[from] == 0 && !c.floods.allow(from.Addr(), now) {
		c.stat.dropped++
		return
	}
	m, err := krpc.Decode(data)
	switch {
	case err != nil:
		c.stat.malformed++
	case m.Kind == krpc.Query:
		c.stat.queriesIn++
		c.answer(&m, from, len(data), now)
	default:
		c.receive(&m, from, now)
	}
}

// receive takes in a response or an error.
func (c *core) receive(m *krpc.Message, from netip.AddrPort, now time.Time) {
	q := c.match(m.T, from)
	if q == nil {
		c.stat.unexpected++
		return
	}
	c.finish(q)
	defer c.unblock(now)
	if m.Kind == krpc.Error {
		// It lives, but is of no use to this lookup.
		c.heard = now
		c.lookupFailed(q, now)
		return
	}
	if !m.HasID || m.ID == c.id {
		c.stat.malformed++
		c.lookupFailed(q, now)
		return
	}
	c.stat.answersIn++
	c.heard = now
	took := now.Sub(q.sent)
	c.rtt.sample(took)
	known := q.id == m.ID || q.id == krpc.ID{}
	node := krpc.NodeInfo{ID: m.ID, Addr: from}
	entry := c.table.Get(from)
	news := known && (entry == nil || entry.Fails > 0)
	router := c.boot.isRouter(from)
	if entry != nil || known && !(router && c.table.Len() > routersUntil) {
		c.table.Replied(node, took, router, now)
	}
	if m.IP.IsValid() && c.family.is(m.IP.Addr()) {
		c.claim = m.IP.Addr()
		c.vote(m.IP, from.Addr(), now)
	}
	nodes, foreign := m.Nodes, m.Nodes6
	if c.family == IPv6 {
		nodes, foreign = foreign, nodes
	}
	c.foreign(foreign)
	nodes = c.usableNodes(nodes, from.Addr())
	c.lookupAnswered(q, m, nodes, now)
	if news {
		c.feed(node, now)
	}
	c.named(nodes, now)
}

// usableNodes drops what nobody can be asked at, and us.
func (c *core) usableNodes(nodes []krpc.NodeInfo, informant netip.Addr) []krpc.NodeInfo {
	fit := nodes[:0]
	for _, n := range nodes[:min(len(nodes), search.MaxPerAnswer)] {
		if n.ID != c.id && c.usable(n.Addr, endpoint.FromDHT, informant) {
			fit = append(fit, n)
		}
	}
	return fit
}

// named has nodes pinged that others named and that the table has room for. It
// fills the large buckets within minutes, so that later lookups start nearer;
// the pace is slow, since anybody can name any address.
func (c *core) named(nodes []krpc.NodeInfo, now time.Time) {
	for _, n := range nodes {
		if len(c.verify) >= pingBurst || !c.fills.has(1, now) {
			return
		}
		if c.table.Wants(n) && !c.boot.isRouter(n.Addr) {
			c.fills.take(1, now)
			c.toVerify(n, now)
			c.upkeep.misses = 0
		}
	}
}

// self is our address as far as we know it: as the votes have decided, or as one
// node said. The latter is good enough only for what costs nothing if it is wrong.
func (c *core) self() netip.Addr {
	if c.votes.current.IsValid() {
		return c.votes.current
	}
	return c.claim
}

// vote counts that voter sees us at addr.
func (c *core) vote(addr netip.AddrPort, voter netip.Addr, now time.Time) {
	if !c.votes.add(addr.Addr(), voter, now) {
		return
	}
	c.log.Info("external address", "family", c.family, "addr", c.votes.current)
	c.moved(now)
}

// moved gives us a node ID that fits the external address, unless the one we
// have does, and tells our new neighbours.
func (c *core) moved(now time.Time) {
	if krpc.Compliant(c.id, c.votes.current) {
		return
	}
	c.id = krpc.SecureID(c.votes.current, c.rng)
	c.table.Rekey(c.id, now)
	c.startBootstrap(now)
}

// foreign passes on nodes of the other family, if there is a server for it.
func (c *core) foreign(nodes []krpc.NodeInfo) {
	if c.other != nil && len(nodes) > 0 {
		c.notes = append(c.notes, note{foreign: nodes[:min(len(nodes), k)]})
	}
}
