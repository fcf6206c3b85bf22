package swarm

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"magnetfs/swarm/blocklist"
)

var errBlocked = errors.New("on the block list")

// SetBlocked replaces the list of addresses that are no peers and no DHT nodes; nil
// for none. Who is connected and on it is left.
func (s *Session) SetBlocked(l *blocklist.List) {
	s.blockList.Store(l)
	s.mu.Lock()
	torrents := slices.Collect(maps.Values(s.torrents))
	s.mu.Unlock()
	for _, t := range torrents {
		t.post(event{msg: evBlocked{}})
	}
}

// Refused returns how many were turned away that dialled us, since they are on the
// block list.
func (s *Session) Refused() int64 { return s.refused.Load() }

// blocks tells whether a is on the block list.
func (s *Session) blocks(a netip.Addr) bool { return s.blockList.Load().Blocks(a) }

// blocksConn tells whether somebody who dialled us is on it, and counts them.
func (s *Session) blocksConn(nc net.Conn) bool {
	a, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil || !s.blocks(a.Addr()) {
		return false
	}
	s.refused.Add(1)
	return true
}

func (t *Torrent) blocks(a netip.Addr) bool { return t.session.blocks(a) }

// dropBlocked leaves those who are on the block list.
func (l *loop) dropBlocked(now time.Time) {
	for _, r := range l.peers {
		if l.do.blocks(r.addr.Addr()) {
			r.conn.Close(errBlocked)
		}
	}
	for a, d := range l.cands.list {
		if !d.busy && l.do.blocks(a.Addr()) {
			l.cands.remove(a)
		}
	}
}
