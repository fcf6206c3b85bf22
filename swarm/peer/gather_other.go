//go:build !linux

package peer

import "net"

// gatherer is nothing where epoll does not heed SO_RCVLOWAT.
type gatherer struct{}

func newGatherer(net.Conn) *gatherer { return nil }

func (*gatherer) read([]byte, int) (int, error) { panic("peer: no gatherer on this system") }
