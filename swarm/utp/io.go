package utp

import (
	"net"
	"net/netip"
	"time"
)

// inboxLen datagrams are read at a time at most, of readLen bytes each: larger
// ones are cut, and are neither uTP's nor the DHT's.
const (
	inboxLen = 64
	readLen  = 2048
)

// received is a datagram that arrived.
type received struct {
	b    []byte
	from netip.AddrPort // IPv4 as such
}

// inbox is a run of datagrams. It belongs to the reader, then to the owner, and
// returns.
type inbox struct {
	at   time.Time
	n    int // of list, filled
	list []received
	mem  []byte
}

// packetIO reads and writes many datagrams at a time, where the system can.
type packetIO interface {
	newInbox() *inbox
	// read waits for datagrams.
	read(*inbox) error
	// write sends; what cannot be sent is lost.
	write(*outbox)
}

// addrPortConn is what *net.UDPConn and simulated sockets have.
type addrPortConn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
}

// singleIO reads and writes one datagram at a time, on any socket.
type singleIO struct{ pc net.PacketConn }

func (s singleIO) newInbox() *inbox {
	return &inbox{list: make([]received, 1), mem: make([]byte, readLen)}
}

func (s singleIO) read(in *inbox) error {
	var n int
	var from netip.AddrPort
	var err error
	if direct, ok := s.pc.(addrPortConn); ok {
		n, from, err = direct.ReadFromUDPAddrPort(in.mem)
	} else {
		var addr net.Addr
		if n, addr, err = s.pc.ReadFrom(in.mem); err == nil {
			from, err = netip.ParseAddrPort(addr.String())
		}
	}
	if err != nil {
		return err
	}
	in.list[0] = received{in.mem[:n], unmap(from)}
	in.n = 1
	return nil
}

func (s singleIO) write(o *outbox) {
	direct, _ := s.pc.(addrPortConn)
	for _, d := range o.list {
		b := o.mem[d.start:d.end]
		if direct != nil {
			_, _ = direct.WriteToUDPAddrPort(b, d.to)
		} else {
			_, _ = s.pc.WriteTo(b, net.UDPAddrFromAddrPort(d.to))
		}
	}
}
