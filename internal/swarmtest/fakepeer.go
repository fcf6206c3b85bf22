package swarmtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"magnetfs/swarm/wire"
)

// defaultTimeout bounds each wait of a script; longer than any time-out of the
// engine that a script should see.
const defaultTimeout = 5 * time.Minute

// errTimeout means that a script waited in vain.
var errTimeout = errors.New("nothing came")

// FakePeer is one end of a connection and does what a script says. It reads from
// the connection only while a step waits for something, apart from one message
// that it may have asked for before a wait ended. Run, and the methods for steps,
// belong to one goroutine.
type FakePeer struct {
	// Conn is the connection below. Steps may write to it; they must not read.
	Conn net.Conn
	// Timeout bounds each wait; 0 = 5 minutes.
	Timeout time.Duration
	// Theirs is the handshake of the other side, after ExpectHandshake.
	Theirs wire.Handshake
	// Ext is what their extension handshakes said so far.
	Ext wire.ExtHandshake
	// Log has all messages received, in order, keep-alives left out.
	Log []wire.Message

	dec     *wire.Decoder
	pending chan received // a read under way, nil if none
	wg      sync.WaitGroup
}

// received is the outcome of one read.
type received struct {
	msg       wire.Message
	handshake wire.Handshake
	err       error
}

// NewFakePeer takes over a connection.
func NewFakePeer(nc net.Conn) *FakePeer {
	return &FakePeer{Conn: nc, dec: wire.NewDecoder(nc, 0)}
}

// DialFake connects to addr.
func DialFake(ctx context.Context, nw Network, addr string) (*FakePeer, error) {
	nc, err := nw.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewFakePeer(nc), nil
}

// Run executes the steps up to the first that fails. It does not close the
// connection.
func (p *FakePeer) Run(steps ...Step) error {
	for i, s := range steps {
		if err := s.Run(p); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, s.Name, err)
		}
	}
	return nil
}

// Close closes the connection. It may be called several times.
func (p *FakePeer) Close() error {
	err := p.Conn.Close()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Write sends bytes as they are.
func (p *FakePeer) Write(b []byte) error {
	p.Conn.SetWriteDeadline(time.Now().Add(p.timeout()))
	_, err := p.Conn.Write(b)
	return err
}

// Send sends messages in one write.
func (p *FakePeer) Send(msgs ...wire.Message) error {
	var b []byte
	for _, m := range msgs {
		b = m.Append(b)
	}
	return p.Write(b)
}

// Next returns the next message that is no keep-alive.
func (p *FakePeer) Next() (wire.Message, error) { return p.next(p.timeout()) }

func (p *FakePeer) next(within time.Duration) (wire.Message, error) {
	end := time.Now().Add(within)
	for {
		r := p.await(time.Until(end), func() (r received) {
			r.err = p.dec.Decode(&r.msg)
			return r
		})
		if r.err != nil {
			return wire.Message{}, r.err
		}
		if r.msg.ID == wire.KeepAlive {
			continue
		}
		p.Log = append(p.Log, r.msg)
		if r.msg.ID == wire.Extended && r.msg.ExtID == 0 {
			if err := p.Ext.Update(r.msg.Data); err != nil {
				return r.msg, err
			}
		}
		return r.msg, nil
	}
}

// await waits for a read. One that is still under way from an earlier wait is
// continued: a decoder does not survive a deadline.
func (p *FakePeer) await(within time.Duration, read func() received) received {
	if p.pending == nil {
		ch := make(chan received, 1)
		p.pending = ch
		p.wg.Go(func() { ch <- read() })
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case r := <-p.pending:
		p.pending = nil
		return r
	case <-timer.C:
		return received{err: errTimeout}
	}
}

func (p *FakePeer) timeout() time.Duration {
	if p.Timeout > 0 {
		return p.Timeout
	}
	return defaultTimeout
}

// gone reports whether err says that the other side has closed the connection,
// in whatever way.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// interrupted reports whether err comes from closing or a deadline on our side.
func interrupted(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}

// Fake listens and runs one script on every connection it gets.
type Fake struct {
	ln    net.Listener
	steps []Step
	wg    sync.WaitGroup

	mu     sync.Mutex // guards all below
	closed bool
	peers  map[*FakePeer]struct{}
	conns  int
	errs   []error
}

// NewFake starts to accept on ln. The script's steps must not share variables
// unless they are safe for concurrent use: connections run at the same time. A
// connection is closed when its script ends.
func NewFake(ln net.Listener, steps ...Step) *Fake {
	f := &Fake{ln: ln, steps: steps, peers: make(map[*FakePeer]struct{})}
	f.wg.Go(f.accept)
	return f
}

func (f *Fake) accept() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		p := NewFakePeer(nc)
		if !f.enter(p) {
			p.Close()
			return
		}
		f.wg.Go(func() {
			err := p.Run(f.steps...)
			f.leave(p, err)
			p.Close()
		})
	}
}

func (f *Fake) enter(p *FakePeer) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.peers[p] = struct{}{}
	f.conns++
	return true
}

func (f *Fake) leave(p *FakePeer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.peers, p)
	if err != nil && !f.closed {
		f.errs = append(f.errs, err)
	}
}

// Connections returns how many connections were accepted so far.
func (f *Fake) Connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conns
}

// Err returns what went wrong in the scripts that have ended, nil if nothing.
func (f *Fake) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// Close closes the listener and all connections and waits for the scripts, which
// do not count as failed by this.
func (f *Fake) Close() error {
	f.mu.Lock()
	f.closed = true
	f.ln.Close()
	for p := range f.peers {
		p.Conn.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
	return nil
}
