package dht

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/store"
)

// NodeID is a node ID, BEP 5.
type NodeID = krpc.ID

// Node is a node and its address.
type Node = krpc.NodeInfo

// PeersOptions says what a lookup of peers does besides. The zero value only
// looks.
type PeersOptions struct {
	// Announce tells the nodes closest to the info-hash, at the end, that we
	// are a peer.
	Announce bool
	// Port is where we accept connections. It is required to announce.
	Port int
	// ImpliedPort lets the nodes use the source port of our packet instead: for
	// when uTP shares the socket and a NAT may change the port.
	ImpliedPort bool
	// Seed announces us as a seed (BEP 33).
	Seed bool
	// NoSeed asks for peers that are no seeds, where nodes support it.
	NoSeed bool
}

// LookupStats tells how a lookup went.
type LookupStats struct {
	Hops           int           // answers in a row that the closest nodes took
	Queries        int           // sent, announces included
	Answers        int           // received; announces not included
	Peers          int           // different peers found
	Announced      int           // nodes that accepted our announce
	FirstAnswer    time.Duration // since the start; 0 if none
	FirstPeers     time.Duration // likewise
	FirstPeersHops int           // answers in a row that the first peers took
	Took           time.Duration
	Closest        []Node // nodes that answered, closest first
}

// Peers looks for the peers of a torrent and calls found for each answer that
// names new ones, as they arrive, in this goroutine. from is the node that
// named them. Addresses passed the address policy; our own announce is left out.
//
// It returns when the nodes closest to the info-hash have answered (and were
// announced to, if asked for), or when ctx ends: then with its error, and with
// the statistics up to then. While not a single node is known it waits for one.
func (s *Server) Peers(ctx context.Context, infoHash [20]byte, opts PeersOptions,
	found func(peers []netip.AddrPort, from netip.AddrPort)) (LookupStats, error) {
	if opts.Announce && (opts.Port < 1 || opts.Port > 0xffff) {
		return LookupStats{}, fmt.Errorf("dht: announce with port %d", opts.Port)
	}
	out, err := s.lookup(ctx, request{
		goal: goalPeers, target: infoHash, announce: opts.Announce, port: opts.Port,
		implied: opts.ImpliedPort, seed: opts.Seed, noSeed: opts.NoSeed,
	}, found)
	return out.LookupStats, err
}

// Announce tells the nodes closest to the info-hash that we are a peer of the
// torrent. It is a Peers that drops the peers.
func (s *Server) Announce(ctx context.Context, infoHash [20]byte, opts PeersOptions) (LookupStats, error) {
	opts.Announce = true
	return s.Peers(ctx, infoHash, opts, nil)
}

// Lookup finds the nodes closest to target.
func (s *Server) Lookup(ctx context.Context, target [20]byte) (LookupStats, error) {
	out, err := s.lookup(ctx, request{goal: goalNodes, target: target}, nil)
	return out.LookupStats, err
}

// ScrapeResult is an estimate of the size of a swarm (BEP 33), without us.
type ScrapeResult struct {
	Seeds, Peers int // distinct addresses, about
	// Nodes is how many nodes sent filters. Below MinScrapeNodes nothing is
	// known and the counts are 0.
	Nodes int
	// AtLeast means that a filter is full: there may be more.
	AtLeast bool
}

// MinScrapeNodes is how many nodes have to send filters before an estimate is
// made of them.
const MinScrapeNodes = 3

// Known tells whether the counts mean anything.
func (r ScrapeResult) Known() bool { return r.Nodes >= MinScrapeNodes }

// Scrape estimates how many seeds and other peers a torrent has. It is a lookup
// of its own: nodes that send filters send no peers. After a recent Peers of the
// same torrent it takes one round trip.
func (s *Server) Scrape(ctx context.Context, infoHash [20]byte) (ScrapeResult, error) {
	out, err := s.lookup(ctx, request{goal: goalScrape, target: infoHash}, nil)
	r := ScrapeResult{Nodes: len(out.seeds)}
	if err != nil || !r.Known() {
		return r, err
	}
	seeds, peers := store.Combine(out.seeds), store.Combine(out.peers)
	others := func(f *store.Filter) int {
		n := int(f.Estimate() + 0.5)
		if n > 0 && out.self.IsValid() && f.Has(out.self) {
			n--
		}
		return n
	}
	r.Seeds, r.Peers = others(&seeds), others(&peers)
	r.AtLeast = seeds.Full() || peers.Full()
	return r, nil
}

// lookup runs one lookup and hands out its peers.
func (s *Server) lookup(ctx context.Context, r request,
	found func([]netip.AddrPort, netip.AddrPort)) (outcome, error) {
	box := &mailbox{ready: make(chan struct{}, 1)}
	var id uint64 // of the owner's goroutine
	err := s.do(ctx, func(now time.Time) {
		l := s.core.startLookup(r, now)
		id = l.id
		s.boxes[id] = box
	})
	if err != nil {
		return outcome{}, err
	}
	ended := ctx.Done()
	var cause error
	for {
		select {
		case <-box.ready:
			for _, n := range box.take() {
				if n.peers != nil && found != nil && cause == nil {
					found(n.peers, n.from)
				}
				if n.done != nil {
					return *n.done, cause
				}
			}
		case <-ended:
			// The owner reports what was reached; the lookup may be done already.
			ended, cause = nil, ctx.Err()
			err := s.do(context.Background(), func(now time.Time) { s.core.cancel(id, now) })
			if err != nil {
				return outcome{}, err
			}
		case <-s.ctx.Done():
			return outcome{}, ErrClosed
		}
	}
}

// mailbox takes notes from the owner to a waiting caller. It is not bounded by
// itself: a lookup names maxSeen peers at most.
type mailbox struct {
	mu    sync.Mutex
	notes []note // guarded by mu

	ready chan struct{} // capacity 1: there are notes
}

func (b *mailbox) put(n note) {
	b.mu.Lock()
	b.notes = append(b.notes, n)
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

func (b *mailbox) take() []note {
	b.mu.Lock()
	defer b.mu.Unlock()
	notes := b.notes
	b.notes = nil
	return notes
}
