package fetch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/internal/swarmtest"
)

// A server opens the file for each request of 1 MiB: it gets what one handle gets.
func TestReopenedOverSwarm(t *testing.T) {
	for _, pause := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			h := newHome(t, 10, 128*mib, swarmtest.Spec{Name: "film.mkv", Length: 96 * mib, PieceLength: mib})
			defer h.close()
			h.open().Close()
			part := func(i int64) {
				r := h.open()
				defer r.Close()
				r.SetOwner("httpd (1)")
				h.read(r, i*mib, mib)
			}
			for i := range int64(16) {
				part(i)
			}
			tor := h.lib.Torrents()[0]
			before, start, idle := tor.Status(), time.Now(), time.Duration(0)
			const n = 64
			for i := range int64(n) {
				part(16 + i)
				time.Sleep(pause)
				idle += pause
			}
			rate := n * mib / 1e6 / (time.Since(start) - idle).Seconds()
			after := tor.Status()
			vain := float64(after.Wasted-before.Wasted) / (n * mib)
			t.Logf("%v apart: %.1f of 12.5 MB/s, %.1f %% in vain", pause, rate, 100*vain)
			if rate < 11 || vain > 0.05 {
				t.Error("slower than one handle")
			}
		})
	}
}
