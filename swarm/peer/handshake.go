package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
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

// maxInline is how many bytes leave together with our handshake; what goes beyond is written by the Conn. Two sides that
// wait in Write for each other to read would otherwise stop each other, once the network between them is full. With the
// handshake it fits into the buffer that the other side reads into, so that it holds even on a net.Pipe.
const maxInline = 2 << 10

// Answer is what a responder says: its handshake, and messages to send right behind it.
type Answer struct {
	Handshake wire.Handshake // its InfoHash is replaced by the one asked for, as a hybrid torrent has two
	Extra     []byte         // encoded messages; may be nil
}

// HandshakeOut does the handshake on a stream that we dialled. extra is sent right behind our handshake in the same
// write: encoded messages, such as the extension handshake, that so need no round trip of their own. It may be nil; what
// is over 2 KiB waits until the Conn runs. The whole exchange has HandshakeTimeout, or less by ctx. also are other
// info-hashes of the same torrent, by which the peer may answer (BEP 52, upgrade of a hybrid torrent).
//
// On an error nc is closed. The error wraps ErrInfoHash, ErrSelf, wire.ErrMalformed (it is no peer, or one that wants
// encryption; mostly those just close: io.EOF), that of ctx, or is the error of the stream.
func HandshakeOut(ctx context.Context, nc net.Conn, ours wire.Handshake, extra []byte, also ...[20]byte) (*Link, error) {
	return shake(ctx, nc, func(l *Link) error {
		if err := l.sendHandshake(ours, extra); err != nil {
			return err
		}
		theirs, err := wire.ReadHandshake(l.dec)
		if err != nil {
			return err
		}
		if slices.Contains(also, theirs.InfoHash) {
			ours.InfoHash = theirs.InfoHash
		}
		return l.accept(ours, theirs)
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
		ours.InfoHash = theirs.InfoHash
		if err := l.sendHandshake(ours, answer.Extra); err != nil {
			return err
		}
		if theirs.PeerID, err = wire.ReadPeerID(l.dec); err != nil {
			return err
		}
		return l.accept(ours, theirs)
	})
}

// sendHandshake writes our handshake and as much of extra as goes along with it.
func (l *Link) sendHandshake(ours wire.Handshake, extra []byte) error {
	inline := min(len(extra), maxInline)
	buf := ours.Append(make([]byte, 0, wire.HandshakeLen+inline))
	if _, err := l.nc.Write(append(buf, extra[:inline]...)); err != nil {
		return err
	}
	l.unsent = bytes.Clone(extra[inline:])
	return nil
}

// accept judges the handshake of the peer.
func (l *Link) accept(ours, theirs wire.Handshake) error {
	switch {
	case theirs.InfoHash != ours.InfoHash:
		return ErrInfoHash
	case theirs.PeerID == ours.PeerID:
		return ErrSelf
	}
	l.Theirs = theirs
	return nil
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
	_ = nc.SetDeadline(deadline) // fails on a closed stream, like all that follows
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	l := newLink(nc)
	err := do(l)
	if !stop() && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fail(err)
	}
	_ = nc.SetDeadline(time.Time{})
	return l, nil
}
