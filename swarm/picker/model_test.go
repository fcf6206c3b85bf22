package picker

import (
	"slices"
	"testing"
	"time"

	"github.com/bits-and-blooms/bitset"
	"pgregory.net/rapid"
)

// model is a picker with the world around it: what each peer was asked on the wire
// and has not answered. Its operations are what a loop may do, in any order, and
// peers that answer, refuse, repeat, lie and fall silent.
type model struct {
	p     *Picker
	now   time.Time
	next  PeerID
	peers []*modelPeer
	err   func(format string, args ...any) // reports a broken rule

	blocked map[int]bool // wanted, and a read sleeps on it
	wanted  map[int]bool
}

type modelPeer struct {
	id      PeerID
	rejects bool // has the fast extension
	choking bool
	wire    []Block // asked, and no cancel or answer since
	over    []Block // cancelled; an answer may still come
}

func newModel(length, pieceLength int64, err func(string, ...any)) *model {
	return &model{p: New(length, pieceLength), now: simStart, err: err}
}

func (m *model) peer(n int) *modelPeer {
	if len(m.peers) == 0 {
		return nil
	}
	return m.peers[n%len(m.peers)]
}

func (m *model) byID(id PeerID) *modelPeer {
	for _, q := range m.peers {
		if q.id == id {
			return q
		}
	}
	return nil
}

// sent puts requests on the wire, and checks that each makes sense.
func (m *model) sent(reqs []Request) {
	for _, r := range reqs {
		q := m.byID(r.Peer)
		switch {
		case q == nil:
			m.err("request to %d, which is not there", r.Peer)
			return
		case m.p.Had(r.Block.Piece):
			m.err("request for %v, which is had", r.Block)
		case !m.wanted[r.Block.Piece]:
			m.err("request for %v, which nobody wants", r.Block)
		case !m.p.PeerHas(r.Peer, r.Block.Piece):
			m.err("request for %v to %d, which does not have it", r.Block, r.Peer)
		case q.choking && !m.p.peers[r.Peer].fast[r.Block.Piece]:
			m.err("request for %v to %d, which chokes us", r.Block, r.Peer)
		case slices.Contains(q.wire, r.Block):
			m.err("%d is asked twice for %v", r.Peer, r.Block)
		case r.Block.Index < 0 || r.Block.Index >= m.p.Blocks(r.Block.Piece):
			m.err("there is no block %v", r.Block)
		}
		q.wire = append(q.wire, r.Block)
	}
}

// late has late blocks looked for. What snubbed peers were asked is given up
// without a word.
func (m *model) late() {
	reqs, snubbed := m.p.Late(m.now, nil)
	for _, id := range snubbed {
		q := m.byID(id)
		q.over = append(q.over, q.wire...)
		q.wire = nil
	}
	m.sent(reqs)
}

func (m *model) cancelled(reqs []Request) {
	for _, r := range reqs {
		q := m.byID(r.Peer)
		if q == nil {
			m.err("cancel to %d, which is not there", r.Peer)
			return
		}
		i := slices.Index(q.wire, r.Block)
		if i < 0 {
			m.err("cancel of %v to %d, which was not asked", r.Block, r.Peer)
			return
		}
		q.wire = slices.Delete(q.wire, i, i+1)
		q.over = append(q.over, r.Block)
		if len(q.over) > 64 {
			q.over = q.over[1:]
		}
	}
}

// step does one operation; a, b and c choose what it is about.
func (m *model) step(op, a, b, c int) {
	pieces := m.p.Pieces()
	q := m.peer(a)
	switch op {
	case 0, 1: // time passes
		m.now = m.now.Add(time.Duration(1+a*b%400) * time.Millisecond)
	case 2:
		if len(m.peers) < 8 {
			m.add(b%3 > 0, a%2 > 0, time.Duration(c%300)*time.Millisecond)
		}
	case 3:
		if q != nil && c%4 == 0 {
			m.p.RemovePeer(q.id)
			m.peers = slices.DeleteFunc(m.peers, func(o *modelPeer) bool { return o == q })
		}
	case 4:
		if q != nil {
			m.p.SetHave(q.id, b%(pieces+2)-1, c%3 > 0)
		}
	case 5:
		if q != nil {
			m.choke(q, c%3 == 0)
		}
	case 6:
		if q != nil {
			m.p.AllowFast(q.id, b%(pieces+2)-1, c%4 > 0)
		}
	case 7:
		m.setWants(a, b, c)
	case 8, 9:
		m.sent(m.p.Pick(m.now, nil))
	case 10, 11:
		m.late()
	case 12, 13, 14, 15: // an answer in order, or out of order
		if q != nil && len(q.wire) > 0 {
			i := 0
			if c%4 == 0 {
				i = b % len(q.wire)
			}
			m.answer(q, q.wire[i])
		}
	case 16: // an answer to what was cancelled
		if q != nil && len(q.over) > 0 {
			m.answer(q, q.over[b%len(q.over)])
		}
	case 17: // what nobody asked for
		if q != nil {
			m.answer(q, Block{b % pieces, c % m.p.Blocks(b%pieces)})
		}
	case 18:
		if q != nil && len(q.wire) > 0 {
			m.reject(q, q.wire[b%len(q.wire)])
		} else if q != nil && len(q.over) > 0 {
			m.reject(q, q.over[b%len(q.over)])
		}
	case 19, 20:
		m.verify(a, b, c)
	case 21: // the store lost a piece, or finds one
		m.found(b%pieces, c%4 == 0)
	case 22:
		if p := b % pieces; !m.complete(p) && !m.wanted[p] {
			m.p.Forget(p)
		}
	case 23:
		if q != nil && c%3 == 0 {
			m.p.Prove(q.id)
		} else if q != nil {
			m.p.Vouch(q.id)
		}
	case 24:
		if q != nil {
			m.p.SetMaxQueue(q.id, c%40)
		}
	}
	if err := m.p.check(); err != "" {
		m.err("after operation %d (%d %d %d): %s", op, a, b, c, err)
	}
}

func (m *model) add(seed, rejects bool, rtt time.Duration) *modelPeer {
	q := &modelPeer{id: m.next, rejects: rejects, choking: true}
	m.next++
	m.peers = append(m.peers, q)
	m.p.AddPeer(q.id, 50, rtt, m.now)
	if seed {
		m.p.SetBitfield(q.id, bitset.New(uint(m.p.Pieces())).Complement())
		m.choke(q, false)
	}
	return q
}

// choke: with the fast extension the peer says which requests it gives up; without
// it they are all void.
func (m *model) choke(q *modelPeer, choking bool) {
	q.choking = choking
	m.p.SetChoking(q.id, choking, q.rejects)
	if !choking {
		return
	}
	if !q.rejects {
		q.wire, q.over = nil, nil
		return
	}
	for _, b := range slices.Clone(q.wire) {
		if !m.p.peers[q.id].fast[b.Piece] {
			m.reject(q, b)
		}
	}
}

func (m *model) reject(q *modelPeer, b Block) {
	m.p.Rejected(q.id, b)
	q.wire = slices.DeleteFunc(q.wire, func(o Block) bool { return o == b })
	q.over = slices.DeleteFunc(q.over, func(o Block) bool { return o == b })
}

func (m *model) answer(q *modelPeer, b Block) {
	pp := m.p.partials[b.Piece]
	there := m.p.Had(b.Piece) || pp != nil && pp.blocks[b.Index].received
	asked := slices.Contains(q.wire, b)
	a := m.p.Received(q.id, b, m.now)
	switch {
	case asked && !a.Asked:
		m.err("%v of %d counts as not asked", b, q.id)
	case a.Useful && there:
		m.err("%v counts as useful though it is there", b)
	case a.Asked && !there && !a.Useful && m.p.partials[b.Piece] != nil:
		m.err("%v counts as not useful", b)
	case a.Useful && a.Complete != (m.p.partials[b.Piece].left == 0):
		m.err("complete %v with %d blocks left", a.Complete, m.p.partials[b.Piece].left)
	case !a.Useful && (a.Complete || len(a.Cancel) > 0):
		m.err("useless block led to %+v", a)
	}
	q.wire = slices.DeleteFunc(q.wire, func(o Block) bool { return o == b })
	q.over = slices.DeleteFunc(q.over, func(o Block) bool { return o == b })
	m.cancelled(a.Cancel)
	if a.Useful {
		for _, o := range m.peers {
			i := slices.Index(o.wire, b)
			switch {
			case i < 0:
			case m.p.peers[o.id].snubbed: // it may show that it is back
				o.wire = slices.Delete(o.wire, i, i+1)
				o.over = append(o.over, b)
			default:
				m.err("%v came from %d and was not cancelled at %d", b, q.id, o.id)
			}
		}
	}
}

func (m *model) setWants(a, b, c int) {
	var ws []Want
	m.blocked, m.wanted = map[int]bool{}, map[int]bool{}
	for i := range a % 7 {
		w := Want{
			Piece:    b%(m.p.Pieces()+2) - 1 + i,
			Deadline: m.now.Add(time.Duration(i*c%3000) * time.Millisecond),
			Blocked:  i == 0 && c%2 == 0,
		}
		ws = append(ws, w)
		if w.Piece >= 0 && w.Piece < m.p.Pieces() {
			m.wanted[w.Piece] = true
			m.blocked[w.Piece] = w.Blocked
		}
	}
	m.cancelled(m.p.SetWants(ws, m.now))
	for _, q := range m.peers {
		for _, b := range q.wire {
			if !m.wanted[b.Piece] {
				m.err("%v is still asked of %d though nobody wants it", b, q.id)
			}
		}
	}
}

func (m *model) complete(piece int) bool {
	pp := m.p.partials[piece]
	return pp != nil && pp.complete()
}

// verify has the hash of a complete piece right or wrong.
func (m *model) verify(a, b, c int) {
	for i := range m.p.Pieces() {
		piece := (b + i) % m.p.Pieces()
		if !m.complete(piece) {
			continue
		}
		switch {
		case c%4 > 1:
			m.p.Verified(piece, []PeerID{PeerID(a % 8)})
		case c%4 == 1:
			m.p.Forget(piece)
		default:
			for j := a % 2; j < m.p.Blocks(piece); j += 2 {
				rule := Rule{Avoid: []PeerID{PeerID(b) % m.next}}
				if c%8 == 0 {
					rule = Rule{Only: []PeerID{PeerID(b) % m.next}}
				}
				m.p.Refetch(piece, j, rule)
			}
		}
		return
	}
}

// found tells of a piece that the store lost, or has; the latter only where the
// loop does, before anything was asked.
func (m *model) found(piece int, had bool) {
	if !had || m.p.partials[piece] == nil {
		m.p.SetHad(piece, had)
	}
}

// settle plays on with peers that answer everything, and checks that all that is
// wanted comes.
func (m *model) settle() {
	var ws []Want
	m.wanted = map[int]bool{}
	for i := range m.p.Pieces() {
		ws = append(ws, Want{Piece: i, Deadline: m.now.Add(time.Duration(i) * time.Second), Blocked: i == 0})
		m.wanted[i] = true
	}
	m.cancelled(m.p.SetWants(ws, m.now))
	good := m.add(true, true, 20*time.Millisecond)
	missing := func() (n int) {
		for i := range m.p.Pieces() {
			if !m.p.Had(i) {
				n++
			}
		}
		return n
	}
	for range 4000 {
		if missing() == 0 {
			return
		}
		m.sent(m.p.Pick(m.now, nil))
		m.late()
		m.now = m.now.Add(50 * time.Millisecond)
		if len(good.wire) > 0 {
			m.answer(good, good.wire[0])
		}
		for i := range m.p.Pieces() {
			if m.complete(i) {
				m.p.Verified(i, []PeerID{good.id})
			}
		}
		if err := m.p.check(); err != "" {
			m.err("%s", err)
			return
		}
	}
	m.err("%d pieces are missing although %d has them and answers:\n%s", missing(), good.id, m.p.dump(m.now))
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(5*4*BlockSize+1000, 4*BlockSize, func(f string, args ...any) { t.Fatalf(f, args...) })
		num := rapid.IntRange(0, 1<<16)
		for range rapid.IntRange(1, 150).Draw(t, "steps") {
			m.step(rapid.IntRange(0, 24).Draw(t, "op"), num.Draw(t, "a"), num.Draw(t, "b"), num.Draw(t, "c"))
		}
		m.settle()
	})
}

// FuzzModel does what four bytes at a time say.
func FuzzModel(f *testing.F) {
	f.Add([]byte{2, 1, 1, 20, 7, 6, 1, 2, 8, 0, 0, 0, 1, 20, 20, 0, 12, 0, 0, 1})
	f.Add([]byte{2, 1, 1, 20, 2, 2, 2, 40, 7, 3, 1, 1, 8, 0, 0, 0, 1, 99, 99, 0, 10, 0, 0, 0, 16, 0, 0, 0, 18, 1, 1, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 4000 {
			script = script[:4000]
		}
		m := newModel(5*4*BlockSize+1000, 4*BlockSize, func(f string, args ...any) { t.Fatalf(f, args...) })
		for ; len(script) >= 4; script = script[4:] {
			m.step(int(script[0])%25, int(script[1]), int(script[2]), int(script[3]))
		}
		m.settle()
	})
}
