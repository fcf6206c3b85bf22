package fetch_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/swarmtest"
)

// pace is what a reader gets of a line of 100 Mbit/s.
type pace struct {
	seek, worst time.Duration // cold reads of 64 KiB, median and worst
	rate        float64       // MB/s of reading on
}

// measurePace seeks and reads in the upper half of a file.
func measurePace(h *home, seed uint64) (p pace) {
	r := h.open()
	defer r.Close()
	rnd := rand.New(rand.NewPCG(seed, 1))
	var seeks []time.Duration
	for range 15 {
		seeks = append(seeks, h.read(r, 64*mib+rnd.Int64N(30*mib), 64*kib))
		time.Sleep(300 * time.Millisecond)
	}
	slices.Sort(seeks)
	const n = 24 * mib
	took := h.read(r, 100*mib, n)
	return pace{seeks[7], seeks[14], n / 1e6 / took.Seconds()}
}

// A pin that uses the whole line must not be felt by who reads elsewhere in the
// torrent.
func TestPinUnderReaderOverSwarm(t *testing.T) {
	spec := swarmtest.Spec{Name: "f.bin", Length: 128 * mib, PieceLength: mib}
	var alone, beside pace
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 10, 256*mib, spec)
		defer h.close()
		alone = measurePace(h, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 10, 256*mib, spec)
		defer h.close()
		h.open().Close()
		tor := h.lib.Torrents()[0]
		start := time.Now()
		if err := tor.Pin(nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		first := tor.PinStatus().Have
		beside = measurePace(h, 1)
		for !tor.Complete(tor.Root()) && time.Since(start) < time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		whole := time.Since(start)
		t.Logf("the pin had %d MiB after 1 s, and was whole after %v (line: %v)", first/mib, whole.Round(100*time.Millisecond),
			time.Duration(128*mib/12.5e6*float64(time.Second)).Round(100*time.Millisecond))
		if whole >= time.Minute {
			t.Error("the pin did not get done")
		}
	})
	t.Logf("alone:  seek median %v, worst %v; %.1f MB/s", alone.seek, alone.worst, alone.rate)
	t.Logf("beside: seek median %v, worst %v; %.1f MB/s", beside.seek, beside.worst, beside.rate)
	if beside.seek > alone.seek+60*time.Millisecond || beside.seek > alone.seek+alone.seek/2 || beside.rate < alone.rate*0.9 {
		t.Error("the pin is in the way")
	}
}
