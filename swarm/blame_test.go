package swarm

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"magnetfs/swarm/picker"
)

// peerAt returns a sender for tests; each letter has an address of its own.
func peerAt(letter rune) sender {
	return sender{picker.PeerID(letter), netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:6881", letter))}
}

// blockOf is a block: "a" the right one sent by a, "b!" a wrong one sent by b,
// different from everybody else's, "b?" a wrong one that all liars agree on.
func blockOf(i int, f string) (sender, []byte) {
	data := fmt.Sprintf("block %d", i)
	switch {
	case strings.HasSuffix(f, "!"):
		data += " by " + f
	case strings.HasSuffix(f, "?"):
		data += " wrong"
	}
	return peerAt(rune(f[0])), []byte(data)
}

// buildOf draws a piece: each field is a block with its copies, the first first:
// "ab!" came from a, then from b.
func buildOf(picture string) *build {
	fields := strings.Fields(picture)
	b := newBuild(0, len(fields))
	for i, f := range fields {
		for f != "" {
			n := 1
			if len(f) > 1 && strings.ContainsAny(f[1:2], "!?") {
				n = 2
			}
			from, data := blockOf(i, f[:n])
			b.add(i, from, data)
			f = f[n:]
		}
	}
	return b
}

// draw is the composition, as for buildOf; "." is a block that is missing.
func draw(b *build) string {
	var out []string
	data := b.data()
	for i := range b.blocks {
		bl := &b.blocks[i]
		if bl.chosen == none {
			out = append(out, ".")
			continue
		}
		f := string(rune(bl.copies[bl.chosen].from.id))
		switch string(data[i]) {
		case fmt.Sprintf("block %d", i):
		case fmt.Sprintf("block %d wrong", i):
			f += "?"
		default:
			f += "!"
		}
		out = append(out, f)
	}
	return strings.Join(out, " ")
}

func right(b *build) bool { return !strings.ContainsAny(draw(b), "!?.") }

// known is a standing: who is proven, and who is gone.
type known struct{ proven, gone string }

func (k known) Proven(id picker.PeerID) bool { return strings.ContainsRune(k.proven, rune(id)) }
func (k known) CanDeliver(id picker.PeerID, _ int) bool {
	return !strings.ContainsRune(k.gone, rune(id))
}

func letters(ids []picker.PeerID) string {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	out := ""
	for _, id := range ids {
		out += string(rune(id))
	}
	return out
}

func TestBlame(t *testing.T) {
	tests := []struct {
		name   string
		build  string
		before []string // compositions that failed before
		known  known
		ban    string // who is banned at once
		left   string // the composition after the verdict
		rule   string // of the first block that is missing: "only ab", "avoid a"
	}{
		{"one sender is guilty", "a! a a", nil, known{}, "a", ". . .", ""},
		{"proven or not", "a! a a", nil, known{proven: "a"}, "a", ". . .", ""},
		{"a second opinion on all blocks", "a b! c", nil, known{}, "", ". . .", "avoid a"},
		{"on those of strangers if there are others", "b! a b a", nil, known{proven: "a"}, "", ". a . a", "avoid b"},
		{"not from other strangers", "b! a c a", nil, known{proven: "a"}, "", ". a . a", "avoid bc"},
		{"all are proven: one has turned bad", "a b! a", nil, known{proven: "ab"}, "", ". . .", "avoid a"},
		{"the set that agrees most", "ab ac bd! cd!", nil, known{}, "", "a a b c", ""},
		{"a set that is complete is tried first", "abd! ae! d!e! cd!", nil, known{}, "", "b e! e! c", ""},
		{"what a set lacks is asked of its members", "abd! ae! d!e! cd! ad! bd! cd!", nil, known{}, "", "b a . c a b c", "only abc"},
		{"few differ: all combinations", "ab! ac bc! bc", []string{"a a c! b", "b! a c! b"}, known{}, "", "a a b b", ""},
		{"all were tried: another opinion", "ab! ac bc! bc", []string{"a a c! b", "b! a c! b", "a a b b", "b! a b b"}, known{}, "", ". . . .", "avoid ab"},
		{"the proven first", "a!x a!y b!x b!y", nil, known{proven: "ab"}, "", "a! a! b! b!", ""},
		{"then who contradicts them", "xa! ya! xb! yb!", []string{"a! a! b! b!"}, known{proven: "ab"}, "", "x y x y", ""},
		{"who failed alone is a liar", "ab! ba!", []string{"a a!"}, known{}, "a", "b! b", ""},
		{"who is gone is not asked", "a b!", []string{"a b!"}, known{gone: "b"}, "", ". .", "avoid a"},
		{"who sends two different copies is a liar", "aa! b c", nil, known{}, "a", ". . .", ""},
		{"a third opinion if liars agree", "a?b? ab ab", []string{"a? a a"}, known{}, "ab", ". . .", ""},
		{"one alone in the end", "ab?c? cab acb", []string{"a c a", "b? a a", "b? a c", "a a c"}, known{}, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := buildOf(tt.build)
			for _, f := range tt.before {
				var values []int
				for i, w := range strings.Fields(f) {
					_, data := blockOf(i, w)
					values = append(values, slices.IndexFunc(b.blocks[i].values, func(v []byte) bool { return string(v) == string(data) }))
				}
				b.failed = append(b.failed, values)
			}
			v := b.wrong(tt.known)
			var ban []picker.PeerID
			for _, s := range v.ban {
				ban = append(ban, s.id)
			}
			if tt.left == "" {
				if right(b) || len(v.refetch) > 0 {
					return
				}
				t.Fatalf("left %q", draw(b))
			}
			if got := letters(ban); got != tt.ban {
				t.Errorf("banned %q, want %q", got, tt.ban)
			}
			if got := draw(b); got != tt.left {
				t.Errorf("left %q, want %q", got, tt.left)
			}
			if v.again != !strings.Contains(tt.left, ".") {
				t.Errorf("again: %v", v.again)
			}
			rule := ""
			if len(v.refetch) > 0 {
				if r := v.refetch[0].rule; len(r.Only) > 0 {
					rule = "only " + letters(r.Only)
				} else if len(r.Avoid) > 0 {
					rule = "avoid " + letters(r.Avoid)
				}
			}
			if rule != tt.rule {
				t.Errorf("rule %q, want %q", rule, tt.rule)
			}
		})
	}
}

// TestBlameConverges plays swarms in which some send wrong blocks: the piece must
// come out right with few blocks asked anew, and the liars that took part, and only
// they, must be known.
func TestBlameConverges(t *testing.T) {
	tests := []struct {
		name   string
		peers  string
		liars  string
		lies   string  // suffix of their blocks
		often  float64 // share of their blocks that is wrong
		proven string
		blocks float64 // asked anew on average, at most, in pieces
	}{
		{"one of three", "abc", "c", "!", 1, "", 1.5},
		{"one of two", "ab", "b", "!", 1, "", 1.6},
		{"three of thirteen", "abcdefghijklm", "klm", "!", 1, "", 1.3},
		{"three of thirteen that agree", "abcdefghijklm", "klm", "?", 1, "", 1.3},
		{"four of nine that agree", "abcdefghi", "fghi", "?", 1, "", 1.3},
		{"half of eight", "abcdefgh", "efgh", "!", 1, "", 1.7},
		{"half of eight that agree", "abcdefgh", "efgh", "?", 1, "", 1.8},
		{"all but one that agree", "abcdefgh", "bcdefgh", "?", 1, "", 9},
		{"all but one", "abcdefgh", "bcdefgh", "!", 1, "", 7},
		{"a wrong block now and then", "abcdefgh", "gh", "!", 0.1, "", 1.2},
		{"a wrong block now and then that they agree on", "abcdefgh", "fgh", "?", 0.1, "", 1.5},
		{"a single wrong block", "abcdefgh", "h", "!", 0.02, "", 1.1},
		{"one stranger among the proven", "abcdefgh", "h", "!", 1, "abcdefg", 0.3},
		{"two strangers among the proven", "abcdefgh", "gh", "?", 1, "abcdef", 0.6},
		{"a proven one turned bad", "abcdefgh", "h", "!", 1, "abcdefgh", 1.3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const blocks, games = 64, 20
			total := 0
			for seed := range uint64(games) {
				total += playBlame(t, rand.New(rand.NewPCG(seed, 9)), false, blocks, tt.peers, tt.liars, tt.lies, tt.often, tt.proven)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			mean := float64(total) / games / blocks
			t.Logf("%.2f pieces asked anew", mean)
			if mean > tt.blocks {
				t.Errorf("%.2f pieces were asked anew, want at most %.2f", mean, tt.blocks)
			}
		})
	}
}

// TestBlameTurns: peers of equal rates take turns. Each is compared with several others
// all the same, so that liars who agree are found by the second opinion.
func TestBlameTurns(t *testing.T) {
	const blocks = 64
	for peers, liars := range map[string]string{"abcdefghi": "cdef", "abcdefgh": "bdf", "abcdefghijklm": "klm"} {
		again := playBlame(t, rand.New(rand.NewPCG(1, 1)), true, blocks, peers, liars, "?", 1, "")
		t.Logf("%d of %d: %.2f pieces asked anew", len(liars), len(peers), float64(again)/blocks)
		if float64(again) > 1.3*blocks {
			t.Errorf("%d of %d: %d blocks were asked anew", len(liars), len(peers), again)
		}
	}
}

// playBlame fetches one piece and returns how many blocks were asked anew. Peers are
// asked by chance, or in turns.
func playBlame(t *testing.T, rnd *rand.Rand, turns bool, blocks int, peers, liars, lies string, often float64, proven string) (again int) {
	lied := map[rune]bool{}
	k := known{proven: proven}
	asked := map[rune]int{}
	send := func(b *build, i int, rule picker.Rule) {
		// The picker's order: whom the rule wants, then anybody.
		var best, rest []rune
		for _, p := range peers {
			switch {
			case strings.ContainsRune(k.gone, p):
			case slices.Contains(rule.Avoid, picker.PeerID(p)), len(rule.Only) > 0 && !slices.Contains(rule.Only, picker.PeerID(p)):
				rest = append(rest, p)
			default:
				best = append(best, p)
			}
		}
		if len(best) == 0 {
			best = rest
		}
		p := best[rnd.IntN(len(best))]
		if turns {
			p = slices.MinFunc(best, func(x, y rune) int { return asked[x] - asked[y] })
			asked[p]++
		}
		f := string(p)
		// A liar sends the same each time.
		coin := rand.New(rand.NewPCG(uint64(i), uint64(len(f))+uint64(p)*uint64(lies[0]&1)))
		if strings.ContainsRune(liars, p) && coin.Float64() < often {
			lied[p] = true
			f += lies
		}
		from, data := blockOf(i, f)
		b.add(i, from, data)
	}
	b := newBuild(0, blocks)
	for i := range blocks {
		send(b, i, picker.Rule{})
	}
	for tries := 0; !right(b); tries++ {
		if tries > 200 {
			t.Fatalf("not right: %s", draw(b))
		}
		v := b.wrong(k)
		for _, s := range v.ban {
			if !lied[rune(s.id)] {
				t.Fatalf("%c was banned, who never lied", s.id)
			}
			k.gone += string(rune(s.id))
		}
		if v.again != (len(v.refetch) == 0) {
			t.Fatalf("again %v with %d blocks to ask", v.again, len(v.refetch))
		}
		for _, q := range v.refetch {
			if b.blocks[q.block].chosen != none {
				t.Fatalf("block %d is asked though it is there", q.block)
			}
			send(b, q.block, q.rule)
			again++
		}
	}
	for _, s := range b.liars() {
		if !lied[rune(s.id)] {
			t.Fatalf("%c is blamed, who never lied", s.id)
		}
		k.gone += string(rune(s.id))
	}
	for p := range lied {
		if !strings.ContainsRune(k.gone, p) {
			t.Fatalf("%c lied and goes free: %s", p, draw(b))
		}
	}
	return again
}
