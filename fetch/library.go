package fetch

import (
	"log/slog"
	"time"

	"magnetfs/cache"
	"magnetfs/swarm"
)

// The types of a status, so that a front end needs no import of swarm.
type (
	Status       = swarm.Status
	State        = swarm.State
	SourceStatus = swarm.SourceStatus
	PeerStatus   = swarm.PeerStatus
	WaitingPiece = swarm.WaitingPiece
)

// Engine joins swarms. *swarm.Session is one, behind an adapter that turns the
// result into a Swarm.
type Engine interface {
	// Add joins a torrent. It does not wait for the network.
	Add(spec swarm.AddSpec) (Swarm, error)
}

// Swarm is one joined torrent; *swarm.Torrent is one. Every method may be called
// from any goroutine and returns within one turn of the torrent's loop.
type Swarm interface {
	// SetWants replaces the whole list of wants of one reader; an empty list
	// forgets the reader.
	SetWants(reader uint64, wants []swarm.Want)
	// Evicted says that the store no longer holds these pieces.
	Evicted(pieces ...int)
	// Supply says what a piece can be expected from.
	Supply(piece int) swarm.Supply
	Status() swarm.Status
	AddPeers(addrs []string)
	AddTrackers(tiers [][]string)
	// Close leaves the swarm. It may be called more than once.
	Close()
}

// Config says how a Library works. Engine, Cache and StateDir are required.
type Config struct {
	Engine Engine

	// Cache keeps the pieces. The library sets its eviction callback and does
	// not close it.
	Cache *cache.Cache

	// StateDir is the folder of what outlives the process. It is created if
	// missing and locked against a second process.
	StateDir string

	Log *slog.Logger // nil: nothing is logged

	// NoPeersTimeout is how long a read waits while no connected peer can
	// deliver its piece: 0 means 60 s, negative for ever.
	NoPeersTimeout time.Duration

	// NoBlocksTimeout is how long a read waits without one new block of its
	// torrent: 0 means 300 s, negative for ever.
	NoBlocksTimeout time.Duration
}

// Library holds the torrents of one mount. All methods are safe for concurrent
// use.
type Library struct{}

// Open loads what an earlier process left in the state directory, and joins the
// torrents found there. All of them, with their names and trees, are in place
// when it returns.
//
// It fails with ErrLocked if another process uses the directory. A damaged
// database is put aside and rebuilt from the list kept beside it.
func Open(cfg Config) (*Library, error) { return nil, ErrClosed }

// Close fails the blocked reads with ErrClosed, leaves all swarms, writes what is
// unsaved and unlocks the state directory.
func (l *Library) Close() error { return nil }

// FailReads makes every read that is blocked now return err. Later reads are not
// affected.
func (l *Library) FailReads(err error) {}

// Add adds the torrent of a magnet link or of a bare info-hash in any spelling.
// It never waits for the network. text becomes an alias of the folder.
//
// If the torrent is there already, trackers and peers are merged into it and
// created is false; whether that very spelling was known is for
// Torrent.TypedAs to say, asked before. The error wraps ErrInvalid and says what
// is wrong with the text.
func (l *Library) Add(text string) (t *Torrent, created bool, err error) {
	return nil, false, ErrClosed
}

// AddMetainfo adds the torrent of a .torrent file. If it is there already it
// gains the file's trackers, and its metadata if that was missing. The error
// wraps ErrInvalid or, above 16 MiB, ErrTooLarge.
func (l *Library) AddMetainfo(raw []byte) (t *Torrent, created bool, err error) {
	return nil, false, ErrClosed
}

// Remove leaves the torrent and forgets it. Its blocked reads fail with
// ErrRemoved. Removing it again returns ErrRemoved.
func (l *Library) Remove(t *Torrent) error { return ErrClosed }

// Torrents returns all torrents, sorted by name.
func (l *Library) Torrents() []*Torrent { return nil }

// Lookup finds a torrent by its folder's name, by any spelling ever typed, by its
// info-hash in 40 lower-case hex digits, or by a name its folder had before; nil
// if there is none. It never waits.
func (l *Library) Lookup(name string) *Torrent { return nil }

// OnChange calls f for every later change, in order, from a goroutine of the
// library's own. f may call the library, but not Close.
func (l *Library) OnChange(f func(Change)) {}

// ChangeKind tells what happened to a torrent.
type ChangeKind uint8

// The kinds of changes. When metadata arrives and brings another name, Renamed
// comes before Ready.
const (
	Added ChangeKind = iota
	Ready
	Renamed
	Removed
)

// Change is something that happened to a torrent.
type Change struct {
	Torrent *Torrent
	Kind    ChangeKind
	// Name is the folder's name after the change (before it, for Removed).
	Name string
	// Old is the folder's name before a Renamed.
	Old string
}
