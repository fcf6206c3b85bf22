package swarm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"magnetfs/internal/swarmtest"
)

// badPeers are the ways of misbehaving that one peer of a swarm may have.
var badPeers = []struct {
	name string
	cfg  swarmtest.SeederConfig
	// first is what the first piece may take, as a multiple of what it takes
	// beside the good ones alone. 0: 1.3.
	first float64
	// banned: it must be found out, closed, and never connected again.
	banned bool
}{
	{"stall at once", swarmtest.SeederConfig{Faults: swarmtest.Faults{Stall: true}}, 0, false},
	{"stall after 20 blocks", swarmtest.SeederConfig{Faults: swarmtest.Faults{Stall: true, StallAfter: 20}}, 0, false},
	{"trickle", swarmtest.SeederConfig{BytesPerSec: 5000}, 0, false},
	{"unchoke late and trickle", swarmtest.SeederConfig{BytesPerSec: 5000, UnchokeDelay: time.Second}, 0, false},
	{"send wrong blocks, the same as the others", swarmtest.SeederConfig{
		Faults: swarmtest.Faults{Corrupt: swarmtest.CorruptAll}}, 2, true},
	{"send a wrong block now and then", swarmtest.SeederConfig{
		Faults: swarmtest.Faults{Corrupt: func(p, b uint32) bool { return (p*7+b/16384)%13 == 0 }}}, 3, true},
	{"turn bad after some pieces", swarmtest.SeederConfig{
		Faults: swarmtest.Faults{Corrupt: func(p, b uint32) bool { return p > 6 }}}, 0, true},
	{"claim what they lack and reject", swarmtest.SeederConfig{Have: []int{}, Faults: swarmtest.Faults{ClaimAll: true}}, 0, false},
	{"claim what they lack and are silent", swarmtest.SeederConfig{
		Have: []int{}, Faults: swarmtest.Faults{ClaimAll: true, IgnoreMissing: true}}, 0, false},
	{"never unchoke", swarmtest.SeederConfig{Faults: swarmtest.Faults{NeverUnchoke: true}}, 0, false},
	{"reject all", swarmtest.SeederConfig{Faults: swarmtest.Faults{RejectAll: true}}, 0, false},
	{"choke all the time", swarmtest.SeederConfig{Faults: swarmtest.Faults{ChokeAfter: 5, ChokeFor: 300 * ms}}, 0, false},
	{"disconnect at the first request", swarmtest.SeederConfig{Faults: swarmtest.Faults{Disconnect: true}}, 0, false},
	{"disconnect again and again", swarmtest.SeederConfig{
		Faults: swarmtest.Faults{Disconnect: true, DisconnectAfter: 3, ByReset: true}}, 0, false},
	{"send wrong metadata", swarmtest.SeederConfig{Faults: swarmtest.Faults{WrongMetadata: true}}, 0, false},
	{"lie about the size of the metadata", swarmtest.SeederConfig{Faults: swarmtest.Faults{MetadataSize: 20_000}}, 0, false},
	{"never send the metadata", swarmtest.SeederConfig{Faults: swarmtest.Faults{IgnoreMetadata: true}}, 0, false},
	{"answer by garbage", swarmtest.SeederConfig{Faults: swarmtest.Faults{Garbage: true}}, 0, false},
	{"say nothing", swarmtest.SeederConfig{Faults: swarmtest.Faults{Silent: true}}, 0, false},
	{"send short blocks", swarmtest.SeederConfig{Faults: swarmtest.Faults{Truncate: true}}, 0, false},
	{"send every block twice", swarmtest.SeederConfig{Faults: swarmtest.Faults{Duplicate: true}}, 0, false},
}

// reading is what a reader gets.
type reading struct {
	metadata, first time.Duration // since the torrent was added
	seek            time.Duration // median
	rate            float64       // bytes per second
}

// measure has a client read among good and bad peers. The bad ones are dialled
// first.
func measure(t *testing.T, good int, bad []swarmtest.SeederConfig, after func(w *world, c *client)) (o reading) {
	inWorld(t, swarmtest.Spec{Length: 24 * mib, PieceLength: mib}, func(w *world) {
		for i, cfg := range bad {
			cfg.Name = fmt.Sprint("bad ", i)
			w.seed(uplink(10*mbit, 40*ms), cfg)
		}
		for range good {
			w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{})
		}
		start := time.Now()
		c := w.join(joins{})
		<-c.info
		o.metadata = time.Since(start)
		c.read(5)
		o.first = time.Since(start)
		c.stream(1, 6, 4, 16)
		o.rate = c.stream(1, 10, 8, 16)
		var seeks []time.Duration
		for i := range 3 {
			time.Sleep(200 * ms)
			seeks = append(seeks, c.read(19+2*i))
		}
		slices.Sort(seeks)
		o.seek = seeks[1]
		if err := c.store.check(); err != nil {
			t.Error(err)
		}
		if after != nil {
			after(w, c)
		}
	})
	return o
}

// TestSwarmBadPeers: four peers of a kind beside five good ones, and dialled before
// them. The reader must have what the good ones alone give: the rate and the seeks
// within 10 %, the first piece soon, and not one wrong byte.
func TestSwarmBadPeers(t *testing.T) {
	alone := measure(t, 5, nil, nil)
	t.Logf("good ones alone: metadata %v, first piece %v, seek %v, %.2f MB/s", alone.metadata.Round(ms), alone.first.Round(ms), alone.seek.Round(ms), alone.rate/1e6)
	if alone.rate < 0.93*50*mbit {
		t.Errorf("good ones alone: %.2f of 6.25 MB/s", alone.rate/1e6)
	}
	for _, tt := range badPeers {
		t.Run(tt.name, func(t *testing.T) {
			o := measure(t, 5, slices.Repeat([]swarmtest.SeederConfig{tt.cfg}, 4), func(w *world, c *client) {
				for i, s := range w.seeders[:4] {
					if st := s.Stats(); tt.banned && (st.Open > 0 || st.Connections > 1) {
						t.Errorf("bad peer %d: %d connections, %d open", i, st.Connections, st.Open)
					}
				}
				for i, s := range w.seeders[4:] {
					if st := s.Stats(); st.Open != 1 || st.Connections != 1 {
						t.Errorf("good peer %d: %d connections, %d open", i, st.Connections, st.Open)
					}
				}
			})
			t.Logf("metadata %v, first piece %v, seek %v, %.2f MB/s", o.metadata.Round(ms), o.first.Round(ms), o.seek.Round(ms), o.rate/1e6)
			o.against(t, alone, max(tt.first, 1.3))
		})
	}
}

// against compares with what good peers alone give.
func (o reading) against(t *testing.T, alone reading, first float64) {
	t.Helper()
	if o.metadata > alone.metadata+60*ms {
		t.Errorf("metadata after %v, %v without the bad ones", o.metadata, alone.metadata)
	}
	if o.first > time.Duration(first*float64(alone.first)) {
		t.Errorf("first piece after %v, %v without the bad ones", o.first, alone.first)
	}
	if o.seek > alone.seek*11/10 {
		t.Errorf("seek takes %v, %v without the bad ones", o.seek, alone.seek)
	}
	if o.rate < 0.9*alone.rate {
		t.Errorf("%.2f MB/s, %.2f without the bad ones", o.rate/1e6, alone.rate/1e6)
	}
}

// TestSwarmManyBadPeers: ten good peers, four that stall, three that trickle, three
// that corrupt.
func TestSwarmManyBadPeers(t *testing.T) {
	alone := measure(t, 10, nil, nil)
	var bad []swarmtest.SeederConfig
	for range 4 {
		bad = append(bad, swarmtest.SeederConfig{Faults: swarmtest.Faults{Stall: true}})
	}
	for range 3 {
		bad = append(bad, swarmtest.SeederConfig{BytesPerSec: 10_000})
	}
	for range 3 {
		bad = append(bad, swarmtest.SeederConfig{Faults: swarmtest.Faults{Corrupt: swarmtest.CorruptAll}})
	}
	o := measure(t, 10, bad, func(w *world, _ *client) {
		for _, s := range w.seeders[7:10] {
			if st := s.Stats(); st.Open > 0 || st.Connections > 1 {
				t.Errorf("a corrupting peer has %d connections, %d open", st.Connections, st.Open)
			}
		}
	})
	t.Logf("first piece %v (alone %v), seek %v (%v), %.2f MB/s (%.2f)", o.first.Round(ms), alone.first.Round(ms),
		o.seek.Round(ms), alone.seek.Round(ms), o.rate/1e6, alone.rate/1e6)
	o.against(t, alone, 3)
}

// TestSwarmOnlyBadPeers: as long as nobody good is there, nothing comes; but it comes
// at once when somebody is.
func TestSwarmOnlyBadPeers(t *testing.T) {
	for _, tt := range badPeers {
		if tt.name == "stall after 20 blocks" || tt.name == "disconnect again and again" || tt.name == "turn bad after some pieces" ||
			tt.name == "choke all the time" || tt.name == "send every block twice" || tt.name == "trickle" ||
			tt.name == "unchoke late and trickle" || tt.name == "send a wrong block now and then" {
			continue // these deliver something
		}
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, swarmtest.Spec{Length: 8 * mib, PieceLength: mib}, func(w *world) {
				for range 4 {
					w.seed(uplink(10*mbit, 40*ms), tt.cfg)
				}
				c := w.join(joins{})
				c.torrent.SetWants(1, []Want{{Piece: 3, Deadline: time.Now(), Blocked: true}})
				time.Sleep(30 * time.Second)
				if c.store.has(3) && tt.name != "send wrong metadata" && tt.name != "lie about the size of the metadata" && tt.name != "never send the metadata" {
					t.Error("where does the piece come from?")
				}
				w.seed(uplink(50*mbit, 40*ms), swarmtest.SeederConfig{})
				start := time.Now()
				c.torrent.AddPeers(w.peers[4:])
				c.await(3, time.Minute)
				// Connecting, handshakes, metadata: 120 ms; the piece 210 ms.
				took := time.Since(start)
				t.Logf("%v", took.Round(ms))
				if took > 1500*ms {
					t.Errorf("took %v", took)
				}
				if err := c.store.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
