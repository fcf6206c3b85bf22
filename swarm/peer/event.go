package peer

import (
	"time"

	"magnetfs/swarm/wire"
)

// EventKind says what happened to a connection.
type EventKind uint8

const (
	// Received: Msg arrived. Keep-alives are not reported.
	Received EventKind = iota
	// Drained: piece data was written and at most Config.LowWater bytes are left to write, so more may be given.
	Drained
	// Closed: the connection has ended and Err says why; nil if Close(nil) did it. The last event, exactly once.
	Closed
)

// String returns the name of the kind.
func (k EventKind) String() string {
	switch k {
	case Received:
		return "received"
	case Drained:
		return "drained"
	}
	return "closed"
}

// Event is what a connection reports to its owner.
type Event struct {
	Conn *Conn
	Kind EventKind
	Msg  wire.Message // Received: owned by whoever takes the event
	At   time.Time    // when the message was complete, resp. when it happened
	Err  error        // Closed
}

// Inbox takes the events of connections. Post waits while the owner is busy and returns false when it is gone for
// good; then the event was not taken. It is called from several goroutines.
type Inbox interface {
	Post(Event) bool
}
