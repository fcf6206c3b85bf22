package dht

import (
	"net/netip"
	"time"
)

// votes finds our external address from what other nodes say (BEP 42, "ip";
// the rules are libtorrent's, ip_voter.cpp): one vote per address of a voter;
// decided at 25 votes, but within five minutes of the last decision only at 50;
// the winner needs more than 1.5 times the votes of the next. Then the tally
// starts again.
type votes struct {
	current netip.Addr
	decided time.Time
	voters  map[netip.Addr]bool
	tally   map[netip.Addr]int
}

const (
	votesNeeded  = 25
	votesAtOnce  = 50
	votesPause   = 5 * time.Minute
	votesLimit   = 200 // after which an undecided tally starts again
	votesOptions = 50  // different addresses counted
)

// add counts that voter sees us as addr. It returns true when that changed the
// current address.
func (v *votes) add(addr, voter netip.Addr, now time.Time) bool {
	if v.voters == nil || len(v.voters) >= votesLimit {
		v.voters, v.tally = make(map[netip.Addr]bool), make(map[netip.Addr]int)
	}
	if isPrivate(addr) || addr.IsUnspecified() || addr.IsMulticast() || v.voters[voter] {
		return false
	}
	if v.tally[addr] == 0 && len(v.tally) >= votesOptions {
		return false
	}
	v.voters[voter] = true
	v.tally[addr]++
	total := len(v.voters)
	if total < votesNeeded || total < votesAtOnce && !v.decided.IsZero() && now.Sub(v.decided) < votesPause {
		return false
	}
	var best netip.Addr
	first, second := 0, 0
	for a, n := range v.tally {
		switch {
		case n > first:
			best, first, second = a, n, first
		case n > second:
			second = n
		}
	}
	if 2*first <= 3*second {
		return false
	}
	changed := best != v.current
	v.current, v.decided = best, now
	v.voters, v.tally = nil, nil
	return changed
}
