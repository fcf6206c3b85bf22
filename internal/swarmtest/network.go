package swarmtest

import (
	"context"
	"net"
)

// Network is what this package asks of a network; *simnet.Host and RealNetwork
// have it.
type Network interface {
	Listen(ctx context.Context, network, addr string) (net.Listener, error)
	ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error)
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// RealNetwork uses the sockets of the machine. Tests stay on loopback.
type RealNetwork struct{}

// Listen opens a listener of package net.
func (RealNetwork) Listen(ctx context.Context, network, addr string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, network, addr)
}

// ListenPacket opens a packet socket of package net.
func (RealNetwork) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	return new(net.ListenConfig).ListenPacket(ctx, network, addr)
}

// Dial connects by package net.
func (RealNetwork) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}
