package swarm

import (
	"context"
	"errors"
	"net"
	"os"

	"magnetfs/swarm/mse"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/tracker"
)

// way is how the first bytes to a peer that we dial look.
type way uint8

const (
	wayUnknown way = iota // as the policy has it
	wayPlain
	wayMSE
)

// wayOf is the way in which a connection was made.
func wayOf(m mse.Method) way {
	if m == mse.None {
		return wayPlain
	}
	return wayMSE
}

// ways returns the ways to try, the first one first. known is what worked last
// time, or what somebody said of the peer.
func ways(p mse.Policy, known way) []way {
	switch {
	case p == mse.Require:
		return []way{wayMSE}
	case known == wayMSE, known == wayUnknown && p == mse.Prefer:
		return []way{wayMSE, wayPlain}
	}
	return []way{wayPlain, wayMSE}
}

// outcome is what a failed handshake says about the way in which it was tried.
type outcome uint8

const (
	tellsNothing outcome = iota // they understood us, or it was ourselves who broke off
	tryOther                    // they hung up, or answered something else: the other way, at once
	otherNext                   // they were silent and our time is up: the other way, next time
)

// judgeHandshake says what err, with which a handshake failed, means.
func judgeHandshake(err error) outcome {
	switch {
	case errors.Is(err, peer.ErrSelf), errors.Is(err, peer.ErrInfoHash), errors.Is(err, context.Canceled):
		return tellsNothing
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return otherNext
	}
	return tryOther
}

// shake does the handshakes with a peer that we dialled, by the first of the
// torrent's hashes; an answer may have another one.
func (t *Torrent) shake(ctx context.Context, nc net.Conn, w way, hashes [][20]byte) (*peer.Link, mse.Method, error) {
	ours := t.handshake(hashes[0])
	if w == wayPlain {
		link, err := peer.HandshakeOut(ctx, nc, ours, nil, hashes[1:]...)
		return link, mse.None, err
	}
	c := mse.Client(nc, ours.InfoHash, t.session.encryption)
	link, err := peer.HandshakeOut(ctx, c, ours, nil, hashes[1:]...)
	return link, c.Method(), err
}

// trackerCrypto is what trackers are told about us.
func trackerCrypto(p mse.Policy) tracker.Crypto {
	if p == mse.Require {
		return tracker.CryptoRequired
	}
	return tracker.CryptoSupported
}
