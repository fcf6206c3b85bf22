package metainfo

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"magnetfs/swarm/benc"
)

// pat returns n bytes of test data: SHA-256 of 0, 1, 2 and so on as 32 bit numbers.
func pat(n int) []byte {
	b := make([]byte, 0, n+sha256.Size)
	for i := uint32(0); len(b) < n; i++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32(nil, i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func hash32(t testing.TB, s string) [32]byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	require.Len(t, b, 32)
	return digest(b)
}

func TestPat(t *testing.T) {
	require.Equal(t, "df3f619804a92fdb", hex.EncodeToString(pat(8)))
	require.Equal(t, hash32(t, "04a06dee8b15c73b5abb34d6a052c8befa39b0e7eda81a9d6dfe909c84105c8d"), sha256.Sum256(pat(100000)))
}

func TestPadHash(t *testing.T) {
	for height, want := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b",
		"db56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71",
		"c78009fdf07fc56a11f122370658a353aaa542ed63e44c4bc15ff4cd105ab33c",
		"536d98837f2dd165a55d5eeae91485954472d56f246df256bf3cae19352a123c",
		"9efde052aa15429fae05bad4d0b1d7c64da64d03d7a1854a588c2cb8430c0d30",
		"d88ddfeed400a8755596b21942c1497e114c302e6118290f91e6772976041fa1",
		"87eb0ddba57e35f6d286673802a4af5975e22506c7cf4c64bb6be5ee11527f2c",
	} {
		require.Equal(t, hash32(t, want), PadHash(height), "height %d", height)
		require.Equal(t, hash32(t, want), PieceRoot(nil, 1<<height), "height %d", height)
	}
}

func TestPiecesRoot(t *testing.T) {
	tests := []struct {
		data []byte
		root string
	}{
		{pat(1), "2ea970ff63aec5d7a014ca6447ec743d3ba37450b85ebdcbb582b089b0194fa2"},
		{pat(16384), "dc1fff16870a445eedb8df8f92f1a0d9f5d6dce9e9fd91419705b9e4a53eb1e5"},
		{pat(16385), "577e357cc38fdb660c819b947622383b42eda8aa74b6bdbcfe6c80896bdf68b0"},
		{pat(40000), "f703d6030613e66a7a936ef3b83e7d0e058c63e0169b47e0afd8d941d4a771e9"},
		{pat(49152), "e216b542291b798e00a196209746caa797aeb4a3bd2df9e49b6229d3204fb11d"},
		{pat(81920), "aa5841d47b0847387180d286ac18d068fb81f98f76c8ea0f7bef12f66bfdb491"},
		{pat(100000), "c1d2964b14cf71017e892b45db3dfe15bcb0b0c9adc4c40260def213c578ddc4"},
		{make([]byte, 49152), "1cb5a249f6e721060aae623d21d3eca23056bda8c19e4e89f9a086151553713d"},
		{make([]byte, 16384), "4fe7b59af6de3b665b67788cc2f99892ab827efae3a467342b3bb4e3bc8e5bfe"},
		{make([]byte, 1), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d bytes %s", len(test.data), test.root[:4]), func(t *testing.T) {
			want := hash32(t, test.root)
			require.Equal(t, want, MerkleRoot(LeafHashes(test.data), 0))
			require.Equal(t, want, PieceRoot(test.data, 1<<TreeHeight(int64(len(test.data)))))
			// The root does not depend on the piece length.
			for pieceLength := int64(leafSize); pieceLength < 1<<18; pieceLength *= 2 {
				layer := pieceLayer(test.data, pieceLength)
				tree, err := NewTree(want, int64(len(test.data)), pieceLength, layer)
				require.NoError(t, err, "piece length %d", pieceLength)
				require.Equal(t, TreeHeight(int64(len(test.data))), tree.Height())
			}
		})
	}
}

// pieceLayer returns the hashes of the pieces of a file.
func pieceLayer(data []byte, pieceLength int64) (layer []byte) {
	for piece := range slices.Chunk(data, int(pieceLength)) {
		root := PieceRoot(piece, int(pieceLength/leafSize))
		layer = append(layer, root[:]...)
	}
	return layer
}

// The tree of pat(81920) with pieces of 32 KiB: 5 leaves, 3 pieces.
var (
	treeRoot   = "aa5841d47b0847387180d286ac18d068fb81f98f76c8ea0f7bef12f66bfdb491"
	treeLeaves = []string{
		"dc1fff16870a445eedb8df8f92f1a0d9f5d6dce9e9fd91419705b9e4a53eb1e5",
		"374c19c82271fd8334791c2fc5d2a3a0f57b331c7cf258a4f7b1b7af98984ce5",
		"782ecac25f9d8af69b4d0ca16426bbb248ee05aaae88d5a92b3bd162fd1a38a4",
		"09ca345e2f3e474f34bb340cbc016f10abec77511df7094fd2743911fc736b8e",
		"e6678b9c32549c012bac28e4a6cbb54ddb466fbf925201491ddf9c5af3855c96",
	}
	treePieces = []string{
		"4e329aabcf6be5f5de0a3403e691b9059e89825e3d336729dbd358c169ce4e75",
		"a3dc52079edadb959306035f77e2fccfe845c58776f42ef9c3b51b5261a6190c",
		"1d362c0f8e271aa13132ed01071b64d6cf8da41231833cf0dbd32be5ee8ea3f2",
	}
	treePad   = "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"
	treeUpper = []string{
		"0cbacba2df16f6dedeccff49980a1a51fa5d4beaef03bd8ca8a512a3914d7583",
		"597f75e064f45862408029fb4de0dd69cadc929484220573367c8b4d2f73299d",
	}
)

// nodes joins hashes in hex.
func nodes(t testing.TB, hashes ...string) (b []byte) {
	for _, h := range hashes {
		n := hash32(t, h)
		b = append(b, n[:]...)
	}
	return b
}

func exampleTree(t testing.TB) *Tree {
	require.Equal(t, nodes(t, treeLeaves...), LeafHashes(pat(81920)))
	layer := pieceLayer(pat(81920), 32768)
	require.Equal(t, nodes(t, treePieces...), layer)
	tree, err := NewTree(hash32(t, treeRoot), 81920, 32768, layer)
	require.NoError(t, err)
	require.Equal(t, 3, tree.Height())
	require.Equal(t, layer, tree.PieceLayer())
	return tree
}

// exampleLeaves returns the leaves of a piece of the example.
func exampleLeaves(piece int) ([]byte, bool) {
	data := pat(81920)[piece*32768:]
	return LeafHashes(data[:min(len(data), 32768)]), true
}

func TestHashRequests(t *testing.T) {
	tree := exampleTree(t)
	root := hash32(t, treeRoot)
	l, p, u := treeLeaves, treePieces, treeUpper
	zero := "0000000000000000000000000000000000000000000000000000000000000000"
	tests := []struct {
		name string
		req  HashRequest
		want []string
	}{
		{"two pieces and their uncle", HashRequest{root, 1, 0, 2, 1}, []string{p[0], p[1], u[1]}},
		{"last pieces with padding", HashRequest{root, 1, 2, 2, 1}, []string{p[2], treePad, u[0]}},
		{"the whole layer needs no uncles", HashRequest{root, 1, 0, 4, 1}, []string{p[0], p[1], p[2], treePad}},
		{"upper layer", HashRequest{root, 2, 0, 2, 0}, []string{u[0], u[1]}},
		{"leaves with two uncles", HashRequest{root, 0, 2, 2, 2}, []string{l[2], l[3], p[0], u[1]}},
		{"leaves of the short piece", HashRequest{root, 0, 4, 2, 2}, []string{l[4], zero, treePad, u[0]}},
		{"leaves of padding only", HashRequest{root, 0, 6, 2, 2}, []string{zero, zero, p[2], u[0]}},
		{"leaves of two pieces", HashRequest{root, 0, 0, 4, 2}, []string{l[0], l[1], l[2], l[3], u[1]}},
		{"all leaves", HashRequest{root, 0, 0, 8, 2}, []string{l[0], l[1], l[2], l[3], l[4], zero, zero, zero}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.req, test.req.FullProof(3))
			got, err := tree.Hashes(test.req, exampleLeaves)
			require.NoError(t, err)
			require.Equal(t, nodes(t, test.want...), got)
			require.NoError(t, test.req.Verify(3, got))
			for i := range got { // every byte counts
				bad := slices.Clone(got)
				bad[i] ^= 1
				require.Error(t, test.req.Verify(3, bad))
			}
			require.Error(t, test.req.Verify(3, got[:len(got)-1]))
			require.Error(t, test.req.Verify(3, append(got, 0)))
		})
	}
}

func TestHashRequestsRefused(t *testing.T) {
	tree := exampleTree(t)
	root := hash32(t, treeRoot)
	const huge = 1<<32 - 1
	tests := []struct {
		name string
		req  HashRequest
	}{
		{"one node", HashRequest{root, 1, 0, 1, 1}},
		{"no nodes", HashRequest{root, 1, 0, 0, 1}},
		{"three nodes", HashRequest{root, 1, 0, 3, 1}},
		{"more than 512", HashRequest{root, 0, 0, 1024, 2}},
		{"huge length", HashRequest{root, 1, 0, 1 << 31, 1}},
		{"index not a multiple", HashRequest{root, 1, 1, 2, 1}},
		{"index beyond the layer", HashRequest{root, 1, 4, 2, 1}},
		{"huge index", HashRequest{root, 1, huge - 1, 2, 1}},
		{"layer of the root", HashRequest{root, 3, 0, 2, 0}},
		{"huge layer", HashRequest{root, huge, 0, 2, 1}},
		{"proof above the root", HashRequest{root, 1, 0, 2, 2}},
		{"huge proof", HashRequest{root, 1, 0, 2, huge}},
		{"longer than the layer", HashRequest{root, 2, 0, 4, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Error(t, test.req.Check(3))
			_, err := tree.Hashes(test.req, exampleLeaves)
			require.Error(t, err)
			require.Error(t, test.req.Verify(3, nil))
		})
	}
	t.Run("proof that ends below the root", func(t *testing.T) {
		req := HashRequest{root, 0, 0, 2, 1}
		got, err := tree.Hashes(req, exampleLeaves)
		require.NoError(t, err, "it can be asked for")
		require.Equal(t, nodes(t, treeLeaves[0], treeLeaves[1], treePieces[1]), got)
		require.ErrorContains(t, req.Verify(3, got), "proof ends")
	})
	t.Run("leaves not at hand", func(t *testing.T) {
		_, err := tree.Hashes(HashRequest{root, 0, 0, 2, 2}, func(int) ([]byte, bool) { return nil, false })
		require.ErrorIs(t, err, ErrNoHashes)
	})
	t.Run("layer between leaves and pieces", func(t *testing.T) {
		data := pat(200_000)
		tree, err := NewTree(MerkleRoot(LeafHashes(data), 0), 200_000, 65536, pieceLayer(data, 65536))
		require.NoError(t, err)
		_, err = tree.Hashes(HashRequest{Base: 1, Length: 2}, nil)
		require.ErrorIs(t, err, ErrNoHashes)
	})
}

// TestHashRequestsAllShapes asks trees of many sizes for every run of nodes, and verifies the answers.
func TestHashRequestsAllShapes(t *testing.T) {
	data := pat(40 * leafSize)
	for _, size := range []int{1, leafSize, leafSize + 1, 3 * leafSize, 4 * leafSize, 5*leafSize - 7, 16 * leafSize, 33*leafSize + 1} {
		for _, pieceLength := range []int64{leafSize, 4 * leafSize, 64 * leafSize} {
			file := data[:size]
			root := MerkleRoot(LeafHashes(file), 0)
			tree, err := NewTree(root, int64(size), pieceLength, pieceLayer(file, pieceLength))
			require.NoError(t, err)
			leaves := func(piece int) ([]byte, bool) {
				rest := file[int64(piece)*pieceLength:]
				return LeafHashes(rest[:min(int64(len(rest)), pieceLength)]), true
			}
			for base := range tree.Height() {
				for length := 2; length <= 1<<(tree.Height()-base); length *= 2 {
					for index := 0; index < 1<<(tree.Height()-base); index += length {
						req := HashRequest{root, uint32(base), uint32(index), uint32(length), 0}.FullProof(tree.Height())
						got, err := tree.Hashes(req, leaves)
						if base > 0 && base < tree.base {
							require.ErrorIs(t, err, ErrNoHashes)
							continue
						}
						require.NoError(t, err)
						require.NoError(t, req.Verify(tree.Height(), got), "%d bytes, pieces of %d: %+v", size, pieceLength, req)
					}
				}
			}
		}
	}
}

func TestNewTreeRefuses(t *testing.T) {
	root := hash32(t, treeRoot)
	good := nodes(t, treePieces...)
	for name, layer := range map[string][]byte{
		"empty": nil, "short": good[:64], "odd": good[:95], "long": append(slices.Clone(good), make([]byte, 32)...),
		"wrong": nodes(t, treePieces[1], treePieces[0], treePieces[2]),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewTree(root, 81920, 32768, layer)
			require.Error(t, err)
		})
	}
}

// TestExampleInfo checks the info dictionaries of pat(81920) as v1, v2 and hybrid torrent, byte for byte.
func TestExampleInfo(t *testing.T) {
	pieces := ""
	for _, h := range []string{
		"0e5b70afb89c90a501a2e85d0b280486e33c5fb5", "87ac018745730689c468a3796e5ebb1a704512ea",
		"d3ca0ec7cbf0fd44370bda0c3cd1a0efce133fbf",
	} {
		b, err := hex.DecodeString(h)
		require.NoError(t, err)
		pieces += string(b)
	}
	tree := map[string]any{"a.bin": map[string]any{"": map[string]any{"length": 81920, "pieces root": nodes(t, treeRoot)}}}
	tests := []struct {
		name   string
		info   map[string]any
		size   int
		v1, v2 string
	}{
		{
			"v2", map[string]any{"file tree": tree, "meta version": 2}, 145, "",
			"b130696f2bfcc6e4419f9ed24d0367203c6a9b28048d13f073a278690737ed84",
		},
		{
			"hybrid", map[string]any{"file tree": tree, "meta version": 2, "length": 81920, "pieces": pieces}, 231,
			"1184fee6b7511c9ad7135985b8aec4ffcd42ad2b",
			"ff9f70edd8e6d95be6b09f86c770e27ff8d0fce226f906db5bdbfee923722bb4",
		},
		{"v1", map[string]any{"length": 81920, "pieces": pieces}, 123, "e79d8aceb890fb5463fd6f4b53db3eec4efc3a1a", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.info["name"], test.info["piece length"] = "a.bin", 32768
			raw, err := benc.Marshal(test.info)
			require.NoError(t, err)
			require.Len(t, raw, test.size)
			fi, err := ParseInfo(raw)
			require.NoError(t, err)
			checkInvariants(t, fi)
			require.Equal(t, test.v1 != "", fi.V1)
			require.Equal(t, test.v2 != "", fi.V2)
			require.True(t, fi.Single)
			if fi.V1 {
				require.Equal(t, test.v1, fi.InfoHash.String())
			}
			if fi.V2 {
				require.Equal(t, test.v2, fi.InfoHashV2.String())
			}
			checkExamplePieces(t, fi)
		})
	}
}

// checkExamplePieces verifies the pieces of pat(81920), before and after the piece layer is known.
func checkExamplePieces(t *testing.T, fi *Info) {
	require.Equal(t, 3, fi.NumPieces())
	if fi.V2 {
		_, _, ok := fi.PieceHashV2(0)
		require.False(t, ok)
		_, ok = fi.Tree(0)
		require.False(t, ok)
		if !fi.V1 {
			require.ErrorIs(t, fi.VerifyPiece(0, pat(81920)[:32768]), ErrNoPieceHash)
		}
		with, err := fi.WithPieceLayers(map[[32]byte][]byte{hash32(t, treeRoot): nodes(t, treePieces...)})
		require.NoError(t, err)
		_, ok = fi.Tree(0)
		require.False(t, ok, "the old info does not change")
		fi = with
		_, ok = fi.Tree(0)
		require.True(t, ok)
	}
	for i := range 3 {
		data := slices.Clone(pat(81920)[i*32768:])
		data = data[:min(len(data), 32768)]
		require.NoError(t, fi.VerifyPiece(i, data))
		if fi.V1 {
			require.Equal(t, sha1.Sum(data), fi.PieceHash(i))
		}
		if fi.V2 {
			hash, leaves, ok := fi.PieceHashV2(i)
			require.True(t, ok)
			require.Equal(t, 2, leaves)
			require.Equal(t, hash32(t, treePieces[i]), hash)
		}
		data[len(data)-1] ^= 1
		require.ErrorIs(t, fi.VerifyPiece(i, data), ErrPieceHash)
		require.ErrorIs(t, fi.VerifyPiece(i, data[1:]), ErrPieceHash)
	}
}
