package swarmtest

import (
	"time"

	"magnetfs/swarm/wire"
)

// trickles is the number of writes per second into which BytesPerSec cuts blocks.
const trickles = 10

// write sends what is queued until the connection ends. Control messages go
// first: they do not wait behind blocks, though a block that was begun is
// finished.
func (c *seederConn) write() {
	defer c.nc.Close()
	for {
		control, block, ok := c.next()
		if !ok {
			return
		}
		if len(control) > 0 {
			var b []byte
			for _, m := range control {
				b = m.Append(b)
			}
			if _, err := c.nc.Write(b); err != nil {
				return
			}
			continue
		}
		if !c.sendBlock(block) {
			return
		}
	}
}

// next waits for control messages, all at once, or a block that is due. ok is
// false when the connection is over.
func (c *seederConn) next() (control []wire.Message, block wire.Message, ok bool) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if c.over {
			return nil, block, false
		}
		if len(c.control) > 0 {
			control, c.control = c.control, nil
			return control, block, true
		}
		if len(c.queue) == 0 {
			c.more.Wait()
			continue
		}
		if wait := time.Until(c.queue[0].due); wait > 0 {
			wake := time.AfterFunc(wait, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				c.more.Broadcast()
			})
			c.more.Wait()
			wake.Stop()
			continue
		}
		block = c.queue[0].Message
		c.queue = c.queue[1:]
		return nil, block, true
	}
}

// sendBlock answers one request and reports whether the connection goes on.
func (c *seederConn) sendBlock(r wire.Message) bool {
	f := &c.s.cfg.Faults
	data := c.s.torrent.Block(r.Index, r.Begin, r.Length)
	if f.Corrupt != nil && f.Corrupt(r.Index, r.Begin) && len(data) > 0 {
		data = append([]byte(nil), data...)
		data[len(data)/2] ^= 0x55
	}
	if f.Truncate && len(data) > 0 {
		data = data[:len(data)-1]
	}
	c.s.count(len(data))
	m := wire.Message{ID: wire.Piece, Index: r.Index, Begin: r.Begin, Data: data}
	for range 1 + btoi(f.Duplicate) {
		if !c.writeSlowly(m) {
			return false
		}
	}
	return c.blockSent()
}

// writeSlowly writes a block at BytesPerSec. Pauses come first, so that n bytes of
// data are complete n ÷ rate after the start.
func (c *seederConn) writeSlowly(m wire.Message) bool {
	rate := c.s.cfg.BytesPerSec
	if rate <= 0 {
		_, err := c.nc.Write(m.Append(nil))
		return err == nil
	}
	if _, err := c.nc.Write(m.AppendHeader(nil)); err != nil {
		return false
	}
	for data := m.Data; len(data) > 0; {
		n := min(len(data), max(1, rate/trickles))
		if !c.pause(time.Duration(n) * time.Second / time.Duration(rate)) {
			return false
		}
		if _, err := c.nc.Write(data[:n]); err != nil {
			return false
		}
		data = data[n:]
	}
	return true
}

// pause waits and reports false when the connection ends meanwhile.
func (c *seederConn) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.done:
		return false
	}
}

// count counts a block before it is written, so that a peer that has it finds it
// counted.
func (s *Seeder) count(size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.BlocksSent++
	s.stats.BytesSent += int64(size)
}

// blockSent applies the faults that count blocks.
func (c *seederConn) blockSent() bool {
	s, f := c.s, &c.s.cfg.Faults
	s.mu.Lock()
	defer s.mu.Unlock()
	c.sent++
	if f.Disconnect && c.sent >= f.DisconnectAfter {
		c.hangUp()
		return false
	}
	if f.ChokeAfter > 0 && c.sent%f.ChokeAfter == 0 && !c.choking {
		c.choke()
		if f.ChokeFor > 0 {
			c.unchokeAfter(f.ChokeFor)
		}
	}
	return true
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
