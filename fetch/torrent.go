package fetch

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bits-and-blooms/bitset"

	"magnetfs/cache"
	"magnetfs/swarm"
	"magnetfs/swarm/metainfo"
)

// Torrent is one torrent of a library. All methods are safe for concurrent use.
type Torrent struct {
	lib    *Library
	hash   metainfo.InfoHash
	handle uint64 // in the cache

	ready   chan struct{}
	removed chan struct{}

	// Guarded by Library.mu, as the maps that lead to them.
	name     string
	oldNames []string
	ownName  string // by its metadata, empty until that is there
	labelled bool   // the user chose the name

	mu     sync.Mutex // leaf; guards:
	rec    record     // but for the names
	sw     Swarm
	joins  int // swarms that sw was, one after the other
	tree       // zero until ready
	pins   pins
	hidden hidden
	// discards are hidden files to be freed when the keeper has let them go.
	discards []*Node
	waiters  map[int][]*waiter
	unkept   map[int]bool // verified, without room in the cache, not reported yet
	line     lineMeter
	came     chan struct{} // closed when a piece comes; nil if nobody waits for that
	stall    stall
	left     bool // removed
}

// tree is what a torrent has once its metadata is there.
type tree struct {
	info *metainfo.Info
	root *Node
	have *bitset.BitSet // pieces in memory or on the disk and not reported lost

	shelf shelf
}

func newTree(info *metainfo.Info, onDisk shelf) tree {
	have := bitset.New(uint(info.NumPieces()))
	for _, p := range onDisk.have() {
		have.Set(uint(p))
	}
	return tree{info, buildTree(info), have, onDisk}
}

// Name is the folder's name now. It may change when metadata arrives, and by Label.
func (t *Torrent) Name() string {
	t.lib.mu.Lock()
	defer t.lib.mu.Unlock()
	return t.name
}

// ID is the info-hash: v1, or the first 20 bytes of v2's if there is no v1.
func (t *Torrent) ID() [20]byte { return t.hash }

// HashString is ID in 40 lower-case hex digits.
func (t *Torrent) HashString() string { return t.hash.String() }

// Added is when the torrent was first added; it survives restarts.
func (t *Torrent) Added() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rec.Added
}

// TypedAs tells whether the torrent was ever added under exactly this spelling.
func (t *Torrent) TypedAs(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Contains(t.rec.Spellings, text)
}

// Magnet is a link to the torrent with all trackers and peers that were given.
func (t *Torrent) Magnet() string {
	t.mu.Lock()
	rec, info := t.rec.clone(), t.info
	t.mu.Unlock()
	return rec.magnet(info).String()
}

// Metainfo returns the .torrent file, or ErrNotReady.
func (t *Torrent) Metainfo() ([]byte, error) {
	t.mu.Lock()
	rec, info := t.rec.clone(), t.info
	t.mu.Unlock()
	if info == nil {
		return nil, fmt.Errorf("fetch: %s: %w", t.hash, ErrNotReady)
	}
	m := metainfo.Metainfo{
		Info: info, InfoHash: info.InfoHash, InfoHashV2: info.InfoHashV2, HasV1: info.V1, HasV2: info.V2,
		Trackers: rec.Trackers, WebSeeds: rec.WebSeeds, Nodes: rec.Nodes,
	}
	raw, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("fetch: %s: %w", t.hash, err)
	}
	return raw, nil
}

// Ready is closed when the metadata is there.
func (t *Torrent) Ready() <-chan struct{} { return t.ready }

// Removed is closed when the torrent was removed from the library.
func (t *Torrent) Removed() <-chan struct{} { return t.removed }

// Root is the torrent's folder, nil until Ready.
func (t *Torrent) Root() *Node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.root
}

// StateStalled is the state of a torrent whose last read timed out, until a source
// appears. The reason says what was missing.
const StateStalled State = "stalled"

// Status is a snapshot of the torrent's swarm, under the folder's name.
func (t *Torrent) Status() Status {
	sw := t.swarm()
	s := sw.Status()
	s.Name = t.Name()
	t.mu.Lock()
	stalled := t.stall
	t.mu.Unlock()
	if stalled.why != waitOn && (s.State == swarm.StateIdle || s.State == swarm.StateActive) {
		if why := t.stalledState(sw.Supply(stalled.piece)); why != waitOn {
			s.State, s.Reason = StateStalled, fmt.Sprintf("piece %d: %s", stalled.piece, why)
		}
	}
	return s
}

// Open starts reading a file of this torrent's tree. It never waits.
func (t *Torrent) Open(n *Node) (*Reader, error) {
	t.mu.Lock()
	info, onDisk := t.info, t.shelf
	t.mu.Unlock()
	if err := t.gone(); err != nil {
		return nil, err
	}
	if info == nil {
		return nil, fmt.Errorf("fetch: open %q: %w", n.Path, ErrNotReady)
	}
	if n.Kind != File || n.File < 0 || n.File >= len(info.Files) || info.Files[n.File].Length != n.Size {
		return nil, fmt.Errorf("fetch: open %q: not a file of this torrent: %w", n.Path, ErrInvalid)
	}
	r := &Reader{
		t:      t,
		node:   n,
		file:   span{info.PieceLength, info.Files[n.File].Offset, n.Size},
		closed: make(chan struct{}),
		shelf:  onDisk,
		pins:   make(map[int]bool),
		kept:   make(map[int]bool),
	}
	r.win = window{
		file:      r.file,
		media:     isMedia(n.Name),
		companion: n.Size < companionMax && isCompanion(n.Name),
	}
	if err := t.lib.addReader(r); err != nil {
		return nil, err
	}
	t.swarm().SetOpen(r.id, true)
	return r, nil
}

// CachedBytes is how much of a file, or of the files below a folder, is here.
func (t *Torrent) CachedBytes(n *Node) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.info == nil {
		return 0
	}
	return t.cached(n)
}

// Complete tells whether the whole file, or every file below a folder, is here.
func (t *Torrent) Complete(n *Node) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info != nil && t.complete(n)
}

func (t *Torrent) complete(n *Node) bool {
	for _, c := range n.Children {
		if !t.complete(c) {
			return false
		}
	}
	return n.Kind != File || t.cached(n) == n.Size
}

// cached is CachedBytes with mu held.
func (t *Torrent) cached(n *Node) (bytes int64) {
	if n.Kind == Dir {
		for _, c := range n.Children {
			bytes += t.cached(c)
		}
		return bytes
	}
	if n.Kind != File || n.File >= len(t.info.Files) || n.Size == 0 {
		return 0
	}
	s := span{t.info.PieceLength, t.info.Files[n.File].Offset, n.Size}
	last := uint(s.piece(n.Size - 1))
	for p, ok := t.have.NextSet(uint(s.piece(0))); ok && p <= last; p, ok = t.have.NextSet(p + 1) {
		begin := s.begin(int(p))
		bytes += min(n.Size, begin+s.pieceLen) - max(0, begin)
	}
	return bytes
}

// CachedRanges lists what is here of a file, as ascending half-open ranges of bytes
// that do not touch.
func (t *Torrent) CachedRanges(n *Node) (list [][2]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.info == nil || n.Kind != File || n.File >= len(t.info.Files) || n.Size == 0 {
		return nil
	}
	s := span{t.info.PieceLength, t.info.Files[n.File].Offset, n.Size}
	last := uint(s.piece(n.Size - 1))
	for p, ok := t.have.NextSet(uint(s.piece(0))); ok && p <= last; p, ok = t.have.NextSet(p + 1) {
		begin, end := max(0, s.begin(int(p))), min(n.Size, s.begin(int(p)+1))
		if k := len(list); k > 0 && list[k-1][1] == begin {
			list[k-1][1] = end
		} else {
			list = append(list, [2]int64{begin, end})
		}
	}
	return list
}

func (t *Torrent) key(piece int) cache.Key { return cache.Key{Torrent: t.handle, Piece: piece} }

func (t *Torrent) pieceSize(piece int) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info.PieceSize(piece)
}

func (t *Torrent) swarm() Swarm {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sw
}

func (t *Torrent) onDisk() shelf {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shelf
}

// pieces lists those that are here.
func (t *Torrent) pieces() (list []int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have == nil {
		return nil
	}
	for p := range t.have.EachSet() {
		list = append(list, int(p))
	}
	return list
}

// gone returns why the torrent cannot be read any more, nil if it can.
func (t *Torrent) gone() error {
	select {
	case <-t.removed:
		return fmt.Errorf("fetch: %w", ErrRemoved)
	case <-t.lib.closing:
		return fmt.Errorf("fetch: %w", ErrClosed)
	default:
		return nil
	}
}

// outcast stands for a swarm that could not be joined.
type outcast struct{ status swarm.Status }

func (outcast) SetWants(uint64, []swarm.Want) {}
func (outcast) SetOpen(uint64, bool)          {}
func (outcast) Evicted(...int)                {}
func (outcast) Held(...int)                   {}
func (outcast) Supply(int) swarm.Supply       { return swarm.Supply{} }
func (o outcast) Status() swarm.Status        { return o.status }
func (outcast) AddPeers([]string)             {}
func (outcast) AddTrackers([][]string)        {}
func (outcast) AddHash(metainfo.InfoHash)     {}
func (outcast) Close()                        {}

func newOutcast(hash metainfo.InfoHash, err error) Swarm {
	return outcast{swarm.Status{InfoHash: hash, State: swarm.StateClosed, Reason: strings.TrimSpace(err.Error())}}
}
