package table

import (
	"net/netip"
	"time"

	"magnetfs/swarm/dht/krpc"
)

// Node is an entry of the table.
type Node struct {
	krpc.NodeInfo
	Since     time.Time     // entered the table
	Replied   time.Time     // last valid answer to a query of ours
	Queried   time.Time     // last query it sent us; zero if none
	Tried     time.Time     // last query of ours that it left unanswered; zero if none since Replied
	RTT       time.Duration // of the last answer
	Fails     int           // unanswered queries since Replied
	Compliant bool          // its ID fits its address (BEP 42)
	Router    bool          // a bootstrap node: kept only while there are few others

	asked time.Time // last query of ours, answered or not
}

// GoodFor is how long an answer or a query keeps a node good (BEP 5).
const GoodFor = 15 * time.Minute

// maxFails unanswered queries in a row drop a node even if nobody can replace
// it (jech/dht: 3 pings).
const maxFails = 3

// Good tells whether n is known to be alive (BEP 5, "Routing Table").
func (n *Node) Good(now time.Time) bool {
	return n.Fails == 0 && now.Sub(n.heard()) < GoodFor
}

// heard is when we last had proof that the node lives.
func (n *Node) heard() time.Time {
	if n.Queried.After(n.Replied) {
		return n.Queried
	}
	return n.Replied
}

// due is when the node has to be checked: once it turns questionable, or, being
// suspect, a while after the query that failed, the longer the more did.
func (n *Node) due() time.Time {
	at := n.heard().Add(GoodFor)
	if n.Fails > 0 {
		at = n.Tried.Add(time.Duration(n.Fails) * SuspectPause)
	}
	if soonest := n.asked.Add(SuspectPause); at.Before(soonest) {
		return soonest
	}
	return at
}

// SuspectPause is the time between checks of a suspect node: long enough for a
// short loss of the network to end (guess).
const SuspectPause = 15 * time.Second

// subnet is the network that a node stands for in a bucket: its /24, or /64 for
// IPv6.
func subnet(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
