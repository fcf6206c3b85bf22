package watch

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"magnetfs/internal/human"
)

// View implements tea.Model.
func (m model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "magnetfs " + human.Clean(m.title)
	return v
}

// lines draws the screen: at most height lines of at most width cells.
func (m *model) lines() []string {
	out := []string{m.head()}
	room := m.room()
	if !m.details {
		out = append(out, titles(torrentColumns, m.width))
		for i := range room.torrents {
			out = append(out, m.torrentLine(m.top+i))
		}
	}
	details, _ := m.detailLines()
	out = append(out, m.rule())
	for i := range room.details {
		if n := m.scroll + i; n < len(details) {
			out = append(out, details[n])
		} else {
			out = append(out, "")
		}
	}
	out = append(out, m.help(len(details), room.details))
	out = out[:min(len(out), max(m.height, 1))]
	for i := range out {
		out[i] = ansi.Truncate(out[i], max(m.width, 1), "")
	}
	return out
}

// head sums the mount up, or says what is wrong with it.
func (m *model) head() string {
	var down, up int64
	for _, t := range m.state.Torrents {
		down, up = down+t.Down, up+t.Up
	}
	limit := m.state.Limits
	text := fmt.Sprintf("%s  %s  ↓ %s%s  ↑ %s%s", human.Clean(m.title), human.Amount(len(m.state.Torrents), "torrent"),
		human.Size(down)+"/s", atMost(limit.Down, false), human.Size(up)+"/s", atMost(limit.Up, limit.NoUpload))
	switch quiet := m.now.Sub(m.at); {
	case m.err != nil:
		return red.Render(fit(human.Clean(m.title)+"  "+why(m.err), m.width))
	case quiet > silence:
		return red.Render(fit(text+"  no answer since "+human.Duration(quiet), m.width))
	case len(m.state.Warnings) > 0:
		return yellow.Render(fit(text+"  "+human.Clean(strings.Join(m.state.Warnings, "; ")), m.width))
	}
	return bold.Render(fit(text, m.width))
}

// atMost names the limit of a rate.
func atMost(limit int64, off bool) string {
	switch {
	case off:
		return " (off)"
	case limit > 0:
		return " (at most " + human.Size(limit) + "/s)"
	}
	return ""
}

// why says in a few words why there is no state.
func why(err error) string {
	var path *os.PathError
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "it is gone: unmounted, or removed"
	case errors.As(err, &path):
		return human.Clean(path.Err.Error())
	}
	return human.Clean(err.Error())
}

var torrentColumns = []column{
	{title: "Torrent"},
	{title: "State", width: 11},
	{title: "Have", width: 5, right: true, least: 40},
	{title: "Size", width: 9, right: true, least: 50},
	{title: "Down", width: 11, right: true, least: 60},
	{title: "Up", width: 11, right: true, least: 90},
	{title: "Seeds", width: 5, right: true, least: 70},
	{title: "Peers", width: 5, right: true, least: 70},
	{title: "Waiting", width: 7, right: true, least: 80},
}

func (m *model) torrentLine(i int) string {
	if i >= len(m.state.Torrents) {
		if i == 0 {
			return faint.Render("no torrents: add one with mkdir '" + human.Clean(m.title) + "/magnet:?xt=urn:btih:…'")
		}
		return ""
	}
	t := &m.state.Torrents[i]
	size, waiting := "", ""
	if t.Size > 0 {
		size = human.Size(t.Size)
	}
	if n := t.waiting(); n > 0 {
		waiting = fmt.Sprint(n)
	}
	line := cells(torrentColumns, m.width, human.Clean(t.Name), human.Clean(t.State), percent(t.Have, t.Size), size,
		rate(t.Down), rate(t.Up), fmt.Sprint(t.Seeds), fmt.Sprint(t.Peers), waiting)
	switch {
	case t.InfoHash == m.selected:
		return reverse.Render(line)
	case waiting != "":
		return yellow.Render(line)
	}
	return line
}

// waiting is how many reads wait.
func (t *Torrent) waiting() (n int) {
	for _, r := range t.Readers {
		n += len(r.Waiting)
	}
	return n
}

func (m *model) rule() string {
	if len(m.state.Torrents) == 0 {
		return faint.Render(strings.Repeat("─", m.width))
	}
	t := &m.state.Torrents[m.index()]
	text := human.Clean(t.Name) + " "
	return bold.Render(ansi.Truncate(text, m.width, "…")) + faint.Render(strings.Repeat("─", max(0, m.width-ansi.StringWidth(text))))
}

func (m *model) help(lines, room int) string {
	at := ""
	if lines > room {
		at = fmt.Sprintf("%d-%d of %d  ", m.scroll+1, min(m.scroll+room, lines), lines)
	}
	larger := "enter larger"
	if m.details {
		larger = "esc smaller"
	}
	keys := []string{"q quit", "↑↓ torrent", larger, "tab 1-4 section"}
	if lines > room {
		keys = slices.Insert(keys, 1, "PgUp PgDn ←→ scroll")
	}
	text := at + keys[0]
	for _, key := range keys[1:] { // as many as there is room for, the first the most useful
		if ansi.StringWidth(text+"  "+key) > m.width {
			break
		}
		text += "  " + key
	}
	return faint.Render(text)
}

// detailLines draws the selected torrent; starts are the lines at which the
// sections reads, sources, peers and pieces begin.
func (m *model) detailLines() (lines []string, starts []int) {
	if len(m.state.Torrents) == 0 {
		return nil, nil
	}
	t := &m.state.Torrents[m.index()]
	lines = t.summary(m.width)
	for _, section := range [][]string{t.readLines(m.width), t.sourceLines(m.width), t.peerLines(m.width), m.pieceLines(t)} {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		starts = append(starts, len(lines))
		lines = append(lines, section...)
	}
	return lines, starts
}

func (t *Torrent) summary(width int) []string {
	state := t.State
	if t.Reason != "" {
		state += " (" + t.Reason + ")"
	}
	have := "size not known yet"
	if t.Size > 0 {
		have = fmt.Sprintf("%s of %s here, %d of %d pieces", human.Size(t.Have), human.Size(t.Size), t.HavePieces, t.Pieces)
	}
	lines := wrapped(human.Clean(state)+"; "+have+fmt.Sprintf("; %s and %s connected, %d more known", human.Amount(t.Seeds, "seed"), human.Amount(t.Peers, "peer"), t.Candidates), "", width)
	lines = append(lines, faint.Render(t.InfoHash))
	if p := t.Pinned; p != nil {
		text := fmt.Sprintf("%s pinned, %s of %s here (%s)", human.Amount(p.Files, "file"), human.Size(p.Have), human.Size(p.Size), percent(p.Have, p.Size))
		switch {
		case p.Refused != "":
			text = "not pinned: " + human.Clean(p.Refused)
		case p.Later:
			text = "to be pinned when the metadata is there"
		case p.Full:
			text += "; no room in the cache for the rest"
		}
		for _, line := range wrapped(text, "", width) {
			lines = append(lines, cyan.Render(line))
		}
	}
	return lines
}
