package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/mse"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

func TestWays(t *testing.T) {
	plainFirst, mseFirst, mseOnly := []way{wayPlain, wayMSE}, []way{wayMSE, wayPlain}, []way{wayMSE}
	tests := []struct {
		policy mse.Policy
		known  way
		want   []way
	}{
		{mse.Allow, wayUnknown, plainFirst},
		{mse.Allow, wayPlain, plainFirst},
		{mse.Allow, wayMSE, mseFirst},
		{mse.Prefer, wayUnknown, mseFirst},
		{mse.Prefer, wayPlain, plainFirst},
		{mse.Prefer, wayMSE, mseFirst},
		{mse.Require, wayUnknown, mseOnly},
		{mse.Require, wayPlain, mseOnly},
		{mse.Require, wayMSE, mseOnly},
	}
	for _, tt := range tests {
		if got := ways(tt.policy, tt.known); !slices.Equal(got, tt.want) {
			t.Errorf("%v, known %v: %v, want %v", tt.policy, tt.known, got, tt.want)
		}
	}
}

func TestJudgeHandshake(t *testing.T) {
	tests := []struct {
		err  error
		want outcome
	}{
		{io.EOF, tryOther},
		{io.ErrUnexpectedEOF, tryOther},
		{syscall.ECONNRESET, tryOther},
		{syscall.EPIPE, tryOther},
		{wire.ErrMalformed, tryOther},
		{mse.ErrMalformed, tryOther},
		{os.ErrDeadlineExceeded, otherNext},
		{context.DeadlineExceeded, otherNext},
		{context.Canceled, tellsNothing},
		{peer.ErrSelf, tellsNothing},
		{peer.ErrInfoHash, tellsNothing},
	}
	for _, tt := range tests {
		if got := judgeHandshake(fmt.Errorf("peer: %w", tt.err)); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}

// memory is a Store that keeps everything.
type memory struct {
	mu     sync.Mutex // guards pieces
	pieces map[int][]byte
}

func (m *memory) PieceVerified(index int, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pieces[index] = data
}

func (m *memory) ReadPiece(index int) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if data, ok := m.pieces[index]; ok {
		return data, nil
	}
	return nil, ErrNotHave
}

// side is a session of one host with one torrent.
type side struct {
	session *Session
	torrent *Torrent
	store   *memory
}

// newSide starts a session. It has the pieces have, and wants all others.
func newSide(t *testing.T, host *simnet.Host, p mse.Policy, tor *swarmtest.Torrent, have []int, peers ...string) *side {
	t.Helper()
	session, err := NewSession(Config{Network: host, Port: 6881, Encryption: p, DHT: DHTConfig{Disable: true}, DisableLPD: true})
	if err != nil {
		t.Fatal(err)
	}
	s := &side{session: session, store: &memory{pieces: map[int][]byte{}}}
	var wants []Want
	for i := range tor.NumPieces() {
		if slices.Contains(have, i) {
			s.store.pieces[i] = tor.Piece(i)
		} else {
			wants = append(wants, Want{Piece: i, Deadline: time.Now(), Blocked: true})
		}
	}
	s.torrent, err = session.Add(AddSpec{
		InfoHash: tor.InfoHash, Info: tor.Info, Have: have, Store: s.store, Peers: peers,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(wants) > 0 {
		s.torrent.SetWants(1, wants)
	}
	return s
}

// has tells whether the pieces are there and right.
func (s *side) has(tor *swarmtest.Torrent, pieces []int) bool {
	for _, i := range pieces {
		if data, err := s.store.ReadPiece(i); err != nil || !bytes.Equal(data, tor.Piece(i)) {
			return false
		}
	}
	return true
}

// all are the pieces of a seed.
func all(tor *swarmtest.Torrent) (pieces []int) {
	for i := range tor.NumPieces() {
		pieces = append(pieces, i)
	}
	return pieces
}

// twoHosts are a leecher's and a seed's.
func twoHosts(n *simnet.Net) (x, y *simnet.Host) {
	link := simnet.Link{Up: 1 << 20, Down: 1 << 20, Delay: 10 * time.Millisecond}
	return n.Host(link, simnet.Addr("198.51.100.1")), n.Host(link, simnet.Addr("198.51.100.2"))
}

// TestEncryptionBetweenSessions downloads under all pairs of policies. There is one
// piece that nobody has, so that both stay connected.
func TestEncryptionBetweenSessions(t *testing.T) {
	methods := [3][3]mse.Method{ // by the policy of the side that dials, then of the other
		mse.Allow:   {mse.Allow: mse.None, mse.Prefer: mse.None, mse.Require: mse.RC4},
		mse.Prefer:  {mse.Allow: mse.Obscured, mse.Prefer: mse.RC4, mse.Require: mse.RC4},
		mse.Require: {mse.Allow: mse.RC4, mse.Prefer: mse.RC4, mse.Require: mse.RC4},
	}
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	for p, row := range methods {
		for q, want := range row {
			t.Run(fmt.Sprintf("%v to %v", mse.Policy(p), mse.Policy(q)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := simnet.New(1)
					defer n.Close()
					x, y := twoHosts(n)
					most := all(tor)[1:]
					seed := newSide(t, y, mse.Policy(q), tor, most)
					defer seed.session.Close()
					leecher := newSide(t, x, mse.Policy(p), tor, nil, "198.51.100.2:6881")
					defer leecher.session.Close()
					time.Sleep(3 * time.Second)
					if !leecher.has(tor, most) {
						t.Error("pieces are missing")
					}
					for name, s := range map[string]*side{"leecher": leecher, "seed": seed} {
						peers := s.torrent.Status().Peers
						if len(peers) != 1 || peers[0].Encryption != want {
							t.Errorf("%s: peers %+v, want one with %v", name, peers, want)
						}
					}
				})
			})
		}
	}
}

// TestEncryptionAndPlainSeed: a seed that knows nothing of MSE is used unless
// encryption is required, whoever dials.
func TestEncryptionAndPlainSeed(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	for policy, want := range map[mse.Policy]bool{mse.Allow: true, mse.Prefer: true, mse.Require: false} {
		for _, dials := range []string{"we", "they"} {
			t.Run(fmt.Sprintf("%v, %s dial", policy, dials), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := simnet.New(1)
					defer n.Close()
					x, y := twoHosts(n)
					seeder := swarmtest.NewSeeder(swarmtest.SeederConfig{Torrent: tor})
					defer seeder.Close()
					var peers []string
					if dials == "we" {
						if _, err := seeder.Listen(t.Context(), y, ":6881"); err != nil {
							t.Fatal(err)
						}
						peers = append(peers, "198.51.100.2:6881")
					}
					s := newSide(t, x, policy, tor, nil, peers...)
					defer s.session.Close()
					if dials == "they" {
						if err := seeder.Dial(t.Context(), y, "198.51.100.1:6881"); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(20 * time.Second)
					if s.has(tor, all(tor)) != want {
						t.Errorf("complete: %v, want %v", !want, want)
					}
					for _, p := range s.torrent.Status().Peers {
						if p.Encryption != mse.None {
							t.Errorf("encryption %v", p.Encryption)
						}
					}
				})
			})
		}
	}
}

// opening is what a recorder saw of one connection.
type opening struct {
	after time.Duration // since the recorder started
	plain bool
}

// recorder listens on y, notes how connections begin, and then does as it is told
// with them.
func recorder(t *testing.T, y *simnet.Host, then func(net.Conn)) func() []opening {
	t.Helper()
	ln, err := y.Listen(t.Context(), "tcp", ":6881")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []opening
	var wg sync.WaitGroup
	began := time.Now()
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			at := time.Since(began)
			wg.Go(func() {
				defer nc.Close()
				head := make([]byte, len(wire.HandshakePrefix))
				if _, err := io.ReadFull(nc, head); err != nil {
					return
				}
				mu.Lock()
				seen = append(seen, opening{at, string(head) == wire.HandshakePrefix})
				mu.Unlock()
				then(nc)
			})
		}
	})
	return func() []opening {
		ln.Close()
		wg.Wait()
		return seen
	}
}

// picture draws openings: p plain, m MSE; a blank before those that were not at
// once.
func picture(seen []opening) string {
	var b strings.Builder
	for i, o := range seen {
		if i > 0 && o.after-seen[i-1].after > time.Second {
			b.WriteByte(' ')
		}
		if o.plain {
			b.WriteByte('p')
		} else {
			b.WriteByte('m')
		}
	}
	return b.String()
}

// TestEncryptionFallback: what is tried, and when, at a peer that never completes
// a handshake.
func TestEncryptionFallback(t *testing.T) {
	hangUp := func(net.Conn) {}
	silent := func(nc net.Conn) { io.Copy(io.Discard, nc) }
	tests := []struct {
		name   string
		policy mse.Policy
		peer   func(net.Conn)
		want   string // tries until the address is given up
	}{
		{"hangs up", mse.Allow, hangUp, "pm pm pm pm"},
		{"hangs up", mse.Prefer, hangUp, "mp mp mp mp"},
		{"hangs up", mse.Require, hangUp, "m m m m"},
		{"is silent", mse.Allow, silent, "p m p m"},
		{"is silent", mse.Prefer, silent, "m p m p"},
		{"is silent", mse.Require, silent, "m m m m"},
	}
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	for _, tt := range tests {
		t.Run(tt.name+"/"+tt.policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := simnet.New(1)
				defer n.Close()
				x, y := twoHosts(n)
				seen := recorder(t, y, tt.peer)
				s := newSide(t, x, tt.policy, tor, nil, "198.51.100.2:6881")
				time.Sleep(10 * time.Minute)
				s.session.Close()
				if got := picture(seen()); got != tt.want {
					t.Errorf("tried %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// TestEncryptionIsRemembered: a peer that was reached by MSE is dialled so at once
// the next time.
func TestEncryptionIsRemembered(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{})
	synctest.Test(t, func(t *testing.T) {
		n := simnet.New(1)
		defer n.Close()
		x, y := twoHosts(n)
		ln, err := y.Listen(t.Context(), "tcp", ":6881")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var tries []bool // encrypted?
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				wg.Go(func() {
					c, err := mse.Accept(context.Background(), nc, mse.Require, slices.Values([][20]byte{tor.InfoHash}))
					mu.Lock()
					tries = append(tries, err == nil)
					mu.Unlock()
					if err != nil {
						return
					}
					// A handshake, a while, and gone.
					known := func(wire.Handshake) (peer.Answer, bool) {
						return peer.Answer{Handshake: wire.Handshake{PeerID: [20]byte{9}}}, true
					}
					link, err := peer.HandshakeIn(context.Background(), c, known)
					if err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Second)
					link.Close()
				})
			}
		})
		s := newSide(t, x, mse.Allow, tor, nil, "198.51.100.2:6881")
		time.Sleep(40 * time.Second)
		s.session.Close()
		ln.Close()
		wg.Wait()
		if want := []bool{false, true, true}; !slices.Equal(tries[:min(3, len(tries))], want) {
			t.Errorf("tries %v, want %v first", tries, want)
		}
	})
}

// TestPexHintsEncryption: a contact that is said to prefer encryption is dialled so
// first, unless we know better; and the way in which a dial failed is passed on.
func TestPexHintsEncryption(t *testing.T) {
	s := newStage(t, 3, false)
	_, id := s.join(1, true)
	known, hinted, other := ap("198.51.100.20:1"), ap("198.51.100.21:1"), ap("198.51.100.22:1")
	s.l.cands.add(known, endpoint.FromDHT, s.now)
	s.l.cands.setWay(known, wayPlain)
	m := wire.Pex{Added: []wire.PexPeer{
		{Addr: known, Flags: wire.PexEncryption},
		{Addr: hinted, Flags: wire.PexEncryption | wire.PexSeed},
		{Addr: other, Flags: wire.PexSeed},
	}}
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.recv(id, wire.Message{ID: wire.Extended, ExtID: wire.IDPex, Data: b})
	for a, want := range map[netip.AddrPort]way{known: wayPlain, hinted: wayMSE, other: wayUnknown} {
		if d := s.l.cands.list[a]; d == nil || d.way != want {
			t.Errorf("%v: %+v, want way %v", a, d, want)
		}
		if got := s.do.ways[a]; got != want {
			t.Errorf("%v dialled by way %v, want %v", a, got, want)
		}
	}
	s.do1(event{msg: evDialFailed{addr: known, next: wayMSE, err: errors.New("silent")}})
	s.do1(event{msg: evDialFailed{addr: hinted, err: errors.New("refused")}})
	for _, a := range []netip.AddrPort{known, hinted} {
		if d := s.l.cands.list[a]; d.way != wayMSE {
			t.Errorf("%v: way %v after a failure", a, d.way)
		}
	}
}

// TestEncryptionInExtHandshake: peers are told that we prefer encryption.
func TestEncryptionInExtHandshake(t *testing.T) {
	for _, prefer := range []bool{false, true} {
		s := newStage(t, 3, false)
		s.l.encrypt = prefer
		c := &fakeConn{}
		s.do1(event{msg: evConnected{
			start:  func(picker.PeerID) conn { return c },
			hs:     wire.Handshake{Reserved: wire.NewReserved(false), InfoHash: s.l.hash, PeerID: [20]byte{1}},
			addr:   ap("198.51.100.1:5"),
			method: mse.RC4,
		}})
		for _, m := range c.sent {
			if m.ID != wire.Extended {
				continue
			}
			h, err := wire.ParseExtHandshake(m.Data)
			if err != nil || h.Encrypt != prefer {
				t.Errorf("prefers %v: told %v, %v", prefer, h.Encrypt, err)
			}
		}
		if st := s.l.status(s.now); len(st.Peers) != 1 || st.Peers[0].Encryption != mse.RC4 {
			t.Errorf("status %+v", st.Peers)
		}
	}
}
