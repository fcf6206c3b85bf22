package fetch

import (
	"testing"
	"time"

	"magnetfs/swarm"
)

// The two clocks, second by second: supply says what the swarm reports in the
// given second; the read should end in the second want, -1: not within 1000 s.
func TestPatience(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	block := func(s int) time.Time { return at(s) }
	tests := []struct {
		name              string
		noPeers, noBlocks time.Duration
		stalled           verdict
		supply            func(sec int) swarm.Supply
		want              int
		why               verdict
	}{
		{
			name: "nobody", supply: func(int) swarm.Supply { return swarm.Supply{} },
			want: 60, why: noPeers,
		},
		{
			name: "connected peers that lack the piece", supply: func(int) swarm.Supply { return swarm.Supply{Connected: 9} },
			want: 60, why: noPeers,
		},
		{
			name: "the last source leaves after 100 s", supply: func(s int) swarm.Supply {
				if s <= 100 {
					return swarm.Supply{Peers: 1, LastBlock: block(s)}
				}
				return swarm.Supply{}
			},
			want: 160, why: noPeers,
		},
		{
			name: "sources that send nothing", supply: func(int) swarm.Supply { return swarm.Supply{Peers: 3} },
			want: 300, why: noBlocks,
		},
		{
			name: "blocks of long ago do not count", supply: func(int) swarm.Supply { return swarm.Supply{Peers: 3, LastBlock: at(-500)} },
			want: 300, why: noBlocks,
		},
		{
			name: "one block after 200 s", supply: func(s int) swarm.Supply {
				if s < 200 {
					return swarm.Supply{Peers: 3}
				}
				return swarm.Supply{Peers: 3, LastBlock: block(200)}
			},
			want: 500, why: noBlocks,
		},
		{
			name: "slow but alive", supply: func(s int) swarm.Supply { return swarm.Supply{Peers: 1, LastBlock: block(s - s%250)} },
			want: -1,
		},
		{
			name: "sources that come and go", supply: func(s int) swarm.Supply {
				if s%50 == 0 {
					return swarm.Supply{Peers: 1, LastBlock: block(s)}
				}
				return swarm.Supply{}
			},
			want: -1,
		},
		{
			name: "for ever without peers", noPeers: -1, supply: func(int) swarm.Supply { return swarm.Supply{} },
			want: -1,
		},
		{
			name: "for ever without blocks", noBlocks: -1, supply: func(int) swarm.Supply { return swarm.Supply{Peers: 1} },
			want: -1,
		},
		{
			name: "other limits", noPeers: 7 * time.Second, supply: func(int) swarm.Supply { return swarm.Supply{} },
			want: 7, why: noPeers,
		},
		{
			name: "a stalled torrent", stalled: noPeers, supply: func(int) swarm.Supply { return swarm.Supply{} },
			want: 5, why: noPeers,
		},
		{
			name: "stalled, and peers still send nothing", stalled: noBlocks, supply: func(int) swarm.Supply { return swarm.Supply{Peers: 2} },
			want: 5, why: noBlocks,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := patience{noPeers: defaultNoPeers, noBlocks: defaultNoBlocks, start: start, deliverable: start}
			if tt.noPeers != 0 {
				p.noPeers = tt.noPeers
			}
			if tt.noBlocks != 0 {
				p.noBlocks = tt.noBlocks
			}
			got, why := -1, waitOn
			for s := 1; s <= 1000; s++ {
				if why = p.check(at(s), tt.supply(s), tt.stalled); why != waitOn {
					got = s
					break
				}
			}
			if got != tt.want || why != tt.why {
				t.Errorf("ended after %d s (%v), want %d s (%v)", got, why, tt.want, tt.why)
			}
		})
	}
}

func TestStallOver(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, tt := range []struct {
		name  string
		stall stall
		now   swarm.Supply
		want  bool
	}{
		{"still nobody", stall{why: noPeers, at: at, peers: 0}, swarm.Supply{Connected: 3}, false},
		{"a source came", stall{why: noPeers, at: at, peers: 0}, swarm.Supply{Peers: 1}, true},
		{"the same silent sources", stall{why: noBlocks, at: at, peers: 2}, swarm.Supply{Peers: 2, LastBlock: at.Add(-time.Minute)}, false},
		{"one more source", stall{why: noBlocks, at: at, peers: 2}, swarm.Supply{Peers: 3}, true},
		{"fewer sources", stall{why: noBlocks, at: at, peers: 2}, swarm.Supply{Peers: 1}, false},
		{"a block came", stall{why: noBlocks, at: at, peers: 2}, swarm.Supply{Peers: 2, LastBlock: at.Add(time.Second)}, true},
	} {
		if got := tt.stall.over(tt.now); got != tt.want {
			t.Errorf("%s: over %v", tt.name, got)
		}
	}
}
