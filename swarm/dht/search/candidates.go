package search

import (
	"net/netip"
	"slices"

	"magnetfs/swarm/dht/krpc"
)

// Add makes candidates of nodes that via named; via is nil for nodes of our own
// table. Addresses must have passed the address policy.
func (s *Search) Add(nodes []krpc.NodeInfo, via *Candidate) {
	if len(nodes) > MaxPerAnswer && via != nil {
		nodes = nodes[:MaxPerAnswer]
	}
	for _, n := range nodes {
		if c := s.seen[n.Addr]; c != nil {
			if via != nil && c.via != via {
				c.named++
			} else if via == nil {
				s.revive(c, n.ID)
			}
			continue
		}
		c := &Candidate{NodeInfo: n, via: via, named: 1}
		if via != nil {
			c.Depth = via.Depth + 1
		}
		if s.admit(c) {
			s.place(c)
		}
	}
}

// AddBare adds an address whose node ID is not known: a bootstrap host, or a
// peer that told us its DHT port. It is asked at once.
func (s *Search) AddBare(addr netip.AddrPort) {
	if c := s.seen[addr]; c != nil {
		s.revive(c, c.ID)
		return
	}
	c := &Candidate{NodeInfo: krpc.NodeInfo{Addr: addr}, bare: true}
	s.seen[addr] = c
	s.bare = append(s.bare, c)
}

// revive lets a candidate that did not answer be asked again, since we have new
// reason to believe that it lives. id is its ID if that is known by now.
func (s *Search) revive(c *Candidate, id krpc.ID) {
	if c.state != failed || c.lied {
		return
	}
	c.state = fresh
	switch {
	case !c.bare:
		if i := slices.Index(s.list, c); i < 0 {
			s.place(c)
		}
	case id == krpc.ID{}:
		s.bare = append(s.bare, c)
	default:
		c.ID, c.bare = id, false
		s.place(c)
	}
}

// admit enforces diversity and registers c.
func (s *Search) admit(c *Candidate) bool {
	if ip := c.Addr.Addr(); !s.cfg.Local(ip) {
		net := subnet(ip)
		if s.ips[ip] || s.nets[net] {
			return false
		}
		s.ips[ip], s.nets[net] = true, true
	}
	s.seen[c.Addr] = c
	return true
}

// place puts c into the list. When the list is full the farthest candidate that
// was not asked leaves it, of those whose IDs do not fit their addresses if
// these are too many: they would displace all others from near the target.
func (s *Search) place(c *Candidate) {
	c.compliant = krpc.Compliant(c.ID, c.Addr.Addr())
	at, _ := slices.BinarySearchFunc(s.list, c, func(a, b *Candidate) int {
		return s.cfg.Target.Compare(a.ID, b.ID)
	})
	s.list = slices.Insert(s.list, at, c)
	unfit := 0
	for _, c := range s.list {
		if !c.compliant {
			unfit++
		}
	}
	switch {
	case len(s.list)-unfit > maxCandidates:
		s.drop(true)
	case unfit > maxUnfit:
		s.drop(false)
	}
}

// drop removes the farthest candidate of the kind that nobody waits for.
func (s *Search) drop(compliant bool) {
	for i := len(s.list) - 1; i >= 0; i-- {
		c := s.list[i]
		if c.compliant != compliant || c.state != fresh && c.state != failed {
			continue
		}
		s.list = slices.Delete(s.list, i, i+1)
		if c.state == fresh {
			s.forget(c)
		}
		return
	}
}

// forget frees the places that c holds in the rules of diversity. It stays
// known, so that it is not added again.
func (s *Search) forget(c *Candidate) {
	if ip := c.Addr.Addr(); !c.bare && !s.cfg.Local(ip) {
		delete(s.ips, ip)
		delete(s.nets, subnet(ip))
	}
}

// subnet is the network of which a search asks one node.
func subnet(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
