package swarm

import (
	"testing"

	"magnetfs/swarm/wire"
)

// TestLoopTrims: blocks of pieces that nobody wants any more are kept, but for so many
// bytes only; those of wanted pieces whatever they take.
func TestLoopTrims(t *testing.T) {
	s := newStage(t, 64, false)
	s.l.maxBuild = 8 * stagePiece
	c, id := s.join(1, true)
	s.offerInfo(id)
	s.seed(id)
	for p := range 40 {
		s.want(p)
		asked := requests(c)
		for _, m := range asked[:min(3, len(asked))] {
			s.block(id, m)
		}
		if most := s.l.maxBuild + stagePiece; s.l.build.bytes > most {
			t.Fatalf("%d bytes kept after piece %d, want at most %d", s.l.build.bytes, p, most)
		}
	}
	if len(s.l.build.builds) < 5 {
		t.Errorf("only %d pieces are kept", len(s.l.build.builds))
	}
}

// TestLoopBanPurges: what a liar sent of other pieces is thrown away and asked of others.
func TestLoopBanPurges(t *testing.T) {
	s := newStage(t, 2, false)
	liar, id := s.join(1, true)
	s.offerInfo(id)
	s.seed(id)
	s.want(0)
	asked := requests(liar)
	if len(asked) == 0 {
		t.Fatal("nothing was asked")
	}
	s.block(id, asked[0])
	other, otherID := s.join(2, true)
	s.seed(otherID)
	s.do1(event{msg: evTick{}})
	s.l.ban(s.now, sender{id, s.l.peers[id].addr}, "lied")
	s.do1(event{msg: evTick{}})
	if b := s.l.build.builds[0]; b != nil && b.blocks[asked[0].Begin/wire.BlockSize].chosen != none {
		t.Error("the liar's block is kept")
	}
	if !asksFor(other, asked[0]) {
		t.Error("its block is not asked of the other")
	}
	if liar.closed == nil {
		t.Error("the liar is still connected")
	}
}

func asksFor(c *fakeConn, block wire.Message) bool {
	for _, m := range requests(c) {
		if m.Index == block.Index && m.Begin == block.Begin {
			return true
		}
	}
	return false
}
