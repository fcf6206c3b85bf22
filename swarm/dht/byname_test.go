package dht

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"magnetfs/swarm/dht/krpc"
)

// proxied is a net.PacketConn that takes names, and answers for them.
type proxied struct {
	net.PacketConn
	answer func(name string, q krpc.Message)
}

func (p proxied) WriteTo(b []byte, to net.Addr) (int, error) {
	if n, ok := to.(nodeName); ok {
		q, err := krpc.Decode(b)
		if err == nil {
			p.answer(n.String(), q)
		}
	}
	return len(b), nil
}

// A node is known by the address that its ping was answered from.
func TestPingByName(t *testing.T) {
	var n byName
	from := netip.MustParseAddrPort("[::ffff:192.0.2.1]:6881")
	reply := func(q krpc.Message) []byte {
		return (&krpc.Message{Kind: krpc.Response, T: q.T, HasID: true}).Append(nil)
	}
	asked := 0
	conn := proxied{answer: func(name string, q krpc.Message) {
		if asked++; name != "router.example:6881" || q.Method != krpc.Ping || !q.RO {
			t.Errorf("asked %s: %+v", name, q)
		}
		if n.answers(reply(krpc.Message{T: []byte("otherwise")}), from) || n.answers([]byte("no KRPC"), from) {
			t.Error("any packet is taken for the answer")
		}
		if !n.answers(reply(q), from) {
			t.Error("the answer is not taken")
		}
	}}
	a, err := n.ping(t.Context(), conn, "router.example:6881")
	if err != nil || a.String() != "192.0.2.1:6881" || asked != 1 {
		t.Errorf("%v, %v, asked %d times", a, err, asked)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	var last krpc.Message
	if _, err := n.ping(ctx, proxied{answer: func(_ string, q krpc.Message) { last = q }}, "silent.example:1"); err == nil {
		t.Error("an address of nobody")
	}
	if n.answers(reply(last), from) {
		t.Error("an answer that nobody waits for is taken")
	}
}
