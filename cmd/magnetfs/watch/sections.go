package watch

import (
	"fmt"
	"strings"
	"time"

	"magnetfs/internal/human"
)

var readerColumns = []column{
	{title: "Readers"},
	{title: "Opened by", width: 18, least: 60},
	{title: "Mode", width: 6},
	{title: "At", width: 9, right: true},
	{title: "Ahead", width: 9, right: true, least: 50},
	{title: "Consumes", width: 11, right: true, least: 80},
	{title: "Window", width: 9, right: true, least: 70},
}

// readLines lists the open handles, and under each what its reads wait for.
func (t *Torrent) readLines(width int) []string {
	lines := []string{titles(readerColumns, width)}
	if len(t.Readers) == 0 {
		return append(lines, faint.Render("nobody reads"))
	}
	for _, r := range t.Readers {
		window := ""
		if len(r.Window) > 0 {
			window = fmt.Sprintf("%d/%d", r.WindowHave, len(r.Window))
		}
		lines = append(lines, cells(readerColumns, width, human.Clean(r.Path), human.Clean(r.Owner), r.Mode, human.Size(r.Offset),
			human.Size(r.Ahead), rate(r.Rate), window))
		for _, w := range r.Waiting {
			lines = append(lines, yellow.Render(fmt.Sprintf("  waits since %s for %s at %s", human.Duration(seconds(w.Seconds)), human.Size(w.Length), human.Size(w.Offset))))
			for _, p := range w.Pieces {
				text := fmt.Sprintf("    piece %d: %d of %d blocks here", p.Piece, p.Received, p.Blocks)
				if len(p.From) > 0 {
					text += ", the rest from " + human.Clean(strings.Join(p.From, ", "))
				} else if p.Received < p.Blocks {
					text += ", nobody asked yet"
				}
				lines = append(lines, wrapped(text, "      ", width)...)
			}
		}
	}
	return lines
}

var sourceColumns = []column{
	{title: "Name"},
	{title: "Status", width: 26},
	{title: "Update In", width: 9, right: true, least: 76},
	{title: "Seeds", width: 6, right: true, least: 64},
	{title: "Peers", width: 6, right: true, least: 64},
}

// sourceLines is the table that every client has.
func (t *Torrent) sourceLines(width int) []string {
	lines := []string{titles(sourceColumns, width)}
	for _, s := range t.Sources {
		next := "-"
		if s.Next != nil {
			next = human.Duration(seconds(*s.Next))
		}
		line := cells(sourceColumns, width, human.Clean(s.Name), human.Clean(s.Status), next, human.Count(s.Seeds), human.Count(s.Peers))
		switch {
		case strings.HasPrefix(s.Status, "error"), strings.HasPrefix(s.Status, "timed out"):
			line = red.Render(line)
		case strings.HasPrefix(s.Status, "working"):
			line = green.Render(line)
		}
		lines = append(lines, line)
	}
	return lines
}

var peerColumns = []column{
	{title: "Address"},
	{title: "Client", width: 20, least: 70},
	{title: "Source", width: 10, least: 100},
	{title: "Via", width: 3, least: 85},
	{title: "Have", width: 5, right: true},
	{title: "Down", width: 11, right: true},
	{title: "Downloaded", width: 10, right: true, least: 90},
	{title: "Uploaded", width: 10, right: true, least: 110},
	{title: "RTT", width: 7, right: true, least: 60},
	{title: "Flags", width: 12, least: 80},
}

func (t *Torrent) peerLines(width int) []string {
	lines := []string{titles(peerColumns, width)}
	if len(t.Connected) == 0 {
		return append(lines, faint.Render("nobody is connected"))
	}
	for _, p := range t.Connected {
		flags := "in"
		if p.Outgoing {
			flags = "out"
		}
		for _, f := range []struct {
			name string
			on   bool
		}{{"seed", p.Seed}, {"choking", p.Choking && p.Interested}, {"snubbed", p.Snubbed}} {
			if f.on {
				flags += " " + f.name
			}
		}
		have := percent(int64(p.Pieces), int64(t.Pieces))
		if p.Seed {
			have = "100%"
		}
		line := cells(peerColumns, width, human.Clean(p.Addr), human.Clean(p.Client), human.Clean(p.Source), human.Clean(p.Transport), have, rate(p.Down),
			human.Size(p.Downloaded), human.Size(p.Uploaded), seconds(p.RTT).Round(time.Millisecond).String(), flags)
		if p.Snubbed {
			line = red.Render(line)
		}
		lines = append(lines, line)
	}
	return lines
}
