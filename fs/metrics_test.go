package fs

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// The grammar of the exposition format, as far as it is used here:
// https://prometheus.io/docs/instrumenting/exposition_formats/
var (
	commentLine = regexp.MustCompile(`^# (HELP|TYPE) (magnetfs_[a-z_]+) (.+)$`)
	sampleLine  = regexp.MustCompile(`^(magnetfs_[a-z_]+)(\{[a-z]+="([^"\\\n]|\\["\\n])*"(,[a-z]+="([^"\\\n]|\\["\\n])*")*\})? -?[0-9]+(\.[0-9]+)?$`)
)

func TestMetricText(t *testing.T) {
	f := &metric{name: "torrent_size_bytes", kind: "gauge", help: "Length."}
	f.add(1<<40, "infohash", "ab", "name", "a \"quoted\" \\ name\nof two lines, \xff☃")
	f.add(0.5)
	var b bytes.Buffer
	f.text(&b)
	(&metric{name: "none", kind: "gauge", help: "Nothing."}).text(&b)
	want := `# HELP magnetfs_torrent_size_bytes Length.
# TYPE magnetfs_torrent_size_bytes gauge
magnetfs_torrent_size_bytes{infohash="ab",name="a \"quoted\" \\ name\nof two lines, ` + "\uFFFD" + `☃"} 1099511627776
magnetfs_torrent_size_bytes 0.5
`
	if got := b.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	checkMetrics(t, b.String())
}

// checkMetrics reads a text as Prometheus would: HELP and TYPE come once, before the
// samples of their family, and these are in one block.
func checkMetrics(t *testing.T, text string) {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	seen := map[string]bool{}
	family := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if c := commentLine.FindStringSubmatch(line); c != nil {
			if c[1] == "HELP" {
				if seen[c[2]] {
					t.Errorf("%s comes twice", c[2])
				}
				seen[c[2]] = true
				family = c[2]
			} else if c[2] != family || c[3] != "gauge" && c[3] != "counter" ||
				(c[3] == "counter") != strings.HasSuffix(family, "_total") {
				t.Errorf("bad type: %s", line)
			}
			continue
		}
		s := sampleLine.FindStringSubmatch(line)
		if s == nil || s[1] != family {
			t.Errorf("bad line: %s", line)
		}
	}
}
