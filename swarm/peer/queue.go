package peer

import "magnetfs/swarm/wire"

// keepCapacity is how large an emptied buffer may be to be kept for the next burst, in bytes.
const keepCapacity = 64 << 10

// queue is what waits to be written, in order: the encoded messages in one run, and the data of pieces that goes in
// between.
type queue struct {
	msgs   []byte
	pieces []piece
}

// piece is the data of a piece message that is sent from where it lies.
type piece struct {
	at      int // the data goes before msgs[at]
	data    []byte
	release func() // may be nil
}

// empty tells whether there is nothing to write.
func (q *queue) empty() bool { return len(q.msgs) == 0 }

// reset empties the queue and keeps its memory unless it is large.
func (q *queue) reset() {
	clear(q.pieces)
	q.pieces = q.pieces[:0]
	q.msgs = q.msgs[:0]
	if cap(q.msgs) > keepCapacity {
		q.msgs = nil
	}
}

// drop releases the data of pieces from number first on, and empties the queue.
func (q *queue) drop(first int) {
	for _, p := range q.pieces[first:] {
		p.free()
	}
	q.reset()
}

// free gives the data back to whoever sent it.
func (p piece) free() {
	if p.release != nil {
		p.release()
	}
}

// Send queues a message. It never waits: the message is encoded into a buffer that the writer takes. After the end of
// the connection it does nothing. If more than Config.MaxQueue bytes wait, the connection is closed with ErrOverflow.
func (c *Conn) Send(m wire.Message) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	before := len(c.queue.msgs)
	c.queue.msgs = m.Append(c.queue.msgs)
	size := len(c.queue.msgs)
	c.buffered.Add(int64(size - before))
	c.mu.Unlock()
	c.queued(size)
}

// SendPiece queues a piece message whose data is not copied: it must not change before release is called, exactly once,
// when it was written or is dropped because the connection ended. release is called from any goroutine, possibly this
// one and before SendPiece returns; it must not wait. It may be nil.
func (c *Conn) SendPiece(index, begin uint32, data []byte, release func()) {
	p := piece{data: data, release: release}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		p.free()
		return
	}
	before := len(c.queue.msgs)
	c.queue.msgs = wire.Message{ID: wire.Piece, Index: index, Begin: begin, Data: data}.AppendHeader(c.queue.msgs)
	size := len(c.queue.msgs)
	p.at = size
	c.queue.pieces = append(c.queue.pieces, p)
	c.buffered.Add(int64(size - before + len(data)))
	c.mu.Unlock()
	c.queued(size)
}

// queued follows every addition to the queue: size is that of the encoded messages in it.
func (c *Conn) queued(size int) {
	if size > c.cfg.MaxQueue {
		c.Close(ErrOverflow)
		return
	}
	if !c.cfg.ManualFlush {
		c.Flush()
	}
}

// Flush lets the writer write what was queued. It never waits.
func (c *Conn) Flush() {
	select {
	case c.wake <- struct{}{}:
	default: // it was told already and has not looked yet
	}
}

// take moves all that is queued into q, which is empty, and leaves q's memory for what comes next.
func (c *Conn) take(q *queue) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.queue.empty() {
		return false
	}
	*q, c.queue = c.queue, *q
	return true
}
