package utp

import (
	"net/netip"
	"time"
)

const (
	// outboxData and outboxAll bound what waits for the writer, in datagrams:
	// beyond the first no data is added, beyond the second nothing.
	outboxData = 256
	outboxAll  = 1024
)

// datagram is a part of an outbox.
type datagram struct {
	to         netip.AddrPort
	start, end int // in mem
}

// outbox is a run of datagrams in one piece of memory. It belongs to the owner,
// then to the writer, and returns.
type outbox struct {
	mem  []byte
	list []datagram
}

// full tells whether more data has to wait.
func (o *outbox) full() bool { return len(o.list) >= outboxData }

// add appends a packet, its payload in two parts. What does not fit is lost, like
// any datagram.
func (o *outbox) add(to netip.AddrPort, h header, sack, a, b []byte) {
	if len(o.list) >= outboxAll {
		return
	}
	start := len(o.mem)
	o.mem = h.append(o.mem, sack)
	o.mem = append(o.mem, a...)
	o.mem = append(o.mem, b...)
	o.list = append(o.list, datagram{to, start, len(o.mem)})
}

func (o *outbox) reset() {
	o.mem, o.list = o.mem[:0], o.list[:0]
}

// clock gives the stamps of packets: µs since some moment, modulo 2^32.
type clock struct{ begin time.Time }

func (c clock) micros(at time.Time) uint32 { return uint32(at.Sub(c.begin).Microseconds()) }
