package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// isJournal tells whether what is written to f goes to systemd's journal:
// JOURNAL_STREAM then has the device and inode of the stream, see systemd.exec(5).
// A program may have inherited the variable and yet write elsewhere.
func isJournal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// journal writes lines for the journal: without the time and the level, which it
// has fields of its own for, and with the level as sd-daemon(3) wants it, "<4>" for
// a warning.
type journal struct {
	level     slog.Leveler
	byUrgency [8]slog.Handler // nil where no level of slog leads
}

func newJournal(w io.Writer, l slog.Leveler) *journal {
	j := &journal{level: l}
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		n := urgency(level)
		j.byUrgency[n] = slog.NewTextHandler(prefixed{w, fmt.Sprintf("<%d>", n)}, &slog.HandlerOptions{
			Level: slog.Level(-1 << 16), // Enabled is asked before
			ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
					return slog.Attr{}
				}
				return a
			},
		})
	}
	return j
}

// urgency is a level of syslog(3).
func urgency(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// Enabled implements slog.Handler.
func (j *journal) Enabled(_ context.Context, l slog.Level) bool { return l >= j.level.Level() }

// Handle implements slog.Handler.
func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	return j.byUrgency[urgency(r.Level)].Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return j.each(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (j *journal) WithGroup(name string) slog.Handler {
	return j.each(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (j *journal) each(f func(slog.Handler) slog.Handler) slog.Handler {
	other := &journal{level: j.level}
	for i, h := range j.byUrgency {
		if h != nil {
			other.byUrgency[i] = f(h)
		}
	}
	return other
}

// prefixed puts a prefix before every write, which is one line: slog quotes line
// ends.
type prefixed struct {
	w      io.Writer
	prefix string
}

// Write implements io.Writer.
func (p prefixed) Write(b []byte) (int, error) {
	n, err := p.w.Write(append([]byte(p.prefix), b...))
	return max(0, n-len(p.prefix)), err
}
