package dht

import (
	"testing"
	"time"
)

func TestAgain(t *testing.T) {
	for _, c := range []struct {
		peers, tries int
		want         time.Duration
	}{
		{0, 1, 15 * time.Second}, {7, 2, 30 * time.Second}, {0, 3, time.Minute}, {0, 4, 2 * time.Minute}, {0, 5, 4 * time.Minute},
		{0, 6, 5 * time.Minute}, {0, 12, 5 * time.Minute}, {0, 13, AnnounceInterval}, {8, 1, AnnounceInterval}, {0, 0, 15 * time.Second},
	} {
		if got := Again(c.peers, c.tries); got != c.want {
			t.Errorf("%d peers, try %d: %v, want %v", c.peers, c.tries, got, c.want)
		}
	}
}
