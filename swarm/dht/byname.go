package dht

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/endpoint"
)

// pingAgain is how long a ping of a name waits for its answer before it is sent once
// more.
const pingAgain = 1500 * time.Millisecond

// namedTID is the length of the transaction IDs of such pings. Those of the core are
// shorter, so they are never taken for one another.
const namedTID = 8

// byName finds nodes by their names where these are left to a proxy: the answer to a
// ping comes from the address. The zero value is ready.
type byName struct {
	mu      sync.Mutex // leaf
	waiting map[string]chan netip.AddrPort
}

// nodeName is a net.Addr that is a name.
type nodeName string

func (nodeName) Network() string  { return "udp" }
func (n nodeName) String() string { return string(n) }

// ping asks until ctx ends.
func (n *byName) ping(ctx context.Context, conn net.PacketConn, hostPort string) (netip.AddrPort, error) {
	var random [namedTID + 20]byte
	rand.Read(random[:]) // never fails
	q := krpc.Message{Kind: krpc.Query, T: random[:namedTID], Method: krpc.Ping, RO: true}
	copy(q.ID[:], random[namedTID:])
	b := q.Append(nil)
	answer := make(chan netip.AddrPort, 1)
	n.mu.Lock()
	if n.waiting == nil {
		n.waiting = map[string]chan netip.AddrPort{}
	}
	n.waiting[string(q.T)] = answer
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiting, string(q.T))
	}()
	again := time.NewTicker(pingAgain)
	defer again.Stop()
	for {
		if _, err := conn.WriteTo(b, nodeName(hostPort)); err != nil {
			return netip.AddrPort{}, err
		}
		select {
		case a := <-answer:
			return a, nil
		case <-ctx.Done():
			return netip.AddrPort{}, fmt.Errorf("dht: ping %s: %w", hostPort, ctx.Err())
		case <-again.C:
		}
	}
}

// answers takes the answer to such a ping.
func (n *byName) answers(b []byte, from netip.AddrPort) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		return false
	}
	m, err := krpc.Decode(b)
	if err != nil {
		return false
	}
	answer := n.waiting[string(m.T)]
	if answer == nil {
		return false
	}
	select {
	case answer <- endpoint.Unmap4(from):
	default:
	}
	return true
}
