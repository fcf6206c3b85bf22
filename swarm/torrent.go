package swarm

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

const (
	inboxSize = 512
	// batch is how many events are handled before their consequences are sent.
	batch = 256
)

// Torrent is the handle of a torrent in a session. All methods may be called from
// any goroutine.
type Torrent struct {
	session *Session
	spec    AddSpec
	inbox   chan event
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{} // closed when the loop takes no more events
	wg      sync.WaitGroup
	// public ends with the torrent, or as soon as it is known to be private:
	// what may not be used then lives under it.
	public    context.Context
	endPublic context.CancelFunc
	finders   *finders
	// Guarded by session.mu: the second info-hash of a hybrid torrent, zero if there
	// is none, or another torrent has it; and whether the info said so.
	second metainfo.InfoHash
	sure   bool
	told   chan struct{} // closed when OnInfo has returned, or if it is not to be called
	more   chan struct{} // of capacity 1: the session's limits let more pass, or others do
}

// untilPrivate returns the context under which DHT, LPD and PEX are used.
func (t *Torrent) untilPrivate() context.Context { return t.public }

func (t *Torrent) isPrivate() bool { return t.public.Err() != nil }

// post hands an event to the loop; false if the torrent is closed.
func (t *Torrent) post(ev event) bool {
	select {
	case t.inbox <- ev:
		return true
	case <-t.done:
		return false
	}
}

// run is the torrent's goroutine.
func (t *Torrent) run(l *loop) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case ev := <-t.inbox:
			l.handle(t.eventTime(ev), ev)
			t.drain(l)
		case <-timer.C:
		case <-t.more:
		case <-t.ctx.Done():
			close(t.done)
			l.close()
			t.session.slots.leave(t)
			return
		}
		wake := time.Hour
		if at := l.flush(time.Now()); !at.IsZero() {
			wake = max(0, time.Until(at))
		}
		timer.Reset(wake)
	}
}

// drain handles what else is in the inbox, so that its consequences leave
// together.
func (t *Torrent) drain(l *loop) {
	for range batch {
		select {
		case ev := <-t.inbox:
			l.handle(t.eventTime(ev), ev)
		default:
			return
		}
	}
}

// eventTime is when the event happened: for what a peer sent, when it was read,
// not when the loop came to it.
func (t *Torrent) eventTime(ev event) time.Time {
	if ev.msg == nil && !ev.peer.At.IsZero() {
		return ev.peer.At
	}
	return time.Now()
}

// SetWants replaces the whole list of what one reader wants. An empty list drops
// the reader. Deadlines order the work of all readers of the torrent.
func (t *Torrent) SetWants(reader uint64, wants []Want) {
	t.post(event{msg: evWants{reader, wants}})
}

// SetOpen says that a reader is there, or no longer. While one is, though it wants
// nothing at the moment, peers are kept unchoked for longer.
func (t *Torrent) SetOpen(reader uint64, open bool) {
	t.post(event{msg: evOpen{reader, open}})
}

// Evicted says that the store no longer holds these pieces.
func (t *Torrent) Evicted(pieces ...int) {
	t.post(event{msg: evEvicted{pieces}})
}

// Held says that the store holds these pieces, verified, though they did not come
// from the swarm: found on the disk once the info was known.
func (t *Torrent) Held(pieces ...int) {
	t.post(event{msg: evHeld{pieces}})
}

// AddPeers adds addresses given by the user, host:port. Names are resolved.
func (t *Torrent) AddPeers(hostports []string) {
	t.session.goes(t, func() { t.resolvePeers(hostports) })
}

// AddTrackers adds trackers, by tier.
func (t *Torrent) AddTrackers(tiers [][]string) { t.finders.addTrackers(tiers) }

// Supply tells from whom a piece can be expected.
func (t *Torrent) Supply(piece int) Supply {
	reply := make(chan Supply, 1)
	if !t.post(event{msg: evSupply{piece, reply}}) {
		return Supply{}
	}
	select {
	case s := <-reply:
		return s
	case <-t.done:
		return Supply{}
	}
}

// Status returns a snapshot.
func (t *Torrent) Status() Status {
	reply := make(chan Status, 1)
	closed := Status{InfoHash: t.spec.InfoHash, Name: t.spec.Name, State: StateClosed}
	if !t.post(event{msg: evStatus{reply}}) {
		return closed
	}
	select {
	case s := <-reply:
		s.Sources = t.finders.rows(s.Sources[0])
		return s
	case <-t.done:
		return closed
	}
}

// Close leaves the swarm and returns when nothing of the torrent is left.
func (t *Torrent) Close() {
	t.session.remove(t)
	t.finders.look()
	t.cancel()
	t.wg.Wait()
	t.finders.stop()
}

func (t *Torrent) resolvePeers(hostports []string) {
	var addrs []netip.AddrPort
	for _, hp := range hostports {
		if a, err := netip.ParseAddrPort(hp); err == nil {
			addrs = append(addrs, a)
			continue
		}
		host, port, err := net.SplitHostPort(hp)
		if err != nil {
			continue
		}
		p, err := net.LookupPort("tcp", port)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
		ips, err := t.session.resolve(ctx, host)
		cancel()
		if err != nil {
			t.session.log.Info("peer of the magnet", "host", host, "err", err)
			continue
		}
		for _, ip := range ips {
			addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), uint16(p)))
		}
	}
	if len(addrs) > 0 {
		t.post(event{msg: evCandidates{addrs: addrs, source: endpoint.FromMagnet}})
	}
}

// connInbox delivers the events of one connection.
type connInbox struct {
	t  *Torrent
	id picker.PeerID
}

func (in connInbox) Post(ev peer.Event) bool {
	return in.t.post(event{from: in.id, peer: ev})
}

// offer hands a connection whose handshakes are done to the loop. Should the
// torrent be closed before the loop takes it, it is closed as well.
// The caller fills in how it came about.
func (t *Torrent) offer(link *peer.Link, ev evConnected) {
	taken := context.AfterFunc(t.ctx, func() { link.Close() })
	ev.hs = link.Theirs
	ev.start = func(id picker.PeerID) conn {
		taken()
		c := peer.New(link, peer.Config{ManualFlush: true})
		c.Start(connInbox{t, id})
		t.wg.Go(c.Wait)
		return c
	}
	ev.abandon = func() {
		taken()
		link.Close()
	}
	t.post(event{msg: ev})
}

// handshake is what we say in this torrent.
func (t *Torrent) handshake(hash metainfo.InfoHash) wire.Handshake {
	dht := t.session.dhtPort() != 0 && !t.isPrivate()
	r := wire.NewReserved(dht)
	if len(t.hashes(hash)) > 1 {
		r = r.WithV2() // they may answer with the other hash
	}
	return wire.Handshake{Reserved: r, InfoHash: hash, PeerID: t.session.peerID}
}

// The effects of the loop.

func (t *Torrent) dial(to target) {
	t.wg.Go(func() {
		if next, by, err := t.connect(to); err != nil {
			hungUp := by == overUTP && errors.Is(err, io.EOF)
			t.post(event{msg: evDialFailed{addr: to.addr, self: isSelf(err), next: next, hungUp: hungUp,
				offline: t.session.fault("tcp") != nil, err: err}})
		}
	})
}

func (t *Torrent) hash(j hashJob) {
	t.session.hashers.submit(func() {
		data := j.run()
		// The loop first: if the store drops the piece at once, its word of
		// that must come second.
		if t.post(event{msg: evHashed{j.piece, data != nil}}) && data != nil {
			t.spec.Store.PieceVerified(j.piece, data)
		}
	})
}

func (t *Torrent) serve(id picker.PeerID, c conn, fast bool, m wire.Message) {
	t.session.servers.submit(func() {
		sent := 0
		data, err := t.spec.Store.ReadPiece(int(m.Index))
		end := int(m.Begin) + int(m.Length)
		if err == nil && end > len(data) { // see servedSize
			data = slices.Concat(data, make([]byte, end-len(data)))
		}
		if err == nil {
			sent = int(m.Length)
			c.SendPiece(m.Index, m.Begin, data[m.Begin:end], nil)
		} else if fast {
			c.Send(wire.Message{ID: wire.Reject, Index: m.Index, Begin: m.Begin, Length: m.Length})
		}
		c.Flush()
		t.post(event{msg: evServed{id: id, sent: sent}})
	})
}

func (t *Torrent) gotInfo(info *metainfo.Info) {
	if info.Private {
		t.endPublic()
	}
	t.wg.Go(func() {
		if info.Private {
			t.finders.turnedPrivate()
		}
		t.setSecond(secondHash(t.spec.InfoHash, info), true)
	})
	if t.spec.OnInfo == nil {
		close(t.told)
		return
	}
	t.wg.Go(func() {
		defer close(t.told)
		t.spec.OnInfo(info)
	})
}

func (t *Torrent) needPeers() { t.finders.needPeers() }

func (t *Torrent) dhtNode(addr netip.AddrPort) { t.session.addNode(addr) }

func (t *Torrent) seenAs(ip, informant netip.Addr) { t.session.seenAs(ip, informant) }

func (t *Torrent) external() [2]netip.AddrPort { return t.session.external() }

func (t *Torrent) reachable() bool { return t.session.reached.Load() }
