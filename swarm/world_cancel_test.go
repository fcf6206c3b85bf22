package swarm

import (
	"math/rand/v2"
	"testing"
	"time"

	"magnetfs/internal/swarmtest"
)

// sent is what all seeders have sent, in bytes.
func (w *world) sent() (n int64) {
	for _, s := range w.seeders {
		n += s.Stats().BytesSent
	}
	return n
}

// idle checks that nothing is asked of anybody any more.
func (c *client) idle() {
	c.w.t.Helper()
	// What is on its way comes: a round trip, and what sockets hold.
	time.Sleep(500 * ms)
	before := c.w.sent()
	st := c.torrent.Status()
	if len(st.Waiting) > 0 {
		c.w.t.Errorf("still waiting: %+v", st.Waiting)
	}
	time.Sleep(3 * time.Second)
	if more := c.w.sent() - before; more > 0 {
		c.w.t.Errorf("%d bytes were sent to a reader that is gone", more)
	}
}

// TestSwarmCancelledReader: a reader gives up at any moment between the magnet and
// the piece. Nothing is asked from then on, and the next read is as fast as any.
func TestSwarmCancelledReader(t *testing.T) {
	inState := map[string]int{}
	for after := time.Duration(0); after < 280*ms; after += 9 * ms {
		inWorld(t, swarmtest.Spec{Length: 8 * mib, PieceLength: mib}, func(w *world) {
			for range 5 {
				w.seed(uplink(20*mbit, 40*ms), swarmtest.SeederConfig{})
			}
			c := w.join(joins{})
			c.torrent.SetWants(1, []Want{
				{Piece: 2, Deadline: time.Now(), Blocked: true},
				{Piece: 3, Deadline: time.Now().Add(100 * ms)},
			})
			time.Sleep(after)
			c.torrent.SetWants(1, nil)
			st := c.torrent.Status()
			switch {
			case len(st.Peers) == 0:
				inState["dialling"]++
			case st.Pieces == 0:
				inState["metadata"]++
			case st.Downloaded == 0:
				inState["asked"]++
			case !c.store.has(2):
				inState["receiving"]++
			default:
				inState["done"]++
			}
			c.idle()
			if st := c.torrent.Status(); st.Pieces == 0 {
				t.Errorf("given up after %v: the metadata was given up as well", after)
			}
			if took := c.read(6); took > 200*ms {
				t.Errorf("given up after %v: the next read takes %v", after, took)
			}
			if err := c.store.check(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Logf("%v", inState)
	if len(inState) < 4 {
		t.Errorf("not all states were met: %v", inState)
	}
}

// TestSwarmSeekStorm: 100 seeks in 10 s, most of them given up. Nothing stays behind
// and the next read is as fast as any.
func TestSwarmSeekStorm(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 64 * mib, PieceLength: mib}, func(w *world) {
		for range 10 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{})
		<-c.info
		c.stream(1, 0, 4, 4)
		rnd := rand.New(rand.NewPCG(1, 1))
		start := time.Now()
		most := 0
		for i := range 100 {
			p := 8 + rnd.IntN(48)
			var ws []Want
			for j := range 8 {
				ws = append(ws, Want{Piece: p + j, Deadline: time.Now().Add(time.Duration(j) * 80 * ms), Blocked: j == 0})
			}
			c.torrent.SetWants(1, ws)
			time.Sleep(time.Until(start.Add(time.Duration(i+1) * 100 * ms)))
			queued := 0
			for _, p := range c.torrent.Status().Peers {
				queued += p.Queue
			}
			most = max(most, queued)
		}
		c.torrent.SetWants(1, nil)
		c.idle()
		// Ten pipes of 65 ms and a few blocks, and as much again for the
		// urgent ones.
		t.Logf("at most %d requests outstanding", most)
		if most > 200 {
			t.Errorf("%d requests outstanding", most)
		}
		for _, p := range c.torrent.Status().Peers {
			if p.Pieces != w.tor.NumPieces() || p.Snubbed {
				t.Errorf("after the storm: %+v", p)
			}
		}
		if took := c.read(6); took > 150*ms {
			t.Errorf("the next read takes %v", took)
		}
		if err := c.store.check(); err != nil {
			t.Error(err)
		}
	})
}

// TestSwarmTwoReaders: a reader that gives up does not take from the other what both
// wanted.
func TestSwarmTwoReaders(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 32 * mib, PieceLength: mib}, func(w *world) {
		for range 5 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{})
		<-c.info
		want := []Want{{Piece: 2, Deadline: time.Now(), Blocked: true}}
		c.torrent.SetWants(1, want)
		c.torrent.SetWants(2, want)
		time.Sleep(60 * ms)
		c.torrent.SetWants(1, nil)
		c.await(2, 200*ms)
		c.torrent.SetWants(2, nil)

		rates := make(chan float64, 2)
		go func() { rates <- c.stream(1, 4, 12, 8) }()
		go func() { rates <- c.stream(2, 18, 12, 8) }()
		a, b := <-rates, <-rates
		t.Logf("%.2f and %.2f MB/s", a/1e6, b/1e6)
		if a+b < 0.9*50*mbit || min(a, b) < 0.8*max(a, b) {
			t.Errorf("%.2f and %.2f MB/s of 6.25 together", a/1e6, b/1e6)
		}
		if err := c.store.check(); err != nil {
			t.Error(err)
		}
	})
}

// TestSwarmClose: a session is closed at any moment, with dials, handshakes,
// requests, hashes and uploads in flight. Close returns soon and leaves nothing.
func TestSwarmClose(t *testing.T) {
	for after := time.Duration(0); after < 300*ms; after += 13 * ms {
		inWorld(t, swarmtest.Spec{Length: 16 * mib, PieceLength: 256 << 10}, func(w *world) {
			for i := range 4 {
				w.seed(uplink(20*mbit, 40*ms), swarmtest.SeederConfig{Have: []int{4 * i, 4*i + 1, 4*i + 2, 40, 41, 42, 43, 44, 45, 46}})
			}
			w.seed(uplink(20*mbit, 40*ms), swarmtest.SeederConfig{Faults: swarmtest.Faults{Silent: true}})
			other := w.join(joins{info: true, have: []int{20, 21, 22}})
			c := w.join(joins{peers: append(w.peers, other.addr(), "203.0.113.250:1")})
			var ws []Want
			for i := range w.tor.NumPieces() {
				ws = append(ws, Want{Piece: i, Deadline: time.Now(), Blocked: i%2 == 0})
			}
			c.torrent.SetWants(1, ws)
			other.torrent.SetWants(1, ws)
			time.Sleep(after)
			start := time.Now()
			c.session.Close()
			if took := time.Since(start); took > 100*ms {
				t.Errorf("closing after %v took %v", after, took)
			}
			// Whatever is called now is harmless.
			c.torrent.SetWants(1, ws)
			c.torrent.Evicted(1)
			c.torrent.AddPeers([]string{"203.0.113.10:6881"})
			if st := c.torrent.Status(); st.State != StateClosed {
				t.Errorf("state %q", st.State)
			}
			if s := c.torrent.Supply(1); s != (Supply{}) {
				t.Errorf("supply %+v", s)
			}
			c.torrent.Close()
			if _, err := c.session.Add(AddSpec{InfoHash: w.tor.InfoHash, Store: c.store}); err != ErrClosed {
				t.Errorf("add after close: %v", err)
			}
		})
	}
}
