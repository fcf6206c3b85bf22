package watch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func pointer[T any](v T) *T { return &v }

// sample has n torrents; the first reads, waits and has pins.
func sample(n int) State {
	var s State
	for i := range n {
		s.Torrents = append(s.Torrents, Torrent{Name: fmt.Sprintf("torrent %03d", i), InfoHash: fmt.Sprintf("%040x", i+1), State: "idle"})
	}
	if n == 0 {
		return s
	}
	t := &s.Torrents[0]
	t.State, t.Size, t.Have, t.Pieces, t.HavePieces, t.Seeds, t.Peers, t.Down = "active", 1<<30, 1<<29, 1024, 512, 3, 4, 5<<20
	t.Pinned = &Pinned{Files: 2, Size: 1 << 28, Have: 1 << 27}
	t.Readers = []Reader{{Owner: "mpv (4711)", Path: "dir/film.mkv", Mode: "player", Offset: 9 << 20, Ahead: 1 << 20, Rate: 600 << 10, Window: []int{9, 10, 11}, WindowHave: 1,
		Waiting: []Read{{Offset: 9 << 20, Length: 128 << 10, Seconds: 3}}}}
	t.Readers[0].Waiting[0].Pieces = append(t.Readers[0].Waiting[0].Pieces, struct {
		Piece    int      `json:"piece"`
		Blocks   int      `json:"blocks"`
		Received int      `json:"received"`
		From     []string `json:"from"`
	}{9, 64, 12, []string{"10.0.0.1:6881"}})
	t.Sources = []Source{
		{Name: "[DHT]", Status: "working (412 nodes)", Next: pointer(250.0), Seeds: pointer(102), Peers: pointer(575)},
		{Name: "http://t.example/announce", Status: "timed out, 3rd try", Next: pointer(58.0)},
	}
	for i := range 40 {
		t.Connected = append(t.Connected, Peer{Addr: fmt.Sprintf("10.0.1.%d:6881", i), Client: "libtorrent", Seed: i < 3, Pieces: i * 10, RTT: 0.04, Outgoing: true})
	}
	s.Of = t.InfoHash
	s.Pieces = strings.Repeat("#", 512) + "!>>++" + strings.Repeat(".", 507)
	return s
}

// screen is a model with a state, at a size.
func screen(s State, width, height int) model {
	m := newModel("/mnt/t", nil, start)
	m = send(m, loaded{state: s, at: start})
	return send(m, tea.WindowSizeMsg{Width: width, Height: height})
}

func send(m model, msgs ...tea.Msg) model {
	for _, msg := range msgs {
		next, _ := m.Update(msg)
		m = next.(model)
	}
	return m
}

// keys presses keys; a name of several letters is one key.
func keys(m model, names ...string) model {
	special := map[string]rune{"up": tea.KeyUp, "down": tea.KeyDown, "pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "home": tea.KeyHome,
		"end": tea.KeyEnd, "tab": tea.KeyTab, "enter": tea.KeyEnter, "esc": tea.KeyEscape}
	for _, name := range names {
		if code, ok := special[name]; ok {
			m = send(m, tea.KeyPressMsg{Code: code})
		} else {
			m = send(m, tea.KeyPressMsg{Code: rune(name[0]), Text: name})
		}
	}
	return m
}

// text is the screen without colours.
func text(m model) string { return ansi.Strip(strings.Join(m.lines(), "\n")) }

func TestScreen(t *testing.T) {
	got := text(screen(sample(2), 100, 40))
	for _, want := range []string{
		"/mnt/t  2 torrents  ↓ 5.0 MiB/s",
		"torrent 000", "active", "50%", "1.0 GiB",
		"512 MiB of 1.0 GiB here, 512 of 1024 pieces; 3 seeds and 4 peers connected",
		"2 files pinned, 128 MiB of 256 MiB here (50%)",
		"dir/film.mkv", "mpv (4711)", "player", "1/3",
		"waits since 3s for 128 KiB at 9.0 MiB",
		"piece 9: 12 of 64 blocks here, the rest from 10.0.0.1:6881",
		"[DHT]", "working (412 nodes)", "4m 10s", "102", "575", "timed out, 3rd try", "58s",
		"10.0.1.0:6881", "libtorrent", "out seed",
		"q quit",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the screen lacks %q:\n%s", want, got)
		}
	}
}

// Whatever the size, the screen is not larger.
func TestSizes(t *testing.T) {
	odd := sample(3)
	odd.Torrents[1].Name = "日本語の長い名前🎬" + strings.Repeat("x", 300)
	odd.Torrents[0].Name = "a\x1b[2Jb\n\u202ec"
	for _, s := range []State{{}, sample(1), sample(200), odd} {
		for _, w := range []int{1, 10, 40, 79, 120} {
			for _, h := range []int{1, 2, 4, 8, 24, 60} {
				m := screen(s, w, h)
				for _, key := range []string{"", "enter", "end", "G", "pgup", "3", "tab", "esc", "home"} {
					if key != "" {
						m = keys(m, key)
					}
					lines := m.lines()
					if len(lines) > h {
						t.Fatalf("%d torrents, %dx%d after %q: %d lines", len(s.Torrents), w, h, key, len(lines))
					}
					for _, line := range lines {
						if n := ansi.StringWidth(line); n > w {
							t.Fatalf("%d torrents, %dx%d after %q: a line of %d cells: %q", len(s.Torrents), w, h, key, n, line)
						}
						if i := strings.IndexFunc(ansi.Strip(line), func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }); i >= 0 {
							t.Fatalf("control character in %q", line)
						}
					}
				}
			}
		}
	}
}

// What does not fit into a line goes on in the next.
func TestWrapped(t *testing.T) {
	s := sample(1)
	s.Torrents[0].Readers[0].Waiting[0].Pieces[0].From = []string{"10.0.0.1:6881", "10.0.0.2:6881", "10.0.0.3:6881", "10.0.0.4:6881"}
	m := keys(screen(s, 60, 60), "enter")
	got := text(m)
	for _, want := range []string{
		"active; 512 MiB of 1.0 GiB here, 512 of 1024 pieces; 3 seeds\nand 4 peers connected, 0 more known",
		"    piece 9: 12 of 64 blocks here, the rest from\n      10.0.0.1:6881, 10.0.0.2:6881, 10.0.0.3:6881,\n      10.0.0.4:6881\n",
		"1-57 of 72  q quit  PgUp PgDn ←→ scroll  ↑↓ torrent",
	} {
		if !strings.Contains(regexp.MustCompile(` +\n`).ReplaceAllString(got, "\n"), want) {
			t.Errorf("the screen lacks %q:\n%s", want, got)
		}
	}
}

// Limits stand beside the rates.
func TestLimits(t *testing.T) {
	s := sample(1)
	s.Limits = Limits{Down: 6 << 20, Up: 1 << 20}
	if got, want := text(screen(s, 100, 24)), "↓ 5.0 MiB/s (at most 6.0 MiB/s)  ↑ 0 B/s (at most 1.0 MiB/s)"; !strings.Contains(got, want) {
		t.Errorf("the screen lacks %q:\n%s", want, got)
	}
	s.Limits = Limits{NoUpload: true}
	if got, want := text(screen(s, 100, 24)), "↓ 5.0 MiB/s  ↑ 0 B/s (off)"; !strings.Contains(got, want) {
		t.Errorf("the screen lacks %q:\n%s", want, got)
	}
}

func TestSelection(t *testing.T) {
	m := screen(sample(100), 80, 30) // the list has 8 lines
	for _, step := range []struct {
		key  string
		want string // name of the selected one
	}{
		{"up", "torrent 000"}, {"down", "torrent 001"}, {"j", "torrent 002"}, {"k", "torrent 001"},
		{"end", "torrent 099"}, {"down", "torrent 099"}, {"up", "torrent 098"}, {"home", "torrent 000"},
	} {
		m = keys(m, step.key)
		if got := m.state.Torrents[m.index()].Name; got != step.want {
			t.Errorf("after %s: %s, want %s", step.key, got, step.want)
		}
		if !strings.Contains(text(m), step.want) {
			t.Errorf("after %s: %s is not on the screen", step.key, step.want)
		}
	}
	// It stays selected when others come and go, and when it goes another is.
	m = keys(m, "down", "down")
	s := sample(100)
	s.Torrents = s.Torrents[1:]
	m = send(m, loaded{state: s, at: start})
	if got := m.state.Torrents[m.index()].Name; got != "torrent 002" || m.index() != 1 {
		t.Errorf("after another went: %s", got)
	}
	s.Torrents = s.Torrents[5:]
	m = send(m, loaded{state: s, at: start})
	if got := m.state.Torrents[m.index()].Name; got != "torrent 006" {
		t.Errorf("after it went: %s", got)
	}
	m = send(m, loaded{state: State{}, at: start})
	if got := text(m); !strings.Contains(got, "no torrents: add one with mkdir") {
		t.Errorf("without torrents:\n%s", got)
	}
}

func TestScrolling(t *testing.T) {
	m := screen(sample(1), 80, 20)
	has := func(when, part string, want bool) {
		t.Helper()
		if strings.Contains(text(m), part) != want {
			t.Errorf("%s: %q on the screen is %v:\n%s", when, part, !want, text(m))
		}
	}
	has("at first", "10.0.1.39:6881", false)
	m = keys(m, "G")
	has("at the end", "█", true)
	has("at the end", "!", true)
	m = keys(m, "g")
	has("at the top", "3 seeds and 4 peers", true)
	for i, part := range []string{"dir/film.mkv", "[DHT]", "10.0.1.0:6881", "Pieces"} {
		m = keys(m, fmt.Sprint(i+1))
		has(fmt.Sprintf("section %d", i+1), part, true)
	}
	m = keys(m, "g")
	for range 10 {
		m = keys(m, "pgdown")
	}
	bottom := m.scroll
	m = keys(m, "pgdown", "pgdown")
	if m.scroll != bottom {
		t.Errorf("scrolled beyond the end: %d, %d", bottom, m.scroll)
	}
	m = keys(m, "enter") // larger
	has("larger", "Torrent  ", false)
	m = keys(m, "esc")
	has("smaller", "Torrent  ", true)
	// A larger window leaves no gap at its end.
	m = keys(m, "G")
	m = send(m, tea.WindowSizeMsg{Width: 80, Height: 60})
	lines := m.lines()
	if strings.TrimSpace(ansi.Strip(lines[len(lines)-2])) == "" && m.scroll > 0 {
		t.Errorf("a gap:\n%s", text(m))
	}
}

func TestQuit(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}, {Code: tea.KeyEscape}} {
		_, cmd := screen(sample(1), 80, 24).Update(key)
		if cmd == nil {
			t.Errorf("%s does not quit", key)
			continue
		}
		if _, ok := cmd().(tea.QuitMsg); !ok {
			t.Errorf("%s does not quit", key)
		}
	}
}

// A mount that fails or hangs is said to, and its last state stays.
func TestTrouble(t *testing.T) {
	m := screen(sample(1), 100, 24)
	m = send(m, loaded{err: errors.New("transport endpoint is not connected"), at: start})
	if got := text(m); !strings.Contains(got, "not connected") || !strings.Contains(got, "torrent 000") {
		t.Errorf("failed:\n%s", got)
	}
	m = send(m, loaded{err: &os.PathError{Op: "open", Path: strings.Repeat("x", 200), Err: os.ErrNotExist}, at: start})
	if got := text(m); !strings.Contains(got, "it is gone") {
		t.Errorf("gone:\n%s", got)
	}
	m = screen(sample(1), 100, 24)
	m = send(m, start.Add(10*time.Second))
	if got := text(m); !strings.Contains(got, "no answer since 10s") {
		t.Errorf("hangs:\n%s", got)
	}
}

// What is wrong with the mount stands in its line.
func TestWarnings(t *testing.T) {
	s := sample(1)
	s.Warnings = []string{"the disk has no room: pieces are kept in memory only"}
	first, _, _ := strings.Cut(text(screen(s, 140, 24)), "\n")
	if !strings.HasSuffix(strings.TrimSpace(first), "/s  "+s.Warnings[0]) {
		t.Errorf("the first line is %q", first)
	}
}

func TestCellsOf(t *testing.T) {
	draw := func(pieces string, n int) string {
		list, _ := cellsOf(pieces, n)
		var b strings.Builder
		for _, c := range list {
			glyph, _ := c.draw()
			b.WriteString(glyph)
		}
		return b.String()
	}
	for _, tt := range []struct {
		pieces string
		cells  int
		want   string
	}{
		{"", 4, ""},
		{"#!>+.", 10, "█!>+·"},
		{"####..##", 4, "██·█"},
		{"###..#..#.!#>>+.", 4, "▓░!>"},
		{"#.", 1, "▓"},
		{"#....", 2, "░·"},
	} {
		if got := draw(tt.pieces, tt.cells); got != tt.want {
			t.Errorf("%q in %d cells: %q, want %q", tt.pieces, tt.cells, got, tt.want)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("status.json", `[{"name":"a","info_hash":"aa"},{"name":"b","info_hash":"bb","sources":[{"name":"[DHT]","next":null}]}]`)
	write("by-hash/aa/pieces", "# here  ! a read waits\n       0  ##..\n      64  !#\n")
	write("by-hash/bb/pieces", "# here\n\n")
	write("by-hash/bb/status.json", `{"name":"b","info_hash":"bb"}`)
	for _, tt := range []struct {
		only, selected string
		names          []string
		of, pieces     string
	}{
		{"", "", []string{"a", "b"}, "aa", "##..!#"},
		{"", "bb", []string{"a", "b"}, "bb", ""},
		{"", "gone", []string{"a", "b"}, "aa", "##..!#"},
		{"bb", "", []string{"b"}, "bb", ""},
	} {
		s, err := Files{Dir: dir, Only: tt.only}.Load(tt.selected)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, t := range s.Torrents {
			names = append(names, t.Name)
		}
		if !slices.Equal(names, tt.names) || s.Of != tt.of || s.Pieces != tt.pieces {
			t.Errorf("%+v: %v, of %q, %q", tt, names, s.Of, s.Pieces)
		}
	}
	if _, err := (Files{Dir: dir, Only: "cc"}).Load(""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a torrent that is not there: %v", err)
	}
	write("status.json", "{")
	if _, err := (Files{Dir: dir}).Load(""); err == nil {
		t.Error("damaged JSON is taken")
	}
}
