package swarm

import (
	"fmt"
	"testing"
	"time"

	"magnetfs/internal/swarmtest"
)

// v2Spec is a torrent of version 2 with files of several pieces, of one, and of none.
var v2Spec = swarmtest.Spec{Format: swarmtest.V2, PieceLength: 32 << 10, Files: []swarmtest.FileSpec{
	{Path: "a", Length: 300<<10 + 1}, {Path: "b", Length: 20 << 10}, {Path: "c", Length: 2 * mib}, {Path: "d"}, {Path: "e", Length: 64 << 10},
}}

// TestSwarmV2 reads a torrent of version 2 of which only the hash is known, among
// peers that lie about its piece layers or do not give them.
func TestSwarmV2(t *testing.T) {
	faults := map[string][]swarmtest.Faults{
		"honest":                      {{}},
		"one lies":                    {{WrongHashes: true}, {}},
		"most lie":                    {{WrongHashes: true}, {WrongHashes: true}, {WrongHashes: true}, {}},
		"one is silent":               {{IgnoreHashes: true}, {}},
		"one rejects":                 {{RejectHashes: true}, {}},
		"all kinds, and wrong blocks": {{RejectHashes: true}, {IgnoreHashes: true}, {WrongHashes: true}, {Corrupt: swarmtest.CorruptAll}, {}},
	}
	for name, fs := range faults {
		t.Run(name, func(t *testing.T) {
			inWorld(t, v2Spec, func(w *world) {
				for _, f := range fs {
					w.seed(uplink(20*mbit, 40*ms), swarmtest.SeederConfig{Faults: f})
				}
				c := w.join(joins{})
				<-c.info
				start := time.Now()
				c.wantAll()
				for c.missing() > 0 && time.Since(start) < time.Minute {
					time.Sleep(10 * ms)
				}
				t.Logf("%v", time.Since(start).Round(ms))
				if n := c.missing(); n > 0 {
					t.Fatalf("%d pieces are missing: %+v", n, c.torrent.Status())
				}
				if err := c.store.check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestSwarmV2Layers counts what the layers cost: nothing if the reader comes a
// round trip after the metadata, as all are asked for at once.
func TestSwarmV2Layers(t *testing.T) {
	const rtt = 40 * ms
	inWorld(t, v2Spec, func(w *world) {
		w.seed(uplink(1000*mbit, rtt), swarmtest.SeederConfig{})
		c := w.join(joins{})
		<-c.info
		if took := c.read(0); took > 2*rtt+5*ms {
			t.Errorf("the first read took %v", took)
		}
		if took := c.read(20); took > rtt+5*ms {
			t.Errorf("a read of another file took %v", took)
		}
	})
}

// TestSwarmV2FromSession: who got the layers from peers serves them, and what lies
// below them; who has none rejects.
func TestSwarmV2FromSession(t *testing.T) {
	inWorld(t, v2Spec, func(w *world) {
		w.seed(uplink(20*mbit, 40*ms), swarmtest.SeederConfig{})
		a := w.join(joins{})
		<-a.info
		a.wantAll()
		time.Sleep(10 * time.Second)
		if n := a.missing(); n > 0 {
			t.Fatalf("%d pieces are missing", n)
		}
		w.seeders[0].Close()
		b := w.join(joins{peers: []string{a.addr()}})
		<-b.info
		b.wantAll()
		time.Sleep(10 * time.Second)
		if n := b.missing(); n > 0 {
			t.Fatalf("%d pieces are missing: %+v", n, b.torrent.Status())
		}
	})
	for _, format := range []swarmtest.Format{swarmtest.V2, swarmtest.Hybrid} {
		t.Run(fmt.Sprint("leaves, ", format), func(t *testing.T) {
			spec := v2Spec
			spec.Format = format
			inWorld(t, spec, func(w *world) {
				var all []int
				for i := range w.tor.NumPieces() {
					all = append(all, i)
				}
				c := w.join(joins{info: true, have: all})
				f := 0
				root, _ := w.tor.Root(f)
				// The last leaves: the last block is short, and more than half is padding.
				span := spanOf(newLayerFile(root, w.tor.Files[f].Length, w.tor.PieceLength).request(0))
				span.BaseLayer, span.Index, span.Length, span.ProofLayers = 0, 16, 4, span.ProofLayers+1
				hashes, ok := c.torrent.hashesOf(w.tor.Info, span)
				if !ok {
					t.Fatal("rejected")
				}
				if err := requestOf(span).Verify(5, hashes); err != nil {
					t.Error(err)
				}
				c.store.evict(9)
				if _, ok := c.torrent.hashesOf(w.tor.Info, span); ok {
					t.Error("leaves of a piece that is not here")
				}
				span.Root[0]++
				if _, ok := c.torrent.hashesOf(w.tor.Info, span); ok {
					t.Error("hashes of an unknown file")
				}
			})
		})
	}
}
