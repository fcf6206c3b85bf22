package peer

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"

	"magnetfs/swarm/mse"
	"magnetfs/swarm/wire"
)

// TestThroughMSE sends pieces to peers with and without encryption. Where bytes travel as they are, TCP gets them
// directly; where not, none may get past the cipher.
func TestThroughMSE(t *testing.T) {
	tests := []struct {
		name    string
		dial    func(nc net.Conn) net.Conn
		accept  mse.Policy
		outside bool // written to TCP directly
	}{
		{"plain", func(nc net.Conn) net.Conn { return nc }, mse.Allow, true},
		{"obscured", func(nc net.Conn) net.Conn { return mse.Client(nc, hash, mse.Allow) }, mse.Allow, true},
		{"rc4", func(nc net.Conn) net.Conn { return mse.Client(nc, hash, mse.Require) }, mse.Allow, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x, y := tcpPair(t)
			in := run(func() (*Link, error) {
				c, err := mse.Accept(t.Context(), y, tt.accept, slices.Values([][20]byte{hash}))
				if err != nil {
					return nil, err
				}
				return HandshakeIn(t.Context(), c, answer(bob))
			})
			theirs := tt.dial(x)
			link, err := HandshakeOut(t.Context(), theirs, alice, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := <-in
			if r.err != nil {
				t.Fatal(r.err)
			}
			c := New(r.link, Config{})
			if _, direct := c.out.(*net.TCPConn); direct != tt.outside {
				t.Errorf("written to TCP directly: %v", direct)
			}
			c.Start(&inbox{})
			data := bytes.Repeat([]byte("0123456789abcdef"), wire.BlockSize/16)
			var want []byte
			for i := range uint32(20) {
				m := wire.Message{ID: wire.Piece, Index: i, Length: uint32(len(data)), Data: data}
				c.SendPiece(i, 0, data, nil)
				want = m.Append(want)
			}
			got := make([]byte, len(want))
			if _, err := io.ReadFull(link.dec, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("other bytes than were sent: %v", err)
			}
			c.Close(nil)
			c.Wait()
			link.Close()
		})
	}
}
