package swarm

import (
	"net/netip"
	"time"

	"github.com/bits-and-blooms/bitset"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/mse"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// conn is what the loop needs of a connection; *peer.Conn is one.
type conn interface {
	// Send queues a message and never waits.
	Send(wire.Message)
	// Buffered is the number of bytes queued and not written.
	Buffered() int
	// Flush lets go what was queued.
	Flush()
	// SendPiece queues a block without copying it.
	SendPiece(index, begin uint32, data []byte, release func())
	// Close ends the connection without waiting; a Closed event follows.
	Close(error)
}

// early is what a peer announced before the info was known, when the number of
// pieces cannot be checked yet.
type early struct {
	bitfield []byte
	all      bool
	haves    map[uint32]bool
	fast     []uint32
}

const (
	maxEarlyHaves = 4096
	maxFastPieces = 100
)

// remote is a connected peer, owned by the loop.
type remote struct {
	id       picker.PeerID
	conn     conn
	addr     netip.AddrPort // of the connection
	listen   netip.AddrPort // where it can be dialled; zero if not known
	source   endpoint.Source
	outgoing bool
	method   mse.Method
	via      transport
	since    time.Time
	// roundTrip was measured while connecting; 0 if it was not.
	roundTrip time.Duration
	dirty     bool // has messages to flush
	leaving   bool // gave its place to another

	hs  wire.Handshake
	ext wire.ExtHandshake

	front   int       // the piece that it announced last
	frontAt time.Time // when; zero if it never did
	// shareStrikes counts how often in a row it did not deliver what was left
	// to it, as a neighbour; sharesAgain is until when nothing is.
	shareStrikes int
	sharesAgain  time.Time

	early          early
	seed           bool
	amChoking      bool
	amInterested   bool
	peerChoking    bool
	peerInterested bool
	claimed        claim // what its slot is to us, as the session knows it
	claimedAt      netip.AddrPort
	yielded        bool // to another torrent, until something is wanted again

	requests []wire.Message // of the peer, not yet handed to a server
	serving  int            // handed to a server, not finished
	hashing  int            // hash requests, likewise
	rejects  [][]byte       // those of hashing that cannot be answered; at most maxHashing

	unasked, faults      int
	fastPieces           int // allowed-fast messages
	metadataServed       int // blocks
	downloaded, uploaded int64
	lastBlock            time.Time // that was new to us
	downMark, upMark     int64     // at the last choke round
	rate, upRate         int64     // bytes per second in the last choke round
	optimistic           bool
	pex                  pexState
	punches              punches
}

func (r *remote) fast() bool { return r.hs.Reserved.Fast() }

// client names the peer's program for people.
func (r *remote) client() string {
	if r.ext.Version != "" {
		return r.ext.Version
	}
	id := r.hs.PeerID[:8]
	for _, c := range id {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return string(id)
}

// bitsetOf converts a bitfield message (most significant bit first) for n
// pieces. ok is false if the length is wrong; spare bits are ignored.
func bitsetOf(field []byte, n int) (bs *bitset.BitSet, ok bool) {
	if len(field) != (n+7)/8 {
		return nil, false
	}
	bs = bitset.New(uint(n))
	for i := range n {
		if field[i/8]&(0x80>>(i%8)) != 0 {
			bs.Set(uint(i))
		}
	}
	return bs, true
}

// bitfieldOf is the message form of the set.
func bitfieldOf(bs *bitset.BitSet, n int) []byte {
	out := make([]byte, (n+7)/8)
	for i, ok := bs.NextSet(0); ok && int(i) < n; i, ok = bs.NextSet(i + 1) {
		out[i/8] |= 0x80 >> (i % 8)
	}
	return out
}
