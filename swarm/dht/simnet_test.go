package dht

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/table"
)

// world is a DHT on a simulated network, inside a synctest bubble.
type world struct {
	t     *testing.T
	net   *simnet.Net
	rng   *rand.Rand
	nodes []*simNode
	used  map[netip.Addr]bool
	boot  []string // bootstrap hosts
}

type simNode struct {
	*Server
	host *simnet.Host
	conn net.PacketConn
	addr netip.AddrPort
	id   krpc.ID
	gone bool
}

const simPort = 6881

// simLink makes a round trip between any two hosts take 40 ms.
var simLink = simnet.Link{Delay: 10 * time.Millisecond}

func newWorld(t *testing.T, seed uint64) *world {
	t.Logf("seed %d", seed)
	return &world{
		t:    t,
		net:  simnet.New(int64(seed)),
		rng:  rand.New(rand.NewPCG(seed, 0)),
		used: make(map[netip.Addr]bool),
	}
}

// newAddr returns an address in the Internet that no other host has.
func (w *world) newAddr() netip.Addr {
	for {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], w.rng.Uint32())
		a := netip.AddrFrom4(b)
		if b[0] == 0 || b[0] >= 224 || isLocal(a) || b[3] == 0 || b[3] == 255 || w.used[a] {
			continue
		}
		w.used[a] = true
		return a
	}
}

// host makes a host for a node.
func (w *world) host() *simNode {
	a := w.newAddr()
	return &simNode{host: w.net.Host(simLink, a), addr: netip.AddrPortFrom(a, simPort)}
}

// add starts one more node. change may alter its configuration.
func (w *world) add(change func(*Config)) *simNode {
	n := w.host()
	n.start(w, change)
	w.nodes = append(w.nodes, n)
	return n
}

func (n *simNode) listen(w *world) {
	var err error
	if n.conn, err = n.host.ListenPacket(context.Background(), "udp", n.addr.String()); err != nil {
		w.t.Fatal(err)
	}
}

func (n *simNode) start(w *world, change func(*Config)) {
	n.listen(w)
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], w.rng.Uint64())
	cfg := Config{Conn: n.conn, External: n.addr.Addr(), Bootstrap: w.boot, Seed: &seed}
	if change != nil {
		change(&cfg)
	}
	var err error
	if n.Server, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	n.id = n.Stats().ID
}

// vanish takes a node out of the network without a word.
func (n *simNode) vanish() {
	n.gone = true
	n.host.Down()
	n.Close()
}

func (w *world) close() {
	for _, n := range w.nodes {
		if n.Server != nil {
			n.Close()
		}
	}
	w.net.Close()
}

// grow starts nodes, pause apart, until there are n. The first five are the
// bootstrap hosts of all later ones.
func (w *world) grow(n int, pause time.Duration) {
	for len(w.nodes) < n {
		node := w.add(nil)
		if len(w.boot) < 5 {
			w.boot = append(w.boot, node.addr.String())
		}
		time.Sleep(pause)
	}
}

// warm starts n nodes whose tables are as full as they get in the long run: a
// random choice of all nodes in each bucket, heard of at random times of the
// last quarter of an hour. It costs no traffic.
func (w *world) warm(n int) {
	for range n {
		w.add(nil)
	}
	for i := range 5 {
		w.boot = append(w.boot, w.nodes[i].addr.String())
	}
	w.fillTables()
}

// fillTables fills the tables of the servers with nodes of the world, hostile
// ones included.
func (w *world) fillTables() {
	byID := slices.Clone(w.nodes)
	slices.SortFunc(byID, func(a, b *simNode) int { return krpc.ID{}.Compare(a.id, b.id) })
	now := time.Now()
	for _, n := range w.nodes {
		if n.Server == nil {
			continue
		}
		var contacts []*simNode
		for i := range krpc.IDBits {
			members := sharing(byID, n.id, i)
			if len(members) == 0 && i > 30 {
				break
			}
			// A few more than fit, since some are too close to others.
			for _, j := range w.rng.Perm(len(members))[:min(len(members), 140>>min(i, 4))] {
				contacts = append(contacts, members[j])
			}
		}
		ago := make([]time.Duration, len(contacts))
		for i := range ago {
			ago[i] = time.Duration(w.rng.Int64N(int64(table.GoodFor)))
		}
		_ = n.call(context.Background(), func(time.Time) {
			for i, c := range contacts {
				n.core.table.Replied(krpc.NodeInfo{ID: c.id, Addr: c.addr}, 40*time.Millisecond, false, now.Add(-ago[i]))
			}
			for i := range 30 {
				n.core.table.Refreshed(i, now.Add(-ago[0]))
			}
			n.core.upkeep.at = now
		})
	}
}

// sharing returns the part of byID, sorted, that shares exactly n leading bits
// with id.
func sharing(byID []*simNode, id krpc.ID, n int) []*simNode {
	low := id
	low[n/8] ^= 0x80 >> (n % 8)
	high := low
	for i := range low {
		mask := byte(0)
		switch {
		case i == n/8:
			mask = byte(0x7f) >> (n % 8)
		case i > n/8:
			mask = 0xff
		}
		low[i] &^= mask
		high[i] |= mask
	}
	find := func(id krpc.ID) (int, bool) {
		return slices.BinarySearchFunc(byID, id, func(a *simNode, id krpc.ID) int { return krpc.ID{}.Compare(a.id, id) })
	}
	from, _ := find(low)
	to, found := find(high)
	if found {
		to++
	}
	return byID[from:to]
}

// some returns n different nodes that run a server.
func (w *world) some(n int) (list []*simNode) {
	for _, i := range w.rng.Perm(len(w.nodes)) {
		if node := w.nodes[i]; len(list) < n && node.Server != nil && !node.gone {
			list = append(list, node)
		}
	}
	return list
}
