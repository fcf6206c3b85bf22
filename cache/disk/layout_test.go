package disk

import (
	"fmt"
	"math"
	"testing"
)

func TestSegments(t *testing.T) {
	v2 := Layout{PieceLength: 100, Files: []File{
		{Path: []string{"a"}, Length: 250},
		{Path: []string{"b"}, Offset: 300, Length: 50},
		{Path: []string{"c"}, Offset: 400, Length: 1},
	}}
	v1 := Layout{PieceLength: 100, Files: []File{
		{Path: []string{"a"}, Length: 30},
		{Path: []string{"e"}, Offset: 30},
		{Path: []string{"b"}, Offset: 30, Length: 10},
		{Path: []string{"pad"}, Offset: 40, Length: 60, Pad: true},
		{Path: []string{"c"}, Offset: 100, Length: 150},
	}}
	tests := []struct {
		name  string
		l     Layout
		piece int
		size  int64
		cost  int64
		want  string
	}{
		{"v1, several files and padding", v1, 0, 100, 2 * block, "[{0 0 0 30} {1 0 30 40}]"},
		{"v1, whole piece of a file", v1, 1, 100, block, "[{3 0 0 100}]"},
		{"v1, the last", v1, 2, 50, block, "[{3 100 0 50}]"},
		{"v2, full", v2, 0, 100, block, "[{0 0 0 100}]"},
		{"v2, end of a file", v2, 2, 50, block, "[{0 200 0 50}]"},
		{"v2, a short file", v2, 3, 50, block, "[{1 0 0 50}]"},
		{"v2, one byte", v2, 4, 1, block, "[{2 0 0 1}]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			lay, err := newLayout(tt.l)
			if err != nil {
				t.Fatal(err)
			}
			if got := lay.size(tt.piece); got != tt.size {
				t.Errorf("size %d, want %d", got, tt.size)
			}
			if got := lay.cost(tt.piece); got != tt.cost {
				t.Errorf("cost %d, want %d", got, tt.cost)
			}
			if got := fmt.Sprint(lay.segments(tt.piece)); got != tt.want {
				t.Errorf("segments %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLayoutRefused(t *testing.T) {
	one := func(path ...string) Layout {
		return Layout{PieceLength: 1, Files: []File{{Path: path, Length: 1}}}
	}
	two := func(a, b []string) Layout {
		return Layout{PieceLength: 1, Files: []File{{Path: a, Length: 1}, {Path: b, Offset: 1, Length: 1}}}
	}
	tests := map[string]Layout{
		"no piece length":    {Files: []File{{Path: []string{"a"}, Length: 1}}},
		"huge piece length":  {PieceLength: math.MaxInt64, Files: []File{{Path: []string{"a"}, Length: 1}}},
		"no data":            {PieceLength: 1, Files: []File{{Path: []string{"a"}}}},
		"too many pieces":    {PieceLength: 1, Files: []File{{Path: []string{"a"}, Length: math.MaxInt64}}},
		"overflow":           {PieceLength: 1 << 20, Files: []File{{Path: []string{"a"}, Length: 1 << 20}, {Path: []string{"b"}, Offset: 1 << 20, Length: math.MaxInt64}}},
		"negative":           {PieceLength: 1, Files: []File{{Path: []string{"a"}, Length: -1}}},
		"overlap":            {PieceLength: 8, Files: []File{{Path: []string{"a"}, Length: 8}, {Path: []string{"b"}, Offset: 4, Length: 8}}},
		"gap inside a piece": {PieceLength: 8, Files: []File{{Path: []string{"a"}, Length: 2}, {Path: []string{"b"}, Offset: 4, Length: 8}}},
		"gap of a piece":     {PieceLength: 8, Files: []File{{Path: []string{"a"}, Length: 8}, {Path: []string{"b"}, Offset: 16, Length: 8}}},
		"empty path":         one(),
		"empty element":      one("a", ""),
		"dot":                one("."),
		"up":                 one("a", "..", "b"),
		"slash":              one("a/b"),
		"NUL":                one("a\x00"),
		"twice":              two([]string{"a"}, []string{"a"}),
		"file as folder":     two([]string{"a"}, []string{"a", "b"}),
		"folder as file":     two([]string{"a", "b"}, []string{"a"}),
	}
	for name, l := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := newLayout(l); err == nil {
				t.Error("was accepted")
			}
		})
	}
	if _, err := newLayout(two([]string{"d", "a"}, []string{"d", "b"})); err != nil {
		t.Errorf("two files of a folder: %v", err)
	}
}

func TestCovers(t *testing.T) {
	exts := []extent{{10, 20}, {30, 40}}
	for _, tt := range []struct {
		from, to int64
		want     bool
	}{{10, 20, true}, {12, 13, true}, {9, 11, false}, {15, 31, false}, {20, 30, false}, {30, 40, true}, {39, 41, false}, {40, 41, false}} {
		if got := covers(exts, tt.from, tt.to); got != tt.want {
			t.Errorf("[%d, %d): %v", tt.from, tt.to, got)
		}
	}
}
