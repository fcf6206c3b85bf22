package swarm

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
)

// wantAll makes a client want all pieces.
func (c *client) wantAll() {
	var ws []Want
	for i := range c.w.tor.NumPieces() {
		if !c.store.has(i) {
			ws = append(ws, Want{Piece: i, Deadline: time.Now().Add(time.Duration(i) * 10 * ms), Blocked: true})
		}
	}
	c.torrent.SetWants(1, ws)
}

func (c *client) missing() (n int) {
	for i := range c.w.tor.NumPieces() {
		if !c.store.has(i) {
			n++
		}
	}
	return n
}

var line = simnet.Link{Up: 20 * mbit, Down: 20 * mbit, Delay: 20 * ms}

// TestSwarmExchange: two sessions have half of the pieces each, and get the other
// half from each other.
func TestSwarmExchange(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 4 * mib, PieceLength: 64 << 10}, func(w *world) {
		var even, odd []int
		for i := range w.tor.NumPieces() {
			if i%2 == 0 {
				even = append(even, i)
			} else {
				odd = append(odd, i)
			}
		}
		a := w.join(joins{link: line, info: true, have: even})
		b := w.join(joins{link: line, info: true, have: odd, peers: []string{a.addr()}})
		a.wantAll()
		b.wantAll()
		start := time.Now()
		for a.missing()+b.missing() > 0 && time.Since(start) < time.Minute {
			time.Sleep(50 * ms)
		}
		// 2 MiB each way at 2.5 MB/s, and six round trips to begin.
		took := time.Since(start)
		t.Logf("%v", took.Round(ms))
		if limit := 2*mib*time.Second/(20*mbit) + 6*80*ms; took > limit+300*ms {
			t.Errorf("took %v, want about %v", took, limit)
		}
		for _, c := range []*client{a, b} {
			if err := c.store.check(); err != nil {
				t.Error(err)
			}
			if st := c.torrent.Status(); st.Uploaded < 2*mib || st.HavePieces != w.tor.NumPieces() {
				t.Errorf("status %+v", st)
			}
		}
	})
}

// TestSwarmMagnetFromSession: a session serves metadata and pieces to another, which
// serves them to a third, all connected in a row.
func TestSwarmMagnetFromSession(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 4 * mib, PieceLength: 32 << 10, Name: "a name"}, func(w *world) {
		var all []int
		for i := range w.tor.NumPieces() {
			all = append(all, i)
		}
		a := w.join(joins{link: line, info: true, have: all})
		b := w.join(joins{link: line, peers: []string{a.addr()}})
		c := w.join(joins{link: line, peers: []string{b.addr()}})
		for _, x := range []*client{b, c} {
			info := <-x.info
			if !bytes.Equal(info.Raw, w.tor.Raw) {
				t.Error("not the info that was asked for")
			}
		}
		b.wantAll()
		c.wantAll()
		time.Sleep(15 * time.Second)
		if b.missing() > 0 || c.missing() > 0 {
			t.Errorf("%d and %d pieces are missing", b.missing(), c.missing())
		}
	})
}

// TestSwarmEviction: what a session lost it says, and is not asked for; what it lost
// without saying it rejects, and what it gets again it says.
func TestSwarmEviction(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: mib, PieceLength: 64 << 10}, func(w *world) {
		a := w.join(joins{link: line, info: true, have: []int{0, 1, 2, 3, 4, 5}})
		b := w.join(joins{link: line, peers: []string{a.addr()}})
		<-b.info
		b.read(0)
		a.store.evict(1)
		a.torrent.Evicted(1)
		a.store.evict(2)
		time.Sleep(time.Second)
		if s := b.torrent.Supply(1); s.Peers != 0 || s.Connected != 1 {
			t.Errorf("supply of what was evicted: %+v", s)
		}
		if s := b.torrent.Supply(2); s.Peers != 1 {
			t.Errorf("supply of what was lost in silence: %+v", s)
		}
		b.torrent.SetWants(1, []Want{{Piece: 1, Blocked: true}, {Piece: 2, Blocked: true}, {Piece: 3, Blocked: true}})
		b.await(3, time.Second)
		time.Sleep(10 * time.Second)
		if b.store.has(1) || b.store.has(2) {
			t.Error("where do they come from?")
		}
		if s := b.torrent.Supply(2); s.Peers != 0 {
			t.Errorf("supply after a reject: %+v", s)
		}
		reads := a.store.readCount()
		time.Sleep(30 * time.Second)
		if n := a.store.readCount() - reads; n > 0 {
			t.Errorf("asked %d times for what was rejected", n)
		}
		// A seed brings both back to a, which tells b.
		w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		a.torrent.Evicted(2)
		a.torrent.SetWants(1, []Want{{Piece: 1, Blocked: true}, {Piece: 2, Blocked: true}})
		a.torrent.AddPeers(w.peers)
		b.await(1, 20*time.Second)
		b.await(2, 20*time.Second)
		if err := b.store.check(); err != nil {
			t.Error(err)
		}
	})
}

// TestSwarmChoker: thirteen leechers and one uplink. At most nine are unchoked at a
// time, and everybody gets a turn.
func TestSwarmChoker(t *testing.T) {
	// A private torrent: they do not hear of each other.
	inWorld(t, swarmtest.Spec{Length: 64 * mib, PieceLength: mib, Private: true}, func(w *world) {
		var all []int
		for i := range w.tor.NumPieces() {
			all = append(all, i)
		}
		a := w.join(joins{link: simnet.Link{Up: 20 * mbit, Down: 100 * mbit, Delay: 20 * ms}, info: true, have: all})
		var leechers []*client
		for range 13 {
			c := w.join(joins{link: line, info: true, peers: []string{a.addr()}})
			leechers = append(leechers, c)
			c.wantAll()
		}
		served := map[int]bool{}
		for range 400 {
			time.Sleep(time.Second)
			n := 0
			for _, p := range a.torrent.Status().Peers {
				if !p.AmChoking {
					n++
				}
			}
			if n > uploadSlots+1 {
				t.Errorf("%d peers are unchoked", n)
			}
			for i, c := range leechers {
				if c.torrent.Status().Downloaded > 0 {
					served[i] = true
				}
			}
			if len(served) == len(leechers) {
				break
			}
		}
		if len(served) < len(leechers) {
			t.Errorf("%d of %d got something", len(served), len(leechers))
		}
		up := a.torrent.Status()
		t.Logf("%d bytes sent, %d B/s", up.Uploaded, up.UpRate)
	})
}

// TestSwarmPex: one peer is known and fifty are behind it. They are found within two
// rounds of peer exchange.
func TestSwarmPex(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: mib, PieceLength: 64 << 10}, func(w *world) {
		var have []int
		for i := 1; i < w.tor.NumPieces(); i++ {
			have = append(have, i) // nobody has the first
		}
		for range 50 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{Have: have})
		}
		first := []Want{{Piece: 0, Deadline: time.Now(), Blocked: true}}
		x := w.join(joins{info: true, max: 60})
		x.torrent.SetWants(1, first)
		time.Sleep(10 * time.Second)
		if n := x.torrent.Supply(0).Connected; n != 50 {
			t.Fatalf("the peer that is known has %d of 50 peers", n)
		}
		c := w.join(joins{peers: []string{x.addr()}})
		c.torrent.SetWants(1, first)
		start := time.Now()
		for c.torrent.Supply(0).Connected < 51 && time.Since(start) < 3*time.Minute {
			time.Sleep(100 * ms)
		}
		took := time.Since(start)
		t.Logf("%d peers after %v", c.torrent.Supply(0).Connected, took.Round(ms))
		if took > 2*pexEvery+5*time.Second {
			t.Errorf("%d of 51 peers after %v", c.torrent.Supply(0).Connected, took)
		}
	})
}

// TestSwarmDoubleConnection: two sessions dial each other at the same time. One
// connection is left, the same at both ends, and pieces go through it.
func TestSwarmDoubleConnection(t *testing.T) {
	for _, shift := range []time.Duration{0, 5 * ms, 20 * ms, 39 * ms, 41 * ms, 60 * ms, 90 * ms, 150 * ms} {
		for round := range 3 { // the peer ids are random
			t.Run(fmt.Sprintf("%v apart, %d", shift, round), func(t *testing.T) {
				inWorld(t, swarmtest.Spec{Length: mib, PieceLength: 64 << 10}, func(w *world) {
					a := w.join(joins{link: line, info: true, have: []int{0, 1}, peers: []string{}})
					b := w.join(joins{link: line, info: true, have: []int{2, 3}, peers: []string{}})
					a.torrent.SetWants(1, []Want{{Piece: 2, Blocked: true}, {Piece: 9, Blocked: true}})
					b.torrent.SetWants(1, []Want{{Piece: 1, Blocked: true}, {Piece: 9, Blocked: true}})
					a.torrent.AddPeers([]string{b.addr()})
					time.Sleep(shift)
					b.torrent.AddPeers([]string{a.addr()})
					time.Sleep(3 * time.Second)
					pa, pb := a.torrent.Status().Peers, b.torrent.Status().Peers
					if len(pa) != 1 || len(pb) != 1 {
						t.Fatalf("%d and %d connections", len(pa), len(pb))
					}
					if pa[0].Outgoing == pb[0].Outgoing {
						t.Errorf("both ends say outgoing %v", pa[0].Outgoing)
					}
					if !a.store.has(2) || !b.store.has(1) {
						t.Error("pieces did not come")
					}
					time.Sleep(2 * time.Minute)
					if pa, pb := a.torrent.Status().Peers, b.torrent.Status().Peers; len(pa) != 1 || len(pb) != 1 || time.Since(pa[0].Connected) < 2*time.Minute {
						t.Errorf("not the same connection later on: %+v, %+v", pa, pb)
					}
				})
			})
		}
	}
}

// TestSwarmSelf: a session that finds its own address leaves itself alone.
func TestSwarmSelf(t *testing.T) {
	inWorld(t, swarmtest.Spec{}, func(w *world) {
		c := w.join(joins{info: true, peers: []string{}})
		c.torrent.SetWants(1, []Want{{Piece: 0, Blocked: true}})
		c.torrent.AddPeers([]string{c.addr()})
		time.Sleep(5 * time.Minute)
		if st := c.torrent.Status(); len(st.Peers) != 0 || st.Candidates != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestSwarmIdle: a torrent that nobody reads lets go of its peers after a minute, and
// is back at once when somebody does.
func TestSwarmIdle(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 16 * mib, PieceLength: mib}, func(w *world) {
		for range 10 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{})
		<-c.info
		c.read(0)
		time.Sleep(50 * time.Second)
		if n := c.torrent.Supply(0).Connected; n != 10 {
			t.Errorf("%d peers connected after 50 s", n)
		}
		if took := c.read(1); took > 150*ms {
			t.Errorf("a read after 50 s takes %v", took)
		}
		time.Sleep(3 * time.Minute)
		if n := c.torrent.Supply(0).Connected; n > idlePeers {
			t.Errorf("%d peers connected after 3 min", n)
		}
		start := time.Now()
		took := c.read(2)
		t.Logf("a read after 3 min takes %v", took.Round(ms))
		if took > 450*ms {
			t.Errorf("a read after 3 min takes %v", took)
		}
		time.Sleep(time.Until(start.Add(2 * time.Second)))
		c.torrent.SetWants(1, []Want{{Piece: 5, Deadline: time.Now().Add(time.Hour)}})
		time.Sleep(2 * time.Second)
		if n := c.torrent.Supply(0).Connected; n != 10 {
			t.Errorf("%d peers connected 4 s later", n)
		}
		peers := c.torrent.Status().Peers
		if i := slices.IndexFunc(peers, func(p PeerStatus) bool { return p.Snubbed }); i >= 0 {
			t.Errorf("snubbed: %+v", peers[i])
		}
	})
}
