package utp

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	minLimit = 64 << 10 // bytes that may always wait to be sent
	// updateRoom is how much room, as a part of the window, the peer does not
	// know of before it is told by a packet of its own.
	updateRoom = 4
	// tightRoom bytes known to the peer are too little to wait for that.
	tightRoom = 16 << 10
)

// Addr is the address of one end. Its network is "utp".
type Addr struct{ netip.AddrPort }

// Network returns "utp".
func (Addr) Network() string { return "utp" }

// Conn is a connection. Its methods are those of a net.Conn over TCP: Write
// returns when its bytes are buffered, Close sends them and then the end of the
// stream, in the background, for at most ten seconds.
type Conn struct {
	local, remote Addr
	kick          func()        // tells the owner that there is something to do
	up            chan struct{} // closed when the connection is established, or failed
	stream        *stream       // the owner's

	mu       sync.Mutex // guards all below; a leaf
	readable sync.Cond
	writable sync.Cond
	in       ring // received, not yet read
	out      ring // not yet acknowledged: in flight, and waiting
	limit    int  // of out
	known    int  // bytes of room in in that the peer knows of
	window   int  // size of in
	isUp     bool
	eof      bool // nothing follows what is in in
	err      error
	closed   bool
	kicked   bool // and the owner has not looked since
	update   bool // the owner shall tell the peer of the room
	read     deadline
	write    deadline
}

func newConn(local, remote netip.AddrPort, window int) *Conn {
	c := &Conn{local: Addr{local}, remote: Addr{remote}, up: make(chan struct{}), limit: minLimit, window: window}
	c.readable.L, c.writable.L = &c.mu, &c.mu
	return c
}

// Read returns what has arrived, io.EOF after the last byte of a peer that closed,
// or an error: os.ErrDeadlineExceeded, net.ErrClosed, syscall.ECONNRESET or
// ETIMEDOUT, in a *net.OpError.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.in.size == 0 || len(p) == 0 {
		err := c.readError()
		if err == nil && len(p) == 0 {
			c.mu.Unlock()
			return 0, nil
		}
		if err != nil {
			c.mu.Unlock()
			if err == io.EOF {
				return 0, err
			}
			return 0, c.opError("read", err)
		}
		c.read.wait(&c.readable)
	}
	if c.closed || c.read.expired() {
		err := c.readError()
		c.mu.Unlock()
		return 0, c.opError("read", err)
	}
	n := c.in.pop(p)
	kick := false
	if room := c.window - c.in.size; room-c.known >= c.window/updateRoom || c.known < tightRoom && room >= 2*tightRoom {
		c.known = room // as good as told
		c.update = true
		kick = c.mustKick()
	}
	c.mu.Unlock()
	if kick {
		c.kick()
	}
	return n, nil
}

// readError is why nothing can be read.
func (c *Conn) readError() error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.read.expired():
		return os.ErrDeadlineExceeded
	case c.eof && c.in.size == 0:
		return io.EOF
	}
	return c.err
}

// Write buffers p, and waits while there is no room. Errors are those of Read; a
// deadline may leave a part written.
func (c *Conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	n := 0
	for {
		var err error
		switch {
		case c.closed:
			err = net.ErrClosed
		case c.err != nil:
			err = c.err
		case c.write.expired():
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			c.mu.Unlock()
			return n, c.opError("write", err)
		}
		if n == len(p) {
			c.mu.Unlock()
			return n, nil
		}
		k := min(len(p)-n, c.limit-c.out.size)
		if k <= 0 {
			c.write.wait(&c.writable)
			continue
		}
		c.out.push(p[n : n+k])
		n += k
		if c.mustKick() {
			c.mu.Unlock()
			c.kick()
			if n == len(p) {
				return n, nil
			}
			c.mu.Lock()
		}
	}
}

// mustKick says whether the owner has to be told; it is told once.
func (c *Conn) mustKick() bool {
	if c.kicked {
		return false
	}
	c.kicked = true
	return true
}

// Close ends the connection without waiting.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	c.closed = true
	c.in = ring{}
	c.read.stop()
	c.write.stop()
	c.readable.Broadcast()
	c.writable.Broadcast()
	kick := c.mustKick()
	c.mu.Unlock()
	if kick {
		c.kick()
	}
	return nil
}

// LocalAddr returns our address, an Addr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the peer's address, an Addr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline bounds present and future reads.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.read, &c.readable, t) }

// SetWriteDeadline bounds present and future writes.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.write, &c.writable, t) }

func (c *Conn) setDeadline(d *deadline, cond *sync.Cond, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	d.at = t
	cond.Broadcast() // who waits waits for another moment now
	return nil
}

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "utp", Source: c.local, Addr: c.remote, Err: err}
}

// What follows is called by the owner.

// took clears the kick, and tells what it was for.
func (c *Conn) took() (closed, update bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	update = c.update
	c.kicked, c.update = false, false
	return c.closed, update
}

// advertise returns the room for the peer to know.
func (c *Conn) advertise(window int) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.advertiseLocked(window)
}

func (c *Conn) advertiseLocked(window int) uint32 {
	c.known = max(0, window-c.in.size)
	return uint32(c.known)
}

// deliver appends received bytes; false if there is no room. After Close they are
// dropped.
func (c *Conn) deliver(b []byte, most int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return true
	}
	if c.in.size+len(b) > most {
		return false
	}
	c.in.push(b)
	c.known -= len(b)
	return true
}

// wake wakes the reader.
func (c *Conn) wake() { c.readable.Broadcast() }

// finished notes the end of the peer's stream.
func (c *Conn) finished() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eof = true
	c.readable.Broadcast()
}

// sent drops n acknowledged bytes.
func (c *Conn) sent(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.drop(n)
	if c.out.size <= c.limit/2 {
		c.writable.Broadcast()
	}
}

// setLimit sets how much may wait. The lock is held.
func (c *Conn) setLimit(n int) {
	old := c.limit
	c.limit = max(n, minLimit)
	if c.limit > old && c.out.size < c.limit {
		c.writable.Broadcast()
	}
}

// shrink gives back memory that is not used.
func (c *Conn) shrink() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in.shrink()
	c.out.shrink()
}

// established lets the dialler go on.
func (c *Conn) established() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isUp {
		c.isUp = true
		close(c.up)
	}
}

// ended lets everybody go on who waits; err is what they get, nil if they closed
// the connection themselves. What arrived before can still be read.
func (c *Conn) ended(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		err = net.ErrClosed
	}
	if c.err == nil {
		c.err = err
	}
	c.out = ring{}
	if !c.isUp {
		c.isUp = true
		close(c.up)
	}
	c.readable.Broadcast()
	c.writable.Broadcast()
}

// failure is why the connection ended, nil if it has not.
func (c *Conn) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// await returns when the connection is established.
func (c *Conn) await(ctx context.Context) error {
	select {
	case <-c.up:
		if err := c.failure(); err != nil {
			return c.opError("dial", err)
		}
		return nil
	case <-ctx.Done():
		c.Close()
		return c.opError("dial", ctx.Err())
	}
}
