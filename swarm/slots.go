package swarm

import (
	"net/netip"
	"sync"
	"time"

	"magnetfs/swarm/wire"
)

// A peer serves as many others at a time as it has slots, and each of our torrents
// that it unchokes takes one, whether something is read of it or not. So a torrent
// holds on to its slots for a while only, since between two reads or two episodes it
// should not have to ask for them anew; and it gives them back at once when a read of
// another torrent waits at the same peer.
//
//	reads       ####  ##  ###
//	a handle    -------------          ------------------ …   paused
//	interested  #########################           ###### 60 s …
//	                         └ coolFor ┘

// coolFor is how long we stay interested when nothing is wanted any more and nobody
// has a file open. transmission looks at its slots every 10 s, so whoever gives one
// back waits as long for the next, and looks at photos need it. Guess.
const coolFor = 10 * time.Second

// claim is what a peer's slot is to a torrent.
type claim byte

const (
	noClaim claim = iota
	spare         // it holds on to it, or would, though nobody reads
	needed        // a read waits and the peer chokes us
)

// setInterest tells the peer whether we want something from it. Before the info
// is known we are interested in everybody: the unchoke then comes while the
// metadata is on its way.
func (l *loop) setInterest(r *remote, now time.Time) {
	want := l.wantPeers(now) && (l.picker == nil || l.picker.HasMissing(r.id))
	c := noClaim
	switch {
	case !want:
	case l.info == nil || len(l.readers) == 0:
		c = spare
	case r.peerChoking && len(l.since) > 0:
		c = needed
	}
	rival := l.claim(r, c)
	if c == spare {
		idle := now.Sub(l.lastWant)
		switch {
		case r.yielded, rival && (len(l.open) == 0 || idle >= coolFor):
			want, r.yielded = false, true
		case l.info != nil && len(l.open) == 0 && idle >= coolFor:
			want = false
		}
	}
	if want == r.amInterested {
		return
	}
	r.amInterested = want
	id := wire.NotInterested
	if want {
		id = wire.Interested
	}
	l.send(r, wire.Message{ID: id})
}

// claim tells the session what the peer's slot is to us, if that changed, and says
// whether another torrent waits for it, if ours is spare.
func (l *loop) claim(r *remote, c claim) (rival bool) {
	addr := r.addr
	if r.listen.IsValid() {
		addr = r.listen
	}
	if addr != r.claimedAt && r.claimed != noClaim {
		l.do.claim(r.claimedAt, noClaim)
		r.claimed = noClaim
	}
	if c == r.claimed && c != spare {
		return false
	}
	r.claimed, r.claimedAt = c, addr
	return l.do.claim(addr, c)
}

// slots are the claims of a session's torrents, by peer.
type slots struct {
	mu     sync.Mutex // leaf; guards claims
	claims map[netip.AddrPort]map[*Torrent]claim
}

// set notes what a peer's slot is to a torrent, and says whether another one needs
// it. If t does, those that can spare it are told; one that is too busy to hear it
// finds out when it looks next, within a second.
func (s *slots) set(addr netip.AddrPort, t *Torrent, c claim) (rival bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.claims[addr]
	if c == noClaim {
		delete(at, t)
		if len(at) == 0 {
			delete(s.claims, addr)
		}
		return false
	}
	if at == nil {
		if s.claims == nil {
			s.claims = map[netip.AddrPort]map[*Torrent]claim{}
		}
		at = map[*Torrent]claim{}
		s.claims[addr] = at
	}
	at[t] = c
	for other, theirs := range at {
		switch {
		case other == t:
		case c == spare && theirs == needed:
			return true
		case c == needed && theirs == spare:
			select {
			case other.inbox <- event{msg: evRival{}}:
			default:
			}
		}
	}
	return false
}

// leave forgets a torrent.
func (s *slots) leave(t *Torrent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for addr, at := range s.claims {
		if delete(at, t); len(at) == 0 {
			delete(s.claims, addr)
		}
	}
}

func (t *Torrent) claim(addr netip.AddrPort, c claim) bool { return t.session.slots.set(addr, t, c) }
