package fetch

import (
	"cmp"
	"slices"
	"time"
)

// Mode is what the reads of a handle have shown it to be.
type Mode string

// The modes of a reader.
const (
	ModeOpened Mode = "opened" // nothing was read yet
	ModeProbe  Mode = "probe"  // gets exactly what it reads
	ModePlayer Mode = "player" // has a window ahead of it
	ModeIdle   Mode = "idle"   // read nothing for a minute: its window is given up
	ModeWhole  Mode = "whole"  // read from the file on the disk, past the reader
	// ModePassed: the same, by the kernel without us.
	ModePassed Mode = "passed through"
)

// ReaderStatus describes one open handle.
type ReaderStatus struct {
	ID    uint64 // among the handles of the library
	Owner string // see Reader.SetOwner
	Path  string // of the file, below the torrent's folder
	Size  int64  // of the file
	Mode  Mode

	// Offset is the byte behind the farthest that was read, in the place that
	// was read last.
	Offset int64
	// Rate is what the reader consumes, in bytes per second; 0 if it takes
	// whatever it gets, or nothing is known yet.
	Rate int64
	// Ahead is how much is here without a gap from Offset on, in bytes.
	Ahead int64
	// Window is the pieces that are wanted for the reader, in ascending order,
	// those that are here already included, and WindowHave how many of these
	// are here.
	Window     []int
	WindowHave int

	Waiting []ReadStatus // its blocked reads, the longest waiting first
}

// ReadStatus is a read that sleeps.
type ReadStatus struct {
	Offset, Length int64 // in the file
	Since          time.Time
	Pieces         []WaitingPiece // those it lacks
}

// SetOwner says who opened the handle, before its first read: for people who look at the
// status, and to go on with the history of the last one (see past). An empty name is
// nobody.
func (r *Reader) SetOwner(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owner = name
}

// SetMode says that the handle's file is read past the reader, by ModeWhole or
// ModePassed. What is read by the reader all the same counts as always.
func (r *Reader) SetMode(m Mode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.past = m
}

// Readers lists the open handles, those with waiting reads first. waiting is from
// a status of the torrent just taken: it says what the swarm does for a piece.
func (t *Torrent) Readers(waiting []WaitingPiece) []ReaderStatus {
	swarmSays := make(map[int]WaitingPiece, len(waiting))
	for _, w := range waiting {
		swarmSays[w.Piece] = w
	}
	reads := t.blockedReads(swarmSays)
	var out []ReaderStatus
	for _, r := range t.lib.readers.list() {
		if r.t != t {
			continue
		}
		s := r.status()
		s.Ahead = r.buffered(s.Offset)
		for _, p := range s.Window {
			if r.here(p) {
				s.WindowHave++
			}
		}
		s.Waiting = reads[r]
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b ReaderStatus) int {
		return cmp.Or(cmp.Compare(min(1, len(b.Waiting)), min(1, len(a.Waiting))), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// blockedReads lists the sleeping reads of each handle.
func (t *Torrent) blockedReads(swarmSays map[int]WaitingPiece) map[*Reader][]ReadStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	reads := make(map[*Reader][]ReadStatus)
	seen := make(map[*waiter]bool)
	for _, ws := range t.waiters {
		for _, w := range ws {
			if seen[w] {
				continue
			}
			seen[w] = true
			s := ReadStatus{Offset: w.off, Length: w.to - w.off, Since: w.since}
			for i, data := range w.slots {
				if data != nil {
					continue
				}
				p, ok := swarmSays[w.first+i]
				if !ok { // the swarm has not heard of it yet
					p = WaitingPiece{Piece: w.first + i, Since: w.since, Blocks: t.blocks(w.first + i)}
				}
				s.Pieces = append(s.Pieces, p)
			}
			reads[w.r] = append(reads[w.r], s)
		}
	}
	for _, list := range reads {
		slices.SortFunc(list, func(a, b ReadStatus) int {
			return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Offset, b.Offset))
		})
	}
	return reads
}

// blocks is how many requests a piece takes; mu is held.
func (t *Torrent) blocks(piece int) int {
	const blockSize = 16 << 10 // BEP 3, as everybody asks
	return int((t.info.PieceSize(piece) + blockSize - 1) / blockSize)
}

func (r *Reader) status() ReaderStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := ReaderStatus{ID: r.id, Owner: r.owner, Path: r.node.Path, Size: r.node.Size, Mode: ModeOpened}
	if r.past != "" {
		s.Mode = r.past
	}
	if len(r.win.runs) == 0 {
		return s
	}
	run := r.win.runs[0]
	s.Offset = run.head
	switch {
	case r.win.idle:
		s.Mode = ModeIdle
	case r.win.plays(run):
		s.Mode = ModePlayer
	default:
		s.Mode = ModeProbe
	}
	if rate, ok := r.win.use.rate(); ok {
		s.Rate = int64(rate)
	}
	s.Window = r.window
	return s
}

// buffered is how many bytes from off on are here without a gap.
func (r *Reader) buffered(off int64) int64 {
	for p := off; p < r.file.size; {
		i := r.file.piece(p)
		if !r.here(i) {
			return p - off
		}
		p = r.file.begin(i + 1)
	}
	return max(0, r.file.size-off)
}

// setWindow notes the pieces that are wanted for the reader.
func (r *Reader) setWindow(pieces []int) {
	slices.Sort(pieces)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.window = pieces
}

// PieceState is what a piece of a torrent is to us.
type PieceState byte

// The states of a piece, as they are drawn: the first that applies.
const (
	PieceHere    PieceState = '#'
	PieceBlocked PieceState = '!' // a read waits for it
	PieceWindow  PieceState = '>' // wanted ahead of a reader
	PiecePinned  PieceState = '+' // to be fetched for a pin
	PieceMissing PieceState = '.'
)

// PieceMap draws the torrent, one state a piece; nil until Ready.
func (t *Torrent) PieceMap() []PieceState {
	var windows [][]int
	for _, r := range t.lib.readers.list() {
		if r.t == t {
			windows = append(windows, r.status().Window)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.info == nil {
		return nil
	}
	m := make([]PieceState, t.info.NumPieces())
	for i := range m {
		m[i] = PieceMissing
	}
	if t.pins.pieces != nil {
		for p := range t.pins.pieces.EachSet() {
			m[p] = PiecePinned
		}
	}
	for _, window := range windows {
		for _, p := range window {
			m[p] = PieceWindow
		}
	}
	for p := range t.waiters {
		m[p] = PieceBlocked
	}
	for p := range t.have.EachSet() {
		m[p] = PieceHere
	}
	return m
}
