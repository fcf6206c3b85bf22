package fetch

import (
	"slices"
	"sync"
	"time"

	"github.com/bits-and-blooms/bitset"

	"magnetfs/swarm"
)

const (
	// pinLag is how far away the deadlines of pinned pieces are: beyond every
	// window, so that what anybody reads comes first.
	pinLag = time.Hour

	// The pinned pieces that are on their way at a time, all torrents together:
	// enough for a fast line (32 MiB are 100 ms of 2.5 Gbit/s), an eighth of the
	// cache at most, since they take room from what was read before.
	maxComing       = 32 << 20 // bytes
	comingShare     = 8        // of the cache's budget
	minComing       = 2        // pieces
	maxComingPieces = 256

	keeperTick = 5 * time.Second
	// triesFor is how long a piece that nobody had is passed over.
	triesFor = 60 * time.Second
)

// keeper fetches and holds what is pinned. Its goroutine owns the holdings; others
// tell it which torrents to look at.
//
// Pieces are fetched in their order, so that a file can be read from its beginning
// while the rest comes; those that no connected peer has are passed over for a
// while. Pieces that are here are pinned on the disk, or in memory if the disk does
// not have them; the few that are on their way in memory, so that a large pin does
// not empty it before it needs the room.
type keeper struct {
	lib  *Library
	held map[*Torrent]*holding
	kept int64 // bytes of all holdings

	wake chan struct{} // capacity 1

	mu    sync.Mutex // leaf; guards:
	dirty map[*Torrent]bool
}

// holding is what the keeper holds of one torrent.
type holding struct {
	pieces  *bitset.BitSet // pinned in memory
	shelved *bitset.BitSet // here, and pinned on the disk instead
	shelf   shelf
	bytes   int64          // of these
	coming  []int          // of these: wanted from the swarm, as it was told last
	absent  *bitset.BitSet // nobody had them
	asked   time.Time      // when absent was begun
	had     uint           // wanted pieces that were here
	arrived bool           // one came since the last tick
	joins   int            // of the torrent's, the swarm that was told
}

func newKeeper(l *Library) *keeper {
	return &keeper{lib: l, held: make(map[*Torrent]*holding), wake: make(chan struct{}, 1), dirty: make(map[*Torrent]bool)}
}

// pinCapacity is how many bytes may be pinned.
func (l *Library) pinCapacity() int64 {
	if l.capacity != nil {
		return max(0, l.capacity())
	}
	if l.disk != nil {
		return l.disk.Budget() / 4 * 3
	}
	return l.cache.Budget() / 4 * 3
}

// poke has a torrent looked at. It never waits.
func (k *keeper) poke(t *Torrent) {
	k.mu.Lock()
	k.dirty[t] = true
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) run(stop <-chan struct{}) {
	tick := time.NewTicker(keeperTick)
	defer tick.Stop()
	defer k.close()
	for {
		ticked := false
		select {
		case <-stop:
			return
		case <-k.wake:
		case <-tick.C:
			ticked = true
		}
		k.mu.Lock()
		dirty := k.dirty
		k.dirty = make(map[*Torrent]bool)
		k.mu.Unlock()
		for t := range dirty {
			if !k.apply(t, stop) {
				return
			}
			k.tend(t, time.Now(), false)
			t.discardHidden()
		}
		if ticked {
			for t := range k.held {
				k.tend(t, time.Now(), true)
			}
		}
	}
}

// close lets everything go.
func (k *keeper) close() {
	for t, h := range k.held {
		for p := range h.pieces.EachSet() {
			k.lib.cache.Unpin(t.key(int(p)))
		}
		h.unshelve(h.shelved.Clone())
	}
	clear(k.held)
}

// apply pins what was to be pinned with the metadata. False: the library closes.
func (k *keeper) apply(t *Torrent, stop <-chan struct{}) bool {
	t.mu.Lock()
	due := len(t.rec.PinLater) > 0 && t.info != nil && !t.left
	t.mu.Unlock()
	if !due {
		return true
	}
	select {
	case k.lib.editing <- struct{}{}:
	case <-stop: // Close edits, and waits for us
		return false
	}
	defer k.lib.endEdit()
	if t.gone() == nil {
		k.lib.pinLater(t)
	}
	return true
}

// pinState is what the keeper has to know of a torrent.
type pinState struct {
	want, have *bitset.BitSet // want is nil if nothing is pinned
	shelf      shelf
	sw         Swarm
	joins      int
	pieceLen   int64
}

func (t *Torrent) pinState() (s pinState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.sw, s.joins = t.sw, t.joins
	if !t.left && t.pins.pieces != nil {
		s.want, s.have, s.shelf, s.pieceLen = t.pins.pieces.Clone(), t.have.Clone(), t.shelf, t.info.PieceLength
	}
	return s
}

// tend makes the holding of a torrent follow its pins.
func (k *keeper) tend(t *Torrent, now time.Time, ticked bool) {
	h := k.held[t]
	s := t.pinState()
	if s.want == nil {
		if h != nil {
			k.release(t, h, h.pieces.Clone())
			h.unshelve(h.shelved.Clone())
			delete(k.held, t)
			k.lib.readers.setKept(k.kept)
			if len(h.coming) > 0 {
				s.sw.SetWants(pinReader, nil)
			}
		}
		return
	}
	if h == nil {
		n := s.want.Len()
		h = &holding{pieces: bitset.New(n), shelved: bitset.New(n), absent: bitset.New(n), shelf: s.shelf}
		k.held[t] = h
	}
	k.release(t, h, h.pieces.Difference(s.want))
	here := s.want.Intersection(s.have)
	h.unshelve(h.shelved.Difference(here))
	if ticked {
		h.checkShelf()
	}
	for p := range here.Difference(h.shelved).EachSet() {
		switch {
		case k.shelve(t, h, int(p), ticked):
		case !h.pieces.Test(p):
			k.hold(t, h, int(p))
		}
	}
	had := s.want.IntersectionCardinality(s.have)
	h.arrived = h.arrived || had > h.had
	h.had = had
	if ticked {
		k.passOver(t, h, s, now)
	}
	full := k.fill(t, h, s)
	k.lib.readers.setKept(k.kept)
	k.want(t, h, s, now, ticked)
	t.mu.Lock()
	t.pins.full = full && t.pins.pieces != nil
	t.mu.Unlock()
}

// shelve pins a piece that is here on the disk, if it is there, and lets it go from
// memory. again has it written once more: the disk may have been too slow before.
func (k *keeper) shelve(t *Torrent, h *holding, piece int, again bool) bool {
	h.shelf.pin(piece)
	on := h.shelf.contains(piece)
	if !on && again {
		if data := k.lib.cache.Get(t.key(piece)); data != nil {
			on = h.shelf.put(piece, data)
		}
	}
	if !on {
		h.shelf.unpin(piece)
		return false
	}
	h.shelved.Set(uint(piece))
	if h.pieces.Test(uint(piece)) {
		k.release(t, h, bitset.New(h.pieces.Len()).Set(uint(piece)))
	}
	return true
}

func (h *holding) unshelve(pieces *bitset.BitSet) {
	for p := range pieces.EachSet() {
		h.shelved.Clear(p)
		h.shelf.unpin(int(p))
	}
}

// checkShelf takes off what the disk lost.
func (h *holding) checkShelf() {
	list := make([]int, 0, h.shelved.Count())
	for p := range h.shelved.EachSet() {
		list = append(list, int(p))
	}
	if len(list) == 0 {
		return
	}
	lost := bitset.New(h.shelved.Len())
	for _, p := range h.shelf.missing(list) {
		lost.Set(uint(p))
	}
	h.unshelve(lost)
}

// hold pins a piece in memory. False: there is no room.
func (k *keeper) hold(t *Torrent, h *holding, piece int) bool {
	size := t.pieceSize(piece)
	if k.kept+size > min(k.lib.pinCapacity(), k.lib.cache.Budget()/4*3) || !k.lib.cache.Pin(t.key(piece), size) {
		return false
	}
	h.pieces.Set(uint(piece))
	h.bytes += size
	k.kept += size
	return true
}

func (k *keeper) release(t *Torrent, h *holding, pieces *bitset.BitSet) {
	for p := range pieces.EachSet() {
		h.pieces.Clear(p)
		size := t.pieceSize(int(p))
		h.bytes -= size
		k.kept -= size
		k.lib.cache.Unpin(t.key(int(p)))
	}
}

// fill takes further pieces that are to come. It tells whether there is no room.
func (k *keeper) fill(t *Torrent, h *holding, s pinState) (full bool) {
	var coming int64
	n := 0
	for p := range h.pieces.Difference(s.have).EachSet() {
		coming += t.pieceSize(int(p))
		n++
	}
	room := max(minComing*s.pieceLen, min(maxComing, k.lib.cache.Budget()/comingShare))
	missing := s.want.Difference(s.have).Difference(h.pieces).Difference(h.absent)
	for p := range missing.EachSet() {
		size := t.pieceSize(int(p))
		if n >= maxComingPieces || coming+size > room {
			return false
		}
		if !k.hold(t, h, int(p)) {
			return true
		}
		coming += size
		n++
	}
	return false
}

// passOver notes which of the pieces on their way nobody has, if none came since
// the last tick, so that others get their turn.
func (k *keeper) passOver(t *Torrent, h *holding, s pinState, now time.Time) {
	if now.Sub(h.asked) >= triesFor {
		h.absent.ClearAll()
		h.asked = now
	}
	arrived := h.arrived
	h.arrived = false
	if arrived {
		return
	}
	none := bitset.New(s.want.Len())
	for p := range h.pieces.Difference(s.have).EachSet() {
		supply := s.sw.Supply(int(p))
		if supply.Connected == 0 {
			return // it is not the piece's fault
		}
		if supply.Peers == 0 {
			none.Set(p)
		}
	}
	h.absent.InPlaceUnion(none)
	if s.want.Difference(s.have).Difference(h.absent).None() {
		// Nobody has any of the rest: one is as good as the other.
		h.absent.ClearAll()
		return
	}
	k.release(t, h, none)
}

// want tells the swarm what is to come. It is told anew at each tick, since what
// it leaves to a neighbour depends on how the neighbour gets on.
func (k *keeper) want(t *Torrent, h *holding, s pinState, now time.Time, ticked bool) {
	coming := make([]int, 0, len(h.coming))
	for p := range h.pieces.Difference(s.have).EachSet() {
		coming = append(coming, int(p))
	}
	coming = k.lib.cache.Missing(t.handle, coming, coming[:0:0])
	told := s.joins == h.joins && slices.Equal(coming, h.coming)
	if told && (!ticked || len(coming) == 0) {
		return
	}
	wants := make([]swarm.Want, len(coming))
	for i, p := range coming {
		wants[i] = swarm.Want{Piece: p, Deadline: now.Add(pinLag + time.Duration(i)*time.Millisecond)}
	}
	t.tellUnkept(coming, false)
	s.sw.SetWants(pinReader, wants)
	h.coming, h.joins = coming, s.joins
}

// pinReader is the keeper among the readers of a swarm; handles count from 1.
const pinReader = 0

// pokePins has the keeper look when pieces that are pinned came or went.
func (t *Torrent) pokePins(pieces ...int) {
	t.mu.Lock()
	due := false
	for _, p := range pieces {
		due = due || t.pins.pieces != nil && t.pins.pieces.Test(uint(p))
	}
	t.mu.Unlock()
	if due {
		t.lib.keeper.poke(t)
	}
}
