package utp

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
)

// narrow is a socket whose longer datagrams do not arrive, and nobody says so.
type narrow struct {
	net.PacketConn
	most    int
	sent    *[2]atomic.Int64 // datagrams: all, and those of more than packetSafe bytes
	swallow *atomic.Int64    // so many of the longer ones vanish on every path
}

func (n narrow) WriteTo(b []byte, to net.Addr) (int, error) {
	n.sent[0].Add(1)
	if len(b) > packetSafe {
		n.sent[1].Add(1)
		if n.swallow.Add(-1) >= 0 {
			return len(b), nil
		}
	}
	if len(b) > n.most {
		return len(b), nil
	}
	return n.PacketConn.WriteTo(b, to)
}

// TestSounding: packets become longer where that works, and a path on which it does
// not costs a few of them and nothing else.
func TestSounding(t *testing.T) {
	for _, tt := range []struct {
		name    string
		most    int
		swallow int64
		cfg     Config
		longer  func(all, longer int64) bool
	}{
		{"wide", 1472, 0, Config{}, func(all, longer int64) bool { return longer > all/2 }},
		{"wide, two are lost", 1472, 2, Config{}, func(all, longer int64) bool { return longer > all/2 }},
		{"narrow", 1252, 0, Config{}, func(_, longer int64) bool { return longer == maxSoundings }},
		{"as the user says", 1472, 0, Config{Packet: 1400}, func(all, longer int64) bool { return longer > all/2 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := simnet.New(1)
				defer n.Close()
				link := simnet.Link{Delay: 20 * time.Millisecond}
				hosts := [2]*simnet.Host{n.Host(link, simnet.Addr("192.0.2.1")), n.Host(link, simnet.Addr("192.0.2.2"))}
				var sent [2]atomic.Int64
				var swallow atomic.Int64
				swallow.Store(tt.swallow)
				var socks [2]*Socket
				for i, h := range hosts {
					pc, err := h.ListenPacket(context.Background(), "udp4", "0.0.0.0:6881")
					if err != nil {
						t.Fatal(err)
					}
					socks[i] = New(narrow{pc, tt.most, &sent, &swallow}, tt.cfg)
					defer socks[i].Close()
				}
				p := &pair{t: t, net: n, hostA: hosts[0], hostB: hosts[1], a: socks[0], b: socks[1]}
				a, b := p.connect()
				took := move(t, a, b, pattern(3, 2*mib))
				t.Logf("%v, %d datagrams, %d of them longer", took, sent[0].Load(), sent[1].Load())
				if !tt.longer(sent[0].Load()*1/2, sent[1].Load()) { // half of them are acknowledgements
					t.Errorf("%d datagrams, %d longer than %d bytes", sent[0].Load(), sent[1].Load(), packetSafe)
				}
				if took > 3*time.Second {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// TestPadding: a filled packet has the length that is to be found out, and means the
// same as without.
func TestPadding(t *testing.T) {
	cfg := Config{}
	safe, full := cfg.payload(netip.MustParseAddr("192.0.2.1"))
	body := pattern(1, safe)
	h := header{kind: kindData, id: 7, seq: 9, ack: 3, pad: full - safe - 2}
	raw := append(h.append(nil, nil), body...)
	p, ok := parse(raw)
	h.pad = 0
	if !ok || len(raw) != packetFull || p.header != h || string(p.payload) != string(body) || p.sack != nil {
		t.Errorf("%d bytes: %+v, %v", len(raw), p.header, ok)
	}
	if safe6, full6 := cfg.payload(netip.MustParseAddr("2001:db8::1")); safe6 != full6 || safe6 != packetSafe-headerLen {
		t.Errorf("over IPv6 %d and %d bytes", safe6, full6)
	}
}
