package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestJournal(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(newJournal(&b, slog.LevelInfo)).With("torrent", "a b")
	log.Debug("not wanted")
	log.Info("one", "line", "x\ny")
	log.WithGroup("g").Warn("two", "n", 2)
	log.Error("three")
	const want = `<6>msg=one torrent="a b" line="x\ny"
<4>msg=two torrent="a b" g.n=2
<3>msg=three torrent="a b"
`
	if b.String() != want {
		t.Errorf("got %s\nwant %s", b.String(), want)
	}
}

func TestIsJournal(t *testing.T) {
	ours, err := os.Create(filepath.Join(t.TempDir(), "stream"))
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	info, err := ours.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino):   true,
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false, // inherited, and redirected since
		"":  false,
		"x": false,
	} {
		t.Setenv("JOURNAL_STREAM", stream)
		if got := isJournal(ours); got != want {
			t.Errorf("%q: %t, want %t", stream, got, want)
		}
	}
}

func TestLogFormats(t *testing.T) {
	var b bytes.Buffer
	newLog(&b, slog.LevelInfo, formatJSON).Info("hello", "n", 1)
	var line struct {
		Msg string
		N   int
	}
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Msg != "hello" || line.N != 1 {
		t.Errorf("%v: %s", err, &b)
	}
	b.Reset()
	newLog(&b, slog.LevelInfo, formatText).Info("hello", "n", 1)
	if !strings.HasSuffix(b.String(), "level=INFO msg=hello n=1\n") {
		t.Errorf("%s", &b)
	}
	var f logFormat
	if f.Set("JSON") != nil || f != formatJSON || f.Set("xml") == nil || f.Set("") == nil {
		t.Error("the flag takes what it should not, or not what it should")
	}
}

// What logrotate moved away is written on in a new file; if that cannot be made, in
// the old one.
func TestLogIsReopened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	write := func(text string) {
		t.Helper()
		if _, err := l.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	write("one\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write("two\n")
	if err := l.reopen(); err != nil {
		t.Fatal(err)
	}
	write("three\n")
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if l.reopen() == nil {
		t.Error("opened a folder")
	}
	write("four\n")
	for name, want := range map[string]string{".1": "one\ntwo\n", ".2": "three\nfour\n"} {
		if b, _ := os.ReadFile(path + name); string(b) != want {
			t.Errorf("%s: %q, want %q", name, b, want)
		}
	}
}
