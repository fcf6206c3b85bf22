package swarm

import (
	"slices"
	"time"

	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

const (
	metadataBlock = 16 << 10 // BEP 9
	// metadataInFlight is how many blocks one peer is asked for at a time.
	metadataInFlight = 2
	// metadataCopies is how many peers are asked for the same block at a time
	// when there are several blocks. A single block is asked from everybody: it
	// costs little, saves waiting for a slow one, and whoever answers rightly
	// has proven itself and warmed up its connection.
	metadataCopies = 3
	metadataSizes  = 4 // different claims about the size that are followed at a time
	metadataRest   = time.Minute
	// metadataPatience is after how long a peer that did not answer no longer
	// counts as asked.
	metadataPatience = 3 * time.Second
)

// metadata fetches the info dictionary (BEP 9). Peers may lie about its size and
// its bytes, so blocks are collected per claimed size; when a collection that
// several peers filled has the wrong hash, each of those peers has to deliver it
// alone, and one that fails alone is a liar.
//
// Owned by the loop of its torrent.
type metadata struct {
	hash   metainfo.InfoHash
	peers  map[picker.PeerID]*metadataPeer
	order  []*metadataPeer
	shared map[int]*collection // by size
}

type metadataPeer struct {
	id        picker.PeerID
	size      int
	asked     map[int]time.Time // block → when
	restUntil time.Time
	alone     *collection // set once a shared collection with its blocks failed
}

// collection is one attempt at the info dictionary.
type collection struct {
	blocks [][]byte
	left   int
	from   map[picker.PeerID]bool
}

type metadataRequest struct {
	peer  picker.PeerID
	block int
}

// metadataResult is what a data message led to.
type metadataResult struct {
	raw   []byte          // the info dictionary, hash checked; nil if not complete
	good  []picker.PeerID // sent blocks of it
	liars []picker.PeerID // proven to have sent wrong bytes
}

func newMetadata(hash metainfo.InfoHash) *metadata {
	return &metadata{hash: hash, peers: map[picker.PeerID]*metadataPeer{}, shared: map[int]*collection{}}
}

func newCollection(size int) *collection {
	n := (size + metadataBlock - 1) / metadataBlock
	return &collection{blocks: make([][]byte, n), left: n, from: map[picker.PeerID]bool{}}
}

// offer notes that a peer has the metadata, of size bytes.
func (m *metadata) offer(id picker.PeerID, size int) {
	if size <= 0 || size > wire.MaxMetadata || m.peers[id] != nil {
		return
	}
	p := &metadataPeer{id: id, size: size, asked: map[int]time.Time{}}
	m.peers[id] = p
	m.order = append(m.order, p)
}

// gone forgets a peer.
func (m *metadata) gone(id picker.PeerID) {
	if p := m.peers[id]; p != nil {
		delete(m.peers, id)
		m.order = slices.DeleteFunc(m.order, func(q *metadataPeer) bool { return q == p })
	}
}

// next returns the requests to send now.
func (m *metadata) next(now time.Time) (reqs []metadataRequest) {
	for _, p := range m.order {
		c := m.collection(p)
		if c == nil || now.Before(p.restUntil) {
			continue
		}
		for len(p.asked) < metadataInFlight {
			b := m.choose(p, c, now)
			if b < 0 {
				break
			}
			p.asked[b] = now
			reqs = append(reqs, metadataRequest{p.id, b})
		}
	}
	return reqs
}

// collection returns what the peer contributes to; nil if its claim about the
// size is one too many.
func (m *metadata) collection(p *metadataPeer) *collection {
	if p.alone != nil {
		return p.alone
	}
	if c := m.shared[p.size]; c != nil {
		return c
	}
	if len(m.shared) >= metadataSizes {
		return nil
	}
	c := newCollection(p.size)
	m.shared[p.size] = c
	return c
}

// choose returns the missing block that the fewest others were asked for, or -1.
func (m *metadata) choose(p *metadataPeer, c *collection, now time.Time) int {
	limit := metadataCopies
	if len(c.blocks) == 1 {
		limit = len(m.order)
	}
	best, copies := -1, limit
	for b := range c.blocks {
		if _, ok := p.asked[b]; ok || c.blocks[b] != nil {
			continue
		}
		n := 0
		for _, q := range m.order {
			if at, ok := q.asked[b]; ok && m.collection(q) == c && now.Sub(at) < metadataPatience {
				n++
			}
		}
		if n < copies {
			best, copies = b, n
		}
	}
	return best
}

// rejected notes that the peer will not send a block; it rests for a while.
func (m *metadata) rejected(id picker.PeerID, block int, now time.Time) {
	if p := m.peers[id]; p != nil {
		delete(p.asked, block)
		p.restUntil = now.Add(metadataRest)
	}
}

// received takes a block. Blocks that were not asked for are ignored.
func (m *metadata) received(id picker.PeerID, block, size int, data []byte) (res metadataResult) {
	p := m.peers[id]
	if p == nil {
		return res
	}
	if _, ok := p.asked[block]; !ok {
		return res
	}
	delete(p.asked, block)
	c := m.collection(p)
	want := metadataBlock
	if c != nil && block == len(c.blocks)-1 {
		want = p.size - block*metadataBlock
	}
	if size != p.size || len(data) != want {
		res.liars = []picker.PeerID{id}
		return res
	}
	if c == nil || c.blocks[block] != nil {
		return res
	}
	c.blocks[block] = slices.Clone(data)
	c.from[id] = true
	if c.left--; c.left > 0 {
		return res
	}
	raw := slices.Concat(c.blocks...)
	if v1, v2 := metainfo.HashInfo(raw); v1 == m.hash || v2.Truncated() == m.hash {
		res.raw = raw
		for id := range c.from {
			res.good = append(res.good, id)
		}
		return res
	}
	return m.wrong(p, c)
}

// wrong throws a collection away whose hash was not right.
func (m *metadata) wrong(p *metadataPeer, c *collection) (res metadataResult) {
	if len(c.from) == 1 {
		for id := range c.from {
			res.liars = append(res.liars, id)
		}
	}
	if p.alone == nil {
		delete(m.shared, p.size)
	}
	for id := range c.from {
		if q := m.peers[id]; q != nil {
			q.alone = newCollection(q.size)
			clear(q.asked)
		}
	}
	return res
}
