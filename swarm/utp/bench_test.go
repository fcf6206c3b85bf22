package utp

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
)

// BenchmarkLoopback moves data between two sockets of the system.
func BenchmarkLoopback(b *testing.B) {
	var socks [2]*Socket
	for i := range socks {
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer pc.Close()
		socks[i] = New(pc, Config{})
		defer socks[i].Close()
	}
	nc, err := socks[0].Dial(context.Background(), netip.MustParseAddrPort(socks[1].Addr().String()))
	if err != nil {
		b.Fatal(err)
	}
	const size = 1 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	go func() {
		data := pattern(1, size)
		for range b.N {
			nc.Write(data)
		}
		nc.Close()
	}()
	in, err := socks[1].Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	if n, err := io.Copy(io.Discard, in); err != nil || n != int64(b.N)*size {
		b.Fatalf("%d bytes, %v", n, err)
	}
}
