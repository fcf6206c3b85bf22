package swarmtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"

	"magnetfs/swarm/endpoint"
)

// dhtK is the size of a bucket and of an answer (BEP 5).
const dhtK = 8

// DHT is a set of honest DHT nodes (BEP 5) that need no bootstrap: each knows up
// to eight others at each distance, as after a long time on the net, so a lookup
// takes the usual number of steps. They answer queries and never ask any. All
// methods are safe for concurrent use.
type DHT struct {
	rnd *rand.Rand
	wg  sync.WaitGroup

	mu     sync.Mutex // guards all below and the nodes
	closed bool
	nodes  []*DHTNode
}

// DHTNode is one node of a DHT.
type DHTNode struct {
	ID   [20]byte
	Addr netip.AddrPort

	dht     *DHT
	conn    net.PacketConn
	known   []*DHTNode // nil = to be worked out
	stored  map[[20]byte][]netip.AddrPort
	queries map[string]int
	mute    bool
}

// NewDHT returns a DHT without nodes. The seed decides the ids.
func NewDHT(seed uint64) *DHT { return &DHT{rnd: rand.New(rand.NewPCG(seed, 0))} }

// Add starts a node on nw. bind is where it listens; addr, if valid, is where
// others find it, when that differs from the socket's address.
func (d *DHT) Add(ctx context.Context, nw Network, bind string, addr netip.AddrPort) (*DHTNode, error) {
	pc, err := nw.ListenPacket(ctx, "udp", bind)
	if err != nil {
		return nil, err
	}
	if !addr.IsValid() {
		if addr, err = netip.ParseAddrPort(pc.LocalAddr().String()); err != nil {
			pc.Close()
			return nil, err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		pc.Close()
		return nil, net.ErrClosed
	}
	n := &DHTNode{
		Addr: endpoint.Unmap4(addr), dht: d, conn: pc,
		stored: make(map[[20]byte][]netip.AddrPort), queries: make(map[string]int),
	}
	for i := range n.ID {
		n.ID[i] = byte(d.rnd.Uint32())
	}
	d.nodes = append(d.nodes, n)
	for _, o := range d.nodes {
		o.known = nil
	}
	d.wg.Go(n.serve)
	return n, nil
}

// Nodes returns the nodes in the order of Add.
func (d *DHT) Nodes() []*DHTNode {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.nodes)
}

// Closest returns the eight nodes closest to a target, closest first.
func (d *DHT) Closest(target [20]byte) []*DHTNode {
	d.mu.Lock()
	defer d.mu.Unlock()
	return closest(d.nodes, target)
}

// Store has the nodes closest to an info-hash know peers, as if these had
// announced themselves.
func (d *DHT) Store(infoHash [20]byte, peers ...netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range closest(d.nodes, infoHash) {
		for _, p := range peers {
			n.store(infoHash, p)
		}
	}
}

// Peers returns the peers that any node knows for an info-hash, each once.
func (d *DHT) Peers(infoHash [20]byte) []netip.AddrPort {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []netip.AddrPort
	for _, n := range d.nodes {
		for _, p := range n.stored[infoHash] {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// Queries returns how many queries with this name all nodes got.
func (d *DHT) Queries(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum := 0
	for _, n := range d.nodes {
		sum += n.queries[name]
	}
	return sum
}

// Close stops all nodes.
func (d *DHT) Close() error {
	d.mu.Lock()
	d.closed = true
	for _, n := range d.nodes {
		n.conn.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
	return nil
}

// Mute makes the node deaf, or ends that: it stays known to the others and does
// not answer.
func (n *DHTNode) Mute(on bool) {
	n.dht.mu.Lock()
	defer n.dht.mu.Unlock()
	n.mute = on
}

// Queries returns how many queries with this name the node got.
func (n *DHTNode) Queries(name string) int {
	n.dht.mu.Lock()
	defer n.dht.mu.Unlock()
	return n.queries[name]
}

// store keeps a peer: one port for each address, the newest. DHT.mu is held.
func (n *DHTNode) store(infoHash [20]byte, p netip.AddrPort) {
	peers := slices.DeleteFunc(n.stored[infoHash], func(o netip.AddrPort) bool { return o.Addr() == p.Addr() })
	n.stored[infoHash] = append(peers, p)
}

// neighbours returns whom the node knows: for each length of the common prefix of
// ids up to eight nodes of its address family, those closest to its own id with
// the first bit behind the prefix flipped: fixed, but other ones for each node.
// DHT.mu is held.
func (n *DHTNode) neighbours() []*DHTNode {
	if n.known != nil {
		return n.known
	}
	buckets := make(map[int][]*DHTNode)
	for _, o := range n.dht.nodes {
		if o != n && o.Addr.Addr().Is4() == n.Addr.Addr().Is4() {
			l := commonPrefix(n.ID, o.ID)
			buckets[l] = append(buckets[l], o)
		}
	}
	n.known = []*DHTNode{}
	for l := range 161 {
		n.known = append(n.known, closest(buckets[l], flip(n.ID, l))...)
	}
	return n.known
}

// flip returns id with bit i changed, which makes it an id of bucket i.
func flip(id [20]byte, i int) [20]byte {
	if i < 160 {
		id[i/8] ^= 0x80 >> (i % 8)
	}
	return id
}

func commonPrefix(a, b [20]byte) int {
	for i := range 160 {
		if mask := byte(0x80 >> (i % 8)); a[i/8]&mask != b[i/8]&mask {
			return i
		}
	}
	return 160
}

// closest returns up to eight of the nodes by XOR distance, closest first.
func closest(nodes []*DHTNode, target [20]byte) []*DHTNode {
	sorted := slices.Clone(nodes)
	slices.SortFunc(sorted, func(a, b *DHTNode) int {
		da, db := distance(a.ID, target), distance(b.ID, target)
		return bytes.Compare(da[:], db[:])
	})
	return sorted[:min(len(sorted), dhtK)]
}

func distance(a, b [20]byte) (d [20]byte) {
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}

// token is what a node gives to an address and wants back with an announce. A
// checksum is enough against our own clients.
func (n *DHTNode) token(from netip.Addr) string {
	sum := uint64(14695981039346656037)
	for _, b := range append(from.AsSlice(), n.ID[:]...) {
		sum = (sum ^ uint64(b)) * 1099511628211
	}
	return string(binary.BigEndian.AppendUint64(nil, sum))
}
