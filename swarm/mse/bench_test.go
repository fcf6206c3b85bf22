package mse

import (
	"io"
	"net"
	"testing"
)

// BenchmarkHandshake is both sides of one, over a net.Pipe.
func BenchmarkHandshake(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		x, y := net.Pipe()
		accepted := start(func() (*Conn, error) { return Accept(b.Context(), y, Require, testKeys()) })
		c := Client(x, testKey, Require)
		if _, err := c.Write(greeting); err != nil {
			b.Fatal(err)
		}
		if r := <-accepted; r.err != nil {
			b.Fatal(r.err)
		}
		c.Close()
		y.Close()
	}
}

// BenchmarkTransfer moves bytes over TCP on loopback, both ends in this process.
func BenchmarkTransfer(b *testing.B) {
	for _, p := range []Policy{Allow, Require} {
		b.Run(map[Policy]string{Allow: "obscured", Require: "rc4"}[p], func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer ln.Close()
			accepted := start(func() (*Conn, error) {
				nc, err := ln.Accept()
				if err != nil {
					return nil, err
				}
				return Accept(b.Context(), nc, p, testKeys())
			})
			nc, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			c := Client(nc, testKey, p)
			defer c.Close()
			if _, err := c.Write(greeting); err != nil {
				b.Fatal(err)
			}
			r := <-accepted
			if r.err != nil {
				b.Fatal(r.err)
			}
			defer r.v.Close()
			go io.Copy(io.Discard, r.v)
			buf := make([]byte, 64<<10)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
