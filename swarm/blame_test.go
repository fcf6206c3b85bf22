package swarm

import (
	"fmt"
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

// buildOf draws a piece: each field is a block, "a" the right block sent by a,
// "b!" a wrong one sent by b, different from everybody else's.
func buildOf(picture string) *build {
	b := &build{}
	for i, f := range strings.Fields(picture) {
		b.blocks = append(b.blocks, blockOf(i, f))
	}
	return b
}

func blockOf(i int, f string) sent {
	data := fmt.Sprintf("block %d", i)
	if strings.HasSuffix(f, "!") {
		data += " by " + f
	}
	return sent{peerAt(rune(f[0])), []byte(data)}
}

// draw is the inverse of buildOf for the present composition; "." is a block
// that is missing.
func draw(b *build) string {
	var out []string
	for i, s := range b.blocks {
		switch {
		case s.data == nil:
			out = append(out, ".")
		case string(s.data) == fmt.Sprintf("block %d", i):
			out = append(out, string(rune(s.from.id)))
		default:
			out = append(out, string(rune(s.from.id))+"!")
		}
	}
	return strings.Join(out, " ")
}

func right(b *build) bool { return !strings.ContainsAny(draw(b), "!.") }

func TestBlame(t *testing.T) {
	for _, c := range []struct {
		name   string
		build  string
		proven string
		ban    string // who is banned at once
		left   string // the composition after the verdict
	}{
		{"one sender is guilty", "a! a a", "", "a", "a! a a"},
		{"the unproven sender's blocks are asked anew", "a b! a b", "a", "", "a . a ."},
		{"nobody proven: all blocks are asked anew", "a b! c", "", "", ". . ."},
		{"all proven: one of them turned bad", "a b! a", "ab", "", ". . ."},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := buildOf(c.build)
			v := b.failed(func(id picker.PeerID) bool { return strings.ContainsRune(c.proven, rune(id)) })
			var ban []string
			for _, s := range v.ban {
				ban = append(ban, string(rune(s.id)))
			}
			if got := strings.Join(ban, ""); got != c.ban {
				t.Errorf("banned %q, want %q", got, c.ban)
			}
			if got := draw(b); got != c.left {
				t.Errorf("left %q, want %q", got, c.left)
			}
		})
	}
}

// TestBlameConverges plays swarms in which some always send wrong blocks, with
// nobody proven at the start: the piece must come out right after few rounds, and
// the liars, and only they, must be known.
func TestBlameConverges(t *testing.T) {
	for _, c := range []struct {
		name   string
		peers  string
		liars  string
		rounds int // of asking blocks anew
	}{
		{"one of three", "abc", "c", 2},
		{"three of thirteen", "abcdefghijklm", "klm", 2},
		{"half of eight", "abcdefgh", "efgh", 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			const blocks = 64
			var avoid [blocks][]rune
			send := func(i, round int) sent {
				for k := range len(c.peers) {
					p := rune(c.peers[(i*7+round*5+k)%len(c.peers)])
					if slices.Contains(avoid[i], p) {
						continue
					}
					f := string(p)
					if strings.ContainsRune(c.liars, p) {
						f += "!"
					}
					return blockOf(i, f)
				}
				t.Fatal("nobody left to ask")
				return sent{}
			}
			b := &build{blocks: make([]sent, blocks)}
			for i := range b.blocks {
				b.blocks[i] = send(i, 0)
			}
			nobody := func(picker.PeerID) bool { return false }
			round := 0
			for !right(b) {
				v := b.failed(nobody)
				if v.again {
					continue
				}
				if round++; round > c.rounds {
					t.Fatalf("not right after %d rounds: %s", c.rounds, draw(b))
				}
				for k, i := range v.refetch {
					avoid[i] = append(avoid[i], rune(v.avoid[k]))
					b.blocks[i] = send(i, round)
				}
			}
			got := map[rune]bool{}
			for _, s := range b.liars() {
				got[rune(s.id)] = true
			}
			for _, p := range c.peers {
				if got[p] != strings.ContainsRune(c.liars, p) {
					t.Errorf("peer %c blamed: %v", p, got[p])
				}
			}
		})
	}
}
