package mse

import (
	"context"
	"fmt"
	"iter"
	"net"
	"time"

	"github.com/anacrolix/torrent/mse"
)

// Timeout is how long the peer may take to open a connection; that of libtorrent.
const Timeout = 10 * time.Second

// plainPrefix is what a connection that is not encrypted starts with (BEP 3).
const plainPrefix = "\x13BitTorrent protocol"

// Accept finds out what a peer that dialled us speaks and does its part of the
// handshake if that is MSE. keys are the info-hashes of the torrents that we have:
// the one that the peer means is the Key of the Conn. Bytes that belong to the
// peers' own protocol are not touched: the Conn returns them all.
//
// It takes at most Timeout, or less by ctx. On an error nc is closed; the error
// wraps ErrMalformed, ErrUnknownKey, ErrPlain, ErrMethod, that of ctx, or is the
// error of the stream. On success nc has no deadline and must not be used any
// more.
func Accept(ctx context.Context, nc net.Conn, p Policy, keys iter.Seq[[20]byte]) (*Conn, error) {
	deadline := time.Now().Add(Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = nc.SetDeadline(deadline) // fails on a closed stream, like all that follows
	c := newConn(nc, maxOpening)
	stop := context.AfterFunc(ctx, func() { c.close(ctx.Err()) })
	err := c.accept(p, keys)
	if !stop() && err == nil {
		err = ctx.Err() // too late: the stream is closed, or about to be
	}
	if err != nil {
		c.close(err)
		return nil, fmt.Errorf("mse: connection from %v: %w", nc.RemoteAddr(), err)
	}
	_ = nc.SetDeadline(time.Time{})
	return c, nil
}

func (c *Conn) accept(p Policy, keys iter.Seq[[20]byte]) error {
	head, err := c.peek(len(plainPrefix))
	switch {
	case err != nil:
		return err
	case string(head) != plainPrefix:
		return c.answer(p, keys)
	case p == Require:
		return ErrPlain
	}
	c.established(c.stream, None)
	return nil
}

// answer does the handshake of the side that was dialled.
func (c *Conn) answer(p Policy, keys iter.Seq[[20]byte]) error {
	// Garbage shall not cost us an exponentiation.
	if err := c.checkKey(); err != nil {
		return err
	}
	choose := func(offered mse.CryptoMethod) mse.CryptoMethod {
		m := p.choose(offered)
		if m == 0 { // the library would answer that it chose nothing
			c.close(ErrMethod)
		}
		return m
	}
	each := func(try func([]byte) bool) {
		for key := range keys {
			if !try(key[:]) { // it is this one
				c.key = key
				return
			}
		}
	}
	// The context of the library would leave goroutines behind; closing the stream
	// ends them all.
	rw, method, err := mse.ReceiveHandshake(context.Background(), c.stream, each, choose)
	if err := c.outcome(err); err != nil {
		return err
	}
	c.established(rw, methodOf(method))
	return nil
}
