package watch

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"magnetfs/internal/human"
)

var (
	bold    = lipgloss.NewStyle().Bold(true)
	faint   = lipgloss.NewStyle().Faint(true)
	reverse = lipgloss.NewStyle().Reverse(true)
	green   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	yellow  = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	red     = lipgloss.NewStyle().Foreground(lipgloss.Red)
	cyan    = lipgloss.NewStyle().Foreground(lipgloss.Cyan)
)

// fit makes a text exactly n cells wide.
func fit(s string, n int) string {
	if n <= 0 {
		return ""
	}
	s = ansi.Truncate(s, n, "…")
	return s + strings.Repeat(" ", max(0, n-ansi.StringWidth(s)))
}

// right is fit, for numbers.
func right(s string, n int) string {
	s = ansi.Truncate(s, n, "…")
	return strings.Repeat(" ", max(0, n-ansi.StringWidth(s))) + s
}

// wrapped breaks a text into lines of width cells, at spaces if it can; all but the
// first begin with indent.
func wrapped(text, indent string, width int) []string {
	if width <= 2*len(indent) {
		indent = ""
	}
	var lines []string
	for i, line := range strings.Split(ansi.Wrap(text, max(1, width-len(indent)), ""), "\n") {
		if i > 0 {
			line = indent + strings.TrimLeft(line, " ")
		}
		lines = append(lines, line)
	}
	return lines
}

// column is one of a table. The first takes the room that the others leave.
type column struct {
	title string
	width int // cells
	right bool
	least int // total width from which on the column is shown
}

// cells writes a line of a table, width cells wide.
func cells(cols []column, width int, texts ...string) string {
	first := width
	for _, c := range cols[1:] {
		if width >= c.least {
			first -= c.width + 1
		}
	}
	var b strings.Builder
	b.WriteString(fit(texts[0], max(first, 1)))
	for i, c := range cols[1:] {
		if width < c.least {
			continue
		}
		b.WriteByte(' ')
		if c.right {
			b.WriteString(right(texts[i+1], c.width))
		} else {
			b.WriteString(fit(texts[i+1], c.width))
		}
	}
	return ansi.Truncate(b.String(), max(width, 0), "")
}

func titles(cols []column, width int) string {
	var texts []string
	for _, c := range cols {
		texts = append(texts, c.title)
	}
	return faint.Render(cells(cols, width, texts...))
}

// rate is empty for nothing, so that a table shows who moves.
func rate(n int64) string {
	if n <= 0 {
		return ""
	}
	return human.Size(n) + "/s"
}

// percent rounds down, so that 100 % is all of it.
func percent(have, size int64) string {
	if size <= 0 {
		return ""
	}
	return fmt.Sprintf("%d%%", int64(float64(have)/float64(size)*100))
}
