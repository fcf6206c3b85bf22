package peer

import (
	"errors"
	"net"
	"os"
	"time"

	"magnetfs/swarm/wire"
)

// Sizes of single writes in bytes. A message that is longer still goes in one write on TCP.
const (
	vectorWrite = 128 << 10 // TCP, by writev: eight blocks, sixteen pieces of memory
	plainWrite  = 32 << 10  // other streams, which copy anyway: two blocks
)

// writer is the state of the writing goroutine.
type writer struct {
	conn   *Conn
	inbox  Inbox
	vector bool // the stream is TCP: it takes many pieces of memory at once, and goes on after a short write

	q      queue // taken from the Conn, being written
	done   int   // bytes of q.msgs that were written
	freed  int   // pieces of q that were written
	refill bool  // piece data was written and no Drained posted since

	vec     net.Buffers // TCP: memory to write; consumed by writev
	backing [][]byte    // the memory of vec itself
	scratch []byte      // others: messages and data in one run
	partial int         // others: bytes of the next piece that were written
}

// writeLoop writes what is queued, and keep-alives when nothing is.
func (c *Conn) writeLoop(in Inbox) {
	defer c.loops.Done()
	w := &writer{conn: c, inbox: in}
	_, w.vector = c.out.(*net.TCPConn)
	timer := time.NewTimer(c.cfg.KeepAlive)
	defer timer.Stop()
	last := time.Now() // end of the last write
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.wake:
		case <-timer.C:
			if silent := time.Since(last); silent < c.cfg.KeepAlive {
				timer.Reset(c.cfg.KeepAlive - silent)
				continue
			}
			timer.Reset(c.cfg.KeepAlive)
			c.Send(wire.Message{ID: wire.KeepAlive})
		}
		for c.take(&w.q) {
			err := w.writeQueue()
			w.dropQueue()
			if err != nil {
				c.Close(err)
				return
			}
			last = time.Now()
		}
	}
}

// writeQueue writes all of q, in chunks.
func (w *writer) writeQueue() error {
	for w.done < len(w.q.msgs) || w.freed < len(w.q.pieces) {
		var err error
		if w.vector {
			err = w.writeVector()
		} else {
			err = w.writePlain()
		}
		if err != nil {
			return err
		}
		if err := w.tellDrained(); err != nil {
			return err
		}
	}
	return nil
}

// dropQueue releases what was not written, and makes q ready for the next round.
func (w *writer) dropQueue() {
	w.q.drop(w.freed)
	w.done, w.freed, w.partial = 0, 0, 0
}

// tellDrained posts Drained when it is due.
func (w *writer) tellDrained() error {
	if !w.refill || w.conn.Buffered() > w.conn.cfg.LowWater {
		return nil
	}
	w.refill = false
	if !w.inbox.Post(Event{Conn: w.conn, Kind: Drained, At: time.Now()}) {
		return ErrOwnerGone
	}
	return nil
}

// writeVector writes the next messages and pieces to TCP from where they lie.
func (w *writer) writeVector() error {
	vec := w.backing[:0]
	size := 0
	done, freed := w.done, w.freed
	for ; freed < len(w.q.pieces) && size < vectorWrite; freed++ {
		p := &w.q.pieces[freed]
		vec = append(vec, w.q.msgs[done:p.at])
		if len(p.data) > 0 {
			vec = append(vec, p.data)
		}
		size += p.at - done + len(p.data)
		done = p.at
	}
	if freed == len(w.q.pieces) && done < len(w.q.msgs) {
		vec = append(vec, w.q.msgs[done:])
		size += len(w.q.msgs) - done
		done = len(w.q.msgs)
	}
	w.backing = vec
	w.vec = vec
	err := w.writeVec()
	clear(w.backing)
	if err != nil {
		return err
	}
	for ; w.freed < freed; w.freed++ {
		w.freePiece()
	}
	w.done = done
	w.account(size)
	return nil
}

// writeVec writes vec. A timeout ends it only if nothing at all was accepted meanwhile.
func (w *writer) writeVec() error {
	for {
		w.setDeadline()
		var n int64
		var err error
		if len(w.vec) == 1 { // the usual case of a few messages, without the detour of writev
			var k int
			k, err = w.conn.out.Write(w.vec[0])
			n, w.vec[0] = int64(k), w.vec[0][k:]
		} else {
			n, err = w.vec.WriteTo(w.conn.out)
		}
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case n == 0:
			return ErrStalled
		}
	}
}

// writePlain copies the next messages and pieces into one run of at most plainWrite bytes and writes that. A timeout is
// final: some streams (encrypted ones) do not survive a short write.
func (w *writer) writePlain() error {
	buf := w.scratch[:0]
	done, freed, partial := w.done, w.freed, w.partial
	for len(buf) < plainWrite {
		end := len(w.q.msgs)
		if freed < len(w.q.pieces) {
			end = w.q.pieces[freed].at
		}
		k := min(end-done, plainWrite-len(buf))
		buf = append(buf, w.q.msgs[done:done+k]...)
		done += k
		if done < end || freed == len(w.q.pieces) {
			break
		}
		p := &w.q.pieces[freed]
		k = min(len(p.data)-partial, plainWrite-len(buf))
		buf = append(buf, p.data[partial:partial+k]...)
		partial += k
		if partial < len(p.data) {
			break
		}
		freed, partial = freed+1, 0
	}
	w.scratch = buf
	if len(buf) == 0 { // only the end of a piece without data
		w.freed = freed
		return nil
	}
	w.setDeadline()
	if _, err := w.conn.out.Write(buf); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = ErrStalled
		}
		return err
	}
	for ; w.freed < freed; w.freed++ {
		w.freePiece()
	}
	w.done, w.partial = done, partial
	w.account(len(buf))
	return nil
}

// setDeadline starts the time that a write may take. It fails on a stream that is closed; Write says that better.
func (w *writer) setDeadline() {
	_ = w.conn.out.SetWriteDeadline(time.Now().Add(w.conn.cfg.StallTimeout))
}

// freePiece releases the next piece of q, which was written.
func (w *writer) freePiece() {
	w.q.pieces[w.freed].free()
	w.refill = true
}

// account counts n bytes as written.
func (w *writer) account(n int) {
	w.conn.buffered.Add(-int64(n))
	w.conn.written.Add(int64(n))
}
