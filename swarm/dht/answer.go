package dht

import (
	"errors"
	"net/netip"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/store"
)

// Bounds of our answers.
const (
	maxValues4 = 50 // peers of 8 bytes: with 8 nodes some 700 bytes
	maxValues6 = 25 // peers of 21 bytes
	maxSamples = 20 // libtorrent

	// sampleInterval is how long others should wait before they sample again
	// (BEP 51; libtorrent: 6 h).
	sampleInterval = 6 * 60 * 60 // seconds
)

// answer serves a query of size bytes.
func (c *core) answer(m *krpc.Message, from netip.AddrPort, size int, now time.Time) {
	if m.HasID && m.ID == c.id {
		return // our own packet, or somebody pretends to be us
	}
	c.readOnly.queried(from.Addr(), now)
	if c.readOnly.on {
		return // BEP 43
	}
	if !c.replies.take(float64(size), now) {
		c.stat.dropped++
		return
	}
	r, fault := c.serve(m, from, now)
	if fault != nil {
		c.refuse(m, from, size, fault)
		return
	}
	r.Kind, r.T, r.IP = krpc.Response, m.T, from
	r.ID, r.HasID = c.id, true
	data := r.Append(make([]byte, 0, 512))
	if len(data) > maxAnswer {
		// Only a large stored item beside node lists comes this far.
		r.Nodes, r.Nodes6 = nil, nil
		data = r.Append(data[:0])
	}
	c.replies.have -= float64(len(data) - size)
	c.stat.answersOut++
	c.emit(from, data)
	if !m.RO {
		c.met(krpc.NodeInfo{ID: m.ID, Addr: from}, now)
	}
}

// refuse sends an error, unless that would be larger than the query.
func (c *core) refuse(m *krpc.Message, from netip.AddrPort, size int, fault *store.PutError) {
	e := krpc.Message{Kind: krpc.Error, T: m.T, Code: fault.Code, Text: fault.Text}
	data := e.Append(make([]byte, 0, 128))
	if len(data) > size {
		return
	}
	c.stat.answersOut++
	c.emit(from, data)
}

// met notes that a node queried us. If the table has room for it, it is pinged.
func (c *core) met(n krpc.NodeInfo, now time.Time) {
	if !c.table.Queried(n, now) && c.table.Wants(n) {
		c.toVerify(n, now)
	}
}

var (
	errNoID     = &store.PutError{Code: krpc.ErrProtocol, Text: "no id"}
	errNoTarget = &store.PutError{Code: krpc.ErrProtocol, Text: "no target"}
	errToken    = &store.PutError{Code: krpc.ErrProtocol, Text: "bad token"}
	errPort     = &store.PutError{Code: krpc.ErrProtocol, Text: "bad port"}
	errMethod   = &store.PutError{Code: krpc.ErrMethod, Text: "unknown method"}
	errBusy     = &store.PutError{Code: krpc.ErrServer, Text: "busy"}
)

// serve makes the answer to a query; Kind, T, IP and ID are set by the caller.
func (c *core) serve(m *krpc.Message, from netip.AddrPort, now time.Time) (r krpc.Message, fault *store.PutError) {
	if !m.HasID {
		return r, errNoID
	}
	switch m.Method {
	case krpc.Ping:
		return r, nil
	case krpc.AnnouncePeer:
		return r, c.serveAnnounce(m, from, now)
	case krpc.Put:
		return r, c.servePut(m, from, now)
	case krpc.FindNode, krpc.GetPeers, krpc.Get, krpc.SampleInfohashes:
		if !m.HasTarget {
			return r, errNoTarget
		}
	default:
		// Extensions nobody told us about still find their way through us, as
		// through libtorrent and mldht.
		if !m.HasTarget {
			return r, errMethod
		}
	}
	c.addNodes(&r, m, from)
	switch m.Method {
	case krpc.GetPeers:
		c.servePeers(&r, m, from, now)
	case krpc.Get:
		r.Token = c.tokens.Make(from.Addr(), m.Target, now)
		if it := c.items.Get(m.Target, now); it != nil {
			r.Seq, r.HasSeq = it.Seq, it.Key != nil
			if !(m.HasSeq && it.Key != nil && it.Seq <= m.Seq) {
				r.Value, r.Key, r.Sig = it.Value, it.Key, it.Sig
			}
		}
	case krpc.SampleInfohashes:
		r.HasSamples = true
		r.Interval = sampleInterval
		r.Num = c.peers.Hashes()
		r.Samples = c.peers.Sample(maxSamples, c.rng)
	}
	return r, nil
}

// addNodes adds the nodes closest to the target, of the families that were
// asked for (BEP 32). Nodes of our own local network are named to others in it
// only.
func (c *core) addNodes(r, m *krpc.Message, from netip.AddrPort) {
	want4, want6 := m.Want4, m.Want6
	if !want4 && !want6 {
		want4, want6 = c.family == IPv4, c.family == IPv6
	}
	for _, f := range [...]Family{IPv4, IPv6} {
		if f == IPv4 && !want4 || f == IPv6 && !want6 {
			continue
		}
		nodes := []krpc.NodeInfo{}
		switch {
		case f == c.family:
			nodes = c.closestFor(m.Target, from.Addr())
		case c.other != nil:
			nodes = append(nodes, c.other(m.Target)...)
		default:
			continue
		}
		if f == IPv4 {
			r.Nodes = nodes
		} else {
			r.Nodes6 = nodes
		}
	}
}

func (c *core) closestFor(target krpc.ID, asker netip.Addr) []krpc.NodeInfo {
	nodes := c.table.Closest(target, k+1, nil)
	fit := nodes[:0]
	for _, n := range nodes {
		ip := n.Addr.Addr()
		if ip == asker && !isLocal(ip) || isPrivate(ip) && !isPrivate(asker) {
			continue
		}
		fit = append(fit, n)
	}
	return fit[:min(k, len(fit))]
}

func (c *core) servePeers(r, m *krpc.Message, from netip.AddrPort, now time.Time) {
	r.Token = c.tokens.Make(from.Addr(), m.Target, now)
	if !c.peers.Has(m.Target) {
		return
	}
	if m.Scrape {
		// As libtorrent: filters instead of peers, both do not fit.
		seeds, peers := c.peers.Filters(m.Target, now)
		r.Seeds, r.Peers = seeds[:], peers[:]
		return
	}
	n := maxValues4
	if c.family == IPv6 {
		n = maxValues6
	}
	for _, a := range c.peers.Get(m.Target, n, m.NoSeed, now, c.rng) {
		if !isPrivate(a.Addr()) || isPrivate(from.Addr()) {
			r.Values = append(r.Values, a)
		}
	}
}

func (c *core) serveAnnounce(m *krpc.Message, from netip.AddrPort, now time.Time) *store.PutError {
	port := m.Port
	if m.ImpliedPort {
		port = int(from.Port())
	}
	switch {
	case !m.HasTarget:
		return errNoTarget
	case !c.tokens.Valid(m.Token, from.Addr(), m.Target, now):
		return errToken
	case port <= 0:
		return errPort
	}
	c.peers.Announce(m.Target, netip.AddrPortFrom(from.Addr(), uint16(port)), m.Seed, now)
	return nil
}

func (c *core) servePut(m *krpc.Message, from netip.AddrPort, now time.Time) *store.PutError {
	switch {
	case len(m.Value) == 0:
		return errNoTarget
	case !c.tokens.Valid(m.Token, from.Addr(), store.Target(m), now):
		return errToken
	case !c.puts.take(1, now):
		return errBusy
	}
	var fault *store.PutError
	if err := c.items.Put(m, from.Addr(), now); errors.As(err, &fault) {
		return fault
	}
	return nil
}
