// Package peer runs one connection to a peer: the handshake, then a goroutine that reads messages and one that writes
// them. It decides nothing: what arrives is handed to the owner as an [Event], what the owner sends leaves in order.
//
// # Life of a connection
//
// [HandshakeOut] or [HandshakeIn] makes a [Link] of a net.Conn, [New] a [Conn] of the Link, [Conn.Start] lets it run.
// It ends by [Conn.Close], or by itself when the stream fails, the peer breaks the framing, stays silent for
// [Config].IdleTimeout or does not take our bytes for [Config].StallTimeout. In each case Closed is posted exactly
// once, as the last event.
//
// # Goroutines and events
//
// The reader posts Received events in the order of the stream and the writer posts Drained; both wait in Post while
// the owner is busy, which is what slows down the peer: nothing is read meanwhile. The owner must therefore go on
// taking events until Closed has come, or make Post return false. It never waits in turn: Send, SendPiece, Flush,
// Buffered and Close return at once. A mutex guards the queue of outgoing bytes; it is a leaf and never held during
// reads, writes, posts or callbacks.
//
// Between Close and Closed there may still be Received events that were under way.
//
// # Ownership
//
// The owner gets the Data of a received message (see package wire: blocks go back by wire.PutBlock). The data given to
// SendPiece is only referred to, and must not change until release is called, which happens exactly once.
//
// # Writes
//
// Messages are encoded into one buffer and leave in one write per burst; a TCP connection takes piece data by writev
// from where it lies. With [Config].ManualFlush the owner says where a burst ends, otherwise each Send wakes the
// writer, which takes all that has gathered when it runs.
//
// BEPs: 3 (keep-alive, framing). Works in virtual time (testing/synctest) on net.Pipe and simulated networks: all time
// comes from timers and from deadlines of the net.Conn.
package peer
