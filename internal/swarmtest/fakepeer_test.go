package swarmtest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/wire"
)

// TestScripts runs two scripts against each other; the second one is judged.
func TestScripts(t *testing.T) {
	tor := MakeTorrent(t, Spec{Length: 50_000})
	have := func(i uint32) wire.Message { return wire.Message{ID: wire.Have, Index: i} }
	unchoke := wire.Message{ID: wire.Unchoke}
	tests := []struct {
		name    string
		theirs  []Step
		judged  []Step
		want    string        // part of the error; "" = none
		elapsed time.Duration // at least
	}{
		{"handshake", []Step{Hello(tor, "a")}, []Step{ExpectHandshake(func(h wire.Handshake) error {
			if h.InfoHash != tor.InfoHash || h.PeerID[0] != 'a' || !h.Reserved.Fast() || !h.Reserved.Extended() || !h.Reserved.DHT() {
				return errors.New("wrong handshake")
			}
			return nil
		})}, "", 0},
		{"handshake check fails", []Step{Hello(tor, "a")}, []Step{ExpectHandshake(func(wire.Handshake) error { return errors.New("no good") })}, "step 1, expect handshake: no good", 0},
		{"no handshake", []Step{Raw([]byte("GET /announce HTTP/1.0\r\n\r\n"))}, []Step{ExpectHandshake()}, "malformed", 0},
		{"messages in one segment", []Step{Send(unchoke, have(1), have(2))}, []Step{Expect(wire.Unchoke), Expect(wire.Have, Is(1, 0, 0)), Expect(wire.Have, Is(2, 0, 0))}, "", 0},
		{"handshake and messages in one segment", []Step{Raw(have(3).Append(wire.Handshake{}.Append(nil)))}, []Step{ExpectHandshake(), Expect(wire.Have, Is(3, 0, 0))}, "", 0},
		{"keep-alives do not count", []Step{Send(wire.Message{ID: wire.KeepAlive}, have(1))}, []Step{Expect(wire.Have)}, "", 0},
		{"expect another", []Step{Send(have(7))}, []Step{Expect(wire.Unchoke)}, "step 1, expect unchoke: got have 7", 0},
		{"await skips", []Step{Send(have(7), have(8), unchoke)}, []Step{Await(wire.Unchoke)}, "", 0},
		{"check fails", []Step{Send(have(7))}, []Step{Await(wire.Have, Is(8, 0, 0))}, "have 7: want 8/0/0", 0},
		{"nothing comes", []Step{Sleep(time.Hour)}, []Step{Await(wire.Have)}, "nothing came", 5 * time.Minute},
		{"a wait after one in vain", []Step{Sleep(time.Minute), Send(have(1), have(2))}, []Step{ExpectNo(time.Second), ExpectNo(time.Second), Listen(time.Second), Expect(wire.Have, Is(1, 0, 0)), Expect(wire.Have, Is(2, 0, 0))}, "", time.Minute},
		{"expect no", []Step{Send(have(1))}, []Step{ExpectNo(time.Second)}, "got have 1", 0},
		{"expect no unchoke", []Step{Send(have(1)), Sleep(time.Second), Send(unchoke), Sleep(time.Hour)}, []Step{ExpectNo(2*time.Second, wire.Choke, wire.Unchoke)}, "got unchoke", time.Second},
		{"expect no reject", []Step{Send(have(1)), Sleep(time.Hour)}, []Step{ExpectNo(2*time.Second, wire.Reject)}, "", 2 * time.Second},
		{"closed", []Step{Send(have(1)), Close()}, []Step{ExpectClosed()}, "", 0},
		{"reset", []Step{Sleep(time.Second), Reset()}, []Step{ExpectClosed()}, "", time.Second},
		{"closed inside a message", []Step{Raw([]byte{0, 0, 0, 5, 4}), Close()}, []Step{ExpectClosed()}, "", 0},
		{"not closed", []Step{Sleep(time.Hour)}, []Step{ExpectClosed()}, "nothing came", 5 * time.Minute},
		{"closed while listening", []Step{Close()}, []Step{Listen(time.Minute)}, "EOF", 0},
		{"extension handshakes add up",
			[]Step{SendExtension(wire.ExtHandshake{M: map[string]uint8{"ut_pex": 3}, Version: "v"}), SendExtension(wire.ExtHandshake{M: map[string]uint8{"ut_metadata": 4}})},
			[]Step{Await(wire.Extended), AwaitExtended(0, nil), Do("check", func(p *FakePeer) error {
				if p.Ext.M["ut_pex"] != 3 || p.Ext.M["ut_metadata"] != 4 || p.Ext.Version != "v" {
					return errors.New("lost something")
				}
				return nil
			})}, "", 0},
		{"answer and fetch", []Step{Answer(tor, 4)}, []Step{Fetch(tor, 1, 0)}, "", 0},
		{"fetch gets a reject", []Step{Send(wire.Message{ID: wire.Reject})}, []Step{Fetch(tor, 0)}, "piece 0: got reject", 0},
		{"fetch gets wrong data", []Step{Send(wire.Message{ID: wire.Piece, Data: make([]byte, 16384)})}, []Step{Fetch(tor, 0)}, "has wrong data", 0},
		{"answer to an impossible request", []Step{Send(request(9, 0, 1))}, []Step{Answer(tor, 1)}, "no such block", 0},
		{"log", []Step{Send(have(1), wire.Message{ID: wire.KeepAlive}, have(2)), Close()}, []Step{ExpectClosed(), Do("check", func(p *FakePeer) error {
			if len(p.Log) != 2 {
				return errors.New("wrong log")
			}
			return nil
		})}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, simnet.Link{}, func(t *testing.T, w world) {
				ln, err := w.server.Listen(context.Background(), "tcp", w.bind)
				if err != nil {
					t.Fatal(err)
				}
				fake := NewFake(ln, append(tt.theirs, Sleep(0), ExpectClosed())...)
				defer fake.Close()
				p := dial(t, w, ln.Addr().String())
				p.Timeout = 0
				start := time.Now()
				err = p.Run(tt.judged...)
				if d := time.Since(start); d < tt.elapsed || d > tt.elapsed+5*time.Minute {
					t.Errorf("took %v, want %v", d, tt.elapsed)
				}
				switch {
				case tt.want == "" && err != nil:
					t.Error(err)
				case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
					t.Errorf("error %v, want %q", err, tt.want)
				}
			})
		})
	}
}

func TestFakeCollectsErrors(t *testing.T) {
	worlds(t, func(t *testing.T, w world) {
		ln, err := w.server.Listen(context.Background(), "tcp", w.bind)
		if err != nil {
			t.Fatal(err)
		}
		fake := NewFake(ln, Expect(wire.Unchoke))
		good, bad := dial(t, w, ln.Addr().String()), dial(t, w, ln.Addr().String())
		run(t, bad, Send(wire.Message{ID: wire.Choke}), ExpectClosed())
		run(t, good, Send(wire.Message{ID: wire.Unchoke}), ExpectClosed())
		idle := dial(t, w, ln.Addr().String())
		if err := fake.Err(); err == nil || !strings.Contains(err.Error(), "step 1, expect unchoke: got choke") {
			t.Errorf("error %v", err)
		}
		before := fake.Err().Error()
		fake.Close()
		if fake.Err().Error() != before {
			t.Errorf("Close made an error: %v", fake.Err())
		}
		run(t, idle, ExpectClosed())
	})
}

// TestBlockedPeer fills the window towards a script that does not read: a step
// that sends gives up after its time-out.
func TestBlockedPeer(t *testing.T) {
	virtual(t, simnet.Link{Window: 4096}, func(t *testing.T, w world) {
		ln, err := w.server.Listen(context.Background(), "tcp", w.bind)
		if err != nil {
			t.Fatal(err)
		}
		defer NewFake(ln, Sleep(time.Hour)).Close()
		p := dial(t, w, ln.Addr().String())
		p.Timeout = time.Minute
		start := time.Now()
		err = p.Run(Raw(make([]byte, 1<<20)))
		if !interrupted(err) || time.Since(start) != time.Minute {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}
