package fs

import "testing"

func TestPieceList(t *testing.T) {
	for _, tt := range []struct {
		list []int
		want string
	}{
		{nil, "pieces "},
		{[]int{7}, "piece 7"},
		{[]int{7, 8}, "pieces 7-8"},
		{[]int{1, 2, 3, 7, 9, 10}, "pieces 1-3,7,9-10"},
	} {
		if got := pieceList(tt.list); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.list, got, tt.want)
		}
	}
}
