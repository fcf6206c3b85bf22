package swarm

import (
	"context"
	"errors"
	"net"
	"time"
)

// Network is what a session needs of the world. Simulations and proxies
// implement it; the zero Config uses the system's.
type Network interface {
	Listen(ctx context.Context, network, addr string) (net.Listener, error)
	ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error)
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// errRemoteNames is what names end with that only an address could be made use of for.
var errRemoteNames = errors.New("names are left to the proxy, an address is needed")

const dialTimeout = 10 * time.Second

// systemNetwork uses the host's sockets.
type systemNetwork struct{}

func (systemNetwork) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, network, addr)
}

func (systemNetwork) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, network, addr)
}

func (systemNetwork) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1} // peers have keep-alives of their own
	return d.DialContext(ctx, network, addr)
}
