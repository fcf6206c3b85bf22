package utp

import (
	"net"
	"net/netip"
	"slices"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// socketBuffer is asked for in both directions; the system may give less
// (net.core.rmem_max). The default of Linux holds 90 packets, as it counts.
const socketBuffer = 2 << 20

// newPacketIO uses recvmmsg and sendmmsg on sockets of the system.
func newPacketIO(pc net.PacketConn) packetIO {
	u, ok := pc.(*net.UDPConn)
	if !ok {
		return singleIO{pc}
	}
	_ = u.SetReadBuffer(socketBuffer) // both only make it faster
	_ = u.SetWriteBuffer(socketBuffer)
	local, _ := u.LocalAddr().(*net.UDPAddr)
	v4 := local != nil && local.IP.To4() != nil
	if v4 {
		fragment(u)
	}
	return &batchIO{conn: ipv4.NewPacketConn(u), v4: v4}
}

// fragment lets routers fragment our packets: otherwise on a path that is narrower
// than they are, and does not say so, a connection would hang for ever.
func fragment(u *net.UDPConn) {
	raw, err := u.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	})
}

// batchIO is a socket of the system. The methods of ipv4.PacketConn that move
// batches know nothing of IPv4.
type batchIO struct {
	conn *ipv4.PacketConn
	v4   bool
	in   []ipv4.Message // of the reader
	out  []ipv4.Message // of the writer
	addr []net.UDPAddr  // of out
	ips  []byte
}

func (b *batchIO) newInbox() *inbox {
	return &inbox{list: make([]received, inboxLen), mem: make([]byte, inboxLen*readLen)}
}

func (b *batchIO) read(in *inbox) error {
	if b.in == nil {
		b.in = make([]ipv4.Message, inboxLen)
		for i := range b.in {
			b.in[i].Buffers = make([][]byte, 1)
		}
	}
	for i := range b.in {
		b.in[i].Buffers[0] = in.mem[i*readLen : (i+1)*readLen]
	}
	n, err := b.conn.ReadBatch(b.in, 0)
	if err != nil {
		return err
	}
	for i := range n {
		m := &b.in[i]
		in.list[i] = received{b: m.Buffers[0][:m.N]}
		if a, ok := m.Addr.(*net.UDPAddr); ok {
			in.list[i].from = unmap(a.AddrPort())
		}
	}
	in.n = n
	return nil
}

const writeLen = 64 // datagrams at a time

func (b *batchIO) write(o *outbox) {
	if b.out == nil {
		b.out = make([]ipv4.Message, writeLen)
		b.addr = make([]net.UDPAddr, writeLen)
		b.ips = make([]byte, writeLen*16)
		for i := range b.out {
			b.out[i].Buffers = make([][]byte, 1)
			b.out[i].Addr = &b.addr[i]
		}
	}
	for list := range slices.Chunk(o.list, writeLen) {
		for i, d := range list {
			b.out[i].Buffers[0] = o.mem[d.start:d.end]
			b.setAddr(i, d.to)
		}
		for ms := b.out[:len(list)]; len(ms) > 0; {
			n, err := b.conn.WriteBatch(ms, 0)
			if err != nil || n <= 0 {
				n = 1 // this one cannot be sent; the others may
			}
			ms = ms[n:]
		}
	}
}

func (b *batchIO) setAddr(i int, to netip.AddrPort) {
	a, ip := &b.addr[i], b.ips[i*16:]
	if to.Addr().Is4() {
		v := to.Addr().As4()
		a.IP = ip[:copy(ip, v[:])]
	} else {
		v := to.Addr().As16()
		a.IP = ip[:copy(ip, v[:])]
	}
	a.Port, a.Zone = int(to.Port()), to.Addr().Zone()
}
