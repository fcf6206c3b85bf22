package swarm

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"magnetfs/swarm/metainfo"
)

// transport is what carries a connection to a peer.
type transport uint8

const (
	overUnknown transport = iota
	overTCP
	overUTP
)

// String returns tcp, utp, or nothing.
func (v transport) String() string {
	return [...]string{"", "tcp", "utp"}[v]
}

// transportOf tells what carries a stream.
func transportOf(nc net.Conn) transport {
	if nc.RemoteAddr().Network() == "utp" {
		return overUTP
	}
	return overTCP
}

const (
	// utpAfter is how long TCP may take to connect before uTP is tried beside it
	// (RFC 8305 has 250 ms for the next address). TCP is what transfers are better
	// over, as it does not give way to other traffic; so it goes first.
	utpAfter = 250 * time.Millisecond
	// utpAfterHint is the same for peers that are said to speak uTP (guess).
	utpAfterHint = 100 * time.Millisecond
	// utpTimeout lets three tries be answered. A peer that has refused TCP is not
	// worth more.
	utpTimeout = 4 * time.Second
)

// target is whom to dial, and what is known of how.
type target struct {
	addr netip.AddrPort
	way  way
	via  transport         // what worked last
	utp  bool              // somebody said that it speaks uTP
	hash metainfo.InfoHash // by which it knows the torrent; zero if that is not known
	// only is the one transport to use; overUnknown for any. A hole is punched
	// (BEP 55) with overUTP.
	only transport
}

// reached is a stream to a peer on which nothing has been said.
type reached struct {
	nc        net.Conn
	via       transport
	roundTrip time.Duration // that connecting took
	err       error
}

// plan is what to try, one after the other.
func (to target) plan(utp bool) []transport {
	switch {
	case !utp:
		return []transport{overTCP}
	case to.only != overUnknown:
		return []transport{to.only}
	case to.via == overTCP:
		return []transport{overUnknown}
	case to.via == overUTP: // by TCP it did not answer, or hung up
		return []transport{overUTP, overTCP}
	}
	return []transport{overUnknown, overUTP}
}

// connect dials a peer. If it fails, next is the way to begin with next time;
// wayUnknown if it did not come out. by is what it was reached by at last.
func (t *Torrent) connect(to target) (next way, by transport, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, dialTimeout)
	defer cancel()
	if err := t.session.halfOpen.Acquire(ctx, 1); err != nil {
		return wayUnknown, overUnknown, err
	}
	defer t.session.halfOpen.Release(1)
	hashes := t.hashes(to.hash)
	plan := to.plan(t.session.utpFor(to.addr.Addr()) != nil && t.session.fault("udp") == nil)
	for range hashes {
		by, next, err = t.connectPlanned(ctx, to, plan, hashes)
		if err == nil || by == overUnknown || next != wayUnknown || judgeHandshake(err) != tryOther {
			break
		}
		// It may know a hybrid torrent by the other hash only.
		slices.Reverse(hashes)
	}
	return next, by, err
}

// connectPlanned dials a peer by what is planned, as long as it hangs up during the
// handshake. Results are those of connectBy.
func (t *Torrent) connectPlanned(ctx context.Context, to target, plan []transport, hashes [][20]byte) (used transport, next way, err error) {
	reachable := to.via == overUTP
	for _, to.only = range plan {
		used, next, err = t.connectBy(ctx, to, hashes)
		if err == nil || next != wayUnknown || judgeHandshake(err) == tellsNothing {
			break
		}
		// Some listen on TCP and hang up, since they want uTP only (libtorrent).
		if used != overTCP && !reachable {
			break
		}
	}
	return used, next, err
}

// connectBy dials a peer in one way after the other, as long as it hangs up during
// the handshake. used is what it was reached by, overUnknown if it was not.
func (t *Torrent) connectBy(ctx context.Context, to target, hashes [][20]byte) (used transport, next way, err error) {
	order := ways(t.session.encryption, to.way)
	for i, w := range order {
		got, dialErr := t.reach(ctx, to)
		if dialErr != nil {
			return used, wayUnknown, dialErr
		}
		link, method, shakeErr := t.shake(ctx, got.nc, w, hashes)
		if shakeErr == nil {
			t.offer(link, evConnected{addr: to.addr, outgoing: true, roundTrip: got.roundTrip, method: method, via: got.via})
			return got.via, wayUnknown, nil
		}
		to.only, used, err = got.via, got.via, shakeErr
		switch judgeHandshake(err) {
		case tellsNothing:
			return used, wayUnknown, err
		case otherNext:
			return used, order[(i+1)%len(order)], err
		}
	}
	return used, wayUnknown, err
}

// reach connects by TCP, and by uTP as well when TCP has failed or has not answered
// for a while. The first that answers is taken, the other one is dropped: nobody
// has said anything on it.
func (t *Torrent) reach(ctx context.Context, to target) (reached, error) {
	if to.only != overUnknown {
		l := t.try(ctx, to.addr, to.only)
		return l, l.err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan reached, 2)
	var taken atomic.Bool
	start := func(v transport) {
		t.wg.Go(func() {
			l := t.try(ctx, to.addr, v)
			if l.err == nil && !taken.CompareAndSwap(false, true) {
				l.nc.Close()
				return
			}
			results <- l
		})
	}
	start(overTCP)
	timer := time.NewTimer(to.patience())
	defer timer.Stop()
	var errs []error
	for running, second := 1, false; ; {
		select {
		case l := <-results:
			if l.err == nil {
				return l, nil
			}
			errs = append(errs, l.err)
			running--
		case <-timer.C:
		}
		if !second && ctx.Err() == nil {
			second = true
			running++
			start(overUTP)
		}
		if running == 0 {
			return reached{}, errors.Join(errs...)
		}
	}
}

// patience is how long TCP is waited for alone.
func (to target) patience() time.Duration {
	if to.utp {
		return utpAfterHint
	}
	return utpAfter
}

// try connects by one transport.
func (t *Torrent) try(ctx context.Context, addr netip.AddrPort, v transport) reached {
	l := reached{via: v}
	began := time.Now()
	if v == overUTP {
		ctx, cancel := context.WithTimeout(ctx, utpTimeout)
		defer cancel()
		l.nc, l.err = t.session.utpFor(addr.Addr()).Dial(ctx, addr)
	} else {
		l.nc, l.err = t.session.network.Dial(ctx, "tcp", addr.String())
	}
	l.roundTrip = time.Since(began)
	return l
}
