package swarm

import (
	"testing"
	"time"

	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/wire"
)

// TestSwarmEpisodes: a file of a torrent is read to its end and closed, the next one is
// opened some time later. Nothing has to be asked before its first piece that is there
// already: the time is counted in round trips.
func TestSwarmEpisodes(t *testing.T) {
	const rtt = 40 * ms
	piece := mib * time.Second / (100 * mbit) // from all ten
	tests := []struct {
		name  string
		after time.Duration
		slots int // of each seed
		trips int // before the first byte
	}{
		{"at once", 0, 1, 1},
		{"a few seconds later", coolFor - time.Second, 1, 1},
		// The unchoke comes first.
		{"half a minute later, seeds with slots", 30 * time.Second, 1, 2},
		{"half a minute later, others", 30 * time.Second, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, swarmtest.Spec{Length: 16 * mib, PieceLength: mib}, func(w *world) {
				for range 10 {
					w.seed(uplink(10*mbit, rtt), swarmtest.SeederConfig{Slots: tt.slots})
				}
				c := w.join(joins{})
				<-c.info
				c.torrent.SetOpen(1, true)
				c.stream(1, 0, 8, 8)
				c.torrent.SetOpen(1, false)
				time.Sleep(tt.after)
				c.torrent.SetOpen(1, true)
				took := c.read(8)
				t.Logf("%v", took)
				if most := time.Duration(tt.trips)*rtt + piece + 20*ms; took > most {
					t.Errorf("the first piece takes %v, want %d round trips and the piece: %v", took, tt.trips, most)
				}
				for i, s := range w.seeders {
					st := s.Stats()
					if st.Connections != 1 {
						t.Errorf("seed %d: %d connections", i, st.Connections)
					}
					if n := st.Received[wire.Interested]; tt.trips == 1 && tt.slots > 0 && n != 1 {
						t.Errorf("seed %d: interested %d times", i, n)
					}
				}
			})
		})
	}
}

// TestSwarmWakesUp: a torrent whose connections were closed for want of readers is read
// again. Its peers are known: connect, shake hands, be unchoked, ask.
func TestSwarmWakesUp(t *testing.T) {
	for _, rtt := range []time.Duration{10 * ms, 40 * ms, 100 * ms} {
		inWorld(t, swarmtest.Spec{Length: 16 * mib, PieceLength: mib}, func(w *world) {
			for range 10 {
				w.seed(uplink(10*mbit, rtt), swarmtest.SeederConfig{Slots: 1})
			}
			c := w.join(joins{})
			<-c.info
			c.read(0)
			time.Sleep(10 * time.Minute)
			took := c.read(5)
			// Four are there and choke; six have to be dialled.
			limit := 4*rtt + mib*time.Second/(100*mbit)
			t.Logf("round trip %v: %v, limit %v", rtt, took, limit)
			if took > time.Second || took > 2*limit {
				t.Errorf("round trip %v: the first read takes %v", rtt, took)
			}
		})
	}
}

// TestSwarmStuckSeed: the only seed falls silent in the midst of a piece and stays
// connected, as libtorrent's do now and then. A new connection to it works.
func TestSwarmStuckSeed(t *testing.T) {
	inWorld(t, swarmtest.Spec{Length: 16 * mib, PieceLength: mib}, func(w *world) {
		w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{Faults: swarmtest.Faults{Stall: true, StallAfter: 100}})
		c := w.join(joins{})
		<-c.info
		c.read(0)
		took := c.read(1)
		t.Logf("%v", took)
		// The whole piece takes 0.9 s, and a tick is a second.
		if took > maxSilenceAlone+4*time.Second {
			t.Errorf("took %v", took)
		}
		if n := w.seeders[0].Stats().Connections; n != 2 {
			t.Errorf("%d connections", n)
		}
	})
	// One that is slow, and has not delivered yet, is not taken for stuck.
	inWorld(t, swarmtest.Spec{Length: 2 * mib, PieceLength: 64 << 10}, func(w *world) {
		w.seed(uplink(10*mbit, 40*ms), swarmtest.SeederConfig{BytesPerSec: 3500})
		c := w.join(joins{})
		<-c.info
		took := c.read(0)
		t.Logf("%v at 3.5 kB/s", took)
		if n := w.seeders[0].Stats().Connections; n != 1 || took > 25*time.Second {
			t.Errorf("%d connections, %v", n, took)
		}
	})
}
