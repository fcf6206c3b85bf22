package dht

import (
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/table"
	"magnetfs/swarm/endpoint"
)

// saved is the form of State: bencoded, node lists in compact form.
type saved struct {
	ID    []byte `bencode:"id"`
	IP    []byte `bencode:"ip,omitempty"` // our external address, 4 or 16 bytes
	Nodes []byte `bencode:"nodes"`        // 26 or 38 bytes each
}

// maxState bounds what is read back: 300 IPv6 nodes are 11,400 bytes.
const maxState = 64 << 10

// state encodes the node ID and up to saveNodes nodes, those that live longest
// first.
func (c *core) state() []byte {
	nodes := c.table.Nodes()
	nodes = slices.DeleteFunc(nodes, func(n table.Node) bool { return n.Fails > 0 || n.Router })
	slices.SortStableFunc(nodes, func(a, b table.Node) int { return a.Since.Compare(b.Since) })
	s := saved{ID: c.id[:], Nodes: []byte{}}
	if c.votes.current.IsValid() {
		s.IP = c.votes.current.AsSlice()
	}
	for _, n := range nodes[:min(len(nodes), saveNodes)] {
		s.Nodes = krpc.AppendNode(s.Nodes, n.NodeInfo)
	}
	// Nodes of the earlier run are kept until we have met others.
	if len(nodes) == 0 {
		for _, n := range c.boot.saved {
			s.Nodes = krpc.AppendNode(s.Nodes, n)
		}
	}
	b, err := benc.Marshal(s)
	if err != nil {
		panic(err) // three byte strings
	}
	return b
}

// restore sets the node ID and the saved nodes from the configuration. State is
// read like something from the network: whoever can write the file shall not be
// able to do more than a stranger.
func (c *core) restore(cfg *Config, now time.Time) {
	var s saved
	if len(cfg.State) > 0 {
		if err := benc.Unmarshal(cfg.State, &s, benc.Limits{MaxBytes: maxState, MaxDepth: 2, MaxTokens: 20}); err != nil {
			c.log.Warn("saved DHT state is broken", "family", c.family, "err", err)
			s = saved{}
		}
	}
	if ip, ok := netip.AddrFromSlice(s.IP); ok && c.family.is(ip) {
		c.votes.current = ip
	}
	if ext := cfg.External.Unmap(); c.family.is(ext) {
		c.votes.current, c.votes.decided = ext, now
	}
	known := c.votes.current.IsValid()
	if len(s.ID) == len(c.id) {
		c.id = krpc.ID(s.ID)
	}
	switch {
	case known && (c.id == krpc.ID{} || !krpc.Compliant(c.id, c.votes.current)):
		c.id = krpc.SecureID(c.votes.current, c.rng)
	case c.id == krpc.ID{}:
		c.id = krpc.RandomID(c.rng)
	}
	for _, n := range krpc.ParseNodes(s.Nodes, c.family == IPv6) {
		if len(c.boot.saved) < saveNodes && n.ID != c.id && c.usable(n.Addr, endpoint.FromSaved, netip.Addr{}) {
			c.boot.saved = append(c.boot.saved, n)
		}
	}
}
