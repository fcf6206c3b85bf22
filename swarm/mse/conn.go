package mse

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"github.com/anacrolix/torrent/mse"
)

// Errors of handshakes, besides those of the stream.
var (
	// ErrMalformed: what the peer sends is neither BitTorrent nor MSE, or it does
	// not know the info-hash that it should.
	ErrMalformed = errors.New("no valid encryption handshake")
	// ErrUnknownKey: the peer wants a torrent that we do not have.
	ErrUnknownKey = errors.New("encrypted for an unknown info-hash")
	// ErrPlain: the peer does not encrypt, and we require it.
	ErrPlain = errors.New("not encrypted")
	// ErrMethod: the peer offers no method that we accept.
	ErrMethod = errors.New("no acceptable encryption method offered")
)

const (
	// maxInitial is how much of the first Write goes along with the handshake, in
	// bytes: a BitTorrent handshake. libtorrent takes no more.
	maxInitial = 68
	// maxWrite is how many bytes are encrypted at a time; the cipher keeps a buffer
	// of that size.
	maxWrite = 32 << 10
)

// Conn is a stream to a peer, whatever the peer speaks: MSE, or plain bytes where
// [Accept] found those. It is safe for concurrent use as a net.Conn has to be.
type Conn struct {
	*stream
	reading, writing, shaking chan struct{} // capacity 1: who has put something in may do it

	ready atomic.Bool // what follows is set and does not change any more

	rw     io.ReadWriter
	method Method
	key    [20]byte // the info-hash by which MSE was opened

	offer mse.CryptoMethod // to the peer; of those that we dialled
}

func newConn(nc net.Conn, limit int) *Conn {
	return &Conn{
		stream:  newStream(nc, limit),
		reading: make(chan struct{}, 1),
		writing: make(chan struct{}, 1),
		shaking: make(chan struct{}, 1),
	}
}

// Client returns an encrypted stream over nc, which we dialled, for the torrent
// with the info-hash key. The first Write or Read does the handshake, within the
// deadlines that are set then. nc must not be used any more.
func Client(nc net.Conn, key [20]byte, p Policy) *Conn {
	c := newConn(nc, maxAnswer)
	c.key, c.offer = key, p.offer()
	return c
}

// Method tells how bytes travel. It is None until the handshake is done.
func (c *Conn) Method() Method {
	if !c.ready.Load() {
		return None
	}
	return c.method
}

// Key returns the info-hash by which the peer opened an encrypted connection; ok
// is false if it is not encrypted.
func (c *Conn) Key() (key [20]byte, ok bool) { return c.key, c.Method() != None }

// Plain returns the stream below if what is written to it travels as it is: then
// it can be written to directly, by means that only that stream has. Reading has
// to go through the Conn in any case.
func (c *Conn) Plain() (nc net.Conn, ok bool) {
	return c.stream.Conn, c.ready.Load() && c.method != RC4
}

// Read reads what the peer sent, decrypted.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if _, err := c.open(nil); err != nil {
		return 0, err
	}
	c.reading <- struct{}{}
	defer func() { <-c.reading }()
	if err := c.failure(); err != nil {
		return 0, err
	}
	return c.rw.Read(p)
}

// Write sends p, encrypted.
func (c *Conn) Write(p []byte) (int, error) {
	done, err := c.open(p)
	if err != nil {
		return 0, err
	}
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	for done < len(p) {
		// After an error the cipher of the library is gone; it must not be asked.
		if err := c.failure(); err != nil {
			return done, err
		}
		n, err := c.rw.Write(p[done:min(len(p), done+maxWrite)])
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// Close closes the stream below. Calls that are blocked return. It may be called
// any number of times.
func (c *Conn) Close() error { return c.close(net.ErrClosed) }

// open does the handshake of the dialling side unless it is done. It says how many
// bytes of first went with it.
func (c *Conn) open(first []byte) (sent int, err error) {
	if c.ready.Load() {
		return 0, nil
	}
	c.shaking <- struct{}{}
	defer func() { <-c.shaking }()
	switch err := c.failure(); {
	case c.ready.Load():
		return 0, nil
	case err != nil:
		return 0, err
	}
	initial := first[:min(len(first), maxInitial)]
	rw, method, err := mse.InitiateHandshake(c.stream, c.key[:], initial, c.offer)
	if err := c.outcome(err); err != nil {
		return 0, err
	}
	c.established(rw, methodOf(method))
	return len(initial), nil
}

// outcome closes the stream if the handshake failed, and says why. The library
// forgets some errors of the stream, and words others as if the peer had lied.
func (c *Conn) outcome(err error) error {
	if ours := c.failure(); ours != nil {
		return ours
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mse.ErrNoSecretKeyMatch):
		err = ErrUnknownKey
	default:
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	c.close(err)
	return c.failure()
}

// established ends the handshake.
func (c *Conn) established(rw io.ReadWriter, m Method) {
	c.stream.limit = unlimited
	c.rw, c.method = rw, m
	c.ready.Store(true)
}
