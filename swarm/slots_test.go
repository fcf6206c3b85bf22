package swarm

import (
	"slices"
	"testing"
	"time"

	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/wire"
)

// TestInterest: a loop says that it is no longer interested when nothing is wanted,
// after a time that depends on whether somebody has a file open.
func TestInterest(t *testing.T) {
	tests := []struct {
		name  string
		open  bool          // a file is
		rival bool          // another torrent waits
		after time.Duration // since the last piece was wanted
		want  bool
	}{
		{"between two files", false, false, coolFor - time.Second, true},
		{"nobody reads", false, false, coolFor + time.Second, false},
		{"a player has enough", true, false, warmFor - 2*time.Second, true},
		{"a player is paused", true, false, warmFor + time.Second, false},
		{"another torrent waits", false, true, time.Second, false},
		{"another torrent waits, a player is between two pieces", true, true, coolFor - 2*time.Second, true},
		{"another torrent waits, a player has enough", true, true, coolFor + time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, 3, false)
			c, id := s.join(1, true)
			s.offerInfo(id)
			s.seed(id)
			if tt.open {
				s.do1(event{msg: evOpen{1, true}})
			}
			s.want(0)
			s.do1(event{msg: evWants{1, nil}})
			s.do.rival = tt.rival
			for range tt.after / time.Second {
				s.now = s.now.Add(time.Second)
				s.do1(event{msg: evTick{}})
			}
			r := s.l.peers[id]
			if r.amInterested != tt.want {
				t.Errorf("interested: %v", r.amInterested)
			}
			// What is read next is asked for behind the word that we are
			// interested: libtorrent rejects requests that come before it.
			s.do.rival = false
			c.take()
			s.want(1)
			sent := c.sent
			i := slices.IndexFunc(sent, func(m wire.Message) bool { return m.ID == wire.Interested })
			q := slices.IndexFunc(sent, func(m wire.Message) bool { return m.ID == wire.Request })
			if (i < 0) != tt.want || q < i {
				t.Errorf("interested is message %d, the first request %d", i, q)
			}
		})
	}
}

// TestClaims: what the session is told of a peer's slot.
func TestClaims(t *testing.T) {
	s := newStage(t, 3, false)
	_, id := s.join(1, true)
	r := s.l.peers[id]
	is := func(when string, want claim) {
		t.Helper()
		s.do1(event{msg: evTick{}})
		if got := s.do.claims[r.listen]; got != want {
			t.Errorf("%s: claim %d, want %d", when, got, want)
		}
	}
	s.now = s.now.Add(tickEvery)
	is("before the info", spare)
	s.offerInfo(id)
	s.recv(id, wire.Message{ID: wire.HaveAll})
	is("nothing is read", spare)
	s.want(0)
	is("a read waits, choked", needed)
	s.recv(id, wire.Message{ID: wire.Unchoke})
	is("a read waits, unchoked", noClaim)
	s.recv(id, wire.Message{ID: wire.Choke})
	is("choked again", needed)
	s.do1(event{msg: evWants{1, []Want{{Piece: 0, Deadline: s.now}}}})
	is("nothing waits", noClaim)
	s.do1(event{msg: evWants{1, nil}})
	is("nobody reads", spare)
	s.l.disconnected(s.now, r, nil)
	is("gone", noClaim)
}

// slotWorld runs fn with seeds that serve one peer at a time, and two torrents of one
// session: one hybrid torrent, joined by either of its hashes.
func slotWorld(t *testing.T, fn func(w *world, a, b *client)) {
	spec := swarmtest.Spec{Length: 8 * mib, PieceLength: mib, Format: swarmtest.Hybrid}
	inWorld(t, spec, func(w *world) {
		for range 5 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{Slots: 1})
		}
		a := w.join(joins{})
		<-a.info
		b := *a
		b.store = newShelf(w.tor)
		b.info = make(chan *metainfo.Info, 1)
		var err error
		b.torrent, err = a.session.Add(AddSpec{
			InfoHash: w.tor.InfoHashV2.Truncated(), Name: "other", Store: b.store, Peers: w.peers,
			OnInfo: func(i *metainfo.Info) { b.info <- i },
		})
		if err != nil {
			t.Fatal(err)
		}
		<-b.info
		fn(w, a, &b)
		if err := b.store.check(); err != nil {
			t.Error(err)
		}
	})
}

// TestSwarmSlots: a torrent that nobody reads does not keep another one from the only
// slot of each seed.
func TestSwarmSlots(t *testing.T) {
	refused := func(w *world) (n int) {
		for _, s := range w.seeders {
			n += s.Stats().Received[wire.NotInterested]
		}
		return n
	}
	t.Run("by turns", func(t *testing.T) {
		slotWorld(t, func(w *world, a, b *client) {
			for i := range 3 {
				for name, c := range map[string]*client{"one": a, "other": b} {
					if took := c.read(2 * i); took > 400*ms { // two round trips more than ever
						t.Errorf("read %d of the %s takes %v", i, name, took)
					}
				}
			}
		})
	})
	t.Run("beside a player", func(t *testing.T) {
		slotWorld(t, func(w *world, a, b *client) {
			a.torrent.SetOpen(1, true)
			a.read(0)
			time.Sleep(coolFor / 2)
			start := time.Now()
			b.torrent.SetWants(1, []Want{{Piece: 3, Deadline: start, Blocked: true}})
			time.Sleep(coolFor / 4)
			if took := a.read(1); took > 250*ms {
				t.Errorf("the player's next piece takes %v", took)
			}
			a.torrent.SetOpen(1, false)
			b.await(3, 2*time.Second)
		})
	})
	t.Run("alone", func(t *testing.T) {
		slotWorld(t, func(w *world, a, b *client) {
			b.torrent.Close()
			time.Sleep(coolFor)
			before := refused(w)
			a.read(0)
			time.Sleep(coolFor - time.Second)
			if took := a.read(1); took > 250*ms || refused(w) != before {
				t.Errorf("the next read takes %v, %d seeds were let go", took, refused(w)-before)
			}
			time.Sleep(coolFor + 2*time.Second)
			if n := refused(w) - before; n != len(w.seeders) {
				t.Errorf("%d seeds were let go", n)
			}
			if n := a.torrent.Supply(0).Connected; n != len(w.seeders) {
				t.Errorf("%d seeds are connected", n)
			}
			if took := a.read(2); took > 300*ms {
				t.Errorf("a read later takes %v", took)
			}
		})
	})
	t.Run("left", func(t *testing.T) {
		slotWorld(t, func(w *world, a, b *client) {
			a.read(0)
			a.torrent.Close()
			b.read(1)
			b.torrent.Close()
			if n := len(a.session.slots.claims); n != 0 {
				t.Errorf("%d claims are left", n)
			}
		})
	})
}
