package fetch

import (
	"errors"
	"time"

	"magnetfs/swarm"
)

const (
	defaultNoPeers  = 60 * time.Second
	defaultNoBlocks = 300 * time.Second
	// stalledWait is how long a read waits in a torrent that is known to have
	// no source.
	stalledWait = 5 * time.Second
)

// patience holds the two clocks of one blocked read. It is pure: check is called
// about once a second with what the swarm says.
type patience struct {
	noPeers, noBlocks time.Duration // negative: for ever
	start             time.Time     // of the read
	deliverable       time.Time     // when a connected peer could last deliver the piece
}

// verdict says why a read should end.
type verdict uint8

const (
	waitOn verdict = iota
	noPeers
	noBlocks
)

func (v verdict) String() string {
	switch v {
	case noPeers:
		return "no connected peer can deliver it"
	case noBlocks:
		return "peers are connected but sent nothing new"
	}
	return "wait"
}

// check decides whether the read waits on. stalled is how the torrent's last read
// failed, if no source has appeared since.
func (p *patience) check(now time.Time, s swarm.Supply, stalled verdict) verdict {
	if s.Peers > 0 {
		p.deliverable = now
	}
	if stalled != waitOn && now.Sub(p.start) >= stalledWait {
		return stalled
	}
	if p.noPeers >= 0 && now.Sub(p.deliverable) >= p.noPeers {
		return noPeers
	}
	block := p.start
	if s.LastBlock.After(block) {
		block = s.LastBlock
	}
	// Without peers the other clock decides: peers must have been there.
	if p.noBlocks >= 0 && s.Peers > 0 && now.Sub(block) >= p.noBlocks {
		return noBlocks
	}
	return waitOn
}

// stall is the state of a torrent after a read timed out.
type stall struct {
	why   verdict // waitOn: not stalled
	at    time.Time
	peers int // that could deliver, when it began
	piece int // that was not delivered
}

// over tells whether a source appeared: a new block, or more peers that can
// deliver than when it began.
func (s stall) over(now swarm.Supply) bool {
	return now.LastBlock.After(s.at) || now.Peers > s.peers
}

func isTimeout(err error) bool { return errors.Is(err, ErrTimeout) }
