package swarm

import (
	"errors"
	"time"

	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/mse"
)

// ErrClosed is returned by calls on a session or torrent that was closed.
var ErrClosed = errors.New("swarm: closed")

// ErrNotHave is what a Store answers for a piece that it no longer holds.
var ErrNotHave = errors.New("swarm: piece not held")

// Store keeps the verified pieces of one torrent. Its owner implements it;
// every method is safe for concurrent use and may be called from any goroutine.
type Store interface {
	// PieceVerified hands over a piece whose hash was checked. data has the
	// exact size of the piece, belongs to the store from now on and is never
	// written again. It is called from a hash worker and should return soon.
	PieceVerified(index int, data []byte)

	// ReadPiece returns a verified piece for uploading, or ErrNotHave. It may
	// touch the disk and is never called from a torrent's loop. The caller
	// only reads the slice.
	ReadPiece(index int) ([]byte, error)
}

// AddSpec says which torrent to join.
type AddSpec struct {
	// InfoHash is the v1 info-hash, or the first 20 bytes of the v2 one.
	InfoHash metainfo.InfoHash

	// SecondHash is the other one of a hybrid torrent, if a link names both;
	// else zero. Info, when it is there, knows better.
	SecondHash metainfo.InfoHash

	// Name is shown in logs and status until the info is known.
	Name string

	// Info is nil when it has to be fetched from peers (BEP 9).
	Info *metainfo.Info

	// Peers are addresses known beforehand (x.pe of a magnet), host:port.
	Peers []string

	// Trackers by tier (BEP 12).
	Trackers [][]string

	// Have lists the pieces that the store already holds, verified.
	Have []int

	// Store receives verified pieces. Required.
	Store Store

	// OnInfo is called once, from a goroutine of the torrent, when the info
	// arrived from peers and its hash was checked. It is not called when Info
	// was given. No piece is handed to Store before it has returned.
	OnInfo func(*metainfo.Info)

	// OnLayers is called likewise, after OnInfo has returned, but maybe often and
	// in any order, with an info that knows more piece layers (BEP 52).
	OnLayers func(*metainfo.Info)
}

// Want is one piece that a reader needs, and when.
type Want struct {
	Piece    int
	Deadline time.Time
	// Blocked means that a read sleeps until this piece is there.
	Blocked bool
}

// Supply tells a waiting reader what its piece can be expected from.
type Supply struct {
	// Connected is the number of connected peers.
	Connected int
	// Peers is the number of connected peers that have the piece and are not
	// known to withhold it.
	Peers int
	// LastBlock is when the torrent last received a new block; zero if never.
	LastBlock time.Time
}

// State is what a torrent is doing, for status displays.
type State string

// The states of a torrent.
const (
	StateResolving State = "resolving" // waiting for the info
	StateIdle      State = "idle"      // nobody reads
	StateActive    State = "active"    // pieces are wanted
	StateBroken    State = "broken"    // its metadata cannot be used
	StateClosed    State = "closed"
)

// Status is a snapshot of one torrent.
type Status struct {
	InfoHash metainfo.InfoHash
	Name     string
	State    State
	Reason   string // why it is in that state, for people; may be empty

	Pieces, HavePieces int   // 0 until the info is known
	Size               int64 // bytes; 0 until the info is known
	Missing            int64 // bytes of pieces that we do not have

	ConnectedSeeds, ConnectedPeers int // seeds are not counted as peers
	Candidates                     int // known, not connected

	DownRate, UpRate     int64 // bytes per second over the last seconds
	Downloaded, Uploaded int64 // payload bytes since the torrent was added
	Wasted               int64 // payload bytes that were not needed or failed their hash

	Waiting []WaitingPiece
	Sources []SourceStatus
	Peers   []PeerStatus
}

// WaitingPiece is a piece that a blocked read waits for.
type WaitingPiece struct {
	Piece    int
	Since    time.Time
	Blocks   int      // of the piece
	Received int      // of these
	From     []string // peers that were asked for the rest
}

// SourceStatus is one row of the classic client table.
type SourceStatus struct {
	Name   string        // "[DHT]", "[Local Peer Discovery]", "[Peer Exchange]" or a tracker's URL
	Status string        // one of the words of the documentation
	Next   time.Duration // until the next update; negative if there is none
	Seeds  int           // -1: not known
	Peers  int           // -1: not known
}

// PeerStatus describes one connected peer.
type PeerStatus struct {
	Addr         string
	Client       string
	Source       string
	Connected    time.Time // since when
	Outgoing     bool
	Transport    string // "tcp" or "utp"
	Encryption   mse.Method
	Seed         bool
	Pieces       int
	PeerChoking  bool
	AmInterested bool
	AmChoking    bool
	Snubbed      bool
	Rate         int64 // bytes per second, the scheduler's estimate
	RTT          time.Duration
	Queue, Depth int // blocks outstanding, and how many the scheduler allows
	Downloaded   int64
	Uploaded     int64
}
