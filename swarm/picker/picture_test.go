package picker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bits-and-blooms/bitset"
)

// stage is a picker of a torrent with tiny pieces and peers named a, b, c …; its
// state is compared with a picture.
//
// A picture has one word per piece and one character per block:
//
//	.   free
//	a   asked from a
//	(ab) asked from a, then from b
//	#   received
//
// and a piece that is had is a single "*".
type stage struct {
	t *testing.T
	p *Picker
	// now is the time of the calls; the methods never move it.
	now time.Time
	// wire has, by peer, what was asked and neither answered nor cancelled.
	wire map[PeerID][]Block
	// cancels are the cancel messages since the last call of cancelled.
	cancels []Request
}

// newStage makes a torrent of pieces with four blocks each; a further block in the
// last piece, of 100 bytes, if odd.
func newStage(t *testing.T, pieces int, odd ...bool) *stage {
	length := int64(pieces) * 4 * BlockSize
	if len(odd) > 0 && odd[0] {
		length += 100 - 4*BlockSize
	}
	return &stage{t: t, p: New(length, 4*BlockSize), now: simStart, wire: map[PeerID][]Block{}}
}

func peerName(id PeerID) string { return string(rune('a' + id)) }
func peerID(name byte) PeerID   { return PeerID(name - 'a') }

// peer connects a seed that has unchoked us, with a measured rate in blocks per
// second (0: unknown) and round trip. It takes four requests at a time; with a
// round trip of 400 ms it is asked as many.
func (s *stage) peer(name string, blocksPerSec float64, rtt time.Duration) *peer {
	s.t.Helper()
	id := peerID(name[0])
	s.p.AddPeer(id, 4, rtt, s.now)
	s.p.SetBitfield(id, bitset.New(uint(s.p.Pieces())).Complement())
	s.p.SetChoking(id, false, true)
	pr := s.p.peers[id]
	s.measured(name, blocksPerSec)
	return pr
}

// measured sets what the picker believes of a peer's rate.
func (s *stage) measured(name string, blocksPerSec float64) {
	l := &s.p.peers[peerID(name[0])].link
	l.bytes, l.busy = blocksPerSec*BlockSize, 1
	if blocksPerSec == 0 {
		l.bytes, l.busy = 0, 0
	}
}

// pass lets time pass.
func (s *stage) pass(d time.Duration) { s.now = s.now.Add(d) }

// want replaces the wants. Each word is a piece and when it is wanted: "3!" a read
// sleeps on it, "3@250" its deadline is in 250 ms.
func (s *stage) want(wants string) {
	s.t.Helper()
	var ws []Want
	for _, f := range strings.Fields(wants) {
		var w Want
		var in int
		if strings.HasSuffix(f, "!") {
			fmt.Sscanf(f, "%d!", &w.Piece)
			w.Blocked = true
		} else if n, _ := fmt.Sscanf(f, "%d@%d", &w.Piece, &in); n != 2 {
			s.t.Fatalf("want %q", f)
		}
		w.Deadline = s.now.Add(time.Duration(in) * ms)
		ws = append(ws, w)
	}
	s.cancel(s.p.SetWants(ws, s.now))
}

func (s *stage) pick() { s.t.Helper(); s.sent(s.p.Pick(s.now, nil)) }

// late runs Late and returns the peers found snubbed.
func (s *stage) late() string {
	s.t.Helper()
	reqs, snubbed := s.p.Late(s.now, nil)
	s.sent(reqs)
	out := ""
	for _, id := range snubbed {
		out += peerName(id)
	}
	return out
}

func (s *stage) sent(reqs []Request) {
	s.t.Helper()
	for _, r := range reqs {
		if slices.Contains(s.wire[r.Peer], r.Block) {
			s.t.Errorf("%s is asked for %v twice", peerName(r.Peer), r.Block)
		}
		s.wire[r.Peer] = append(s.wire[r.Peer], r.Block)
	}
}

func (s *stage) cancel(reqs []Request) {
	s.cancels = append(s.cancels, reqs...)
	for _, r := range reqs {
		s.unwire(r.Peer, r.Block)
	}
}

func (s *stage) unwire(id PeerID, b Block) {
	if i := slices.Index(s.wire[id], b); i >= 0 {
		s.wire[id] = slices.Delete(s.wire[id], i, i+1)
	}
}

// recv delivers a block.
func (s *stage) recv(name string, piece, index int) Answer {
	b := Block{piece, index}
	a := s.p.Received(peerID(name[0]), b, s.now)
	s.unwire(peerID(name[0]), b)
	s.cancel(a.Cancel)
	return a
}

func (s *stage) reject(name string, piece, index int) {
	s.p.Rejected(peerID(name[0]), Block{piece, index})
	s.unwire(peerID(name[0]), Block{piece, index})
}

// cancelled returns the cancels since the last call, such as "a0.1 b0.1", sorted.
func (s *stage) cancelled() string {
	var out []string
	for _, r := range s.cancels {
		out = append(out, fmt.Sprintf("%s%d.%d", peerName(r.Peer), r.Block.Piece, r.Block.Index))
	}
	s.cancels = nil
	slices.Sort(out)
	return strings.Join(out, " ")
}

// picture draws the state.
func (s *stage) picture() string {
	var words []string
	for i := range s.p.Pieces() {
		pp := s.p.partials[i]
		switch {
		case s.p.Had(i):
			words = append(words, "*")
		case pp == nil:
			words = append(words, strings.Repeat(".", s.p.Blocks(i)))
		default:
			w := ""
			for j := range pp.blocks {
				w += pp.blocks[j].picture()
			}
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

func (b *block) picture() string {
	switch {
	case b.received:
		return "#"
	case len(b.reqs) == 0:
		return "."
	case len(b.reqs) == 1:
		return peerName(b.reqs[0].peer.id)
	}
	out := ""
	for _, r := range b.reqs {
		out += peerName(r.peer.id)
	}
	return "(" + out + ")"
}

// is compares the state with a picture.
func (s *stage) is(picture string) {
	s.t.Helper()
	if err := s.p.check(); err != "" {
		s.t.Error(err)
	}
	want := strings.Join(strings.Fields(picture), " ")
	if got := s.picture(); got != want {
		s.t.Errorf("state\n %s, want\n %s", got, want)
	}
}

// check verifies the invariants of the books; "" if they hold.
func (p *Picker) check() string {
	open := 0
	for id, pr := range p.peers {
		bytes, urgent, void := 0, 0, 0
		seen := map[Block]bool{}
		for _, r := range pr.queue {
			bytes += r.size
			if seen[r.block] {
				return fmt.Sprintf("%v is twice in the queue of %d", r.block, id)
			}
			seen[r.block] = true
			if r.peer != pr || r.size != p.BlockLen(r.block) {
				return fmt.Sprintf("request %+v in the queue of %d", *r, id)
			}
			if r.urgent {
				urgent++
			}
			if r.cancelled {
				void++
				if r.urgent {
					return fmt.Sprintf("%v is urgent and cancelled", r.block)
				}
				continue
			}
			open++
			if p.Had(r.block.Piece) {
				return fmt.Sprintf("%v is asked though it is had", r.block)
			}
			pp := p.partials[r.block.Piece]
			if pp == nil || !slices.Contains(pp.blocks[r.block.Index].reqs, r) {
				return fmt.Sprintf("%v is in the queue of %d, not in its piece", r.block, id)
			}
		}
		if bytes != pr.outstanding {
			return fmt.Sprintf("peer %d: %d bytes outstanding, its queue has %d", id, pr.outstanding, bytes)
		}
		if void != pr.void {
			return fmt.Sprintf("peer %d: %d cancelled requests, counted %d", id, void, pr.void)
		}
		if urgent != pr.urgent {
			return fmt.Sprintf("peer %d: %d urgent requests, counted %d", id, urgent, pr.urgent)
		}
		for _, r := range pr.owed {
			if !r.cancelled {
				return fmt.Sprintf("peer %d owes %v, which is open", id, r.block)
			}
		}
		if len(pr.owed) > maxOwed {
			return fmt.Sprintf("peer %d: %d requests owed", id, len(pr.owed))
		}
	}
	if open != p.open {
		return fmt.Sprintf("%d requests are open, counted %d", open, p.open)
	}
	if len(p.order) != len(p.peers) {
		return fmt.Sprintf("%d peers in order of %d", len(p.order), len(p.peers))
	}
	for i, pp := range p.partials {
		if p.Had(i) {
			return fmt.Sprintf("piece %d is had and partial", i)
		}
		if err := pp.check(p); err != "" {
			return fmt.Sprintf("piece %d: %s", i, err)
		}
	}
	return ""
}

func (pp *partial) check(p *Picker) string {
	free, left, copies := 0, 0, 0
	for i := range pp.blocks {
		b := &pp.blocks[i]
		switch {
		case b.received && len(b.reqs) > 0:
			return fmt.Sprintf("block %d is there and asked", i)
		case b.received:
			continue
		case len(b.reqs) == 0:
			if i < pp.cursor {
				return fmt.Sprintf("block %d is free before the cursor %d", i, pp.cursor)
			}
			free++
		case b.copies() > maxCopies || len(b.reqs) > 2*maxCopies:
			return fmt.Sprintf("block %d is asked %d times", i, len(b.reqs))
		}
		left++
		copies += max(0, len(b.reqs)-1)
		for j, r := range b.reqs {
			if r.cancelled || r.block != (Block{pp.index, i}) || p.peers[r.peer.id] != r.peer || !slices.Contains(r.peer.queue, r) {
				return fmt.Sprintf("block %d has request %+v", i, *r)
			}
			for _, q := range b.reqs[:j] {
				if q.peer == r.peer {
					return fmt.Sprintf("block %d is asked twice from %d", i, r.peer.id)
				}
			}
		}
	}
	if free != pp.free || left != pp.left || copies != pp.copies {
		return fmt.Sprintf("%d free, %d left, %d copies, counted %d, %d, %d", free, left, copies, pp.free, pp.left, pp.copies)
	}
	return ""
}

// dump describes the state of pieces and peers.
func (p *Picker) dump(now time.Time) string {
	out := ""
	for i := range p.Pieces() {
		if pp := p.partials[i]; pp != nil {
			out += fmt.Sprintf("piece %d: ", i)
			for j := range pp.blocks {
				out += pp.blocks[j].picture()
			}
			out += "\n"
		}
	}
	for _, pr := range p.order {
		out += fmt.Sprintf("peer %s: choking %v snubbed %v proven %v doubt %v rate %.0f rtt %v depth %d overdue %v busy for %v\n",
			peerName(pr.id), pr.choking, pr.snubbed, pr.proven, pr.doubt, pr.link.rate(0), pr.link.rtt, pr.depth(priorRate), pr.overdue(now), pr.link.busyUntil.Sub(now))
		for _, r := range pr.queue {
			out += fmt.Sprintf("  %v cancelled %v due %v\n", r.block, r.cancelled, r.due.Sub(now))
		}
	}
	return out
}
