package mse

import (
	"bufio"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
)

// Sizes of the parts of a handshake in bytes.
const (
	keyLen = 96  // a public key
	maxPad = 512 // random bytes behind a key, or inside the encrypted parts

	// maxInitialRead is the longest initial payload that we take. The
	// specification would allow 64 KiB; a BitTorrent handshake has 68.
	maxInitialRead = 1024

	// maxOpening is what a peer that dialled us sends at most: its key and the
	// padding behind it, two hashes, the encrypted head with its padding (check
	// value, methods, two lengths), the initial payload.
	maxOpening = keyLen + maxPad + 20 + 20 + (8 + 4 + 2 + maxPad + 2) + maxInitialRead
	// maxAnswer is what a peer that we dialled sends at most before its payload.
	maxAnswer = keyLen + maxPad + (8 + 4 + 2 + maxPad)

	unlimited = -1
)

// bufferSize of the reading side in bytes. The library reads a handshake in tiny
// steps; longer reads go past the buffer.
const bufferSize = 1 << 10

// stream is the stream below a Conn as the library sees it: the first error
// closes it for ever and comes back from all later calls, and during the handshake
// the peer may send only so much.
type stream struct {
	net.Conn
	in      *bufio.Reader // used by one goroutine at a time
	limit   int           // bytes that may still be read; unlimited after the handshake
	checked bool          // the public key of the peer

	mu  sync.Mutex // guards err; a leaf
	err error      // why it is closed; nil while it is not
}

func newStream(nc net.Conn, limit int) *stream {
	return &stream{Conn: nc, in: bufio.NewReaderSize(nc, bufferSize), limit: limit}
}

// Read reads what is left of the bytes that the handshake may have.
func (s *stream) Read(p []byte) (int, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	if s.limit == unlimited {
		n, err := s.in.Read(p)
		return n, s.judge(err)
	}
	if err := s.checkKey(); err != nil {
		return 0, err
	}
	if s.limit == 0 {
		return 0, s.judge(fmt.Errorf("%w: too long", ErrMalformed))
	}
	n, err := s.in.Read(p[:min(len(p), s.limit)])
	s.limit -= n
	return n, s.judge(err)
}

// Write writes all of p or closes the stream.
func (s *stream) Write(p []byte) (int, error) {
	if err := s.failure(); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return n, s.judge(err)
}

// checkKey waits for the public key of the peer, which is the first thing that it
// sends, and refuses those that fix the secret (libtorrent does; the library does
// not).
func (s *stream) checkKey() error {
	if s.checked {
		return nil
	}
	key, err := s.peek(keyLen)
	if err != nil {
		return err
	}
	if !validKey(key) {
		return s.judge(fmt.Errorf("%w: public key out of range", ErrMalformed))
	}
	s.checked = true
	return nil
}

// peek returns the next n bytes without taking them.
func (s *stream) peek(n int) ([]byte, error) {
	b, err := s.in.Peek(n)
	if err == io.EOF && len(b) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return b, s.judge(err)
}

// maxKey is P-2 for the prime P of MSE, the largest public key that is not a
// trivial one.
var maxKey = func() *big.Int {
	p, _ := new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD1"+
		"29024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"+
		"302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A63A3621"+
		"0000000000090563", 16)
	return p.Sub(p, big.NewInt(2))
}()

// validKey tells whether 1 < key < P-1.
func validKey(key []byte) bool {
	y := new(big.Int).SetBytes(key)
	return y.Cmp(big.NewInt(1)) > 0 && y.Cmp(maxKey) <= 0
}

// judge closes the stream if err is one, and returns what it is closed for.
func (s *stream) judge(err error) error {
	if err == nil {
		return nil
	}
	s.close(err)
	return s.failure()
}

// close closes the stream for the reason err, unless it is closed.
func (s *stream) close(err error) error {
	s.mu.Lock()
	closed := s.err != nil
	if !closed {
		s.err = err
	}
	s.mu.Unlock()
	if closed {
		return nil
	}
	return s.Conn.Close()
}

// failure returns why the stream is closed.
func (s *stream) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
