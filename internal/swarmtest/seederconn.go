package swarmtest

import (
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/wire"
)

// seederConn is one connection of a Seeder. A reader handles what the peer says,
// a writer sends control messages and, when there are none, blocks. Fields below
// the line are guarded by Seeder.mu.
type seederConn struct {
	s    *Seeder
	nc   net.Conn
	from string
	done chan struct{} // closed when the connection ends; stops the writer's pauses
	more *sync.Cond    // over Seeder.mu: something to write, or over

	over    bool
	greeted bool // handshakes exchanged, pieces announced
	fast    bool // both sides speak the fast extension
	ext     bool // both sides speak the extension protocol
	theirs  wire.ExtHandshake
	pexSent bool

	hasSlot bool
	choking bool
	timer   *time.Timer // next unchoke

	control  []wire.Message
	queue    []pendingBlock
	accepted int // requests answered or to be answered
	sent     int // blocks written
}

// pendingBlock is a request that waits for its answer.
type pendingBlock struct {
	wire.Message
	due time.Time
}

func newSeederConn(s *Seeder, nc net.Conn) *seederConn {
	return &seederConn{
		s: s, nc: nc, from: nc.RemoteAddr().String(),
		done: make(chan struct{}), more: sync.NewCond(&s.mu), choking: true,
	}
}

// run lives as long as the connection.
func (c *seederConn) run(outgoing bool) {
	defer c.end()
	f := &c.s.cfg.Faults
	if f.Silent || f.Garbage {
		if f.Garbage {
			b := make([]byte, 4096)
			rand.NewChaCha8([32]byte{}).Read(b)
			c.nc.Write(b)
		}
		io.Copy(io.Discard, c.nc)
		return
	}
	dec := wire.NewDecoder(c.nc, 0)
	if !c.handshake(dec, outgoing) {
		return
	}
	c.s.wg.Go(c.write)
	for {
		var m wire.Message
		if dec.Decode(&m) != nil {
			return
		}
		c.handle(m)
	}
}

// end closes the connection and gives back what it holds.
func (c *seederConn) end() {
	c.nc.Close()
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c.over = true
	close(c.done)
	c.more.Broadcast()
	if c.timer != nil {
		c.timer.Stop()
	}
	delete(s.conns, c)
	s.release(c)
}

// handshake exchanges handshakes and queues what follows them: extension
// handshake, pieces, DHT port.
func (c *seederConn) handshake(dec *wire.Decoder, outgoing bool) bool {
	s := c.s
	ours := wire.Handshake{Reserved: wire.NewReserved(s.cfg.DHTPort != 0), InfoHash: s.torrent.InfoHash, PeerID: s.peerID()}
	if s.cfg.Reserved != nil {
		ours.Reserved = *s.cfg.Reserved
	}
	if outgoing {
		if _, err := c.nc.Write(ours.Append(nil)); err != nil {
			return false
		}
	}
	theirs, err := wire.ReadHandshakeHash(dec)
	if err != nil {
		return false
	}
	if !s.knows(theirs.InfoHash) {
		s.mu.Lock()
		s.stats.WrongHash++
		s.mu.Unlock()
		return false
	}
	if !outgoing {
		ours.InfoHash = theirs.InfoHash
		if _, err := c.nc.Write(ours.Append(nil)); err != nil {
			return false
		}
	}
	if _, err := wire.ReadPeerID(dec); err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.fast = ours.Reserved.Fast() && theirs.Reserved.Fast()
	c.ext = ours.Reserved.Extended() && theirs.Reserved.Extended()
	if c.ext {
		c.sendExtension()
	}
	c.announce()
	if s.cfg.DHTPort != 0 && theirs.Reserved.DHT() {
		c.send(wire.Message{ID: wire.Port, Port: s.cfg.DHTPort})
	}
	c.greeted = true
	return true
}

// knows reports whether a handshake's info-hash is one of the torrent.
func (s *Seeder) knows(hash [20]byte) bool {
	t := s.torrent
	return metainfo.InfoHash(hash) == t.InfoHash || t.V2 && metainfo.InfoHash(hash) == t.InfoHashV2.Truncated()
}

// announce tells which pieces it has, or claims to have.
func (c *seederConn) announce() {
	have := slices.Clone(c.s.have)
	if c.s.cfg.Faults.ClaimAll {
		for i := range have {
			have[i] = true
		}
	}
	all, none := !slices.Contains(have, false), !slices.Contains(have, true)
	switch {
	case c.fast && all:
		c.send(wire.Message{ID: wire.HaveAll})
	case c.fast && none:
		c.send(wire.Message{ID: wire.HaveNone})
	case none:
	default:
		bits := make([]byte, (len(have)+7)/8)
		for i, has := range have {
			if has {
				bits[i/8] |= 0x80 >> (i % 8)
			}
		}
		c.send(wire.Message{ID: wire.Bitfield, Data: bits})
	}
}

func (s *Seeder) reqq() int {
	if s.cfg.Reqq > 0 {
		return s.cfg.Reqq
	}
	return wire.DefaultReqq
}

// send queues a message that is no block. The caller holds Seeder.mu.
func (c *seederConn) send(m wire.Message) {
	c.control = append(c.control, m)
	c.more.Signal()
}

// handle reacts to one message.
func (c *seederConn) handle(m wire.Message) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Received[m.ID]++
	switch m.ID {
	case wire.Interested:
		if c.choking && !c.hasSlot && !s.cfg.Faults.NeverUnchoke {
			s.admit(c)
		}
	case wire.NotInterested:
		if s.cfg.Slots > 0 {
			if c.hasSlot {
				c.choke()
			}
			s.release(c)
		}
	case wire.Request:
		c.request(m)
	case wire.Cancel:
		c.cancel(m)
	case wire.Extended:
		c.extended(m)
	case wire.HashRequest:
		c.hashes(m)
	case wire.Piece:
		wire.PutBlock(m.Data)
	}
}

// unchokeAfter unchokes once d has passed.
func (c *seederConn) unchokeAfter(d time.Duration) {
	if d <= 0 {
		c.choking = false
		c.send(wire.Message{ID: wire.Unchoke})
		return
	}
	c.timer = time.AfterFunc(d, func() {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		if !c.over {
			c.unchokeAfter(0)
		}
	})
}

// choke chokes the peer and answers what it has asked for as BEP 6 wants.
func (c *seederConn) choke() {
	if c.timer != nil {
		c.timer.Stop()
	}
	if !c.choking {
		c.choking = true
		c.send(wire.Message{ID: wire.Choke})
	}
	queue := c.queue
	c.queue = nil
	c.accepted -= len(queue)
	for _, b := range queue {
		c.refuse(b.Message)
	}
}

// refuse rejects a request, or lets it fall without the fast extension.
func (c *seederConn) refuse(m wire.Message) {
	if !c.fast {
		c.s.stats.Ignored++
		return
	}
	c.s.stats.Rejected++
	c.send(wire.Message{ID: wire.Reject, Index: m.Index, Begin: m.Begin, Length: m.Length})
}

func (c *seederConn) request(m wire.Message) {
	s, f := c.s, &c.s.cfg.Faults
	now := time.Now()
	s.requests = append(s.requests, Request{now, c.from, m.Index, m.Begin, m.Length})
	missing := s.torrent.Block(m.Index, m.Begin, m.Length) == nil || !s.have[m.Index]
	switch {
	case f.Disconnect && f.DisconnectAfter == 0:
		c.hangUp()
	case f.Stall && c.accepted >= f.StallAfter, missing && f.IgnoreMissing, len(c.queue) >= s.reqq():
		s.stats.Ignored++
	case f.RejectAll, missing, c.choking:
		c.refuse(m)
	default:
		c.queue = append(c.queue, pendingBlock{m, now.Add(s.cfg.ResponseDelay)})
		c.accepted++
		c.more.Signal()
	}
}

// hangUp ends the connection as Faults.ByReset says.
func (c *seederConn) hangUp() {
	if c.s.cfg.Faults.ByReset {
		reset(c.nc)
	}
	c.nc.Close()
}

// reset makes Close a TCP reset, where the connection can do that.
func reset(nc net.Conn) {
	if l, ok := nc.(interface{ SetLinger(sec int) error }); ok {
		l.SetLinger(0)
	}
}

func (c *seederConn) cancel(m wire.Message) {
	same := func(b pendingBlock) bool {
		return b.Index == m.Index && b.Begin == m.Begin && b.Length == m.Length
	}
	if i := slices.IndexFunc(c.queue, same); i >= 0 {
		c.queue = slices.Delete(c.queue, i, i+1)
		c.accepted--
		c.s.stats.Cancelled++
		if c.fast {
			c.send(wire.Message{ID: wire.Reject, Index: m.Index, Begin: m.Begin, Length: m.Length})
		}
	}
}
