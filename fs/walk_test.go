package fs

import "testing"

func TestJoinWalk(t *testing.T) {
	const xt = "magnet:?xt=urn:btih:aa"
	tests := []struct {
		name       string
		text, next string
		want       string
	}{
		{"host after udp", xt + "&tr=udp:", "h:1", xt + "&tr=udp://h:1"},
		{"host after encoded colon", xt + "&tr=udp%3A", "h:1", xt + "&tr=udp%3A//h:1"},
		{"host after https in capitals", xt + "&tr=HTTPS:", "h", xt + "&tr=HTTPS://h"},
		{"web seed", xt + "&ws=ftp:", "h", xt + "&ws=ftp://h"},
		{"path after host", xt + "&tr=udp://h:1", "announce", xt + "&tr=udp://h:1/announce"},
		{"slash in a name", xt + "&dn=AC", "DC", xt + "&dn=AC/DC"},
	}
	for _, tt := range tests {
		if got := joinWalk(tt.text, tt.next); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A magnet that went through the kernel's hands comes out as it was.
func TestWalkRoundTrip(t *testing.T) {
	for _, text := range []string{
		"magnet:?xt=urn:btih:aa",
		"magnet:?xt=urn:btih:aa&tr=udp://h:1",
		"magnet:?xt=urn:btih:aa&tr=udp://h:1/announce&tr=http://t/a/b.php?k=1&tr=wss://x",
		"magnet:?tr=https://t/announce&dn=a/b/c&xt=urn:btih:aa",
	} {
		walk := components(text)
		got := walk[0]
		for _, next := range walk[1:] {
			got = joinWalk(got, next)
		}
		if got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestGuess(t *testing.T) {
	const xt = "magnet:?xt=urn:btih:aa"
	tests := []struct {
		name, text string
		want       ahead
	}{
		{"no tracker", xt, last},
		{"a scheme is followed by a host", xt + "&tr=udp:", more},
		{"a host is nearly always followed by a path", xt + "&tr=udp://h:1", more},
		{"a path may be the end", xt + "&tr=udp://h:1/announce", last},
		{"another parameter after the path", xt + "&tr=udp://h:1/announce&dn=x", last},
		{"the next tracker's scheme", xt + "&tr=udp://h:1/announce&tr=http:", more},
		{"an encoded tracker has no slash", xt + "&tr=udp%3A%2F%2Fh%3A1%2Fannounce", last},
		{"a slash in the name tells nothing", xt + "&dn=AC", last},
	}
	for _, tt := range tests {
		if got := guess(tt.text); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestMayContinue(t *testing.T) {
	const xt = "magnet:?xt=urn:btih:aa"
	tests := []struct {
		text string
		want bool
	}{
		{xt, false},
		{xt + "&dn=x", false},
		{xt + "&tr=udp:", true},
		{xt + "&tr=udp://h:1", true},
		{xt + "&tr=http://t/secret", true},
		{xt + "&tr=http://t/announce", false},
		{xt + "&tr=http://t/a?x=1", false},
		{xt + "&tr=udp://h:1/announce&dn=x", false},
	}
	for _, tt := range tests {
		if got := mayContinue(tt.text); got != tt.want {
			t.Errorf("%q: %v, want %v", tt.text, got, tt.want)
		}
	}
}

func TestAheadIn(t *testing.T) {
	walk := []string{"magnet:x&tr=udp:", "h:1"}
	tests := []struct {
		name, path string
		in, tail   ahead
	}{
		{"goes on", "/mnt//magnet:x&tr=udp://h:1/announce", more, unknown},
		{"ends", "mnt/magnet:x&tr=udp://h:1", last, unknown},
		{"ends in a slash", "mnt/./magnet:x&tr=udp://h:1/", last, unknown},
		{"the component is longer", "mnt/magnet:x&tr=udp://h:12", unknown, unknown},
		{"another path", "/mnt/film", unknown, unknown},
		{"relative to the middle", "h:1", unknown, last},
		{"relative to the middle, goes on", "h:1/announce", unknown, more},
		{"relative to the root", "magnet:x&tr=udp:/h:1/announce", more, more},
		{"empty", "", unknown, unknown},
	}
	for _, tt := range tests {
		path := components(tt.path)
		if got := aheadIn(path, walk); got != tt.in {
			t.Errorf("%s: aheadIn %d, want %d", tt.name, got, tt.in)
		}
		if got := aheadAtTail(path, walk); got != tt.tail {
			t.Errorf("%s: aheadAtTail %d, want %d", tt.name, got, tt.tail)
		}
	}
}

func FuzzWalk(f *testing.F) {
	f.Add("magnet:?xt=urn:btih:aa&tr=udp:", "h:1")
	f.Add("magnet:", "")
	f.Fuzz(func(t *testing.T, text, next string) {
		guess(text)
		mayContinue(text)
		if joined := joinWalk(text, next); len(joined) < len(text)+len(next)+1 {
			t.Errorf("%q and %q lost something: %q", text, next, joined)
		}
		walk := components(text)
		if len(walk) > 0 && aheadIn(walk, walk) != last {
			t.Errorf("%q does not end in itself", text)
		}
	})
}
