package picker

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestWantsOrder(t *testing.T) {
	tests := []struct {
		name string
		// by reader: "3!-40" a read sleeps on piece 3 since 40 ms, "4@250" its
		// deadline is in 250 ms.
		readers []string
		want    string // pieces; "!" if a read sleeps on it
	}{
		{"nothing", nil, ""},
		{"one reader, by deadline", []string{"1@300 2@100 3@200"}, "2 3 1"},
		{"what it sleeps on first", []string{"1@10 2@20 3!0"}, "3! 1 2"},
		{"though its other deadlines have passed", []string{"1@-500 2@-400 3!-10"}, "3! 1 2"},
		{"two that it sleeps on, the longer first", []string{"1!-10 2!-90 3@-50"}, "2! 1! 3"},
		{"two sleepers, the longer first", []string{"1!-10 2@80", "5!-20 6@80"}, "5! 1! 2 6"},
		{"one that is awake, with time", []string{"1!-10 2@80", "5@2000 6@3000"}, "1! 2 5 6"},
		{"one that is awake and needs it soon", []string{"1!-10 2@80", "5@600 6@1050"}, "5 1! 6 2"},
		{"one that is awake and does not come to it", []string{"1!-10 2@80", "5@-600 6@-1"}, "1! 5 6 2"},
		{"both want the same piece", []string{"1@900", "1@500", "2@700"}, "1 2"},
		{"both want the same piece, one sleeps", []string{"1@2500", "1!0", "2@2000"}, "1! 2"},
		{"no such piece", []string{"-1@0 99!0 10@0"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var all []Want
			for reader, list := range tt.readers {
				for _, f := range strings.Fields(list) {
					w := Want{Reader: uint64(reader)}
					var in int
					if n, _ := fmt.Sscanf(f, "%d!%d", &w.Piece, &in); n == 2 {
						w.Blocked = true
					} else if n, _ := fmt.Sscanf(f, "%d@%d", &w.Piece, &in); n != 2 {
						t.Fatal(f)
					}
					w.Deadline = simStart.Add(time.Duration(in) * ms)
					all = append(all, w)
				}
			}
			p := New(10*BlockSize, BlockSize)
			p.SetWants(all, simStart)
			var got []string
			for _, w := range p.Wants() {
				f := fmt.Sprint(w.Piece)
				if w.Blocked {
					f += "!"
				}
				got = append(got, f)
				if !p.Wanted(w.Piece) {
					t.Errorf("%d is not wanted", w.Piece)
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("%s, want %s", s, tt.want)
			}
		})
	}
}
