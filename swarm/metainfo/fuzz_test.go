package metainfo

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fuzzBytes keeps inputs small: what a larger one could do differently is tested in TestHostileSizes.
const fuzzBytes = 64 << 10

// addVectors seeds f with every torrent that is not too long, whole and truncated.
func addVectors(f *testing.F, seed func(raw []byte)) {
	err := filepath.WalkDir(vectors, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".torrent") {
			return err
		}
		raw, err := os.ReadFile(path)
		if err == nil && len(raw) <= 4096 {
			seed(raw)
			seed(raw[:len(raw)/2])
		}
		return err
	})
	require.NoError(f, err)
}

func FuzzParseMetainfo(f *testing.F) {
	addVectors(f, func(raw []byte) { f.Add(raw) })
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > fuzzBytes {
			return
		}
		m, err := ParseMetainfo(bytes.Clone(raw))
		if err != nil {
			return
		}
		checkInvariants(t, m.Info)
		checkRoundTrip(t, m)
	})
}

func FuzzParseInfo(f *testing.F) {
	addVectors(f, func(raw []byte) {
		if m, err := ParseMetainfo(raw); err == nil {
			f.Add(m.Info.Raw)
		}
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > fuzzBytes {
			return
		}
		fi, err := ParseInfo(bytes.Clone(raw))
		if err != nil {
			return
		}
		require.Equal(t, raw, fi.Raw)
		checkInvariants(t, fi)
		again, err := ParseInfo(bytes.Clone(raw))
		require.NoError(t, err)
		require.Equal(t, fi, again, "names are a function of the metadata")
	})
}

func FuzzParseMagnet(f *testing.F) {
	for _, s := range []string{
		hexV1, base32V1, hexV2, "1220" + hexV2, start, "magnet:?", "magnet:?dn=x", "urn:btih:" + hexV1,
		start + "&xt=urn:btmh:1220" + hexV2 + "&dn=a+b%20c&tr=udp:/h:1/announce&tr.2=http%3A%2F%2Fh%2F&ws=http://h/a b",
		start + "&x.pe=[::1]:2&x.pe=h:3&dht=h:4&so=0,2,4,6-8&foo=%zz&amp;tr=wss://h",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMagnet(s)
		if err != nil {
			return
		}
		require.True(t, m.HasV1 || m.HasV2)
		require.LessOrEqual(t, len(m.Trackers)+len(m.WebSeeds)+len(m.Peers)+len(m.Nodes), 4*maxMagnetList)
		text := m.String()
		if len(text) > maxMagnetBytes {
			return // escapes made it too long to be read again
		}
		require.NotContains(t, text, "/")
		again, err := ParseMagnet(text)
		require.NoError(t, err)
		require.Equal(t, m, again)
		folded, err := ParseMagnet(RepairFolded(s))
		require.NoError(t, err)
		require.Equal(t, m.InfoHash, folded.InfoHash)
	})
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{
		"", ".", "..", "/", "a/b", "a\\b", "\x00", "a\xffb", "\u202egpj.exe", "./.", strings.Repeat("日", 100) + ".mkv", "_",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := SafeName(s, "fallback")
		checkName(t, got)
		require.LessOrEqual(t, len(got), maxNameBytes)
		require.Equal(t, got, SafeName(got, "other"))
	})
}

// FuzzHashRequest feeds requests and answers of strangers to a tree.
func FuzzHashRequest(f *testing.F) {
	f.Add(uint32(1), uint32(0), uint32(2), uint32(1), []byte{})
	f.Add(uint32(0), uint32(2), uint32(2), uint32(2), make([]byte, 128))
	tree := exampleTree(f)
	root := hash32(f, treeRoot)
	f.Fuzz(func(t *testing.T, base, index, length, proof uint32, answer []byte) {
		req := HashRequest{root, base, index, length, proof}
		require.Error(t, req.Verify(tree.Height(), answer), "nobody guesses hashes")
		_ = req.Verify(int(base), answer)
		got, err := tree.Hashes(req, exampleLeaves)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(got), 32*(maxHashRequest+maxHeight))
		if req == req.FullProof(tree.Height()) {
			require.NoError(t, req.Verify(tree.Height(), got))
		}
	})
}
