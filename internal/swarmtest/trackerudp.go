package swarmtest

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"magnetfs/swarm/endpoint"
)

// Actions and numbers of BEP 15.
const (
	udpProtocol = 0x41727101980

	udpConnect  = 0
	udpAnnounce = 1
	udpScrape   = 2
	udpError    = 3

	udpAnnounceLen = 98
)

var udpEvents = [...]string{"", "completed", "started", "stopped"}

// readPackets answers datagrams until pc is closed.
func (t *Tracker) readPackets(pc net.PacketConn) {
	buf := make([]byte, 2048)
	for {
		n, addr, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		from, err := netip.ParseAddrPort(addr.String())
		if err != nil {
			continue
		}
		if answer := t.answer(buf[:n], endpoint.Unmap4(from)); answer != nil && !t.cfg.Silent {
			pc.WriteTo(answer, addr)
		}
	}
}

// answer returns the answer to a datagram, nil for none.
func (t *Tracker) answer(b []byte, from netip.AddrPort) []byte {
	if len(b) < 16 {
		return nil
	}
	id, action, tid := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), b[12:16]
	if action == udpConnect {
		if id != udpProtocol {
			return nil
		}
		return binary.BigEndian.AppendUint64(udpHead(udpConnect, tid), t.connect(from))
	}
	fail := func(why string) []byte { return append(udpHead(udpError, tid), why...) }
	if !t.connected(id, from) {
		return fail("connection id not known")
	}
	switch {
	case t.cfg.Failure != "":
		return fail(t.cfg.Failure)
	case action == udpAnnounce && len(b) >= udpAnnounceLen:
		return t.udpAnnounce(b, from)
	case action == udpScrape:
		out := udpHead(udpScrape, tid)
		for rest := b[16:]; len(rest) >= 20; rest = rest[20:] {
			seeds, completed, leeches := t.scrape([20]byte(rest))
			for _, n := range []int{seeds, completed, leeches} {
				out = binary.BigEndian.AppendUint32(out, uint32(n))
			}
		}
		return out
	}
	return fail("malformed request")
}

func udpHead(action uint32, tid []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, action), tid...)
}

// connect gives out a connection id for one client.
func (t *Tracker) connect(from netip.AddrPort) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.connID++
	id := t.connID * 0x9e3779b97f4a7c15 // spread over all bits, never repeated
	t.ids[id] = from
	return id
}

func (t *Tracker) connected(id uint64, from netip.AddrPort) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ids[id] == from
}

func (t *Tracker) udpAnnounce(b []byte, from netip.AddrPort) []byte {
	a := Announce{
		UDP: true, From: from, InfoHash: [20]byte(b[16:]), PeerID: [20]byte(b[36:]),
		Down:    int64(binary.BigEndian.Uint64(b[56:])),
		Left:    int64(binary.BigEndian.Uint64(b[64:])),
		Up:      int64(binary.BigEndian.Uint64(b[72:])),
		NumWant: int(int32(binary.BigEndian.Uint32(b[92:]))),
		Port:    binary.BigEndian.Uint16(b[96:]),
	}
	if e := binary.BigEndian.Uint32(b[80:]); int(e) < len(udpEvents) {
		a.Event = udpEvents[e]
	}
	r := t.announce(a)
	out := udpHead(udpAnnounce, b[12:16])
	for _, n := range []int{int(t.cfg.Interval / time.Second), r.leeches, r.seeds} {
		out = binary.BigEndian.AppendUint32(out, uint32(n))
	}
	v4, v6 := compact(r.peers)
	if from.Addr().Is4() {
		return append(out, v4...)
	}
	return append(out, v6...)
}
