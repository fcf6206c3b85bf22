package swarm

import (
	"testing"
	"time"

	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/peer"
	"magnetfs/swarm/wire"
)

// allPieces are the numbers of the first n pieces.
func allPieces(n int) (pieces []int) {
	for i := range n {
		pieces = append(pieces, i)
	}
	return pieces
}

// took checks what bytes at a limit of 1 MiB/s took.
func took(t *testing.T, start time.Time, bytes int64) {
	t.Helper()
	want := time.Duration(float64(bytes) / mib * float64(time.Second))
	if got := time.Since(start); got < want-want/8 || got > want+want/8 {
		t.Errorf("%d bytes at 1 MiB/s took %v, want %v", bytes, got, want)
	}
}

// What is taken of four seeds together keeps to the limit, and a new limit holds at
// once.
func TestDownLimit(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 40 * mib, PieceLength: mib}, func(w *world) {
		for range 4 {
			w.seed(uplink(50*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{info: true, limits: Limits{Down: mib}})
		start := time.Now()
		c.stream(1, 0, 8, 4)
		took(t, start, 8*mib)
		c.session.SetLimits(Limits{})
		start = time.Now()
		c.stream(1, 8, 24, 8)
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("24 MiB without a limit took %v", took)
		}
		c.session.SetLimits(Limits{Down: mib})
		start = time.Now()
		c.stream(1, 32, 8, 4)
		took(t, start, 8*mib)
	})
}

// At a rate at which each of many peers gives a block in a minute, nobody is taken for
// slow or silent, and nothing comes twice.
func TestLowLimit(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 4 * mib, PieceLength: mib}, func(w *world) {
		for range 40 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{info: true, limits: Limits{Down: 20 << 10}})
		if d := c.read(2); d < 45*time.Second || d > 54*time.Second {
			t.Errorf("1 MiB at 20 KiB/s took %v, want 51 s", d)
		}
		s := c.torrent.Status()
		if s.Wasted > 0 || s.Downloaded > mib+64<<10 {
			t.Errorf("%d bytes were wasted, %d came", s.Wasted, s.Downloaded)
		}
		for _, p := range s.Peers {
			if p.Snubbed {
				t.Errorf("%s is snubbed", p.Addr)
			}
		}
	})
}

// Under a limit, what a read sleeps on is asked before what was wanted earlier: it
// takes what its bytes take, and not what is in front of it.
func TestDownLimitReadsFirst(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 40 * mib, PieceLength: mib}, func(w *world) {
		for range 10 {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{info: true, limits: Limits{Down: mib}})
		var later []Want
		for i := range 30 {
			later = append(later, Want{Piece: i, Deadline: time.Now().Add(time.Hour)})
		}
		c.torrent.SetWants(2, later)
		time.Sleep(5 * time.Second)
		if d := c.read(35); d > 1250*time.Millisecond {
			t.Errorf("a read of 1 MiB took %v at 1 MiB/s", d)
		}
	})
}

// The same when another torrent of the session has the rest wanted: of a pin there,
// an eighth goes on.
func TestDownLimitOfTwoTorrents(t *testing.T) {
	pinned := torrentOf(t, swarmtest.Spec{Length: 40 * mib, PieceLength: mib, Seed: 2})
	inWorld(t, swarmtest.Spec{Length: 40 * mib, PieceLength: mib}, func(w *world) {
		for range 4 {
			w.seed(uplink(50*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		c := w.join(joins{info: true, limits: Limits{Down: mib}})
		w.tor = pinned
		w.seed(uplink(50*mbit, 40*ms), swarmtest.SeederConfig{})
		store := &shelf{tor: pinned, pieces: map[int][]byte{}, at: map[int]time.Time{}, news: make(chan struct{})}
		other, err := c.session.Add(AddSpec{
			InfoHash: pinned.InfoHash, Name: "pinned", Info: pinned.Info, Store: store, Peers: w.peers[4:],
		})
		if err != nil {
			t.Fatal(err)
		}
		var later []Want
		for i := range 30 {
			later = append(later, Want{Piece: i, Deadline: time.Now().Add(time.Hour)})
		}
		other.SetWants(2, later)
		time.Sleep(5 * time.Second)
		before := other.Status().Downloaded
		if before < 4*mib {
			t.Errorf("a pin alone got %d bytes in 5 s at 1 MiB/s", before)
		}
		start := time.Now()
		c.stream(1, 0, 7, 4)
		if d := time.Since(start); d > 8750*time.Millisecond {
			t.Errorf("7 MiB took %v beside a pin of another torrent, want 8 s", d)
		}
		if got := other.Status().Downloaded - before; got < mib/2 || got > 2*mib {
			t.Errorf("the pin got %d bytes beside it, want 1 MiB", got)
		}
	})
}

// What is given keeps to the limit, while messages pass at once; with uploading off
// nothing is given.
func TestUpLimit(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 32 * mib, PieceLength: mib}, func(w *world) {
		fast := simnet.Link{Up: 100 * mbit, Down: 100 * mbit, Delay: clientDelay}
		all := allPieces(32)
		giver := w.join(joins{link: fast, info: true, have: all[:30], peers: []string{}, limits: Limits{Up: mib}})
		taker := w.join(joins{link: fast, info: true, have: all[30:], peers: []string{giver.addr()}})
		start := time.Now()
		taker.stream(1, 0, 8, 4)
		took(t, start, 8*mib)
		// While it gives, what it asks for itself does not wait.
		taker.torrent.SetWants(1, wantsOf(all[8:20]))
		time.Sleep(time.Second)
		if d := giver.read(30); d > 500*time.Millisecond {
			t.Errorf("a piece of 1 MiB took %v while pieces are given", d)
		}
		giver.session.SetLimits(Limits{NoUpload: true})
		time.Sleep(time.Second)
		given := giver.torrent.Status().Uploaded
		time.Sleep(time.Minute)
		if more := giver.torrent.Status().Uploaded - given; more != 0 {
			t.Errorf("%d bytes were given although nothing is to be", more)
		}
		giver.session.SetLimits(Limits{})
		if !taker.await(19, 2*time.Second) {
			t.Error("no piece was given although there is no limit")
		}
	})
}

func wantsOf(pieces []int) (ws []Want) {
	for _, p := range pieces {
		ws = append(ws, Want{Piece: p, Deadline: time.Now(), Blocked: true})
	}
	return ws
}

// Peers that refuse what they are asked, or go, do not use the limit up.
func TestRefusedCostsNothing(t *testing.T) {
	s := newStage(t, 8, false)
	var down throttle
	down.set(wire.BlockSize, s.now) // two blocks at once, then one a second
	s.now = s.now.Add(time.Minute)
	s.l.limits.down = &share{throttle: &down, more: make(chan struct{}, 1)}
	defer down.close()
	refuses, id := s.join(1, true)
	s.seed(id)
	s.offerInfo(id)
	refuses.take()
	s.want(0, 1, 2, 3, 4, 5, 6, 7)
	asks := func(c *fakeConn) []wire.Message {
		s.do1(event{msg: evTick{}}) // as it would be told that there is more
		return requests(c)
	}
	for piece := range 8 {
		asked := asks(refuses)
		if len(asked) != 2 || int(asked[0].Index) != piece {
			t.Fatalf("asked %v, want two blocks of piece %d", asked, piece)
		}
		for _, m := range asked { // then nobody has the piece
			s.recv(id, wire.Message{ID: wire.Reject, Index: m.Index, Begin: m.Begin, Length: m.Length})
		}
	}
	goes, id := s.join(2, true)
	s.seed(id)
	if asked := asks(goes); len(asked) != 2 {
		t.Fatalf("asked %v, want two blocks", asked)
	}
	s.do1(event{from: id, peer: peer.Event{Kind: peer.Closed}})
	stays, id := s.join(3, true)
	s.seed(id)
	asked := asks(stays)
	if len(asked) != 2 {
		t.Fatalf("asked %v, want two blocks", asked)
	}
	for _, m := range asked {
		s.block(id, m)
	}
	if asked = asks(stays); len(asked) != 0 {
		t.Fatalf("asked %v beyond the limit", asked)
	}
	s.now = s.now.Add(time.Second)
	if asked = asks(stays); len(asked) != 1 {
		t.Fatalf("asked %v after a second, want a block", asked)
	}
}
