package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPortIsKept(t *testing.T) {
	state := t.TempDir()
	if got := savedPort(state); got != 0 {
		t.Errorf("port %d out of nothing", got)
	}
	if err := savePort(state, 7001); err != nil {
		t.Fatal(err)
	}
	if got := savedPort(state); got != 7001 {
		t.Errorf("port %d, want 7001", got)
	}
	for _, damaged := range []string{"", "x", "-1", "0", "65536", "7001 7002"} {
		if err := os.WriteFile(portFile(state), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := savedPort(state); got != 0 {
			t.Errorf("port %d out of %q", got, damaged)
		}
	}
}

func TestTablesAreKept(t *testing.T) {
	state := t.TempDir()
	if loadTable(state, "IPv4") != nil {
		t.Error("a table out of nothing")
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		if err := saveTable(state, family, []byte(family)); err != nil {
			t.Fatal(err)
		}
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		if got := loadTable(state, family); string(got) != family {
			t.Errorf("%s: got %q", family, got)
		}
	}
}

func TestStateDir(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	for variable, want := range map[string]string{
		"":            "/home/u/.local/state/magnetfs",
		"/var/state":  "/var/state/magnetfs",
		"not/allowed": "/home/u/.local/state/magnetfs",
	} {
		t.Setenv("XDG_STATE_HOME", variable)
		if got, err := stateDir(); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", variable, got, err, want)
		}
	}
	t.Setenv("HOME", "")
	t.Setenv("XDG_STATE_HOME", "")
	if _, err := stateDir(); err == nil {
		t.Error("a folder out of nothing")
	}
}

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "log")
	l, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat("x", 1<<20-1) + "\n")
	for range 3*maxLog/len(line) + 1 {
		if _, err := l.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, path + ".old"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > maxLog || len(b) == 0 || bytes.IndexByte(b, '\n') != len(line)-1 {
			t.Errorf("%s has %d bytes, or torn lines", name, len(b))
		}
	}
	// A later process appends.
	before, _ := os.Stat(path)
	l, err = openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Write([]byte("more\n")); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(path); after.Size() != before.Size()+5 {
		t.Errorf("%d bytes after %d", after.Size(), before.Size())
	}
}
