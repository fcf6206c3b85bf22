//go:build !linux

package utp

import "net"

func newPacketIO(pc net.PacketConn) packetIO { return singleIO{pc} }
