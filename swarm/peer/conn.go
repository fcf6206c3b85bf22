package peer

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/wire"
)

// Errors with which a connection closes by itself, besides io.EOF and io.ErrUnexpectedEOF (the peer closed it, between
// or inside messages), those that wrap wire.ErrMalformed, and those of the stream.
var (
	ErrIdle      = errors.New("peer: no byte received for too long")
	ErrStalled   = errors.New("peer: no byte accepted for too long")
	ErrOverflow  = errors.New("peer: too many messages waiting to be written")
	ErrOwnerGone = errors.New("peer: nobody takes the events")
)

// Conn is a connection to a peer after its handshake. All methods may be called from any goroutine.
type Conn struct {
	nc     net.Conn
	out    net.Conn // where bytes are written: nc, or the stream below it
	cfg    Config
	theirs wire.Handshake
	remote netip.AddrPort
	src    *source
	dec    *wire.Decoder // used by the reader only

	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	wake     chan struct{}  // capacity 1: there is something to write
	loops    sync.WaitGroup // reader and writer
	finished chan struct{}  // closed after Closed was posted

	buffered atomic.Int64 // bytes queued or being written
	written  atomic.Int64 // bytes written

	mu     sync.Mutex // guards what follows; a leaf
	queue  queue
	closed bool
	err    error // why closed
	inbox  Inbox // nil before Start
}

// New returns a connection over l, which must not be used any more. Nothing happens before Start.
func New(l *Link, cfg Config) *Conn {
	c := &Conn{
		nc:       l.nc,
		out:      below(l.nc),
		cfg:      cfg.withDefaults(),
		theirs:   l.Theirs,
		src:      l.src,
		dec:      l.dec,
		wake:     make(chan struct{}, 1),
		finished: make(chan struct{}),
	}
	c.queue.msgs = l.unsent
	c.buffered.Store(int64(len(l.unsent)))
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.src.idle = c.cfg.IdleTimeout
	if ap, err := netip.ParseAddrPort(l.nc.RemoteAddr().String()); err == nil {
		c.remote = endpoint.Unmap4(ap)
	}
	if tcp, ok := c.out.(*net.TCPConn); ok {
		// Go's default, but requests must not wait for an ACK whatever the dialer did. It fails only on a dead
		// connection, which the first read tells better.
		_ = tcp.SetNoDelay(true)
	}
	return c
}

// Start lets reader and writer run; events go to in. Call it once. If the connection was closed before, Closed is all
// that is posted.
func (c *Conn) Start(in Inbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inbox = in
	if c.closed {
		go c.shutdown(in)
		return
	}
	c.loops.Add(2)
	go c.readLoop(in)
	go c.writeLoop(in)
	if !c.queue.empty() { // what did not go with the handshake waits for nobody
		c.Flush()
	}
}

// Theirs returns the handshake of the peer.
func (c *Conn) Theirs() wire.Handshake { return c.theirs }

// RemoteAddr returns the address of the peer, IPv4 unmapped; the zero AddrPort if the stream has none (net.Pipe).
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr returns our address as the stream knows it.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// BytesRead returns the number of bytes received after the handshake and those that came with it, of all kinds.
func (c *Conn) BytesRead() int64 { return c.src.bytes.Load() }

// BytesWritten returns the number of bytes sent after the handshake, of all kinds.
func (c *Conn) BytesWritten() int64 { return c.written.Load() }

// Buffered returns the number of bytes given to Send and SendPiece that are not written yet.
func (c *Conn) Buffered() int { return int(c.buffered.Load()) }

// Close ends the connection for the reason err, which may be nil; bytes that are not written yet are dropped. It
// never waits: Closed follows as the last event, or Wait tells. Calls after the first do nothing.
func (c *Conn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.err = err
	c.cancel()
	go c.shutdown(c.inbox)
}

// Done is closed when Close was called or the connection ended by itself.
func (c *Conn) Done() <-chan struct{} { return c.ctx.Done() }

// Wait returns when a connection that was started has ended: its goroutines are gone and Closed was posted. The owner
// of the inbox must not call it while Post waits for him.
func (c *Conn) Wait() { <-c.finished }

// shutdown does what Close must not wait for, after closed was set: nothing is queued any more. in is nil if the
// connection was not started; then Start does the rest.
func (c *Conn) shutdown(in Inbox) {
	c.nc.Close()
	c.loops.Wait()
	c.mu.Lock()
	rest := c.queue
	c.queue = queue{}
	err := c.err
	c.mu.Unlock()
	rest.drop(0)
	c.buffered.Store(0)
	if in != nil {
		in.Post(Event{Conn: c, Kind: Closed, At: time.Now(), Err: err})
		close(c.finished)
	}
}

// readLoop hands every message to the owner until the stream ends.
func (c *Conn) readLoop(in Inbox) {
	defer c.loops.Done()
	for {
		var m wire.Message
		if err := c.dec.Decode(&m); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = ErrIdle
			}
			c.Close(err)
			return
		}
		if m.ID == wire.KeepAlive {
			continue
		}
		if c.ctx.Err() != nil || !in.Post(Event{Conn: c, Kind: Received, Msg: m, At: time.Now()}) {
			if m.ID == wire.Piece {
				wire.PutBlock(m.Data)
			}
			c.Close(ErrOwnerGone)
			return
		}
	}
}
