package swarm

import (
	"crypto/sha1"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/blocklist"
	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// fakeConn records what the loop says to one peer.
type fakeConn struct {
	sent   []wire.Message
	closed error
}

func (c *fakeConn) Send(m wire.Message)                      { c.sent = append(c.sent, m) }
func (c *fakeConn) SendPiece(uint32, uint32, []byte, func()) {}
func (c *fakeConn) Flush()                                   {}
func (c *fakeConn) Buffered() int                            { return 0 }
func (c *fakeConn) Close(err error) {
	if c.closed == nil {
		c.closed = err
	}
}

// take returns the messages since the last call, as a list of names.
func (c *fakeConn) take() []string {
	var out []string
	for _, m := range c.sent {
		out = append(out, m.ID.String())
	}
	c.sent = nil
	return out
}

// fakeEffects records what the loop has done elsewhere.
type fakeEffects struct {
	blocked *blocklist.List
	dialled []netip.AddrPort
	ways    map[netip.AddrPort]way // of the last dial
	last    target
	hashes  []hashJob
	served  []wire.Message
	info    *metainfo.Info
	selves  [2]netip.AddrPort
	reached bool

	hashesServed int

	claims map[netip.AddrPort]claim
	rival  bool // another torrent waits for every peer
}

func (f *fakeEffects) hash(j hashJob)             { f.hashes = append(f.hashes, j) }
func (f *fakeEffects) gotInfo(i *metainfo.Info)   { f.info = i }
func (f *fakeEffects) needPeers()                 {}
func (f *fakeEffects) dhtNode(netip.AddrPort)     {}
func (f *fakeEffects) seenAs(ip, from netip.Addr) {}
func (f *fakeEffects) gotLayers(i *metainfo.Info) { f.info = i }
func (f *fakeEffects) serveHashes(picker.PeerID, conn, *metainfo.Info, wire.HashSpan) {
	f.hashesServed++
}
func (f *fakeEffects) reachable() bool             { return f.reached }
func (f *fakeEffects) reachedAt() uint16           { return 6881 }
func (f *fakeEffects) blocks(a netip.Addr) bool    { return f.blocked.Blocks(a) }
func (f *fakeEffects) external() [2]netip.AddrPort { return f.selves }
func (f *fakeEffects) claim(addr netip.AddrPort, c claim) bool {
	if f.claims == nil {
		f.claims = map[netip.AddrPort]claim{}
	}
	f.claims[addr] = c
	return f.rival
}
func (f *fakeEffects) dial(to target) {
	f.dialled = append(f.dialled, to.addr)
	f.ways[to.addr] = to.way
	f.last = to
}
func (f *fakeEffects) serve(_ picker.PeerID, _ conn, _ bool, m wire.Message) {
	f.served = append(f.served, m)
}

// stage is a loop with its surroundings, without any goroutine.
type stage struct {
	t   *testing.T
	l   *loop
	do  *fakeEffects
	now time.Time
	raw []byte // the info dictionary
}

const stagePiece = 4 * wire.BlockSize

// stageInfo makes a torrent of n pieces of zero bytes.
func stageInfo(t *testing.T, n int, private bool) []byte {
	t.Helper()
	sum := sha1.Sum(make([]byte, stagePiece))
	d := map[string]any{"name": "zero", "piece length": stagePiece, "length": n * stagePiece, "pieces": string(slices.Repeat(sum[:], n))}
	if private {
		d["private"] = 1
	}
	raw, err := benc.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func newStage(t *testing.T, pieces int, private bool) *stage {
	t.Helper()
	raw := stageInfo(t, pieces, private)
	do := &fakeEffects{ways: map[netip.AddrPort]way{}}
	s := &stage{t: t, do: do, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), raw: raw}
	hash := metainfo.InfoHash(sha1.Sum(raw))
	s.l = &loop{
		hash: hash, peerID: [20]byte{5}, port: 6881, maxPeers: 10, maxBuild: 1 << 20,
		log: slog.New(slog.DiscardHandler), do: do, meta: newMetadata(hash),
		build: newAssembly(), peers: map[picker.PeerID]*remote{}, cands: newCandidates(),
		readers: map[uint64][]Want{}, open: map[uint64]struct{}{}, since: map[int]time.Time{}, added: s.now, lastWant: s.now,
	}
	return s
}

func (s *stage) do1(ev event) {
	s.l.handle(s.now, ev)
	s.l.flush(s.now)
}

// join connects a peer with the given last byte of address and peer id.
func (s *stage) join(n byte, outgoing bool) (*fakeConn, picker.PeerID) {
	return s.joinBy(n, outgoing, overUnknown)
}

// end lets a connection end.
func (s *stage) end(id picker.PeerID, err error) {
	s.do1(event{from: id, peer: peer.Event{Kind: peer.Closed, Err: err}})
}

// joinBy is join by a transport.
func (s *stage) joinBy(n byte, outgoing bool, via transport) (*fakeConn, picker.PeerID) {
	c := &fakeConn{}
	var id picker.PeerID
	s.do1(event{msg: evConnected{
		start:    func(i picker.PeerID) conn { id = i; return c },
		abandon:  func() { c.closed = errFull },
		hs:       wire.Handshake{Reserved: wire.NewReserved(false), InfoHash: s.l.hash, PeerID: [20]byte{n}},
		addr:     netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, n}), 6881),
		outgoing: outgoing,
		via:      via,
	}})
	return c, id
}

func (s *stage) recv(id picker.PeerID, m wire.Message) {
	s.do1(event{from: id, peer: peer.Event{Kind: peer.Received, Msg: m}})
}

// offerInfo lets a peer offer the metadata and answer the request for it.
func (s *stage) offerInfo(id picker.PeerID) {
	b, err := wire.ExtHandshake{M: map[string]uint8{wire.UTMetadata: 9}, MetadataSize: len(s.raw)}.Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	s.recv(id, wire.Message{ID: wire.Extended, Data: b})
	s.recv(id, wire.Message{ID: wire.Extended, ExtID: wire.IDMetadata,
		Data: wire.MetadataMessage{Type: wire.MetadataData, TotalSize: len(s.raw), Data: s.raw}.Append(nil)})
}

// seed makes the peer a seed that has unchoked us.
func (s *stage) seed(id picker.PeerID) {
	s.recv(id, wire.Message{ID: wire.HaveAll})
	s.recv(id, wire.Message{ID: wire.Unchoke})
}

func (s *stage) want(pieces ...int) {
	var ws []Want
	for _, p := range pieces {
		ws = append(ws, Want{Piece: p, Deadline: s.now, Blocked: true})
	}
	s.do1(event{msg: evWants{reader: 1, wants: ws}})
}

func (s *stage) block(id picker.PeerID, m wire.Message) {
	data := wire.GetBlock()
	clear(data)
	s.recv(id, wire.Message{ID: wire.Piece, Index: m.Index, Begin: m.Begin, Length: m.Length, Data: data[:m.Length]})
}

func requests(c *fakeConn) (out []wire.Message) {
	for _, m := range c.sent {
		if m.ID == wire.Request {
			out = append(out, m)
		}
	}
	c.sent = nil
	return out
}

func TestLoopFromMagnetToPiece(t *testing.T) {
	s := newStage(t, 3, false)
	c, id := s.join(1, true)
	if got := c.take(); !slices.Equal(got, []string{"have none", "extended", "interested"}) {
		t.Errorf("greeting %v", got)
	}
	s.recv(id, wire.Message{ID: wire.HaveAll})
	s.recv(id, wire.Message{ID: wire.Unchoke})
	s.offerInfo(id)
	if s.do.info == nil || s.do.info.NumPieces() != 3 {
		t.Fatal("no info")
	}
	c.take()
	s.want(1)
	reqs := requests(c)
	if len(reqs) != 4 {
		t.Fatalf("%d requests, want the 4 blocks of the piece and nothing else", len(reqs))
	}
	s.now = s.now.Add(50 * time.Millisecond)
	for _, m := range reqs {
		if m.Index != 1 {
			t.Errorf("asked piece %d", m.Index)
		}
		s.block(id, m)
	}
	if len(s.do.hashes) != 1 {
		t.Fatalf("%d hashes checked", len(s.do.hashes))
	}
	if s.do.hashes[0].run() == nil {
		t.Fatal("hash is wrong")
	}
	s.do1(event{msg: evHashed{piece: 1, ok: true}})
	if !s.l.picker.Had(1) || s.l.build.bytes != 0 {
		t.Error("piece not taken over")
	}
}

func TestLoopAnnouncesAndForgets(t *testing.T) {
	s := newStage(t, 3, false)
	a, ida := s.join(1, true)
	b, idb := s.join(2, true)
	s.offerInfo(ida)
	s.seed(ida)
	eb, _ := wire.ExtHandshake{M: map[string]uint8{wire.LTDontHave: 11}}.Marshal()
	s.recv(idb, wire.Message{ID: wire.Extended, Data: eb})
	s.recv(idb, wire.Message{ID: wire.HaveNone})
	s.want(0)
	for _, m := range requests(a) {
		s.block(ida, m)
	}
	b.take()
	s.do1(event{msg: evHashed{piece: 0, ok: true}})
	if got := b.take(); !slices.Contains(got, "have") {
		t.Errorf("told %v, want have", got)
	}
	s.recv(idb, wire.Message{ID: wire.Interested})
	if got := b.take(); !slices.Equal(got, []string{"unchoke"}) {
		t.Errorf("a free slot gave %v", got)
	}
	s.recv(idb, wire.Message{ID: wire.Request, Index: 0, Begin: 0, Length: wire.BlockSize})
	if len(s.do.served) != 1 {
		t.Errorf("served %v", s.do.served)
	}
	s.do1(event{msg: evEvicted{pieces: []int{0}}})
	if len(b.sent) != 1 || b.sent[0].ExtID != 11 {
		t.Errorf("after eviction %v, want lt_donthave", b.sent)
	}
	b.take()
	s.recv(idb, wire.Message{ID: wire.Request, Index: 0, Begin: 0, Length: wire.BlockSize})
	if got := b.take(); !slices.Equal(got, []string{"reject request"}) && !slices.Equal(got, []string{"reject"}) {
		t.Errorf("request for a lost piece gave %v", got)
	}
}

// Pieces that were found elsewhere are announced and served like those from peers.
func TestLoopHeld(t *testing.T) {
	s := newStage(t, 3, false)
	s.do1(event{msg: evHeld{pieces: []int{0}}}) // the info is not here: nothing happens
	_, ida := s.join(1, true)
	b, idb := s.join(2, true)
	s.offerInfo(ida)
	s.recv(idb, wire.Message{ID: wire.HaveNone})
	b.take()
	s.do1(event{msg: evHeld{pieces: []int{2, -1, 3, 1, 2}}})
	var told []uint32
	for _, m := range b.sent {
		if m.ID == wire.Have {
			told = append(told, m.Index)
		}
	}
	if !slices.Equal(told, []uint32{2, 1}) {
		t.Errorf("told of %v", told)
	}
	if st := s.l.status(s.now); st.HavePieces != 2 {
		t.Errorf("has %d pieces", st.HavePieces)
	}
	s.recv(idb, wire.Message{ID: wire.Interested})
	s.recv(idb, wire.Message{ID: wire.Request, Index: 2, Begin: 0, Length: wire.BlockSize})
	if len(s.do.served) != 1 {
		t.Errorf("served %v", s.do.served)
	}
}

func TestLoopPeerGoneMidPiece(t *testing.T) {
	s := newStage(t, 1, false)
	a, ida := s.join(1, true)
	s.offerInfo(ida)
	s.seed(ida)
	s.want(0)
	first := requests(a)
	b, idb := s.join(2, true)
	s.seed(idb)
	b.take()
	s.block(ida, first[0])
	s.do1(event{from: ida, peer: peer.Event{Kind: peer.Closed}})
	again := requests(b)
	if len(again) != 3 {
		t.Fatalf("%d blocks asked from the other, want 3", len(again))
	}
	for _, m := range again {
		if m.Begin == first[0].Begin {
			t.Error("a block that is there was asked again")
		}
	}
}

func TestLoopHostileMessages(t *testing.T) {
	for _, c := range []struct {
		name string
		m    wire.Message
	}{
		{"have out of range", wire.Message{ID: wire.Have, Index: 3}},
		{"have of 2^32-1", wire.Message{ID: wire.Have, Index: 1<<32 - 1}},
		{"bitfield too long", wire.Message{ID: wire.Bitfield, Data: []byte{0, 0}}},
		{"block out of range", wire.Message{ID: wire.Piece, Index: 9, Data: wire.GetBlock()}},
		{"block beyond the piece", wire.Message{ID: wire.Piece, Index: 0, Begin: stagePiece, Data: wire.GetBlock()}},
		{"block at an odd place", wire.Message{ID: wire.Piece, Index: 0, Begin: 1, Data: wire.GetBlock()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 3, false)
			conn, id := s.join(1, true)
			s.offerInfo(id)
			s.recv(id, c.m)
			if conn.closed == nil {
				t.Error("not closed")
			}
		})
	}
}

func TestLoopEarlyAnnouncements(t *testing.T) {
	s := newStage(t, 3, false)
	_, a := s.join(1, true)
	_, b := s.join(2, true)
	s.recv(a, wire.Message{ID: wire.Have, Index: 2})
	s.recv(a, wire.Message{ID: wire.Have, Index: 2})
	s.recv(b, wire.Message{ID: wire.Bitfield, Data: []byte{0x40}})
	s.offerInfo(a)
	if !s.l.picker.PeerHas(a, 2) || s.l.picker.PeerHas(a, 0) || s.l.picker.PeerPieces(a) != 1 {
		t.Error("have before the info was lost")
	}
	if !s.l.picker.PeerHas(b, 1) || s.l.picker.PeerPieces(b) != 1 {
		t.Error("bitfield before the info was lost")
	}
}

// TestLoopDoubleConnection: of two connections to one peer both ends must close
// the same one, whatever order they learn of them in.
func TestLoopDoubleConnection(t *testing.T) {
	for _, c := range []struct {
		theirs   byte
		keepOurs bool
	}{{1, true}, {9, false}} { // ours is 5
		for _, oursFirst := range []bool{true, false} {
			s := newStage(t, 1, false)
			x, _ := s.join(c.theirs, oursFirst)
			y, _ := s.join(c.theirs, !oursFirst)
			ours, theirs := x, y
			if !oursFirst {
				ours, theirs = y, x
			}
			if (ours.closed == nil) != c.keepOurs || (theirs.closed == nil) == c.keepOurs {
				t.Errorf("peer id %d, ours first %v: ours closed: %v, theirs closed: %v", c.theirs, oursFirst, ours.closed, theirs.closed)
			}
		}
	}
}

func TestLoopPrivate(t *testing.T) {
	s := newStage(t, 1, true)
	_, id := s.join(1, true)
	s.do1(event{msg: evCandidates{addrs: []netip.AddrPort{ap("203.0.113.1:1")}, source: endpoint.FromDHT}})
	s.do.dialled = nil
	s.l.cands.ended(ap("203.0.113.1:1"), false, s.now)
	s.offerInfo(id)
	if len(s.l.cands.list) != 1 { // the connected one was typed, so it stays
		for a := range s.l.cands.list {
			if a == ap("203.0.113.1:1") {
				t.Error("a peer from the DHT is kept for a private torrent")
			}
		}
	}
	s.do1(event{msg: evCandidates{addrs: []netip.AddrPort{ap("203.0.113.2:1")}, source: endpoint.FromPEX}})
	if s.l.cands.list[ap("203.0.113.2:1")] != nil {
		t.Error("a peer from PEX is taken for a private torrent")
	}
}

func TestLoopBrokenInfo(t *testing.T) {
	s := newStage(t, 1, false)
	s.raw = []byte("d4:name1:xe")
	s.l.hash = metainfo.InfoHash(sha1.Sum(s.raw))
	s.l.meta = newMetadata(s.l.hash)
	c, id := s.join(1, true)
	s.offerInfo(id)
	reply := make(chan Status, 1)
	s.do1(event{msg: evStatus{reply}})
	if st := <-reply; st.State != StateBroken || st.Reason == "" {
		t.Errorf("state %q, reason %q", st.State, st.Reason)
	}
	if c.closed == nil {
		t.Error("still connected")
	}
	if at := s.l.flush(s.now); len(s.do.dialled) != 0 {
		t.Error("still dialling", at)
	}
}

func TestLoopIdleLetsGo(t *testing.T) {
	s := newStage(t, 1, false)
	var conns []*fakeConn
	for n := range byte(8) {
		c, id := s.join(n+10, true)
		conns = append(conns, c)
		if n == 0 {
			s.offerInfo(id)
		}
	}
	s.now = s.now.Add(warmFor + 2*tickEvery)
	s.l.flush(s.now)
	open := 0
	for _, c := range conns {
		if c.closed == nil {
			open++
		}
	}
	if open > idlePeers {
		t.Errorf("%d connections kept, want at most %d", open, idlePeers)
	}
	if at := s.l.flush(s.now); at.IsZero() && open > 0 {
		t.Error("no tick although peers are connected")
	}
}

func TestLoopDropsSilentPeers(t *testing.T) {
	s := newStage(t, 1, false)
	c, id := s.join(1, true)
	s.offerInfo(id)
	s.seed(id)
	s.want(0)
	for range 2 * maxSilence / tickEvery {
		s.now = s.now.Add(tickEvery)
		s.l.flush(s.now)
	}
	if c.closed != errSilent {
		t.Errorf("closed: %v, want %v", c.closed, errSilent)
	}
}

// TestLoopTicksWhileBusy: what is due once a second is done although events come without a pause.
func TestLoopTicksWhileBusy(t *testing.T) {
	s := newStage(t, 3, false)
	s.join(1, true)
	for range 40 {
		s.now = s.now.Add(tickEvery / 10)
		s.l.down.add(1 << 20)
		s.l.flush(s.now)
	}
	if s.l.status(s.now).DownRate == 0 {
		t.Error("no tick in 4 s")
	}
}

// TestRateSinks: the rate that was reached does not stand when all peers have left.
func TestRateSinks(t *testing.T) {
	s := newStage(t, 3, false)
	s.do1(event{msg: evTick{}})
	s.l.lastWant = time.Time{}
	_, id := s.join(1, true)
	for range 5 {
		s.now = s.now.Add(tickEvery)
		s.l.down.add(1 << 20)
		s.l.flush(s.now)
	}
	s.do1(event{from: id, peer: peer.Event{Kind: peer.Closed}})
	if s.l.status(s.now).DownRate == 0 {
		t.Fatal("no rate at all")
	}
	left := s.now
	for range 100 {
		at := s.l.flush(s.now)
		if at.IsZero() || at.After(left.Add(time.Minute)) {
			break
		}
		s.now = at
	}
	if r := s.l.status(s.now).DownRate; r != 0 {
		t.Errorf("%d B/s %v after the last peer left", r, s.now.Sub(left))
	}
}

// TestLoopPlaces: we dial up to the limit, and a fifth more may dial us. Then whoever
// comes takes the place of a lesser one, or has to go.
func TestLoopPlaces(t *testing.T) {
	s := newStage(t, 3, false)
	come := func(a netip.AddrPort, id byte) *fakeConn {
		c := &fakeConn{}
		s.do1(event{msg: evConnected{
			start:   func(picker.PeerID) conn { return c },
			abandon: func() { c.closed = errFull },
			hs:      wire.Handshake{Reserved: wire.NewReserved(false), InfoHash: s.l.hash, PeerID: [20]byte{id}},
			addr:    a,
		}})
		return c
	}
	var conns []*fakeConn
	for i := range 12 {
		if len(s.do.dialled) > 0 {
			t.Fatal("dialled whom?")
		}
		conns = append(conns, come(ap(fmt.Sprintf("98.%d.0.1:5", i)), byte(i+1)))
		if conns[i].closed != nil {
			t.Fatalf("number %d: %v", i, conns[i].closed)
		}
	}
	for i := range 5 {
		s.do1(event{msg: evCandidates{addrs: []netip.AddrPort{ap(fmt.Sprintf("97.%d.0.1:5", i))}, source: endpoint.FromDHT, informant: ap("97.9.0.1:1").Addr()}})
	}
	if len(s.do.dialled) > 0 {
		t.Errorf("dialled %v with all places taken", s.do.dialled)
	}
	closed := func() (n int) {
		for _, c := range conns {
			if c.closed != nil {
				n++
			}
		}
		return n
	}
	// Nobody's priority is known: whoever was first stays.
	if c := come(ap("98.20.0.1:5"), 50); c.closed == nil || closed() != 0 {
		t.Errorf("one too many: %v, %d others closed", c.closed, closed())
	}
	// A neighbour is welcome.
	if c := come(ap("192.168.1.7:5"), 51); c.closed != nil || closed() != 1 {
		t.Errorf("a neighbour: %v, %d others closed", c.closed, closed())
	}
	// With our address known the priorities decide, against those that are here.
	s.do.selves[0] = ap("123.213.32.10:6881")
	s.l.cands.weAre(s.do.selves)
	least := s.l.lesser(ap("192.168.1.8:5"))
	for i := range 40 {
		a := ap(fmt.Sprintf("96.%d.0.1:5", i))
		before := closed()
		c := come(a, byte(60+i))
		if better := s.l.cands.priority(a) > s.l.cands.priority(least.addr); better == (c.closed != nil) || better != (closed() > before) {
			t.Errorf("%v: better %v, %v, %d others closed", a, better, c.closed, closed()-before)
		}
		if c.closed == nil {
			break
		}
	}
}
