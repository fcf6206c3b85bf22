package swarmtest

import (
	"net/netip"
	"slices"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/endpoint"
)

// Error codes of BEP 5.
const (
	krpcProtocolError = 203
	krpcUnknownMethod = 204
)

// serve answers datagrams until the socket is closed.
func (n *DHTNode) serve() {
	buf := make([]byte, 4096)
	for {
		size, addr, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		from, err := netip.ParseAddrPort(addr.String())
		if err != nil {
			continue
		}
		if answer := n.answer(buf[:size], endpoint.Unmap4(from)); answer != nil {
			n.conn.WriteTo(answer, addr)
		}
	}
}

// answer returns the answer to a datagram; nil when it is no query.
func (n *DHTNode) answer(b []byte, from netip.AddrPort) []byte {
	v, err := benc.Parse(b, benc.Limits{})
	if err != nil {
		return nil
	}
	kind, _ := v.Get("y").Bytes()
	tid, ok := v.Get("t").Bytes()
	if string(kind) != "q" || !ok {
		return nil
	}
	name, _ := v.Get("q").Bytes()
	n.dht.mu.Lock()
	defer n.dht.mu.Unlock()
	n.queries[string(name)]++
	if n.mute {
		return nil
	}
	msg := map[string]any{"t": string(tid), "ip": string(endpoint.AppendCompact(nil, from))}
	if r, code, why := n.respond(string(name), v.Get("a"), from); code == 0 {
		r["id"] = string(n.ID[:])
		msg["y"], msg["r"] = "r", r
	} else {
		msg["y"], msg["e"] = "e", []any{code, why}
	}
	out, err := benc.Marshal(msg)
	if err != nil {
		return nil
	}
	return out
}

// respond returns the body of a response, or an error code and text.
func (n *DHTNode) respond(name string, args benc.Value, from netip.AddrPort) (r map[string]any, code int, why string) {
	if _, ok := id(args, "id"); !ok {
		return nil, krpcProtocolError, "no id"
	}
	r = make(map[string]any)
	hash, hasHash := id(args, "info_hash")
	target, hasTarget := id(args, "target")
	switch {
	case name == "ping":
	case name == "get_peers" && hasHash:
		r["token"] = n.token(from.Addr())
		if peers := n.values(hash, from.Addr().Is4()); len(peers) > 0 {
			r["values"] = peers
		}
		n.addNodes(r, hash)
	case name == "announce_peer" && hasHash:
		if token, _ := args.Get("token").Bytes(); string(token) != n.token(from.Addr()) {
			return nil, krpcProtocolError, "bad token"
		}
		port, _ := args.Get("port").Int()
		if implied, _ := args.Get("implied_port").Int(); implied != 0 {
			port = int64(from.Port())
		}
		if port < 1 || port > 65535 {
			return nil, krpcProtocolError, "bad port"
		}
		n.store(hash, netip.AddrPortFrom(from.Addr(), uint16(port)))
	case hasTarget: // find_node, and what we do not know
		n.addNodes(r, target)
	case name == "find_node" || name == "get_peers" || name == "announce_peer":
		return nil, krpcProtocolError, "missing argument"
	default:
		return nil, krpcUnknownMethod, "method unknown"
	}
	return r, 0, ""
}

// id returns an argument of 20 bytes.
func id(args benc.Value, key string) (out [20]byte, ok bool) {
	b, _ := args.Get(key).Bytes()
	if len(b) != len(out) {
		return out, false
	}
	copy(out[:], b)
	return out, true
}

// values returns the stored peers of one family in compact form.
func (n *DHTNode) values(infoHash [20]byte, v4 bool) []string {
	var out []string
	for _, p := range n.stored[infoHash] {
		if p.Addr().Is4() == v4 {
			out = append(out, string(endpoint.AppendCompact(nil, p)))
		}
	}
	return out
}

// addNodes adds the compact node info of the closest nodes that n knows.
func (n *DHTNode) addNodes(r map[string]any, target [20]byte) {
	var b []byte
	for _, o := range closest(n.neighbours(), target) {
		b = append(b, o.ID[:]...)
		b = endpoint.AppendCompact(b, o.Addr)
	}
	key := "nodes6"
	if n.Addr.Addr().Is4() {
		key = "nodes"
	}
	r[key] = string(slices.Clip(b))
}
