package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// maxLog is the size at which a log file is put aside as FILE.old, in bytes.
const maxLog = 8 << 20

// level is the flag --log-level.
type level struct{ slog.Level }

// Set implements pflag.Value.
func (l *level) Set(text string) error {
	switch text = strings.ToLower(text); text {
	case "debug", "info", "warn", "error":
		return l.UnmarshalText([]byte(text))
	}
	return fmt.Errorf("%q is not debug, info, warn or error", text)
}

// String implements pflag.Value.
func (l *level) String() string { return strings.ToLower(l.Level.String()) }

// Type implements pflag.Value.
func (l *level) Type() string { return "level" }

// logFormat is the flag --log-format.
type logFormat string

const (
	formatText logFormat = "text"
	formatJSON logFormat = "json"
)

// Set implements pflag.Value.
func (f *logFormat) Set(text string) error {
	switch l := logFormat(strings.ToLower(text)); l {
	case formatText, formatJSON:
		*f = l
		return nil
	}
	return fmt.Errorf("%q is not text or json", text)
}

// String implements pflag.Value.
func (f *logFormat) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *logFormat) Type() string { return "text|json" }

// newLog returns a logger: JSON if that is wanted, else for people if w is a
// terminal, for the journal if it is that, and one line of key=value each
// otherwise.
func newLog(w io.Writer, l slog.Leveler, format logFormat) *slog.Logger {
	if format == formatJSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
	}
	f, ok := w.(*os.File)
	switch {
	case ok && term.IsTerminal(int(f.Fd())):
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: l, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""}))
	case ok && isJournal(f):
		return slog.New(newJournal(w, l))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

// logFile is a log of bounded size: when it is full it becomes FILE.old, and the
// old one goes.
type logFile struct {
	path string

	mu   sync.Mutex
	f    *os.File // guarded by mu
	size int64    // guarded by mu
}

func openLog(path string) (*logFile, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	l := &logFile{path: path}
	if err := l.open(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.size = f, info.Size()
	return nil
}

// reopen goes on in a new file of the same name: the old one was put aside by
// somebody else, as logrotate(8) does. If that fails the old one is written on.
func (l *logFile) reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.f
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

// Write implements io.Writer.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(p)) > maxLog && l.size > 0 {
		l.turn()
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}

// turn puts the file aside; if that fails the old one is written on. It runs
// under mu.
func (l *logFile) turn() {
	old := l.f
	if info, err := old.Stat(); err != nil || !info.Mode().IsRegular() {
		return // /dev/stderr, a pipe
	}
	if os.Rename(l.path, l.path+".old") == nil && l.open() == nil {
		old.Close()
	}
}

// Close closes the file.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
