package fs

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"magnetfs/fetch"
	"magnetfs/internal/human"
)

// readerRow is one open handle.
type readerRow struct {
	ID         uint64    `json:"id"`
	Owner      string    `json:"owner"` // who opened it: "mpv (4711)"
	Path       string    `json:"path"`
	Size       int64     `json:"size"`
	Mode       string    `json:"mode"`   // opened, probe, player, idle, whole, passed through
	Offset     int64     `json:"offset"` // byte behind what was read, or is waited for
	Rate       int64     `json:"rate"`   // bytes per second consumed; 0: as fast as it comes
	Ahead      int64     `json:"ahead"`  // bytes that are here from offset on
	Window     []int     `json:"window"` // pieces wanted
	WindowHave int       `json:"window_have"`
	Waiting    []readRow `json:"waiting"`
}

// readRow is a read that waits.
type readRow struct {
	Offset  int64         `json:"offset"` // in the file
	Length  int64         `json:"length"`
	Seconds float64       `json:"seconds"` // since it began to wait
	Pieces  []waitingRead `json:"pieces"`  // that it lacks
}

func newReaderRows(all []fetch.ReaderStatus, now time.Time) []readerRow {
	rows := []readerRow{}
	for _, s := range all {
		row := readerRow{s.ID, s.Owner, s.Path, s.Size, string(s.Mode), s.Offset, s.Rate, s.Ahead, s.Window, s.WindowHave, []readRow{}}
		if row.Window == nil {
			row.Window = []int{}
		}
		for _, w := range s.Waiting {
			read := readRow{Offset: w.Offset, Length: w.Length, Seconds: now.Sub(w.Since).Seconds()}
			for _, p := range w.Pieces {
				read.Pieces = append(read.Pieces, newWaitingRead(p, now))
			}
			row.Waiting = append(row.Waiting, read)
		}
		rows = append(rows, row)
	}
	return rows
}

func newWaitingRead(w fetch.WaitingPiece, now time.Time) waitingRead {
	from := w.From
	if from == nil {
		from = []string{}
	}
	return waitingRead{w.Piece, now.Sub(w.Since).Seconds(), w.Blocks, w.Received, from}
}

// text describes the handle and its waiting reads.
func (r *readerRow) text(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %s at %s of %s", r.Path, r.who(), r.Mode, human.Size(r.Offset), human.Size(r.Size))
	if r.Rate > 0 {
		fmt.Fprintf(w, ", consumes %s/s", human.Size(r.Rate))
	}
	fmt.Fprintf(w, ", %s here ahead", human.Size(r.Ahead))
	if n := len(r.Window); n > 0 {
		fmt.Fprintf(w, ", window of %s, %d of %d here", pieceList(r.Window), r.WindowHave, n)
	}
	fmt.Fprintln(w)
	r.waitingText(w)
}

func (r *readerRow) who() string {
	if r.Owner == "" {
		return "handle " + strconv.FormatUint(r.ID, 10)
	}
	return r.Owner
}

// waitingText says what each waiting read waits for.
func (r *readerRow) waitingText(w io.Writer) {
	for _, read := range r.Waiting {
		fmt.Fprintf(w, "%s waits for %s at %s of %s since %s:", r.who(), human.Size(read.Length), human.Size(read.Offset), r.Path,
			human.Duration(time.Duration(read.Seconds*float64(time.Second))))
		for i, p := range read.Pieces {
			if i > 0 {
				fmt.Fprint(w, ";")
			}
			fmt.Fprintf(w, " piece %d, %d of %d blocks here", p.Piece, p.Received, p.Blocks)
			switch {
			case len(p.From) > 0:
				fmt.Fprintf(w, ", the rest expected from %s", strings.Join(p.From, ", "))
			case p.Received < p.Blocks:
				fmt.Fprint(w, ", nobody asked for the rest yet")
			}
		}
		fmt.Fprintln(w)
	}
}

// pieceList writes ascending numbers as "piece 3" or "pieces 3-7,9".
func pieceList(list []int) string {
	var b strings.Builder
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(list[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(list[j]))
		}
		i = j + 1
	}
	if len(list) == 1 {
		return "piece " + b.String()
	}
	return "pieces " + b.String()
}

// readersText lists all open handles.
func (r *report) readersText(w io.Writer) {
	for i := range r.Readers {
		r.Readers[i].text(w)
	}
}

// piecesPerLine is how many pieces a line of the piece map has.
const piecesPerLine = 64

// piecesText draws the pieces, each line with the number of its first.
func piecesText(t *fetch.Torrent, b *bytes.Buffer) {
	fmt.Fprintf(b, "%c here  %c a read waits  %c in a window  %c pinned, to come  %c not wanted\n",
		fetch.PieceHere, fetch.PieceBlocked, fetch.PieceWindow, fetch.PiecePinned, fetch.PieceMissing)
	for i, s := range t.PieceMap() {
		if i%piecesPerLine == 0 {
			if i > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(b, "%8d  ", i)
		}
		b.WriteByte(byte(s))
	}
	b.WriteByte('\n')
}

// program names the program that a thread belongs to: "mpv (4711)"; empty if that
// cannot be read.
func (p procs) program(tid uint32) string {
	if tid == 0 {
		return ""
	}
	for line := range strings.Lines(string(readUpTo(p.file(tid, "status"), 512))) {
		if text, ok := strings.CutPrefix(line, "Tgid:"); ok {
			pid, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
			if err != nil {
				return ""
			}
			return fmt.Sprintf("%s (%d)", p.command(uint32(pid)), pid)
		}
	}
	return ""
}
