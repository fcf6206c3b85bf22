package fetch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// noLimit is an outside that allows everything.
var noLimit = limits{ahead: math.MaxInt64, line: firstLine}

// draw shows a plan, one character a piece: 'w' to fetch, 'k' to keep, '.' neither.
func draw(pieces int, plan []planned) string {
	pic := []byte(strings.Repeat(".", pieces))
	for _, p := range plan {
		switch {
		case pic[p.piece] != '.':
			pic[p.piece] = '#' // listed twice
		case p.deadline.IsZero():
			pic[p.piece] = 'k'
		default:
			pic[p.piece] = 'w'
		}
	}
	return string(pic)
}

// player is a window driven by a test: times in seconds, offsets in MiB.
type player struct {
	w     window
	now   time.Time
	plans int // that the window asked for
}

func newPlayer(pieceLen, size int64) *player {
	return &player{w: window{file: span{pieceLen: pieceLen, size: size}}, now: time.Unix(1000, 0)}
}

// read reads [from, to) MiB in steps of 128 KiB, each answered after busy and
// followed by think.
func (p *player) read(from, to float64, busy, think time.Duration) {
	for off := int64(from * mib); off < int64(to*mib); off += 128 * kib {
		p.one(off, min(off+128*kib, int64(to*mib)), busy)
		p.now = p.now.Add(think)
	}
}

func (p *player) one(from, to int64, busy time.Duration) {
	if p.w.read(p.now, from, to) {
		p.plans++
		p.w.plan(p.now, noLimit)
	}
	p.now = p.now.Add(busy)
	p.w.answered(p.now)
}

func (p *player) draw(lim limits) string {
	last := p.w.file.piece(p.w.file.size - 1)
	return draw(last+1, p.w.plan(p.now, lim))
}

func TestWindow(t *testing.T) {
	const fast = time.Microsecond // a reader that takes what it gets
	tests := []struct {
		name     string
		pieceLen int64
		size     int64
		lim      limits
		do       func(p *player)
		want     string
	}{
		{
			name: "nothing read, nothing planned", pieceLen: mib, size: 8 * mib,
			do: func(*player) {}, want: "........",
		},
		{
			name: "a probe keeps the piece it read", pieceLen: mib, size: 8 * mib,
			do:   func(p *player) { p.read(3, 3.25, 0, fast) },
			want: "...k....",
		},
		{
			name: "a probe that hops keeps the last piece", pieceLen: mib, size: 8 * mib,
			do:   func(p *player) { p.read(3, 3.1, 0, fast); p.read(6, 6.1, 0, fast); p.read(1, 1.1, 0, fast) },
			want: ".k......",
		},
		{
			name: "just below 2 MiB it is a probe", pieceLen: mib, size: 16 * mib,
			do:   func(p *player) { p.read(0, 1.9, 0, fast) },
			want: ".k..............",
		},
		{
			name: "2 MiB make a player, with 2 MiB ahead", pieceLen: mib, size: 16 * mib,
			do:   func(p *player) { p.read(0, 2, 0, fast) },
			want: "kkww............",
		},
		{
			name: "as much ahead as was read in a row; 1 MiB kept behind", pieceLen: mib, size: 16 * mib,
			do:   func(p *player) { p.read(0, 5, 0, fast) },
			want: "...kkwwwww......",
		},
		{
			name: "up to 32 MiB, and a tenth behind", pieceLen: 4 * mib, size: 128 * mib,
			do:   func(p *player) { p.read(0, 64, 0, fast) },
			want: "...............kwwwwwwww........",
		},
		{
			name: "the end of the file ends the window", pieceLen: mib, size: 10 * mib,
			do:   func(p *player) { p.read(0, 8, 0, fast) },
			want: "......kkww",
		},
		{
			name: "at the end only what is behind is left", pieceLen: mib, size: 10 * mib,
			do:   func(p *player) { p.read(0, 10, 0, fast) },
			want: "........kk",
		},
		{
			name: "a player at 0.1 MiB/s gets 60 s", pieceLen: mib, size: 40 * mib,
			do:   func(p *player) { p.read(0, 12, 0, 1250*time.Millisecond) },
			want: "..........kkwwwwww......................",
		},
		{
			name: "a reader that waits for us all the time is not slow", pieceLen: mib, size: 40 * mib,
			do:   func(p *player) { p.read(0, 12, 1250*time.Millisecond, fast) },
			want: "..........kkwwwwwwwwwwww................",
		},
		{
			name: "a pause is not slowness", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				p.read(0, 12, 0, 20*time.Millisecond)
				p.now = p.now.Add(20 * time.Second)
				p.read(12, 13, 0, 20*time.Millisecond)
			},
			want: "...........kkwwwwwwwwwwwww..............",
		},
		{
			name: "two pieces at the least", pieceLen: 4 * mib, size: 40 * mib,
			lim:  limits{ahead: 1 * mib, line: firstLine},
			do:   func(p *player) { p.read(0, 4, 0, fast) },
			want: "kww.......",
		},
		{
			name: "a share of memory", pieceLen: mib, size: 40 * mib,
			lim:  limits{ahead: 3 * mib, line: firstLine},
			do:   func(p *player) { p.read(0, 20, 0, fast) },
			want: "..................kkwww.................",
		},
		{
			name: "memory is short", pieceLen: 4 * mib, size: 40 * mib,
			lim:  limits{ahead: 0, tight: true, line: firstLine},
			do:   func(p *player) { p.read(0, 6, 0, fast) },
			want: ".w........",
		},
		{
			name: "large pieces: the first window is not two of them", pieceLen: 16 * mib, size: 128 * mib,
			do:   func(p *player) { p.read(0, 2, 0, fast) },
			want: "w.......",
		},
		{
			name: "large pieces, later", pieceLen: 16 * mib, size: 128 * mib,
			do:   func(p *player) { p.read(0, 20, 0, fast) },
			want: ".ww.....",
		},
		{
			name: "a jump leaves nothing of the old window", pieceLen: mib, size: 40 * mib,
			do:   func(p *player) { p.read(0, 8, 0, fast); p.read(30, 30.1, 0, fast) },
			want: "..............................k.........",
		},
		{
			name: "after a jump a player begins with a piece", pieceLen: mib, size: 40 * mib,
			do:   func(p *player) { p.read(0, 8, 0, fast); p.read(30, 30.5, 0, fast) },
			want: "..............................ww........",
		},
		{
			name: "and grows as before", pieceLen: mib, size: 40 * mib,
			do:   func(p *player) { p.read(0, 8, 0, fast); p.read(30, 33, 0, fast) },
			want: "...............................kkwww....",
		},
		{
			name: "back within 10 s: both places are wanted, half the window each", pieceLen: mib, size: 40 * mib,
			lim: limits{ahead: 8 * mib, line: firstLine},
			do: func(p *player) {
				p.read(0, 8, 0, fast)
				p.read(30, 34, 0, fast)
				p.read(8, 8.2, 0, fast)
			},
			want: ".......kwwwww...................kkwwww..",
		},
		{
			name: "but not for ever", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				p.read(0, 8, 0, fast)
				p.read(30, 34, 0, fast)
				p.read(8, 8.2, 0, fast)
				p.now = p.now.Add(11 * time.Second)
				p.read(8.25, 9, 0, fast)
			},
			want: ".......kkwwwwwwwww......................",
		},
		{
			name: "hops forward are no stream", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				for i := range 38 {
					p.read(float64(i), float64(i)+0.125, 0, fast)
				}
			},
			want: ".....................................k..",
		},
		{
			name: "reading the same again proves nothing", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				for range 50 {
					p.read(0, 0.5, 0, fast)
				}
			},
			want: "k.......................................",
		},
		{
			name: "read-ahead of a kernel, two requests swapped", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				for off := int64(0); off < 4*mib; off += 256 * kib {
					p.one(off+128*kib, off+256*kib, 0)
					p.one(off, off+128*kib, 0)
				}
			},
			want: "..kkwwww................................",
		},
		{
			name: "read-ahead of 1 MiB, out of order", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				for off := int64(0); off < 8*mib; off += 2 * mib {
					p.one(off+mib, off+2*mib, 0)
					p.one(off, off+mib, 0)
				}
			},
			want: "......kkwwwwwwww........................",
		},
		{
			name: "several reads in flight", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				for off := int64(0); off < 4*mib; off += 128 * kib {
					p.w.read(p.now, off, off+128*kib)
				}
				for range 32 {
					p.w.answered(p.now)
				}
			},
			want: "..kkwwww................................",
		},
		{
			name: "idle for a minute: all given up", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				p.read(0, 8, 0, fast)
				p.now = p.now.Add(idleAfter)
				p.w.rest(p.now)
			},
			want: "........................................",
		},
		{
			name: "and taken up where it was", pieceLen: mib, size: 40 * mib,
			do: func(p *player) {
				p.read(0, 8, 0, fast)
				p.now = p.now.Add(idleAfter)
				p.w.rest(p.now)
				p.read(8, 8.125, 0, fast)
			},
			want: ".......kwwwwwwwww.......................",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlayer(tt.pieceLen, tt.size)
			tt.do(p)
			if tt.lim.line == 0 {
				tt.lim = noLimit
			}
			if got := p.draw(tt.lim); got != tt.want {
				t.Errorf("plan\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A window of tiny pieces is bounded by their number.
func TestWindowOfTinyPieces(t *testing.T) {
	p := newPlayer(kib, 8*mib)
	p.read(0, 4, 0, time.Microsecond)
	pic := p.draw(noLimit)
	mustEqual(t, "wanted", strings.Count(pic, "w"), maxPlan)
	mustEqual(t, "kept", strings.Count(pic, "k"), maxPlan)
}

// Files begin anywhere in a piece.
func TestWindowInTorrent(t *testing.T) {
	const fast = time.Microsecond
	p := newPlayer(mib, 6*mib)
	p.w.file.offset = 3*mib + 700*kib
	p.read(0, 2.5, 0, fast)
	mustEqual(t, "plan", p.draw(noLimit), ".....kwww.")
	p.read(2.5, 6, 0, fast)
	mustEqual(t, "plan at the end", p.draw(noLimit), "........kk")
}

func TestWindowMedia(t *testing.T) {
	const fast = time.Microsecond
	tests := []struct {
		name string
		size int64
		do   func(p *player)
		want string
	}{
		{"first read of a player", 24 * mib, func(p *player) { p.one(0, 128*kib, 0) }, "k......................w"},
		{"ffmpeg's first read", 24 * mib, func(p *player) { p.one(0, 32*kib, 0) }, "k......................w"},
		{"a file manager's look", 24 * mib, func(p *player) { p.one(0, 4*kib, 0) }, "k......................."},
		{"the same look twice", 24 * mib, func(p *player) {
			for range 20 {
				p.one(0, 4*kib, 0)
			}
		}, "k......................."},
		{"small reads in a row", 24 * mib, func(p *player) {
			for off := int64(0); off < 32*kib; off += 4 * kib {
				p.one(off, off+4*kib, 0)
			}
		}, "k......................w"},
		{"the tail may begin in the last but one piece", 24*mib + 100*kib, func(p *player) { p.one(0, 128*kib, 0) }, "k......................ww"},
		{"not for a file of 16 MiB", 16 * mib, func(p *player) { p.one(0, 128*kib, 0) }, "k..............."},
		{"not in the middle", 24 * mib, func(p *player) { p.one(5*mib, 5*mib+128*kib, 0) }, ".....k.................."},
		{"not for ever", 24 * mib, func(p *player) { p.one(0, 128*kib, 0); p.now = p.now.Add(tailFor) }, "k......................."},
		{"only once", 24 * mib, func(p *player) {
			p.one(0, 128*kib, 0)
			p.now = p.now.Add(tailFor)
			p.one(128*kib, 256*kib, 0)
		}, "k......................."},
		{"beside a player's window", 24 * mib, func(p *player) { p.read(0, 3, 0, fast) }, ".kkwww.................w"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlayer(mib, tt.size)
			p.w.media = true
			tt.do(p)
			mustEqual(t, "plan", p.draw(noLimit), tt.want)
		})
	}
}

func TestWindowCompanion(t *testing.T) {
	p := newPlayer(64*kib, 300*kib)
	p.w.companion = true
	mustEqual(t, "untouched", p.draw(noLimit), ".....")
	p.one(0, 4*kib, 0)
	mustEqual(t, "touched", p.draw(noLimit), "kwwww")
}

// Deadlines: distance over the measured consumption, or over the line's rate for a
// reader that takes everything.
func TestWindowDeadlines(t *testing.T) {
	tests := []struct {
		name        string
		busy, think time.Duration // for each 128 KiB
		line        float64       // bytes a second
		want        string        // of the first pieces, in seconds from now
	}{
		{"takes everything", 0, time.Microsecond, 10 * mib, "0.0 0.1 0.2 0.3"},
		{"waits for us", 50 * time.Millisecond, time.Microsecond, 10 * mib, "0.0 0.1 0.2 0.3"},
		{"1 MiB/s", 0, 125 * time.Millisecond, 10 * mib, "0.0 1.0 2.0 3.0"},
		{"4 MiB/s while the line gives 1", 0, 31250 * time.Microsecond, 1 * mib, "0.0 1.0 2.0 3.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlayer(mib, 64*mib)
			p.read(0, 16, tt.busy, tt.think)
			var got []string
			for _, s := range p.w.plan(p.now, limits{ahead: math.MaxInt64, line: tt.line})[:4] {
				got = append(got, fmt.Sprintf("%.1f", s.deadline.Sub(p.now).Seconds()))
			}
			mustEqual(t, "deadlines", strings.Join(got, " "), tt.want)
		})
	}
}

// Plans are not asked for with every read(2).
func TestWindowHysteresis(t *testing.T) {
	for _, tt := range []struct {
		pieceLen int64
		most     int
	}{{16 * kib, 120}, {256 * kib, 120}, {mib, 70}, {4 * mib, 24}} {
		p := newPlayer(tt.pieceLen, 64*mib)
		p.read(0, 2, 0, time.Microsecond)
		p.plans = 0
		p.read(2, 64, 0, time.Microsecond)
		if p.plans > tt.most {
			t.Errorf("pieces of %d KiB: %d plans for 496 reads, want at most %d", tt.pieceLen/kib, p.plans, tt.most)
		}
	}
}

// Whatever is read: plans stay inside the file, within the limits, list each piece
// once, and a random reader is never taken for a player.
func TestWindowRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for round := range 200 {
		pieceLen := int64(16*kib) << rnd.IntN(8)
		size := 1 + rnd.Int64N(256*mib)
		p := newPlayer(pieceLen, size)
		p.w.media, p.w.companion = round%2 == 0, size < companionMax
		p.w.file.offset = rnd.Int64N(4 * mib)
		lim := limits{ahead: rnd.Int64N(64 * mib), line: 1 + rnd.Float64()*1e8, tight: round%3 == 0}
		pos := int64(0)
		for range 300 {
			switch rnd.IntN(4) {
			case 0:
				pos = rnd.Int64N(size)
			case 1:
				pos = max(0, min(size-1, pos+rnd.Int64N(4*mib)-2*mib))
			}
			n := 1 + rnd.Int64N(256*kib)
			to := min(size, pos+n)
			p.w.read(p.now, pos, to)
			if rnd.IntN(2) == 0 {
				p.now = p.now.Add(time.Duration(rnd.Int64N(int64(3 * time.Second))))
			}
			if rnd.IntN(3) > 0 {
				p.w.answered(p.now)
			}
			p.w.rest(p.now)
			pos = min(size-1, to)

			seen := make(map[int]bool)
			var fetch int64
			for _, s := range p.w.plan(p.now, lim) {
				if s.piece < p.w.file.piece(0) || s.piece > p.w.file.piece(size-1) {
					t.Fatalf("piece %d is outside of the file", s.piece)
				}
				if seen[s.piece] {
					t.Fatalf("piece %d is listed twice", s.piece)
				}
				seen[s.piece] = true
				if !s.deadline.IsZero() {
					fetch += pieceLen
				}
			}
			most := min(lim.ahead, maxAhead) + 2*pieceLen + tailBytes + 2*pieceLen
			if !lim.tight {
				most += minPieces * pieceLen * maxRuns
			}
			if p.w.companion {
				most += companionMax + pieceLen
			}
			if fetch > most {
				t.Fatalf("%d bytes ahead, allowed %d", fetch, most)
			}
		}
	}
}

func TestRanges(t *testing.T) {
	var rs ranges
	for _, tt := range []struct {
		from, to, fresh int64
		want            string
	}{
		{10, 20, 10, "[[10 20]]"},
		{20, 30, 10, "[[10 30]]"},
		{12, 18, 0, "[[10 30]]"},
		{5, 12, 5, "[[5 30]]"},
		{40, 50, 10, "[[5 30] [40 50]]"},
		{25, 45, 10, "[[5 50]]"},
		{60, 70, 10, "[[5 50] [60 70]]"},
		{0, 100, 45, "[[0 100]]"},
	} {
		if got := rs.add(tt.from, tt.to); got != tt.fresh || fmt.Sprint(rs) != tt.want {
			t.Errorf("add %d-%d: %d fresh, %v; want %d, %s", tt.from, tt.to, got, rs, tt.fresh, tt.want)
		}
	}
	for i := range int64(100) {
		rs.add(1000+10*i, 1000+10*i+5)
	}
	if len(rs) > maxRanges {
		t.Errorf("%d ranges", len(rs))
	}
}

func BenchmarkWindowRead(b *testing.B) {
	p := newPlayer(mib, 1<<50)
	off := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		p.w.read(p.now, off, off+128*kib)
		p.w.answered(p.now)
		p.now = p.now.Add(time.Millisecond)
		off += 128 * kib
	}
}
