package watch

import (
	"fmt"
	"strings"

	"charm.land/lipgloss/v2"

	"magnetfs/fetch"
)

// mapLines is how many lines the piece map takes at the most; of a larger torrent
// each cell stands for several pieces.
const mapLines = 16

// cell is some neighbouring pieces.
type cell struct {
	all, here               int
	blocked, window, pinned bool
}

// draw says how a cell looks: what needs attention first.
func (c cell) draw() (glyph string, style lipgloss.Style) {
	switch {
	case c.blocked:
		return "!", red
	case c.here == c.all:
		return "█", green
	case c.window:
		return ">", yellow
	case c.here*2 >= c.all && c.here > 0:
		return "▓", green
	case c.here > 0:
		return "░", green
	case c.pinned:
		return "+", cyan
	}
	return "·", faint
}

// cellsOf cuts a piece map into at most n cells of equally many pieces.
func cellsOf(pieces string, n int) (list []cell, per int) {
	per = max(1, (len(pieces)+n-1)/max(n, 1))
	for i := 0; i < len(pieces); i += per {
		var c cell
		for _, p := range []byte(pieces[i:min(i+per, len(pieces))]) {
			c.all++
			switch fetch.PieceState(p) {
			case fetch.PieceHere:
				c.here++
			case fetch.PieceBlocked:
				c.blocked = true
			case fetch.PieceWindow:
				c.window = true
			case fetch.PiecePinned:
				c.pinned = true
			}
		}
		list = append(list, c)
	}
	return list, per
}

func (m *model) pieceLines(t *Torrent) []string {
	legend := "Pieces  █ here  ! a read waits  > in a window  + pinned, to come  · not wanted"
	wide := max(1, m.width-9)
	list, per := cellsOf(m.state.Pieces, wide*mapLines)
	if per > 1 {
		legend += fmt.Sprintf("  (each %d pieces; ▓ ░ parts here)", per)
	}
	var lines []string
	for _, line := range wrapped(legend, "        ", m.width) {
		lines = append(lines, faint.Render(line))
	}
	if m.state.Of != t.InfoHash || m.state.Pieces == "" {
		return append(lines, faint.Render("not known yet"))
	}
	for i := 0; i < len(list); i += wide {
		lines = append(lines, faint.Render(fmt.Sprintf("%8d ", i*per))+drawCells(list[i:min(i+wide, len(list))]))
	}
	return lines
}

// drawCells draws equal neighbours in one go.
func drawCells(list []cell) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		glyph, style := list[i].draw()
		j := i + 1
		for ; j < len(list); j++ {
			if g, _ := list[j].draw(); g != glyph {
				break
			}
		}
		b.WriteString(style.Render(strings.Repeat(glyph, j-i)))
		i = j
	}
	return b.String()
}
