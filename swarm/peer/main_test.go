package peer

import (
	"context"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"magnetfs/swarm/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inbox collects events. Its Post never waits, and refuses once refuse is set.
type inbox struct {
	mu     sync.Mutex
	events []Event
	refuse bool
}

func (in *inbox) Post(e Event) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.refuse {
		return false
	}
	in.events = append(in.events, e)
	return true
}

// take returns what was posted since the last call.
func (in *inbox) take() []Event {
	in.mu.Lock()
	defer in.mu.Unlock()
	events := in.events
	in.events = nil
	return events
}

// only returns the one event that was posted since the last call.
func (in *inbox) only(t *testing.T) Event {
	t.Helper()
	events := in.take()
	if len(events) != 1 {
		t.Fatalf("%d events, want one: %v", len(events), events)
	}
	return events[0]
}

// pipe starts a connection over one end of a net.Pipe and returns the other end, which the test plays.
func pipe(t *testing.T, cfg Config) (*Conn, *inbox, net.Conn) {
	ours, theirs := net.Pipe()
	c := New(NewLink(ours, wire.Handshake{}), cfg)
	in := &inbox{}
	c.Start(in)
	t.Cleanup(func() {
		c.Close(nil)
		theirs.Close()
		c.Wait()
	})
	return c, in, theirs
}

// tcpPair returns both ends of a TCP connection over loopback.
func tcpPair(t testing.TB) (net.Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// encode returns messages one behind the other.
func encode(msgs ...wire.Message) []byte {
	var b []byte
	for _, m := range msgs {
		b = m.Append(b)
	}
	return b
}
