// Package simnet is an IP network in memory for tests. It has hosts with
// addresses and access links, UDP and TCP-like streams, and gives out real
// net.Listener, net.PacketConn and net.Conn values. It is made to run inside a
// testing/synctest bubble, where its clock is virtual: a transfer that takes a
// minute on the wire takes microseconds in the test, and takes the same minute
// every time.
//
//	synctest.Test(t, func(t *testing.T) {
//		n := simnet.New(1)
//		defer n.Close()
//		link := simnet.Link{Up: 1 << 20, Down: 4 << 20, Delay: 10 * time.Millisecond}
//		a := n.Host(link, simnet.Addr("192.0.2.1"))
//		b := n.Host(link, simnet.Addr("192.0.2.2"))
//		ln, _ := b.Listen(ctx, "tcp", ":6881")
//		c, _ := a.Dial(ctx, "tcp", "192.0.2.2:6881") // after 40 ms: one round trip
//	})
//
// # Links
//
// Every host has one access link with a rate and a delay for its side. A
// packet from A to B waits in A's uplink (FIFO, shared by all its sockets),
// travels A.Delay + B.Delay (plus jitter), and passes B's downlink (FIFO,
// shared). Between the links there is no bottleneck. Links are fluid: the
// downlink starts with the first byte of a packet and not after its last one,
// so moving n bytes over an idle path takes exactly
//
//	n / min(A.Up, B.Down) + A.Delay + B.Delay
//
// however they were cut. Rates count payload only; headers, handshakes and
// acknowledgements are free and do not queue. Rounding is carried over from packet
// to packet, so that a busy link loses no nanosecond.
//
// # Streams
//
// A dial costs one round trip, and Accept returns half a round trip later. A
// dial is refused when nobody listens, and times out when the host is down,
// absent, or its accept queue is full; a lost SYN is repeated after 1, 2, 4 …
// seconds. Data in flight plus data received but not yet read never exceeds the
// window, so a slow reader blocks the writer. The window is Link.Window of the
// receiver, or twice the bandwidth-delay product, as a tuned kernel would have
// it. Loss delays a segment, and everything behind it, by one round trip.
//
// Where Link.Queue bounds a queue on the path, segments that overflow it are
// dropped, and the stream has slow start and halves its congestion window on
// loss, as TCP Reno does. Without such a bound it sends its whole window at
// once: times then follow from the formula above alone.
//
// Close sends what was written, then FIN. Data that reaches a closed end
// answers with a reset. Unlike in a kernel, closing with unread data in the
// buffer is not a reset; SetLinger(0) asks for one.
//
// # Determinism
//
// Events at one instant run in the order in which they were scheduled. Random
// decisions (loss, jitter) come from a generator per socket, derived from the
// seed of the network and the address of the socket, so they do not depend on
// what other hosts do. What simnet cannot order are goroutines of the test that
// are runnable at the same instant.
//
// # Rules of the bubble
//
// The network must be created inside the bubble that uses it. A single mutex
// guards all state; it is never held over a wait. Waits are sync.Cond waits and
// channel receives, which synctest counts as durably blocked. One timer serves
// the whole network and no host has a goroutine of its own: ten thousand idle
// hosts cost memory only. Outside a bubble everything works in real time.
//
// Left out: IP fragmentation, ICMP other than a refused connection, routing,
// half-open attacks, the order of acknowledgements.
package simnet
