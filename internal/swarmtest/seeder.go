package swarmtest

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"magnetfs/swarm/wire"
)

// Seeder's extension ids: under which it wants to be sent these messages.
const (
	idPex      = 1
	idMetadata = 2
)

// SeederConfig describes a Seeder. Only Torrent is required.
type SeederConfig struct {
	Torrent *Torrent
	Have    []int // pieces it has; nil = all

	PeerID   string         // up to 20 bytes; "" = "-ST0000-" and the name
	Name     string         // client name in the extension handshake; "" = "swarmtest"
	Reserved *wire.Reserved // nil = extension protocol and fast extension

	NoMetadata bool             // has no info dictionary to give
	Reqq       int              // requests it queues, more are dropped; 0 = 250
	Port       uint16           // listening port named in the extension handshake; 0 = none
	DHTPort    uint16           // sent in a port message; 0 = none
	Pex        []netip.AddrPort // told as reachable seeds to peers that speak ut_pex

	Slots         int           // peers unchoked at a time; 0 = no limit
	UnchokeDelay  time.Duration // from interested to unchoke
	ResponseDelay time.Duration // from a request to its answer; requests overlap
	BytesPerSec   int           // of piece data on each connection, trickling evenly; 0 = no limit

	Faults Faults
}

// Faults are the ways in which a Seeder misbehaves; the zero value is honest.
// Counts are per connection.
type Faults struct {
	Silent       bool // accepts connections and says nothing
	Garbage      bool // answers the handshake by random bytes
	NeverUnchoke bool
	RejectAll    bool // unchokes and rejects all; without the fast extension it ignores all

	Stall      bool // answers nothing after StallAfter blocks, but stays and reads
	StallAfter int

	Disconnect      bool // closes after DisconnectAfter blocks; 0 = on the first request
	DisconnectAfter int
	ByReset         bool // Disconnect is a reset

	ChokeAfter int           // chokes after so many blocks; 0 = never
	ChokeFor   time.Duration // and unchokes again after this; 0 = never

	Corrupt   func(piece, begin uint32) bool // blocks with a wrong byte; see CorruptAll
	Truncate  bool                           // blocks lack their last byte
	Duplicate bool                           // sends each block twice

	ClaimAll      bool // announces all pieces whatever Have says
	IgnoreMissing bool // does not answer requests for pieces it lacks, instead of rejecting them

	WrongMetadata  bool // one byte of the info dictionary is wrong
	MetadataSize   int  // claimed in place of the true size
	IgnoreMetadata bool // does not answer metadata requests
	RejectMetadata bool // rejects them though it claims to have it

	WrongHashes  bool // the last of the hashes that were asked for is wrong
	IgnoreHashes bool // does not answer hash requests
	RejectHashes bool
}

// CorruptAll is a Faults.Corrupt for every block.
func CorruptAll(piece, begin uint32) bool { return true }

// CorruptPieces returns a Faults.Corrupt for the first block of some pieces.
func CorruptPieces(pieces ...int) func(piece, begin uint32) bool {
	return func(piece, begin uint32) bool { return begin == 0 && slices.Contains(pieces, int(piece)) }
}

// Request is a block that a Seeder was asked for.
type Request struct {
	At                   time.Time
	From                 string // address of the peer
	Piece, Begin, Length uint32
}

// SeederStats count what happened at a Seeder, all connections together.
type SeederStats struct {
	Connections int             // accepted or dialled
	Open        int             // connections at the moment
	WrongHash   int             // handshakes for another torrent
	BlocksSent  int             // the one being written included
	BytesSent   int64           // of these
	Rejected    int             // requests rejected
	Ignored     int             // requests not answered: faults, choked without fast extension, queue full
	Cancelled   int             // requests taken back before their answer left
	Metadata    int             // metadata blocks asked for
	Received    map[wire.ID]int // messages by id
}

// Seeder is a peer that has a torrent and uploads. It never asks for data. The
// rate comes from the network's link or from BytesPerSec. All methods are safe
// for concurrent use.
type Seeder struct {
	cfg      SeederConfig
	torrent  *Torrent
	metadata []byte
	wg       sync.WaitGroup

	mu        sync.Mutex // guards all below, and the queues of all connections
	closed    bool
	have      []bool
	listeners []net.Listener
	conns     map[*seederConn]struct{}
	waiting   []*seederConn // interested, without a slot
	unchoked  int
	requests  []Request
	stats     SeederStats
}

// NewSeeder returns a Seeder that is not connected to anything.
func NewSeeder(cfg SeederConfig) *Seeder {
	t := cfg.Torrent
	s := &Seeder{
		cfg:      cfg,
		torrent:  t,
		metadata: t.Raw,
		have:     make([]bool, t.NumPieces()),
		conns:    make(map[*seederConn]struct{}),
		stats:    SeederStats{Received: make(map[wire.ID]int)},
	}
	for i := range s.have {
		s.have[i] = cfg.Have == nil || slices.Contains(cfg.Have, i)
	}
	if cfg.Faults.WrongMetadata {
		s.metadata = slices.Clone(t.Raw)
		s.metadata[len(s.metadata)/2] ^= 1
	}
	return s
}

// Listen opens a listener on nw and serves it.
func (s *Seeder) Listen(ctx context.Context, nw Network, addr string) (net.Addr, error) {
	ln, err := nw.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	s.Serve(ln)
	return ln.Addr(), nil
}

// Serve accepts peers from ln until Close, which closes ln. It does not block.
func (s *Seeder) Serve(ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		ln.Close()
		return
	}
	s.listeners = append(s.listeners, ln)
	s.wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.start(nc, false)
		}
	})
}

// Dial connects to a peer. It returns when the connection is there; what follows
// goes on in the background.
func (s *Seeder) Dial(ctx context.Context, nw Network, addr string) error {
	nc, err := nw.Dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	if !s.start(nc, true) {
		return net.ErrClosed
	}
	return nil
}

// start runs a connection. It reports false, and closes it, after Close.
func (s *Seeder) start(nc net.Conn, outgoing bool) bool {
	c := newSeederConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		nc.Close()
		return false
	}
	s.conns[c] = struct{}{}
	s.stats.Connections++
	s.wg.Go(func() { c.run(outgoing) })
	return true
}

// Gain adds pieces to those it has and tells its peers.
func (s *Seeder) Gain(pieces ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range pieces {
		if s.have[i] {
			continue
		}
		s.have[i] = true
		for c := range s.conns {
			if c.greeted {
				c.send(wire.Message{ID: wire.Have, Index: uint32(i)})
			}
		}
	}
}

// Requests returns all blocks it was asked for, in order, repetitions included.
func (s *Seeder) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Requested returns the pieces it was asked for, sorted, each once.
func (s *Seeder) Requested() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	pieces := make(map[int]struct{})
	for _, r := range s.requests {
		pieces[int(r.Piece)] = struct{}{}
	}
	return slices.Sorted(maps.Keys(pieces))
}

// Stats returns a copy of the counters.
func (s *Seeder) Stats() SeederStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Open = len(s.conns)
	st.Received = maps.Clone(st.Received)
	return st
}

// DropPeers closes all connections; new ones are welcome.
func (s *Seeder) DropPeers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.nc.Close()
	}
}

// Close closes listeners and connections and waits for all goroutines.
func (s *Seeder) Close() error {
	s.mu.Lock()
	s.closed = true
	var errs []error
	for _, ln := range s.listeners {
		if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for c := range s.conns {
		c.nc.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return errors.Join(errs...)
}

// peerID returns the id of the handshake.
func (s *Seeder) peerID() (id [20]byte) {
	text := s.cfg.PeerID
	if text == "" {
		text = "-ST0000-" + s.cfg.Name
	}
	copy(id[:], text)
	return id
}

// admit gives a slot to c, or puts it on the waiting list. The caller holds s.mu.
func (s *Seeder) admit(c *seederConn) {
	if s.cfg.Slots > 0 && s.unchoked >= s.cfg.Slots {
		if !slices.Contains(s.waiting, c) {
			s.waiting = append(s.waiting, c)
		}
		return
	}
	s.unchoked++
	c.hasSlot = true
	c.unchokeAfter(s.cfg.UnchokeDelay)
}

// release takes c's slot or its place in the list, and gives the slot to the next.
// The caller holds s.mu.
func (s *Seeder) release(c *seederConn) {
	if i := slices.Index(s.waiting, c); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	if !c.hasSlot {
		return
	}
	c.hasSlot = false
	s.unchoked--
	if len(s.waiting) > 0 {
		next := s.waiting[0]
		s.waiting = s.waiting[1:]
		s.admit(next)
	}
}
