package swarmtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/wire"
)

// world is a network with a client and a server.
type world struct {
	client, server Network
	bind           string // what the server listens on
}

// worlds runs fn in virtual time and on real loopback sockets.
func worlds(t *testing.T, fn func(t *testing.T, w world)) {
	t.Run("simnet", func(t *testing.T) { virtual(t, simnet.Link{}, fn) })
	t.Run("loopback", func(t *testing.T) { fn(t, world{RealNetwork{}, RealNetwork{}, "127.0.0.1:0"}) })
}

// virtual runs fn in virtual time with a server behind the given link.
func virtual(t *testing.T, link simnet.Link, fn func(t *testing.T, w world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		fn(t, world{
			client: n.Host(simnet.Link{}, simnet.Addr("192.0.2.1")),
			server: n.Host(link, simnet.Addr("192.0.2.2")),
			bind:   "192.0.2.2:0",
		})
	})
}

// seed starts a seeder and dials it.
func seed(t *testing.T, w world, cfg SeederConfig) (*Seeder, *FakePeer) {
	t.Helper()
	s := NewSeeder(cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	addr, err := s.Listen(context.Background(), w.server, w.bind)
	if err != nil {
		t.Fatal(err)
	}
	return s, dial(t, w, addr.String())
}

func dial(t *testing.T, w world, addr string) *FakePeer {
	t.Helper()
	p, err := DialFake(context.Background(), w.client, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	p.Timeout = 30 * time.Second
	return p
}

func run(t *testing.T, p *FakePeer, steps ...Step) {
	t.Helper()
	if err := p.Run(steps...); err != nil {
		t.Fatal(err)
	}
}

var interested = Send(wire.Message{ID: wire.Interested})

func request(piece, begin, length uint32) wire.Message {
	return wire.Message{ID: wire.Request, Index: piece, Begin: begin, Length: length}
}

func TestSeederServesEverything(t *testing.T) {
	for _, spec := range []Spec{
		{Length: 100_001},
		{Format: Hybrid, Files: []FileSpec{{Path: "a", Length: 70_000}, {Path: "b", Length: 40_000}}},
		{Format: V2, Files: []FileSpec{{Path: "a", Length: 70_000}, {Path: "b", Length: 40_000}}},
	} {
		tor := MakeTorrent(t, spec)
		t.Run(spec.Format.String(), func(t *testing.T) {
			worlds(t, func(t *testing.T, w world) {
				s, p := seed(t, w, SeederConfig{Torrent: tor, Name: "seed 1", Port: 6881, DHTPort: 6882})
				var all []int
				for i := range tor.NumPieces() {
					all = append(all, i)
				}
				run(t, p, Hello(tor, "-XX0000-"), ExpectHandshake(),
					Expect(wire.Extended), Expect(wire.HaveAll), Expect(wire.Port),
					interested, Expect(wire.Unchoke), Fetch(tor, all...))
				if !bytes.HasPrefix(p.Theirs.PeerID[:], []byte("-ST0000-seed 1")) || p.Theirs.InfoHash != tor.InfoHash {
					t.Errorf("handshake %+v", p.Theirs)
				}
				if p.Ext.Version != "seed 1" || p.Ext.MetadataSize != len(tor.Raw) || p.Ext.Port != 6881 || p.Ext.Reqq != 250 {
					t.Errorf("extension handshake %+v", p.Ext)
				}
				if !slices.Equal(s.Requested(), all) {
					t.Errorf("asked for %v", s.Requested())
				}
				st := s.Stats()
				var bytes int64
				for _, i := range all {
					bytes += tor.PieceSize(i)
				}
				if st.Connections != 1 || st.Open != 1 || st.BytesSent != bytes || st.Received[wire.Interested] != 1 {
					t.Errorf("stats %+v", st)
				}
				p.Close()
			})
		})
	}
}

func TestSeederMetadata(t *testing.T) {
	// 2000 pieces make an info dictionary of three blocks.
	tor := MakeTorrent(t, Spec{Length: 2000 * 64, PieceLength: 64})
	const ourID = 77
	ask := func(block int) Step {
		return Do(fmt.Sprintf("ask for block %d", block), func(p *FakePeer) error {
			return p.Send(wire.Message{
				ID: wire.Extended, ExtID: p.Ext.M[wire.UTMetadata],
				Data: wire.MetadataMessage{Type: wire.MetadataRequest, Piece: block}.Append(nil),
			})
		})
	}
	tests := []struct {
		name   string
		cfg    SeederConfig
		claims int
		answer wire.MetadataType // to requests; MetadataUnknown = none
		right  bool              // what comes is the info dictionary
	}{
		{"honest", SeederConfig{}, len(tor.Raw), wire.MetadataData, true},
		{"wrong byte", SeederConfig{Faults: Faults{WrongMetadata: true}}, len(tor.Raw), wire.MetadataData, false},
		{"has none", SeederConfig{NoMetadata: true}, 0, wire.MetadataReject, false},
		{"rejects", SeederConfig{Faults: Faults{RejectMetadata: true}}, len(tor.Raw), wire.MetadataReject, false},
		{"ignores", SeederConfig{Faults: Faults{IgnoreMetadata: true}}, len(tor.Raw), wire.MetadataUnknown, false},
		{"lies about the size", SeederConfig{Faults: Faults{MetadataSize: 40_000}}, 40_000, wire.MetadataReject, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, simnet.Link{}, func(t *testing.T, w world) {
				tt.cfg.Torrent = tor
				s, p := seed(t, w, tt.cfg)
				run(t, p, Hello(tor, "x"), ExpectHandshake(), Await(wire.Extended),
					SendExtension(wire.ExtHandshake{M: map[string]uint8{wire.UTMetadata: ourID}}))
				if p.Ext.MetadataSize != tt.claims {
					t.Errorf("claims %d bytes, want %d", p.Ext.MetadataSize, tt.claims)
				}
				var got []byte
				blocks := (len(tor.Raw) + wire.MetadataBlockSize - 1) / wire.MetadataBlockSize
				for i := range blocks {
					if tt.answer == wire.MetadataUnknown {
						run(t, p, ask(i), ExpectNo(time.Minute, wire.Extended))
						continue
					}
					run(t, p, ask(i), AwaitExtended(ourID, func(b []byte) error {
						if tt.cfg.Faults.MetadataSize != 0 {
							if !bytes.Contains(b, []byte("10:total_sizei40000e")) {
								return fmt.Errorf("message %.60q", b)
							}
							return nil
						}
						m, err := wire.ParseMetadataMessage(b)
						if err != nil || m.Type != tt.answer || m.Piece != i {
							return fmt.Errorf("%+v, %v", m, err)
						}
						got = append(got, m.Data...)
						return nil
					}))
				}
				if bytes.Equal(got, tor.Raw) != tt.right {
					t.Errorf("%d bytes of info, right: %v", len(got), !tt.right)
				}
				if !tt.right && tt.answer == wire.MetadataData && len(got) != len(tor.Raw) {
					t.Errorf("%d bytes of wrong info", len(got))
				}
				if n := s.Stats().Metadata; n != blocks {
					t.Errorf("%d requests counted, want %d", n, blocks)
				}
			})
		})
	}
}

// TestSeederFaults looks at each fault from the other side of the connection.
func TestSeederFaults(t *testing.T) {
	tor := MakeTorrent(t, Spec{Length: 64 << 10}) // 2 pieces of 2 blocks
	hello := []Step{Hello(tor, "x"), ExpectHandshake(), Await(wire.HaveAll)}
	unchoked := append(slices.Clone(hello), interested, Await(wire.Unchoke))
	r := []wire.Message{request(0, 0, 16384), request(0, 16384, 16384), request(1, 0, 16384), request(1, 16384, 16384)}
	slow := wire.NewReserved(false)
	slow[7] = 0 // neither fast extension nor DHT
	tests := []struct {
		name  string
		cfg   SeederConfig
		steps []Step
	}{
		{"silent", SeederConfig{Faults: Faults{Silent: true}},
			[]Step{Hello(tor, "x"), Do("nothing comes", func(p *FakePeer) error {
				if err := p.listen(time.Minute, func(wire.Message) error { return errors.New("got something") }); err != nil {
					return err
				}
				return nil
			})}},
		{"garbage", SeederConfig{Faults: Faults{Garbage: true}},
			[]Step{Hello(tor, "x"), Do("handshake is malformed", func(p *FakePeer) error {
				if err := p.Run(ExpectHandshake()); !errors.Is(err, wire.ErrMalformed) {
					return fmt.Errorf("error %v", err)
				}
				return nil
			})}},
		{"never unchokes", SeederConfig{Faults: Faults{NeverUnchoke: true}},
			append(slices.Clone(hello), interested, ExpectNo(time.Hour))},
		{"request while choked is rejected", SeederConfig{},
			append(slices.Clone(hello), Send(r[0]), Expect(wire.Reject, Is(0, 0, 16384)))},
		{"request while choked is dropped without fast extension", SeederConfig{Reserved: &slow},
			[]Step{Hello(tor, "x"), ExpectHandshake(), Await(wire.Bitfield), Send(r[0]), ExpectNo(time.Hour)}},
		{"rejects all", SeederConfig{Faults: Faults{RejectAll: true}},
			append(slices.Clone(unchoked), Send(r[1]), Expect(wire.Reject, Is(0, 16384, 16384)))},
		{"stalls", SeederConfig{Faults: Faults{Stall: true}},
			append(slices.Clone(unchoked), Send(r...), ExpectNo(time.Hour))},
		{"stalls after three", SeederConfig{Faults: Faults{Stall: true, StallAfter: 3}},
			append(slices.Clone(unchoked), Send(r...), Expect(wire.Piece), Expect(wire.Piece), Expect(wire.Piece), ExpectNo(time.Hour))},
		{"disconnects at once", SeederConfig{Faults: Faults{Disconnect: true}},
			append(slices.Clone(unchoked), Send(r[0]), Do("closed", func(p *FakePeer) error {
				_, err := p.Next()
				if !gone(err) {
					return fmt.Errorf("error %v", err)
				}
				return nil
			}))},
		{"disconnects after two by reset", SeederConfig{Faults: Faults{Disconnect: true, DisconnectAfter: 2, ByReset: true}, BytesPerSec: 16384},
			append(slices.Clone(unchoked), Send(r...), Expect(wire.Piece), ExpectClosed())},
		{"chokes after one block", SeederConfig{Faults: Faults{ChokeAfter: 1, ChokeFor: time.Minute}, ResponseDelay: time.Second},
			append(slices.Clone(unchoked), Send(r[:3]...), Expect(wire.Piece), Expect(wire.Choke), Expect(wire.Reject), Expect(wire.Reject), ExpectNo(59*time.Second), Expect(wire.Unchoke))},
		{"chokes for good", SeederConfig{Faults: Faults{ChokeAfter: 1}},
			append(slices.Clone(unchoked), Send(r[0]), Expect(wire.Piece), Expect(wire.Choke), ExpectNo(time.Hour))},
		{"corrupts", SeederConfig{Faults: Faults{Corrupt: CorruptPieces(1)}},
			append(slices.Clone(unchoked), Fetch(tor, 0), Send(r[2]), Expect(wire.Piece, func(m wire.Message) error {
				if want := tor.Block(1, 0, 16384); bytes.Equal(m.Data, want) || len(m.Data) != len(want) {
					return errors.New("not corrupt")
				}
				return nil
			}))},
		{"truncates", SeederConfig{Faults: Faults{Truncate: true}},
			append(slices.Clone(unchoked), Send(r[0]), Expect(wire.Piece, Is(0, 0, 16383)))},
		{"repeats", SeederConfig{Faults: Faults{Duplicate: true}},
			append(slices.Clone(unchoked), Send(r[0]), Expect(wire.Piece, Is(0, 0, 16384)), Expect(wire.Piece, Is(0, 0, 16384)), ExpectNo(time.Hour))},
		{"claims what it lacks, rejects", SeederConfig{Have: []int{0}, Faults: Faults{ClaimAll: true}},
			append(slices.Clone(unchoked), Fetch(tor, 0), Send(r[2]), Expect(wire.Reject, Is(1, 0, 16384)))},
		{"claims what it lacks, ignores", SeederConfig{Have: []int{0}, Faults: Faults{ClaimAll: true, IgnoreMissing: true}},
			append(slices.Clone(unchoked), Fetch(tor, 0), Send(r[2]), ExpectNo(time.Hour))},
		{"rejects what does not exist", SeederConfig{},
			append(slices.Clone(unchoked), Send(request(9, 0, 1)), Expect(wire.Reject, Is(9, 0, 1)), Send(request(1, 32768, 1)), Expect(wire.Reject))},
		{"short queue", SeederConfig{Reqq: 2, ResponseDelay: time.Second},
			append(slices.Clone(unchoked), Send(r...), Expect(wire.Piece), Expect(wire.Piece), ExpectNo(time.Hour))},
		{"cancel", SeederConfig{ResponseDelay: time.Second},
			append(slices.Clone(unchoked), Send(r[0], r[1], wire.Message{ID: wire.Cancel, Length: 16384}), Expect(wire.Reject, Is(0, 0, 16384)), Expect(wire.Piece, Is(0, 16384, 16384)), ExpectNo(time.Hour))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, simnet.Link{Delay: time.Millisecond}, func(t *testing.T, w world) {
				tt.cfg.Torrent = tor
				_, p := seed(t, w, tt.cfg)
				p.Timeout = 2 * time.Hour
				run(t, p, tt.steps...)
			})
		})
	}
}

// TestSeederTimes measures delays and rates.
func TestSeederTimes(t *testing.T) {
	tor := MakeTorrent(t, Spec{Length: 256 << 10})
	tests := []struct {
		name string
		link simnet.Link
		cfg  SeederConfig
		want time.Duration // from interested to the last byte of two pieces, 64 KiB
	}{
		{"at once", simnet.Link{}, SeederConfig{}, 0},
		{"unchoke delay", simnet.Link{}, SeederConfig{UnchokeDelay: 3 * time.Second}, 3 * time.Second},
		{"response delay", simnet.Link{}, SeederConfig{ResponseDelay: time.Second}, 2 * time.Second}, // per piece; requests overlap
		{"trickle", simnet.Link{}, SeederConfig{BytesPerSec: 1024}, 64 * time.Second},
		{"trickle below one write", simnet.Link{}, SeederConfig{BytesPerSec: 8}, 8192 * time.Second},
		{"link", simnet.Link{Delay: 10 * time.Millisecond}, SeederConfig{}, 60 * time.Millisecond}, // unchoke, two pieces
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, tt.link, func(t *testing.T, w world) {
				tt.cfg.Torrent = tor
				_, p := seed(t, w, tt.cfg)
				p.Timeout = 24 * time.Hour
				run(t, p, Hello(tor, "x"), ExpectHandshake(), Await(wire.HaveAll))
				start := time.Now()
				run(t, p, interested, Await(wire.Unchoke), Fetch(tor, 3, 4))
				if d := time.Since(start); d != tt.want {
					t.Errorf("took %v, want %v", d, tt.want)
				}
			})
		})
	}
}
