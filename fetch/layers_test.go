package fetch

import (
	"errors"
	"log/slog"
	"testing"

	bolt "go.etcd.io/bbolt"

	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/metainfo"
)

// Piece layers are kept with the metadata, and go with the torrent. Damaged ones are
// left out, and replaced when they come anew.
func TestLayersAreKept(t *testing.T) {
	tor := swarmtest.MakeTorrent(t, swarmtest.Spec{Format: swarmtest.V2, Files: []swarmtest.FileSpec{
		{Path: "a", Length: 100 * kib}, {Path: "b", Length: 200 * kib}, {Path: "c", Length: kib},
	}})
	bare, err := metainfo.ParseInfo(tor.Raw)
	if err != nil {
		t.Fatal(err)
	}
	root, _ := tor.Root(0)
	one, err := bare.WithPieceLayers(map[[32]byte][]byte{root: tor.PieceLayers()[root]})
	if err != nil {
		t.Fatal(err)
	}
	dir, log, rec := t.TempDir(), slog.New(slog.DiscardHandler), record{Hash: tor.InfoHash.String(), Name: "x"}
	// reopen makes a change, and returns how many layers there are after a restart.
	reopen := func(c change, damage func(tx *bolt.Tx) error) int {
		t.Helper()
		d, _, err := openState(dir, log)
		if err != nil {
			t.Fatal(err)
		}
		err = d.write(map[metainfo.InfoHash]change{tor.InfoHash: c}, []stored{c.stored})
		if damage != nil {
			err = errors.Join(err, d.db.Update(damage))
		}
		if err = errors.Join(err, d.close()); err != nil {
			t.Fatal(err)
		}
		d, found, err := openState(dir, log)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		if len(found) == 0 {
			return -1
		}
		return len(found[0].info.PieceLayers())
	}
	key := append(tor.InfoHash[:], root[:]...)
	for _, tt := range []struct {
		name   string
		c      change
		damage func(tx *bolt.Tx) error
		want   int
	}{
		{"none", change{stored: stored{rec, bare}}, nil, 0},
		{"one", change{stored: stored{rec, one}}, nil, 1},
		{"both", change{stored: stored{rec, tor.Info}}, nil, 2},
		{"a wrong one", change{stored: stored{rec, one}}, func(tx *bolt.Tx) error {
			return tx.Bucket(bucketLayers).Put(key, make([]byte, 32*4))
		}, 0},
		{"again", change{stored: stored{rec, one}}, nil, 2},
		{"a wrong key", change{stored: stored{rec, one}}, func(tx *bolt.Tx) error {
			return tx.Bucket(bucketLayers).Put(key[:25], nil)
		}, 0},
		{"removed", change{stored: stored{rec, bare}, removed: true}, nil, -1},
		{"added anew", change{stored: stored{rec, bare}}, nil, 0},
	} {
		if n := reopen(tt.c, tt.damage); n != tt.want {
			t.Errorf("%s: %d layers, want %d", tt.name, n, tt.want)
		}
	}
}
