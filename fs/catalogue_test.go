package fs_test

import (
	"fmt"
	"sync"
	"time"

	"magnetfs/fetch/fetchtest"
	"magnetfs/internal/swarmtest"
)

const pieceLength = 32 << 10

// item is a torrent of the tests and how its swarm behaves.
type item struct {
	spec   swarmtest.Spec
	script fetchtest.Script
}

// catalogue holds the torrents of the tests, by name. Parent and child make the
// same ones.
var catalogue = map[string]item{
	// everything a tree can hold
	"tree": {spec: swarmtest.Spec{Name: "tree", Seed: 1, PieceLength: pieceLength, Files: []swarmtest.FileSpec{
		{Path: "README", Length: 100},
		{Path: "empty", Length: 0},
		{Path: "sub/run.sh", Length: 5000, Attr: "x"},
		{Path: "sub/deep/data.bin", Length: 3*pieceLength + 17},
		{Path: "sub/link", Symlink: "README"},
		{Path: "ünï cödé ☃.txt", Length: 70000},
	}}},
	// a whole film, and one whose end never comes
	"film":  {spec: swarmtest.Spec{Name: "film", Seed: 2, PieceLength: pieceLength, Length: 4<<20 + 5}},
	"stall": {spec: swarmtest.Spec{Name: "stall", Seed: 3, PieceLength: pieceLength, Length: 4 << 20}, script: fetchtest.Script{Stalled: from(32)}},
	"dead":  {spec: swarmtest.Spec{Name: "dead", Seed: 4, PieceLength: pieceLength, Length: 4 << 20}, script: fetchtest.Script{Stalled: from(0), NoPeers: true}},
	// each piece takes its time
	"slow": {spec: swarmtest.Spec{Name: "slow", Seed: 5, PieceLength: pieceLength, Length: 2 << 20}, script: fetchtest.Script{Piece: 100 * time.Millisecond}},
	// metadata late, and never
	"late":  {spec: swarmtest.Spec{Name: "late", Seed: 6, PieceLength: pieceLength, Length: 1 << 20}, script: fetchtest.Script{Info: 1500 * time.Millisecond}},
	"never": {spec: swarmtest.Spec{Name: "never", Seed: 7}, script: fetchtest.Script{Info: -1}},
	// a folder that takes several calls to list
	"many": {spec: swarmtest.Spec{Name: "many", Seed: 9, PieceLength: pieceLength, Files: manyFiles(2000)}},
	// for measuring: never complete, so that it is read past the page cache
	"bench": {spec: swarmtest.Spec{Name: "bench", Seed: 10, PieceLength: 1 << 20, Length: 128 << 20}, script: fetchtest.Script{Stalled: from(127)}},
	// pieces and requests of the largest size
	"large": {spec: swarmtest.Spec{Name: "large", Seed: 8, PieceLength: 1 << 20, Length: 24<<20 + 321}},
}

func manyFiles(n int) (files []swarmtest.FileSpec) {
	for i := range n {
		files = append(files, swarmtest.FileSpec{Path: fmt.Sprintf("a file with a rather long name, number %04d.txt", i), Length: int64(i)})
	}
	return files
}

func from(first int) func(int) bool { return func(piece int) bool { return piece >= first } }

// made keeps what torrent made: torrents are immutable.
var made sync.Map

func torrent(name string) *swarmtest.Torrent {
	if t, ok := made.Load(name); ok {
		return t.(*swarmtest.Torrent)
	}
	t, err := swarmtest.NewTorrent(catalogue[name].spec)
	if err != nil {
		panic(err)
	}
	made.Store(name, t)
	return t
}

// hashOf is the info-hash of a torrent of the catalogue, in hex.
func hashOf(name string) string { return fetchtest.New().Offer(torrent(name), fetchtest.Script{}) }

func magnetOf(name string) string { return "magnet:?xt=urn:btih:" + hashOf(name) }
