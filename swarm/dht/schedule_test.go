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
		{0, 1, time.Minute}, {4, 2, 2 * time.Minute}, {0, 3, 4 * time.Minute}, {0, 4, 5 * time.Minute},
		{0, 8, 5 * time.Minute}, {0, 9, AnnounceInterval}, {5, 1, AnnounceInterval}, {0, 0, time.Minute},
	} {
		if got := Again(c.peers, c.tries); got != c.want {
			t.Errorf("%d peers, try %d: %v, want %v", c.peers, c.tries, got, c.want)
		}
	}
}
