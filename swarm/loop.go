package swarm

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/mse"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

const (
	tickEvery = time.Second
	// warmFor is how long peers are kept as they are after the last piece was
	// wanted: between two reads, or two episodes, nothing should have to be
	// dialled or unchoked again.
	warmFor = time.Minute
	// idlePeers stay connected after that.
	idlePeers = 4
	// newFor is how long a peer may take to say that it is interested, and to be
	// unchoked, before it counts as idle. Guess.
	newFor = 5 * time.Second
	// maxSilence is how long a peer may owe blocks and send none while a read
	// waits. It was asked no more long before (snubbed).
	maxSilence = 8 * time.Second
	// maxSilenceAlone is the same of one that has delivered, if nobody else can: then
	// nothing is lost with the connection.
	maxSilenceAlone = 3 * time.Second
	// maxUnasked is how many blocks a peer may send that it was not asked for.
	maxUnasked = 64
	// maxFaults is how many small offences are forgiven.
	maxFaults = 16
)

// effects are the things that a loop has done elsewhere, because they take time.
// Each returns at once; results come back as events.
type effects interface {
	// reachedAt is the port that others can dial.
	reachedAt() uint16
	// blocks tells whether an address is on the block list.
	blocks(netip.Addr) bool
	// dial connects: evConnected or evDialFailed follows.
	dial(target)
	// hash checks a piece: evHashed follows, then the store gets it.
	hash(j hashJob)
	// serve reads a block from the store and sends it: evServed follows.
	serve(id picker.PeerID, c conn, fast bool, m wire.Message)
	// gotInfo tells whoever added the torrent.
	gotInfo(info *metainfo.Info)
	// gotLayers tells the same of an info that knows more piece layers.
	gotLayers(info *metainfo.Info)
	// serveHashes answers a hash request: evHashesServed follows.
	serveHashes(id picker.PeerID, c conn, info *metainfo.Info, span wire.HashSpan)
	// needPeers asks for candidates without delay.
	needPeers()
	// dhtNode hands an address to the DHT (BEP 5, PORT message).
	dhtNode(addr netip.AddrPort)
	// seenAs takes a peer's word of what our address is.
	seenAs(ip, informant netip.Addr)
	// external is what is known of our addresses and port, by family.
	external() [2]netip.AddrPort
	// claim tells the session's other torrents what a peer's slot is to this one,
	// and says whether one of them waits for it.
	claim(addr netip.AddrPort, c claim) (rival bool)
	// reachable says whether somebody from outside has connected to us.
	reachable() bool
}

// event is one thing that happened to a torrent: something a peer's connection
// reports, or one of the ev types in msg.
type event struct {
	from picker.PeerID
	peer peer.Event
	msg  any
}

// The events that do not come from a connection.
type (
	evConnected struct {
		start     func(id picker.PeerID) conn // starts delivering events under this id
		abandon   func()                      // closes it instead
		hs        wire.Handshake
		addr      netip.AddrPort
		outgoing  bool
		roundTrip time.Duration // 0 if not measured
		method    mse.Method
		via       transport
	}
	evDialFailed struct {
		addr netip.AddrPort
		self bool // it was ourselves
		next way  // to begin with next time, if that is known
		// hungUp says that it was reached by uTP, and ended the connection before its
		// handshake.
		hungUp  bool
		offline bool // nothing could be sent
		err     error
	}
	evRetry      struct{} // the network is back
	evBlocked    struct{} // the block list is another one
	evCandidates struct {
		addrs     []netip.AddrPort
		source    endpoint.Source
		informant netip.Addr        // zero if trusted
		hash      metainfo.InfoHash // under which they were found; zero if that is not known
	}
	evWants struct {
		reader uint64
		wants  []Want
	}
	evEvicted struct{ pieces []int }
	evHeld    struct{ pieces []int }
	evHashed  struct {
		piece int
		ok    bool
	}
	evServed struct {
		id   picker.PeerID
		sent int
	}
	evHashesServed struct {
		id       picker.PeerID
		rejected []byte // the request, if it cannot be answered
	}
	evSupply struct {
		piece int
		reply chan<- Supply
	}
	evStatus struct{ reply chan<- Status }
	evOpen   struct {
		reader uint64
		open   bool
	}
	evRival struct{}
	evTick  struct{}
)

// loop is the state of one torrent. Only the torrent's goroutine touches it, and
// handle never waits.
type loop struct {
	hash     metainfo.InfoHash
	name     string
	peerID   [20]byte
	port     uint16 // where we listen
	dhtPort  uint16 // 0: no DHT
	maxPeers int
	maxBuild int64 // bytes of unverified blocks kept
	encrypt  bool  // we prefer encrypted connections
	punch    bool  // we have uTP, so holes can be punched
	log      *slog.Logger
	do       effects

	info   *metainfo.Info // nil while it is being fetched
	meta   *metadata      // nil once info is known
	layers *layers        // nil if no piece layer is missing
	picker *picker.Picker // nil while info is
	build  *assembly

	peers   map[picker.PeerID]*remote
	lastID  picker.PeerID
	cands   *candidates
	dialing int
	// switching are relays that are being connected to anew, by uTP, and whom they
	// shall introduce us to; see relay.go.
	switching map[netip.AddrPort][]netip.AddrPort
	relayLook time.Time // when it was last seen to that there is a relay

	readers  map[uint64][]Want
	open     map[uint64]struct{} // readers that are there, wanting something or not
	since    map[int]time.Time   // blocked pieces, since when
	lastWant time.Time
	added    time.Time

	choker     choker
	limits     limits
	down, up   meter
	wasted     int64
	lastBlock  time.Time
	nextTick   time.Time
	nextLate   time.Time
	neighbours []*remote        // of our network, as of the last applyWants
	holds      map[int]*hold    // wanted pieces that are left to them; nil if there are none
	requests   []picker.Request // scratch
	dirty      []*remote        // have messages to flush
	broken     error            // why the torrent can never be read; nil if it can
	interested bool             // peers' interest has to be looked at
}

// handle takes one event.
func (l *loop) handle(now time.Time, ev event) {
	switch m := ev.msg.(type) {
	case nil:
		l.peerEvent(now, ev.from, ev.peer)
	case evConnected:
		l.connected(now, m)
	case evDialFailed:
		l.dialFailed(now, m)
	case evCandidates:
		l.found(now, m)
	case evWants:
		l.setWants(now, m)
	case evEvicted:
		l.evicted(m.pieces)
	case evHeld:
		l.held(m.pieces)
	case evHashed:
		l.hashed(now, m)
	case evServed:
		if r := l.peers[m.id]; r != nil {
			r.serving--
			r.uploaded += int64(m.sent)
			l.up.add(m.sent)
			l.limits.serving = true
		}
	case evHashesServed:
		l.hashesServed(m)
	case evSupply:
		m.reply <- l.supply(m.piece)
	case evStatus:
		m.reply <- l.status(now)
	case evOpen:
		if m.open {
			l.open[m.reader] = struct{}{}
		} else {
			delete(l.open, m.reader)
		}
	case evBlocked:
		l.dropBlocked(now)
	case evRetry:
		l.cands.retry(now)
	case evRival:
		l.interested = true
	case evTick:
	default:
		panic(fmt.Sprintf("swarm: event %T", m))
	}
}

// flush does what became due by the events handled since the last call, and
// returns when it should be called again at the latest; zero if only an event
// can make work.
func (l *loop) flush(now time.Time) time.Time {
	l.obey(now)
	if !l.nextTick.IsZero() && !now.Before(l.nextTick) {
		l.tick(now)
	}
	if l.meta != nil {
		for _, q := range l.meta.next(now) {
			l.askMetadata(l.peers[q.peer], q.block)
		}
	}
	if l.layers != nil && l.wantPeers(now) {
		for _, q := range l.layers.next(now) {
			l.send(l.peers[q.peer], wire.Message{ID: wire.HashRequest, Data: q.span.Append(nil)})
		}
	}
	if l.interested { // before requests: some peers reject those of peers that are not
		l.interested = false
		for _, r := range l.peers {
			l.setInterest(r, now)
		}
	}
	if l.picker != nil {
		l.ask(now, func() { l.schedule(now) })
	}
	l.serve(now)
	l.dialMore(now)
	l.sendAll()
	return l.wakeAt(now)
}

func (l *loop) wakeAt(now time.Time) time.Time {
	due := l.nextTick
	l.nextTick = time.Time{}
	switch {
	case len(l.peers) > 0 || l.dialing > 0 || len(l.readers) > 0 || l.down.rate+l.up.rate > 0: // which have to sink
		l.nextTick = now.Add(tickEvery)
		if due.After(now) && due.Before(l.nextTick) {
			l.nextTick = due // events that come without a pause must not put it off
		}
	case l.wantPeers(now):
		if at := l.cands.nextTime(); !at.IsZero() {
			l.nextTick = later(at, now.Add(tickEvery))
		}
	}
	at := l.nextTick
	if !l.nextLate.IsZero() && (at.IsZero() || l.nextLate.Before(at)) {
		at = l.nextLate
	}
	return at
}

// schedule sends requests.
func (l *loop) schedule(now time.Time) {
	if !l.nextLate.IsZero() && !now.Before(l.nextLate) {
		l.nextLate = time.Time{}
		reqs, snubbed := l.picker.Late(now, l.requests[:0])
		for _, id := range snubbed {
			if r := l.peers[id]; r != nil {
				l.log.Debug("snubbed", "peer", r.addr)
			}
		}
		l.request(reqs)
		l.requests = reqs
	}
	reqs := l.picker.Pick(now, l.requests[:0])
	l.request(reqs)
	l.requests = reqs
	// A read that has gone to sleep since is looked after sooner than was planned.
	if at := l.picker.NextLate(now); l.nextLate.IsZero() || !at.IsZero() && at.Before(l.nextLate) {
		l.nextLate = at
	}
}

func (l *loop) request(reqs []picker.Request) {
	for _, q := range reqs {
		if r := l.peers[q.Peer]; r != nil {
			l.send(r, l.requestMessage(wire.Request, q.Block))
		}
	}
}

func (l *loop) cancel(reqs []picker.Request) {
	for _, q := range reqs {
		if r := l.peers[q.Peer]; r != nil {
			l.send(r, l.requestMessage(wire.Cancel, q.Block))
		}
	}
}

func (l *loop) requestMessage(id wire.ID, b picker.Block) wire.Message {
	return wire.Message{
		ID:     id,
		Index:  uint32(b.Piece),
		Begin:  uint32(b.Index * wire.BlockSize),
		Length: uint32(l.picker.BlockLen(b)),
	}
}

// tick does what is done about once a second.
func (l *loop) tick(now time.Time) {
	l.down.tick(now)
	l.up.tick(now)
	if l.choker.due(now) {
		l.rechoke(now)
	}
	l.rejectHashes()
	l.exchangePeers(now)
	l.punchEarly(now)
	l.keepRelay(now)
	l.dropSilent(now)
	l.interested = true
	if !l.wantPeers(now) {
		l.quieten(now)
	}
}

// dropSilent ends connections over which nothing comes although blocks are owed,
// while somebody waits. Real peers get stuck like that; the next connection to the
// same peer mostly works.
func (l *loop) dropSilent(now time.Time) {
	if l.picker == nil || len(l.since) == 0 {
		return
	}
	for id, r := range l.peers {
		silent := l.picker.Silent(id, now)
		if silent > maxSilence || silent > maxSilenceAlone && r.downloaded > 0 && r.listen.IsValid() && l.alone() {
			r.conn.Close(errSilent)
		}
	}
}

// alone says that a read waits for a piece that nobody can be asked for, snubbed peers
// apart.
func (l *loop) alone() bool {
	for p := range l.since {
		able := false
		for id := range l.peers {
			able = able || l.picker.CanDeliver(id, p)
		}
		if !able {
			return true
		}
	}
	return false
}

// wantPeers says whether connections are worth having: the info is missing,
// pieces are wanted or were a moment ago.
func (l *loop) wantPeers(now time.Time) bool {
	if l.broken != nil {
		return false
	}
	return l.info == nil || len(l.readers) > 0 || now.Sub(l.lastWant) < warmFor
}

// dialMore starts as many dials as are useful at a time.
func (l *loop) dialMore(now time.Time) {
	if !l.wantPeers(now) || l.info != nil && len(l.readers) == 0 {
		return
	}
	halfOpen := 8
	l.cands.waits = l.info == nil || len(l.since) > 0
	if l.cands.waits {
		halfOpen = 32
	}
	for l.dialing < halfOpen && len(l.peers)+l.dialing < l.maxPeers {
		c := l.cands.next(now)
		if c == nil {
			return
		}
		only := overUnknown
		if c.hungUp > 0 {
			only = overUTP
		}
		l.dial(now, c, only)
	}
}

// quieten closes all but a few connections of a torrent that nobody reads.
func (l *loop) quieten(now time.Time) {
	n := 0
	for id, r := range l.peers {
		if r.peerInterested && !r.amChoking {
			continue // it downloads from us
		}
		if now.Sub(r.since) < newFor {
			continue
		}
		if n < idlePeers && (l.picker == nil || l.picker.Proven(id)) {
			n++
			continue
		}
		if r.outgoing || !r.peerInterested {
			r.conn.Close(errIdle)
		}
	}
}

// found takes addresses of peers.
func (l *loop) found(now time.Time, m evCandidates) {
	if l.info != nil && l.info.Private && !allowedPrivate(m.source) {
		return
	}
	l.cands.weAre(l.do.external())
	n := 0
	for _, a := range m.addrs {
		if err := endpoint.Dialable(a, m.source, m.informant); err != nil {
			l.log.Debug("address refused", "peer", a, "source", m.source, "err", err)
			continue
		}
		if l.itself(a) || l.do.blocks(a.Addr()) {
			continue
		}
		if l.cands.add(a, m.source, now) {
			n++
		}
		l.cands.under(a, m.hash)
	}
	if n > 0 {
		l.log.Debug("peers found", "new", n, "of", len(m.addrs), "source", m.source)
	}
}

// allowedPrivate says which sources a private torrent may use (BEP 27).
func allowedPrivate(s endpoint.Source) bool {
	switch s {
	case endpoint.FromTracker, endpoint.FromIncoming, endpoint.FromMagnet:
		return true
	}
	return false
}

// close ends all connections.
func (l *loop) close() {
	l.limits.down.leave(time.Now())
	l.limits.up.leave(time.Now())
	for _, r := range l.peers {
		r.conn.Close(ErrClosed)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
