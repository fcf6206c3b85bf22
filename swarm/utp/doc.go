// Package utp carries streams over UDP (BEP 29), beside other protocols on the
// same socket. A Socket dials and is a net.Listener; its connections are net.Conn
// with deadlines.
//
//	s := utp.New(pc, utp.Config{Other: dhtServer.HandlePacket})
//	nc, err := s.Dial(ctx, addr)
//
// # Goroutines
//
// A Socket has three. The reader takes datagrams from the UDP socket, many at a
// time, hands those of other protocols on, and the rest to the owner. The owner
// has all state of all connections (type stream) and does no I/O: it handles what
// arrived, lets timers expire, and leaves datagrams in an outbox. The writer
// sends outboxes. A Conn is the other side of a stream: two buffers under a leaf
// mutex, from which the program reads and to which it writes; the owner is told
// only when there is something to do for it.
//
// # Congestion
//
// LEDBAT: the congestion window grows while the queueing delay of our packets,
// as the peer measures it, is under 100 ms, and shrinks above that, so that TCP
// goes first. Slow start until the first loss or until the delay comes near the
// target. A loss halves the window, once per round trip and 100 ms.
//
// # Strangers
//
// Everybody can send us packets with any source address. So a connection that is
// asked for sends no more than one packet of 20 bytes per packet received, and is
// not handed out, until data with the acknowledgement of our random sequence
// number shows that the peer gets what we send. Acknowledgements of what was not
// sent are ignored with their packet. What is not yet established, what arrives
// out of order, what is answered to unknown connections: all is bounded.
//
// # Left out
//
// Path MTU discovery, but for one step: packets have a size that passes everywhere,
// nearly, and a larger one over IPv4 where one of that size was acknowledged. Routers
// may fragment them. Half-closed connections, urgent data, BEP 29's close
// reason.
package utp
