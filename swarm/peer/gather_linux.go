package peer

import (
	"io"
	"net"
	"syscall"
)

// gatherFrom is the number of bytes from which on it pays to let the kernel gather them.
const gatherFrom = 1 << 10

// gatherer reads from a TCP connection and sleeps until a whole message is there, not until the next segment is
// (SO_RCVLOWAT). From ten peers of a home line nearly each segment of 1.4 KB comes alone; waking up for each of them
// was most of the processor time of a download.
type gatherer struct {
	raw  syscall.RawConn
	mark int // SO_RCVLOWAT of the socket

	// Of the read under way; fields, so that try needs no closure of its own.
	p    []byte
	need int
	n    int
	err  error
	try  func(fd uintptr) bool
}

// newGatherer returns nil for a stream that it cannot help.
func newGatherer(nc net.Conn) *gatherer {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	g := &gatherer{raw: raw, mark: 1}
	g.try = g.tryRead
	return g
}

// read reads into p, at least one byte. need is how many bytes the reader cannot do anything without: if none are
// there, it sleeps until so many are, or the stream ends. It may return fewer.
func (g *gatherer) read(p []byte, need int) (int, error) {
	g.p, g.need, g.n, g.err = p, min(need, len(p)), 0, nil
	err := g.raw.Read(g.try)
	g.p = nil
	switch {
	case err != nil:
		return 0, err
	case g.err != nil:
		return 0, g.err
	case g.n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return g.n, nil
}

// tryRead returns false if there is nothing to read yet.
func (g *gatherer) tryRead(fd uintptr) bool {
	for {
		n, err := syscall.Read(int(fd), g.p)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			mark := 1
			if g.need >= gatherFrom {
				mark = g.need
			}
			if mark == g.mark || syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, mark) != nil {
				return false
			}
			lowered := mark < g.mark
			g.mark = mark
			if !lowered {
				return false
			}
			// What came meanwhile was too little to wake us, and is enough now.
			continue
		case err != nil:
			g.err = &net.OpError{Op: "read", Net: "tcp", Err: err}
		default:
			g.n = n
		}
		return true
	}
}
