package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someHash = "0123456789abcdef0123456789abcdef01234567"

// mountLike is a folder with an add file, so that what is handed over can be seen.
func mountLike(t *testing.T) (path string, added func() string) {
	t.Helper()
	path = t.TempDir()
	file := filepath.Join(path, controlName, "add")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func TestAdd(t *testing.T) {
	torrent := "d4:infod6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:" + strings.Repeat("h", 20) + "ee"
	file := filepath.Join(t.TempDir(), "a.torrent")
	if err := os.WriteFile(file, []byte(torrent), 0o600); err != nil {
		t.Fatal(err)
	}
	magnet := "magnet:?xt=urn:btih:" + someHash + "&tr=udp://t.example:1/announce"
	for _, c := range []struct {
		name, what, stdin string
		added             string
		code              exitCode
	}{
		{"magnet", magnet, "", magnet + "\n", exitOK},
		{"hash", someHash, "", someHash + "\n", exitOK},
		{"file", file, "", torrent, exitOK},
		{"link from standard input", "-", "\n  " + someHash + " \n\n", someHash + "\n", exitOK},
		{"hash that begins with d from standard input", "-", "d" + someHash[1:] + "\n", "d" + someHash[1:] + "\n", exitOK},
		{"file from standard input", "-", torrent, torrent, exitOK},
		{"nothing from standard input", "-", "", "", exitOK},
		{"bad magnet", "magnet:?xt=urn:btih:12", "", "", exitInvalid},
		{"text", "hello", "", "", exitInvalid},
		{"missing file", "missing.torrent", "", "", exitInvalid},
		{"bad line from standard input", "-", "hello\n", "", exitInvalid},
		{"bad file from standard input", "-", torrent[:50], "", exitInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			path, added := mountLike(t)
			told := 0
			err := add(path, c.what, strings.NewReader(c.stdin), func(hash string, isNew bool) error {
				if told++; len(hash) != 40 || !isNew {
					t.Errorf("told of %q, new: %v", hash, isNew)
				}
				return nil
			})
			if want := c.code == exitOK && c.added != ""; (told == 1) != want {
				t.Errorf("told of %d torrents", told)
			}
			if codeOf(err) != c.code {
				t.Errorf("code %d (%v), want %d", codeOf(err), err, c.code)
			}
			if got := added(); got != c.added {
				t.Errorf("added %q, want %q", got, c.added)
			}
		})
	}
}

func TestRemove(t *testing.T) {
	for _, c := range []struct {
		name, what string
		code       exitCode
	}{
		{"by name", "Some Film", exitOK},
		{"by hash", someHash, exitOK},
		{"by magnet", "magnet:?tr=udp://t.example:1/announce&xt=urn:btih:" + someHash, exitOK},
		{"missing", "Another Film", exitNotFound},
		{"a path", "Some Film/x", exitNotFound},
		{"nothing", "", exitNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			for _, name := range []string{"Some Film", someHash} {
				if err := os.Mkdir(filepath.Join(path, name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			_, err := remove(path, c.what, false)
			if codeOf(err) != c.code {
				t.Errorf("code %d (%v), want %d", codeOf(err), err, c.code)
			}
			entries, _ := os.ReadDir(path)
			if gone := len(entries) == 1; gone != (c.code == exitOK) {
				t.Errorf("%d folders are left", len(entries))
			}
		})
	}
}
