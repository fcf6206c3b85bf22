package swarmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/wire"
)

func TestSeederSlots(t *testing.T) {
	tor := MakeTorrent(t, Spec{})
	virtual(t, simnet.Link{}, func(t *testing.T, w world) {
		s, a := seed(t, w, SeederConfig{Torrent: tor, Slots: 1})
		addr := a.Conn.RemoteAddr().String()
		b, c := dial(t, w, addr), dial(t, w, addr)
		for _, p := range []*FakePeer{a, b, c} {
			run(t, p, Hello(tor, "x"), ExpectHandshake(), Await(wire.HaveAll), interested, Listen(time.Second))
		}
		b.Close() // gives up its place in the list
		run(t, a, Send(wire.Message{ID: wire.NotInterested}), Await(wire.Choke))
		run(t, c, Expect(wire.Unchoke), Fetch(tor, 0))
		run(t, a, interested, ExpectNo(time.Minute, wire.Unchoke))
		c.Close()
		run(t, a, Await(wire.Unchoke))
		if n := s.Stats().Open; n != 1 {
			t.Errorf("%d connections open", n)
		}
	})
}

func TestSeederGain(t *testing.T) {
	tor := MakeTorrent(t, Spec{})
	virtual(t, simnet.Link{}, func(t *testing.T, w world) {
		s, p := seed(t, w, SeederConfig{Torrent: tor, Have: []int{0, 7}})
		run(t, p, Hello(tor, "x"), ExpectHandshake(), Await(wire.Bitfield, func(m wire.Message) error {
			if !bytes.Equal(m.Data, []byte{0x81}) {
				return fmt.Errorf("%x", m.Data)
			}
			return nil
		}), interested, Await(wire.Unchoke), Send(request(3, 0, 16384)), Expect(wire.Reject))
		s.Gain(7, 3)
		run(t, p, Expect(wire.Have, Is(3, 0, 0)), Fetch(tor, 3))

		empty, q := seed(t, w, SeederConfig{Torrent: tor, Have: []int{}})
		run(t, q, Hello(tor, "x"), ExpectHandshake(), Await(wire.HaveNone))
		empty.DropPeers()
		run(t, q, ExpectClosed())
	})
}

func TestSeederPex(t *testing.T) {
	tor := MakeTorrent(t, Spec{})
	peers := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:1"), netip.MustParseAddrPort("[2001:db8::1]:2")}
	virtual(t, simnet.Link{}, func(t *testing.T, w world) {
		_, p := seed(t, w, SeederConfig{Torrent: tor, Pex: peers})
		ext := SendExtension(wire.ExtHandshake{M: map[string]uint8{wire.UTPex: 9}})
		run(t, p, Hello(tor, "x"), ExpectHandshake(), ext, AwaitExtended(9, func(b []byte) error {
			pex, err := wire.ParsePex(b)
			if err != nil {
				return err
			}
			for i, a := range pex.Added {
				if a.Addr != peers[i] {
					return fmt.Errorf("%v", pex)
				}
			}
			return nil
		}), ext, ExpectNo(time.Hour, wire.Extended))
	})
}

func TestSeederHashes(t *testing.T) {
	tor := MakeTorrent(t, Spec{Format: V2, Files: []FileSpec{{Path: "a", Length: 10}, {Path: "b", Length: 300_000}}})
	root, _ := tor.Root(1)
	height := metainfo.TreeHeight(300_000)
	r := metainfo.HashRequest{Root: root, Base: 1, Length: 4}.FullProof(height)
	span := wire.HashSpan{Root: r.Root, BaseLayer: r.Base, Index: r.Index, Length: r.Length, ProofLayers: r.Proof}
	virtual(t, simnet.Link{}, func(t *testing.T, w world) {
		_, p := seed(t, w, SeederConfig{Torrent: tor})
		bad := span
		bad.Root[0] ^= 1
		run(t, p, Hello(tor, "x"), ExpectHandshake(), Await(wire.HaveAll),
			Send(wire.Message{ID: wire.HashRequest, Data: span.Append(nil)}),
			Expect(wire.Hashes, func(m wire.Message) error {
				got, hashes, err := wire.ParseHashSpan(m.Data)
				if err != nil || !reflect.DeepEqual(got, span) {
					return fmt.Errorf("%+v, %v", got, err)
				}
				return r.Verify(height, hashes)
			}),
			Send(wire.Message{ID: wire.HashRequest, Data: bad.Append(nil)}),
			Expect(wire.HashReject))
	})
}

func TestSeederWrongHash(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		other := MakeTorrent(t, Spec{Seed: 2})
		s, p := seed(t, w, SeederConfig{Torrent: MakeTorrent(t, Spec{Seed: 1})})
		run(t, p, Hello(other, "x"), Do("closed", func(p *FakePeer) error {
			if err := p.Run(ExpectHandshake()); !gone(err) {
				return fmt.Errorf("error %v", err)
			}
			return nil
		}))
		if n := s.Stats().WrongHash; n != 1 {
			t.Errorf("%d wrong hashes counted", n)
		}
	})
}

// TestSeederDials has the seeder connect to a script, which answers as a peer that
// is dialled does.
func TestSeederDials(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		tor := MakeTorrent(t, Spec{})
		ln, err := w.client.Listen(context.Background(), "tcp", addrOf(w))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		fake := NewFake(ln, ExpectHandshake(), Hello(tor, "y"), Await(wire.HaveAll), interested,
			Await(wire.Unchoke), Fetch(tor, 0, 7), Do("end", func(*FakePeer) error { close(ended); return nil }))
		defer fake.Close()
		s := NewSeeder(SeederConfig{Torrent: tor})
		defer s.Close()
		if err := s.Dial(context.Background(), w.server, ln.Addr().String()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
		}
		if err := fake.Err(); err != nil {
			t.Error(err)
		}
		if fake.Connections() != 1 {
			t.Errorf("%d connections", fake.Connections())
		}
		s.Close()
		if err := s.Dial(context.Background(), w.server, ln.Addr().String()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial after close: %v", err)
		}
	})
}

// addrOf returns an address on which the client can listen.
func addrOf(w world) string {
	if h, ok := w.client.(*simnet.Host); ok {
		return netip.AddrPortFrom(h.Addr(), 0).String()
	}
	return w.bind
}
