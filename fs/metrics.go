package fs

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The file metrics tells the state in the text format of Prometheus, version 0.0.4:
// its textfile collector, or whatever reads files, can take it from there.

// metric is one family: what it is, and its samples.
type metric struct {
	name, kind, help string
	samples          []sample
}

// sample is a value with its labels, in pairs of name and value.
type sample struct {
	value  float64
	labels []string
}

func (m *metric) add(value float64, labels ...string) {
	m.samples = append(m.samples, sample{value, labels})
}

// torrentMetrics are those that each torrent has, with its hash and its name.
var torrentMetrics = []struct {
	name, kind, help string
	value            func(r *report) float64
}{
	{"size_bytes", "gauge", "Length of the torrent, 0 until its metadata is there.", func(r *report) float64 { return float64(r.Size) }},
	{"have_bytes", "gauge", "Bytes of its files that are here.", func(r *report) float64 { return float64(r.Have) }},
	{"pieces", "gauge", "Its pieces, 0 until its metadata is there.", func(r *report) float64 { return float64(r.Pieces) }},
	{"have_pieces", "gauge", "Pieces that are here.", func(r *report) float64 { return float64(r.HavePieces) }},
	{"seeds", "gauge", "Connected seeds.", func(r *report) float64 { return float64(r.Seeds) }},
	{"peers", "gauge", "Connected peers that are no seeds.", func(r *report) float64 { return float64(r.Peers) }},
	{"candidates", "gauge", "Peers known but not connected.", func(r *report) float64 { return float64(r.Candidates) }},
	{"down_bytes_per_second", "gauge", "What arrives.", func(r *report) float64 { return float64(r.Down) }},
	{"up_bytes_per_second", "gauge", "What is served.", func(r *report) float64 { return float64(r.Up) }},
	{"downloaded_bytes_total", "counter", "Bytes of pieces received since the mount.", func(r *report) float64 { return float64(r.Downloaded) }},
	{"uploaded_bytes_total", "counter", "Bytes of pieces sent since the mount.", func(r *report) float64 { return float64(r.Uploaded) }},
	{"wasted_bytes_total", "counter", "Bytes received that were wrong or here already.", func(r *report) float64 { return float64(r.Wasted) }},
	{"open_files", "gauge", "Open handles of its files.", func(r *report) float64 { return float64(len(r.Readers)) }},
	{"waiting_reads", "gauge", "Reads that wait for pieces.", func(r *report) float64 {
		n := 0
		for i := range r.Readers {
			n += len(r.Readers[i].Waiting)
		}
		return float64(n)
	}},
	{"longest_wait_seconds", "gauge", "How long the read has waited that waits longest.", func(r *report) float64 {
		longest := 0.0
		for i := range r.Readers {
			for _, w := range r.Readers[i].Waiting {
				longest = max(longest, w.Seconds)
			}
		}
		return longest
	}},
}

// metricsText is the file.
func (m *mount) metricsText() ([]byte, error) {
	reports := m.reports()
	families := m.mountMetrics(reports)
	for _, tm := range torrentMetrics {
		f := &metric{name: "torrent_" + tm.name, kind: tm.kind, help: tm.help}
		for i := range reports {
			r := &reports[i]
			f.add(tm.value(r), "infohash", r.InfoHash, "name", r.Name)
		}
		families = append(families, f)
	}
	state := &metric{name: "torrent_state", kind: "gauge", help: "1 for the state that the torrent is in."}
	for i := range reports {
		r := &reports[i]
		state.add(1, "infohash", r.InfoHash, "name", r.Name, "state", r.State)
	}
	var b bytes.Buffer
	for _, f := range append(families, state) {
		f.text(&b)
	}
	return b.Bytes(), nil
}

// mountMetrics are those of the mount as a whole.
func (m *mount) mountMetrics(reports []report) []*metric {
	gauge := func(name, help string) *metric { return &metric{name: name, kind: "gauge", help: help} }
	start := gauge("start_time_seconds", "When it was mounted, in seconds since 1970.")
	start.add(float64(m.started.UnixMilli()) / float64(time.Second/time.Millisecond))
	torrents := gauge("torrents", "Torrents in the mount.")
	torrents.add(float64(len(reports)))
	pinnable := gauge("pinnable_bytes", "What may be pinned in all.")
	pinned := gauge("pinned_bytes", "What is pinned, in whole pieces.")
	capacity, used := m.lib.PinRoom()
	pinnable.add(float64(capacity))
	pinned.add(float64(used))
	all := []*metric{start, torrents, pinnable, pinned}
	if m.cfg.Space != nil {
		budget, used := m.cfg.Space()
		b, u := gauge("cache_budget_bytes", "Room for pieces."), gauge("cache_used_bytes", "Room that pieces take.")
		b.add(float64(budget))
		u.add(float64(used))
		all = append(all, b, u)
	}
	return all
}

// text writes the family. One without samples is left out.
func (m *metric) text(b *bytes.Buffer) {
	if len(m.samples) == 0 {
		return
	}
	fmt.Fprintf(b, "# HELP magnetfs_%s %s\n# TYPE magnetfs_%[1]s %[3]s\n", m.name, m.help, m.kind)
	for _, s := range m.samples {
		b.WriteString("magnetfs_" + m.name)
		for i := 0; i+1 < len(s.labels); i += 2 {
			b.WriteByte("{,"[min(i, 1)])
			b.WriteString(s.labels[i] + `="` + labelEscape.Replace(strings.ToValidUTF8(s.labels[i+1], "\uFFFD")) + `"`)
		}
		if len(s.labels) > 0 {
			b.WriteByte('}')
		}
		b.WriteByte(' ')
		b.WriteString(strconv.FormatFloat(s.value, 'f', -1, 64))
		b.WriteByte('\n')
	}
}

// labelEscape guards what ends a label's value.
var labelEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
