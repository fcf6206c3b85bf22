// Package picker decides which block is asked from which peer, and when. It is
// pure data: no goroutine, no clock, no socket. Every call takes the time and
// returns what to do; its caller (the loop of a torrent) owns it.
//
// Two questions are asked of one state:
//
//   - latency: who delivers this block soonest? Wanted pieces are walked in
//     deadline order and each missing block goes to the peer with the earliest
//     expected arrival, counting what that peer was asked already ([Picker.Pick]);
//   - throughput: what do I ask this peer? A peer that is slower than the rest
//     is given the first block in deadline order that it does not delay: blocks
//     before it are reserved, on paper, for the faster peers although their
//     queues are full at the moment.
//
// Each peer is modelled as a server that works through its queue in order at a
// measured rate, behind a measured round trip ([link]). The queue is kept just
// deep enough to fill that pipe, because an urgent block waits behind what was
// asked before it.
//
// A block that is late against its own estimate is asked from a second peer if
// that one is expected to be sooner, and the loser is cancelled ([Picker.Late]).
// There are no fixed time-outs of tens of seconds: peers are compared with what
// they were expected to do and with each other.
//
// # States of a block
//
//	free ──Pick──▶ requested ──Received──▶ received ──Verified──▶ (piece is had)
//	  ▲               │  ▲                     │
//	  └──Rejected, ───┘  └─Late (second peer)  └─Refetch─▶ free
//	     peer gone,
//	     snubbed
//
// A request that was cancelled stays on its peer's books until the peer answers
// or its time is over: cancel does not guarantee silence (BEP 3), and until then
// it takes up room in the pipe.
package picker
