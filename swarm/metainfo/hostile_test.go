package metainfo

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHostileSizes feeds infos that are built to cost time or memory. The bounds leave room for a slow machine and the
// race detector; quadratic work on these sizes would take minutes.
func TestHostileSizes(t *testing.T) {
	const n = 30_000
	const head, tail = "d5:filesl", "e4:name1:t12:piece lengthi16384e6:pieces20:xxxxxxxxxxxxxxxxxxxxe"
	var b strings.Builder
	build := func(before, after string, item func(i int) string) []byte {
		b.Reset()
		b.WriteString(before)
		for i := range n {
			b.WriteString(item(i))
		}
		b.WriteString(after)
		return []byte(b.String())
	}
	first := "d6:lengthi1e4:pathl1:aee"
	entry := func(p string) string { return fmt.Sprintf("d6:lengthi0e4:pathl%d:%see", len(p), p) }
	chain := func(i, target int) string {
		l, to := fmt.Sprint("l", i), fmt.Sprint("l", target)
		return fmt.Sprintf("d4:attr1:l4:pathl%d:%se12:symlink pathl%d:%see", len(l), l, len(to), to)
	}
	tests := []struct {
		name string
		raw  []byte
	}{
		{"files of one name", build(head+first, tail, func(int) string { return entry("same.txt") })},
		{"names that are taken", build(head+first, tail, func(i int) string {
			if i < n/2 {
				return entry(fmt.Sprintf("x.%d.txt", i))
			}
			return entry("x.txt")
		})},
		{"chain of links", build(head+first, tail, func(i int) string { return chain(i, i+1) })},
		{"chain of links backwards", build(head+first, tail, func(i int) string { return chain(i, i-1) })},
		{"circle of links", build(head+first, tail, func(i int) string { return chain(i, (i+1)%n) })},
		{"files of no bytes in one piece", build(head+first, tail, func(i int) string { return entry(fmt.Sprint(i)) })},
		{"unknown keys", build("d", "e", func(i int) string { return fmt.Sprintf("6:%06di1e", i) })},
		{"unsorted unknown keys", build("d", tail[1:], func(i int) string { return fmt.Sprintf("6:%06di1e", n-i) })},
		{"deep v2 tree with many files", build("d9:file tree"+strings.Repeat("d1:a", 90)+"d", "e"+strings.Repeat("e", 90)+
			"12:meta versioni2e4:name1:t12:piece lengthi16384ee", func(i int) string {
			return fmt.Sprintf("6:%06dd0:d6:lengthi0eee", i)
		})},
		{"huge length, no hashes", []byte("d6:lengthi9223372036854775807e4:name1:f12:piece lengthi536854528e6:pieces0:e")},
		{"huge numbers", build("d", "e", func(i int) string { return fmt.Sprintf("6:%06di%se", i, strings.Repeat("9", 18)) })},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			start := time.Now()
			fi, err := ParseInfo(test.raw)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			spent := after.TotalAlloc - before.TotalAlloc
			t.Logf("%d bytes: %v, %d bytes allocated, err %v", len(test.raw), took.Round(time.Millisecond), spent, err)
			require.Less(t, took, 10*time.Second)
			require.Less(t, spent, uint64(30*len(test.raw)+1<<20))
			if err == nil {
				runtime.KeepAlive(fi)
			}
		})
	}
}

// TestTruncated cuts torrents of each kind at every byte, and puts extreme numbers in the place of each digit run.
func TestTruncated(t *testing.T) {
	for _, name := range []string{
		"libtorrent/base", "libtorrent/sample", "libtorrent/empty-files-1", "libtorrent/v2_only", "libtorrent/v2_symlinks",
	} {
		raw := readVector(t, name+".torrent")
		for cut := range raw {
			if _, err := ParseMetainfo(raw[:cut]); err == nil {
				t.Fatalf("%s: accepted the first %d of %d bytes", name, cut, len(raw))
			}
		}
		for _, number := range []string{"0", "1", "-1", "9223372036854775806", "9223372036854775807", "9223372036854775808"} {
			for i := 0; i < len(raw); i++ {
				end := i
				for end < len(raw) && '0' <= raw[end] && raw[end] <= '9' {
					end++
				}
				if end == i {
					continue
				}
				changed := string(raw[:i]) + number + string(raw[end:])
				if m, err := ParseMetainfo([]byte(changed)); err == nil {
					checkInvariants(t, m.Info)
				}
				i = end
			}
		}
	}
}
