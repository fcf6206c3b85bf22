package dht

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/endpoint"
)

// sharePause is how often a server tells its partner of its nodes.
const sharePause = 10 * time.Second

// Link makes two servers of different families help each other (BEP 32): each
// answers queries that want nodes of the other family, and while one of them
// has few nodes the other asks for some on its behalf. Call it once, after New.
func Link(a, b *Server) {
	for _, p := range [][2]*Server{{a, b}, {b, a}} {
		s, partner := p[0], p[1]
		_ = s.do(context.Background(), func(now time.Time) {
			s.linked = partner
			s.shared = time.Time{}
			s.core.other = func(target krpc.ID) []krpc.NodeInfo {
				if nodes := partner.contacts.Load(); nodes != nil {
					return closest(target, *nodes, k)
				}
				return nil
			}
			s.core.otherPoor = partner.poor.Load
		})
	}
}

// share writes down the good nodes for the partner, now and then.
func (s *Server) share(now time.Time) {
	if s.linked == nil || now.Sub(s.shared) < sharePause && !s.poor.Load() {
		return
	}
	s.shared = now
	var nodes []krpc.NodeInfo
	for _, n := range s.core.table.Nodes() {
		if n.Good(now) && !isPrivate(n.Addr.Addr()) {
			nodes = append(nodes, n.NodeInfo)
		}
	}
	s.poor.Store(len(nodes) < k)
	s.contacts.Store(&nodes)
}

// offer takes in nodes that the partner heard of.
func (s *Server) offer(nodes []krpc.NodeInfo, partner *Server) {
	if s == nil || !s.poor.Load() {
		return
	}
	nodes = slices.Clone(nodes)
	s.tryDo(func(now time.Time) {
		for _, n := range nodes {
			s.core.addNode(n, endpoint.FromDHT, netip.Addr{}, now)
		}
	})
}
