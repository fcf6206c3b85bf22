package main

import "testing"

func TestCutMagnet(t *testing.T) {
	const hash = "0123456789abcdef0123456789abcdef01234567"
	const link = "magnet:?xt=urn:btih:" + hash
	for _, tt := range []struct{ name, in, hash, rest string }{
		{"plain", link, hash, ""},
		{"slash at the end", link + "/", hash, ""},
		{"file", link + "/film.mkv", hash, "film.mkv"},
		{"file in a folder", link + "/season 1/film.mkv", hash, "season 1/film.mkv"},
		{"tracker with slashes", link + "&tr=udp://t.example:1/announce", hash, ""},
		{"nothing of a magnet", "magnet:?dn=x/y", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, rest, err := cutMagnet(tt.in)
			if got != tt.hash || rest != tt.rest || (err != nil) != (tt.hash == "") {
				t.Errorf("%q, %q, %v; want %q, %q", got, rest, err, tt.hash, tt.rest)
			}
		})
	}
}

func TestLocateOutside(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		path string
		want exitCode
	}{
		{dir, exitNotMounted},
		{dir + "/nothing", exitNotFound},
		{dir + "/magnet:?xt=urn:btih:x", exitNotMounted},
	} {
		if _, err := locate(tt.path); codeOf(err) != tt.want {
			t.Errorf("%s: %v has code %d, want %d", tt.path, err, codeOf(err), tt.want)
		}
	}
}
