package peer

import (
	"net"
	"sync/atomic"
	"time"

	"magnetfs/swarm/wire"
)

// Link is a stream between two peers whose handshake is done: what a Conn is made of. It holds the bytes that came
// behind the handshake in the same segment, and those of ours that were too many to be sent with it.
type Link struct {
	Theirs wire.Handshake
	nc     net.Conn
	src    *source
	dec    *wire.Decoder
	unsent []byte // goes out before anything else
}

// NewLink makes a Link of a stream on which the handshake was done by other means. Messages start with the next byte
// read from nc.
func NewLink(nc net.Conn, theirs wire.Handshake) *Link {
	l := newLink(nc)
	l.Theirs = theirs
	return l
}

func newLink(nc net.Conn) *Link {
	src := &source{nc: nc, gather: newGatherer(nc)}
	return &Link{nc: nc, src: src, dec: wire.NewDecoder(src, 0)}
}

// Close closes the stream of a link that does not become a Conn. It is safe to call more than once.
func (l *Link) Close() error { return l.nc.Close() }

// RemoteAddr returns the address of the peer as the stream knows it.
func (l *Link) RemoteAddr() net.Addr { return l.nc.RemoteAddr() }

// below returns the stream to write to. A stream around another one may pass bytes on
// as they are, as that of a peer that turned out not to encrypt does; then its method
// Plain says so, and TCP below it takes many pieces of memory at once.
func below(nc net.Conn) net.Conn {
	if w, ok := nc.(interface{ Plain() (net.Conn, bool) }); ok {
		if inner, ok := w.Plain(); ok {
			return inner
		}
	}
	return nc
}

// source is the reading side of a stream: it counts and, once idle is set, sets the time by which the next byte has to
// come. During the handshake the deadline is that of the handshake. Only the reader uses it, save
// for the counter.
type source struct {
	nc      net.Conn
	gather  *gatherer // nil if the stream is not TCP itself
	need    int       // see Await
	idle    time.Duration
	renewed time.Time    // when the deadline was set
	bytes   atomic.Int64 // read so far
}

// Await says how many bytes the next Read had better wait for ([wire.Awaiter]).
func (s *source) Await(n int) { s.need = n }

func (s *source) Read(p []byte) (int, error) {
	if s.idle > 0 {
		// Not for each read: moving a timer costs more than reading a segment.
		if now := time.Now(); now.Sub(s.renewed) > s.idle/64 {
			// It fails on a stream that is closed; Read says that better, after what is left to read.
			_ = s.nc.SetReadDeadline(now.Add(s.idle))
			s.renewed = now
		}
	}
	n, err := s.read(p)
	s.bytes.Add(int64(n))
	return n, err
}

func (s *source) read(p []byte) (int, error) {
	if s.gather != nil {
		return s.gather.read(p, s.need)
	}
	return s.nc.Read(p)
}
