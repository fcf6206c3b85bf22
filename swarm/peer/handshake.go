package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"magnetfs/swarm/wire"
)

// HandshakeTimeout is the time both handshakes must take; that of libtorrent.
const HandshakeTimeout = 10 * time.Second

// Errors of handshakes, wrapped with the address of the peer.
var (
	// ErrSelf: the peer has our own peer id. Remember the address as ours.
	ErrSelf = errors.New("connected to ourselves")
	// ErrUnknownInfoHash: the peer wants a torrent that we do not have.
	ErrUnknownInfoHash = errors.New("unknown info-hash")
	// ErrInfoHash: the peer answered with another torrent than the one asked for.
	ErrInfoHash = errors.New("answer has another info-hash")
)

// Answer is what a responder says: its handshake, and messages to send right behind it.
type Answer struct {
	Handshake wire.Handshake
	Extra     []byte // encoded messages; may be nil
}

// HandshakeOut does the handshake on a stream that we dialled. extra is sent right behind our handshake in the same
// write: encoded messages, such as the extension handshake, that so need no round trip of their own. It may be nil.
// The whole exchange has HandshakeTimeout, or less by ctx.
//
// On an error nc is closed. The error wraps ErrInfoHash, ErrSelf, wire.ErrMalformed (it is no peer, or one that wants
// encryption; mostly those just close: io.EOF), that of ctx, or is the error of the stream.
func HandshakeOut(ctx context.Context, nc net.Conn, ours wire.Handshake, extra []byte) (*Link, error) {
	return shake(ctx, nc, func(l *Link) error {
		// Writing and reading go on together: a peer may be sending more than the network holds before it reads.
		written := make(chan error, 1)
		go func() {
			_, err := nc.Write(append(ours.Append(make([]byte, 0, wire.HandshakeLen+len(extra))), extra...))
			written <- err
		}()
		theirs, err := wire.ReadHandshake(l.dec)
		if err == nil && theirs.InfoHash != ours.InfoHash {
			err = ErrInfoHash
		}
		if err == nil && theirs.PeerID == ours.PeerID {
			err = ErrSelf
		}
		if err != nil {
			nc.Close() // ends the write
			<-written
			return err
		}
		l.Theirs = theirs
		return <-written
	})
}

// HandshakeIn does the handshake on a stream that was dialled by the peer. As soon as the info-hash is read, known is
// called with the handshake so far (without peer id) and says what to answer; false means that we do not have that
// torrent. The answer is sent without waiting for the peer id, since some that check our port never send it. Time limit
// and errors as for HandshakeOut, besides ErrUnknownInfoHash.
func HandshakeIn(ctx context.Context, nc net.Conn, known func(theirs wire.Handshake) (Answer, bool)) (*Link, error) {
	return shake(ctx, nc, func(l *Link) error {
		theirs, err := wire.ReadHandshakeHash(l.dec)
		if err != nil {
			return err
		}
		answer, ok := known(theirs)
		if !ok {
			return ErrUnknownInfoHash
		}
		ours := answer.Handshake
		buf := make([]byte, 0, wire.HandshakeLen+len(answer.Extra))
		if _, err := nc.Write(append(ours.Append(buf), answer.Extra...)); err != nil {
			return err
		}
		if theirs.PeerID, err = wire.ReadPeerID(l.dec); err != nil {
			return err
		}
		if theirs.PeerID == ours.PeerID {
			return ErrSelf
		}
		l.Theirs = theirs
		return nil
	})
}

// shake runs do on a new link under the time limit and the context, and closes nc if it fails.
func shake(ctx context.Context, nc net.Conn, do func(*Link) error) (*Link, error) {
	fail := func(err error) (*Link, error) {
		nc.Close()
		return nil, fmt.Errorf("peer: handshake with %v: %w", nc.RemoteAddr(), err)
	}
	deadline := time.Now().Add(HandshakeTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := nc.SetDeadline(deadline); err != nil {
		return fail(err)
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	l := newLink(nc)
	err := do(l)
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fail(err)
	}
	if err := nc.SetDeadline(time.Time{}); err != nil {
		return fail(err)
	}
	return l, nil
}
