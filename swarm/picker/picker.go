package picker

import (
	"slices"
	"time"

	"github.com/bits-and-blooms/bitset"
)

// Request is a block to ask from a peer, or to cancel there.
type Request struct {
	Peer  PeerID
	Block Block
}

// Picker is the state of one torrent's requests. Not safe for concurrent use.
type Picker struct {
	size   func(piece int) int64 // bytes
	pieces int

	had      *bitset.BitSet // verified and kept
	partials map[int]*partial
	peers    map[PeerID]*peer
	order    []*peer // the same peers, in the order they came
	wants    []Want  // by deadline, one for each piece
	open     int     // requests on the books of all peers that are not cancelled
	allowance

	scratch []candidate
	unused  *partial // see blank
}

// New returns a picker for a torrent of length bytes in pieces of pieceLength.
func New(length, pieceLength int64) *Picker {
	n := 0
	if length > 0 {
		n = int((length + pieceLength - 1) / pieceLength)
	}
	return NewUneven(n, func(piece int) int64 {
		return min(pieceLength, length-int64(piece)*pieceLength)
	})
}

// NewUneven returns a picker for n pieces of different sizes, as torrents of
// version 2 have them, where each file ends with a short piece (BEP 52).
func NewUneven(n int, size func(piece int) int64) *Picker {
	return &Picker{
		size:     size,
		pieces:   n,
		had:      bitset.New(uint(n)),
		partials: map[int]*partial{},
		peers:    map[PeerID]*peer{},

		allowance: allowance{left: Unlimited},
	}
}

// Pieces returns the number of pieces.
func (p *Picker) Pieces() int { return p.pieces }

// PieceSize returns the bytes of a piece.
func (p *Picker) PieceSize(piece int) int64 { return p.size(piece) }

// Blocks returns the number of blocks of a piece.
func (p *Picker) Blocks(piece int) int {
	return int((p.PieceSize(piece) + BlockSize - 1) / BlockSize)
}

// BlockLen returns the bytes of a block.
func (p *Picker) BlockLen(b Block) int {
	return int(min(BlockSize, p.PieceSize(b.Piece)-int64(b.Index)*BlockSize))
}

// AddPeer makes a peer known. It has nothing and chokes us. maxQueue bounds the
// requests it is sent at a time; rtt is its measured round trip, 0 if unknown.
func (p *Picker) AddPeer(id PeerID, maxQueue int, rtt time.Duration, now time.Time) {
	pr := &peer{
		id:       id,
		have:     bitset.New(uint(p.pieces)),
		choking:  true,
		maxQueue: max(1, maxQueue),
		fast:     map[int]bool{},
		doubt:    map[int]bool{},
	}
	if rtt > 0 {
		pr.link.observeRTT(rtt, now)
	}
	p.peers[id] = pr
	p.order = append(p.order, pr)
}

// RemovePeer forgets a peer; blocks that only it was asked for are free again.
func (p *Picker) RemovePeer(id PeerID) {
	pr := p.peers[id]
	if pr == nil {
		return
	}
	p.releaseAll(pr)
	delete(p.peers, id)
	p.order = slices.DeleteFunc(p.order, func(q *peer) bool { return q == pr })
}

// SetMaxQueue changes how many requests the peer accepts at a time.
func (p *Picker) SetMaxQueue(id PeerID, n int) {
	if pr := p.peers[id]; pr != nil {
		pr.maxQueue = max(1, n)
	}
}

// ObserveRTT takes a round trip of a small message.
func (p *Picker) ObserveRTT(id PeerID, d time.Duration, now time.Time) {
	if pr := p.peers[id]; pr != nil {
		pr.link.observeRTT(d, now)
	}
}

// SetBitfield replaces what the peer has. The caller hands have over.
func (p *Picker) SetBitfield(id PeerID, have *bitset.BitSet) {
	if pr := p.peers[id]; pr != nil {
		pr.have, pr.skipUntil = have, time.Time{}
	}
}

// SetHave notes that the peer has, or no longer has, a piece.
func (p *Picker) SetHave(id PeerID, piece int, has bool) {
	pr := p.peers[id]
	if pr == nil || piece < 0 || piece >= p.pieces {
		return
	}
	pr.have.SetTo(uint(piece), has)
	pr.skipUntil = time.Time{}
}

// PeerHas says whether the peer announced the piece.
func (p *Picker) PeerHas(id PeerID, piece int) bool {
	pr := p.peers[id]
	return pr != nil && piece >= 0 && pr.have.Test(uint(piece))
}

// PeerPieces returns how many pieces the peer announced.
func (p *Picker) PeerPieces(id PeerID) int {
	if pr := p.peers[id]; pr != nil {
		return int(pr.have.Count())
	}
	return 0
}

// SetChoking notes a choke or unchoke of the peer. After a choke all its open
// requests are given up unless fast says that it will reject them itself and
// still serves allowed-fast pieces (BEP 6).
func (p *Picker) SetChoking(id PeerID, choking, fast bool) {
	pr := p.peers[id]
	if pr == nil {
		return
	}
	pr.choking, pr.rejects, pr.skipUntil = choking, fast, time.Time{}
	if !choking {
		return
	}
	for _, r := range slices.Clone(pr.queue) {
		if fast && pr.fast[r.block.Piece] {
			continue
		}
		p.release(r)
		if !fast {
			pr.drop(r)
			pr.owe(r) // it may have been on its way
			p.spent -= r.size
		}
	}
}

// AllowFast notes that the peer serves the piece even while it chokes us (BEP 6).
func (p *Picker) AllowFast(id PeerID, piece int, allowed bool) {
	pr := p.peers[id]
	if pr == nil || piece < 0 || piece >= p.pieces {
		return
	}
	if allowed {
		pr.fast[piece] = true
		pr.skipUntil = time.Time{}
	} else {
		delete(pr.fast, piece)
	}
}

// Prove notes that the peer delivered something whose hash was right.
func (p *Picker) Prove(id PeerID) {
	if pr := p.peers[id]; pr != nil && !pr.proven {
		pr.proven, pr.skipUntil = true, time.Time{}
		clear(pr.doubt)
	}
}

// SetNear notes whether the peer is of our own network.
func (p *Picker) SetNear(id PeerID, near bool) {
	if pr := p.peers[id]; pr != nil {
		pr.near = near
	}
}

// Vouch notes that something speaks for the peer, short of verified data.
func (p *Picker) Vouch(id PeerID) {
	if pr := p.peers[id]; pr != nil {
		pr.vouched = true
	}
}

// Proven says whether the peer delivered verified data.
func (p *Picker) Proven(id PeerID) bool {
	pr := p.peers[id]
	return pr != nil && pr.proven
}

// Had says whether the piece is verified and kept.
func (p *Picker) Had(piece int) bool { return p.had.Test(uint(piece)) }

// HadCount returns the number of verified pieces kept.
func (p *Picker) HadCount() int { return int(p.had.Count()) }

// HadSet returns the verified pieces kept. The caller must not change it.
func (p *Picker) HadSet() *bitset.BitSet { return p.had }

// SetHad notes a piece that the store holds, without any request.
func (p *Picker) SetHad(piece int, had bool) {
	if piece >= 0 && piece < p.pieces {
		p.had.SetTo(uint(piece), had)
		p.wake()
	}
}

// Partial is a piece of which blocks were asked or received.
type Partial struct {
	Blocks, Received, Asked int
	From                    []PeerID // who was asked for the rest
}

// Partial describes an unfinished piece.
func (p *Picker) Partial(piece int) Partial {
	s := Partial{Blocks: p.Blocks(piece)}
	pp := p.partials[piece]
	if pp == nil {
		return s
	}
	s.Received = len(pp.blocks) - pp.left
	s.Asked = pp.left - pp.free
	for i := range pp.blocks {
		for _, r := range pp.blocks[i].reqs {
			if !slices.Contains(s.From, r.peer.id) {
				s.From = append(s.From, r.peer.id)
			}
		}
	}
	return s
}

// Forget drops what was received of a piece. Open requests for it stay.
func (p *Picker) Forget(piece int) {
	pp := p.partials[piece]
	if pp == nil {
		return
	}
	for i := range pp.blocks {
		for _, r := range slices.Clone(pp.blocks[i].reqs) {
			p.release(r)
		}
	}
	delete(p.partials, piece)
	for _, pr := range p.order {
		delete(pr.doubt, piece)
	}
	p.wake()
}

// cancelPiece gives up all open requests of a piece.
func (p *Picker) cancelPiece(pp *partial, now time.Time, out []Request) []Request {
	for i := range pp.blocks {
		for _, r := range slices.Clone(pp.blocks[i].reqs) {
			r.suspect(now)
			p.release(r)
			if r.cancelledAt.IsZero() { // or else it was told before
				r.cancelledAt = now
				out = append(out, Request{Peer: r.peer.id, Block: r.block})
			}
		}
	}
	return out
}

// release gives a request up; it stays on its peer's books, cancelled.
func (p *Picker) release(r *request) {
	if r.cancelled {
		return
	}
	r.cancelled = true
	r.setUrgent(false)
	r.peer.void++
	p.open--
	if pp := p.partials[r.block.Piece]; pp != nil {
		pp.unask(r)
		if b := &pp.blocks[r.block.Index]; !b.received && len(b.reqs) == 0 {
			p.wake() // there is work again
		}
	}
}

// releaseAll gives up everything asked from a peer and clears its books.
func (p *Picker) releaseAll(pr *peer) {
	for _, r := range pr.queue {
		p.release(r)
		p.spent -= r.size
	}
	pr.queue, pr.outstanding, pr.void = nil, 0, 0
	pr.link.busyUntil = time.Time{}
}

// wake lets peers that found nothing to do look again.
func (p *Picker) wake() {
	for _, pr := range p.order {
		pr.skipUntil = time.Time{}
	}
}

// prior is the rate assumed of peers that are not measured: the median of those
// that are.
func (p *Picker) prior() float64 {
	var rates [64]float64
	n := 0
	for _, pr := range p.order {
		if pr.link.known() && !pr.snubbed && n < len(rates) {
			rates[n] = pr.link.rate(0)
			n++
		}
	}
	if n == 0 {
		return priorRate
	}
	slices.Sort(rates[:n])
	return rates[n/2]
}

// HasMissing says whether the peer announced a piece that is not had.
func (p *Picker) HasMissing(id PeerID) bool {
	pr := p.peers[id]
	if pr == nil {
		return false
	}
	for i, ok := pr.have.NextSet(0); ok; i, ok = pr.have.NextSet(i + 1) {
		if !p.had.Test(i) {
			return true
		}
	}
	return false
}
