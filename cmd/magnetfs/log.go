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

// newLog returns a logger for people if w is a terminal, else one line of
// key=value each.
func newLog(w io.Writer, l slog.Level) *slog.Logger {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: l, TimeFormat: time.TimeOnly, NoColor: os.Getenv("NO_COLOR") != ""}))
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
