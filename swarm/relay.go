package swarm

import (
	"errors"
	"net/netip"
	"time"
)

// A relay tells the other peer the address that our connection comes from
// (libtorrent): over TCP that is a port at which we do not listen, over uTP it is
// the hole. Likewise nobody can be introduced to us but by relays that we have a
// uTP connection with. As we prefer TCP, some peer has to be connected to anew.

const (
	// switchQuiet is how long a peer must have sent no block, and switchYoung how long
	// it must have been connected, to be connected to anew as a relay. Guesses.
	switchQuiet = 10 * time.Second
	switchYoung = time.Second
	// relayEvery is how often it is seen to that there is a relay, and how long a peer
	// must have been connected to become one without need. Guesses.
	relayEvery = 20 * time.Second
	relayAge   = time.Minute
)

// errSwitch ends a connection by TCP with a relay.
var errSwitch = errors.New("to be connected by uTP")

// switchable says whether the peer may be connected to anew, by uTP: nothing is
// being transferred, and that was not done before.
func (l *loop) switchable(now time.Time, r *remote) bool {
	d := l.cands.list[r.listen]
	return r.outgoing && r.via == overTCP && !r.leaving && punchable(r) && d != nil && !d.switched &&
		now.Sub(r.lastBlock) > switchQuiet && now.Sub(r.since) > switchYoung && (r.amChoking || !r.peerInterested)
}

// switchToUTP ends the connection with r so that it is dialled by uTP, and asked for
// introductions to the wanted then.
func (l *loop) switchToUTP(r *remote, wanted ...netip.AddrPort) {
	d := l.cands.list[r.listen]
	d.switched, d.via = true, overUTP
	if l.switching == nil {
		l.switching = map[netip.AddrPort][]netip.AddrPort{}
	}
	l.switching[r.listen] = wanted
	r.leaving = true
	r.conn.Close(errSwitch)
}

// switchOver dials a relay whose connection by TCP has ended.
func (l *loop) switchOver(now time.Time, addr netip.AddrPort) {
	if _, ok := l.switching[addr]; !ok {
		return
	}
	d := l.cands.list[addr]
	if d == nil || d.busy {
		delete(l.switching, addr)
		return
	}
	d.failures = 0
	l.dial(now, d, overUnknown)
}

// askSwitched asks a relay what it was connected to anew for.
func (l *loop) askSwitched(now time.Time, r *remote) {
	wanted, ok := l.switching[r.listen]
	if !ok {
		return
	}
	delete(l.switching, r.listen)
	for _, addr := range wanted {
		if punchable(r) && l.wantPeers(now) {
			l.askRelay(r, addr)
		}
	}
}

// keepRelay sees to it that others can be introduced to us, if we seem to be behind
// a NAT: that one peer is connected to by uTP. It does not disturb reads that wait.
func (l *loop) keepRelay(now time.Time) {
	if !l.punch || l.private() || len(l.since) > 0 || now.Sub(l.relayLook) < relayEvery || l.do.reachable() {
		return
	}
	l.relayLook = now
	var idle *remote
	for _, r := range l.peers {
		if r.via == overUTP && punchable(r) {
			return
		}
		if !isLocal(r.addr.Addr()) && now.Sub(r.since) > relayAge && l.switchable(now, r) {
			idle = r
		}
	}
	if idle != nil {
		l.switchToUTP(idle)
	}
}
