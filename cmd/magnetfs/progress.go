package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"magnetfs/internal/human"
)

const (
	// progressAfter is how long a command takes before it tells how far it is:
	// nobody reads what is there for a moment.
	progressAfter = 300 * time.Millisecond
	// progressEvery is the pause between two lines.
	progressEvery = 200 * time.Millisecond
)

// progress is a line on a terminal that is written again and again while a command
// waits. On anything else it writes nothing.
type progress struct {
	w       *os.File // nil: no terminal
	colours bool
	start   time.Time
	next    time.Time
	shown   bool
}

// newProgress is for what cmd writes as errors, so that what it prints can be piped.
func newProgress(w io.Writer, asJSON bool) *progress {
	p := &progress{start: time.Now()}
	p.next = p.start.Add(progressAfter)
	if f, ok := w.(*os.File); ok && !asJSON && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.w, p.colours = f, colourful(w)
	}
	return p
}

// step writes the line again if it is time; text makes it.
func (p *progress) step(text func() string) {
	now := time.Now()
	if p.w == nil || now.Before(p.next) {
		return
	}
	p.next = now.Add(progressEvery)
	width, _, err := term.GetSize(int(p.w.Fd()))
	if err != nil || width < 1 {
		width = 80
	}
	line := text() + "  " + human.Duration(now.Sub(p.start))
	// Without the last column, behind which some terminals wrap.
	fmt.Fprint(p.w, "\r\x1b[K"+ansi.Truncate(line, width-1, "…"))
	if p.colours {
		fmt.Fprint(p.w, "\x1b[0m") // should it have been cut in the middle of them
	}
	p.shown = true
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

// bold and green colour a text if there are colours.
func (p *progress) bold(s string) string  { return p.paint(1, s) }
func (p *progress) green(s string) string { return p.paint(32, s) }

func (p *progress) paint(code int, s string) string {
	if !p.colours || s == "" {
		return s
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, s)
}

// barWidth is how many cells bar takes.
const barWidth = 20

// bar draws how much of all is there.
func (p *progress) bar(have, all int64) string {
	full := barWidth
	if all > 0 {
		full = min(barWidth, int(float64(have)/float64(all)*barWidth))
	}
	return p.green(strings.Repeat("█", full)) + strings.Repeat("░", barWidth-full)
}
