package fetch

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestPace plays a film that comes in pieces of 1 MiB, one each 1.4 s, to a player
// that reads as fast as it can. What counts is for how long one of its reads
// sleeps, since it cannot seek before that, and that the last byte comes no later.
func TestPace(t *testing.T) {
	const pieces = 12
	for _, tt := range []struct {
		name  string
		file  string
		rate  float64
		think time.Duration // between two reads
		most  time.Duration // one read may take from the fourth piece on
	}{
		{"a film", "f.mkv", 0.75 * mib, 0, 300 * time.Millisecond},
		{"anything else", "f.bin", 0.75 * mib, 0, 1334 * time.Millisecond},
		{"a fast line", "f.mkv", 8 * mib, 0, 126 * time.Millisecond},
		{"a player that takes what it needs", "f.mkv", 0.75 * mib, 250 * time.Millisecond, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ft := makeTorrent(t, "pace", mib, fakeFile{path: tt.file, size: pieces * mib})
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine(ft)
				e.latency, e.rate = 40*time.Millisecond, tt.rate
				f := newFixture(t, 256*mib, e)
				defer f.close()
				r := f.reader(f.add(ft), tt.file)
				defer r.Close()
				start := time.Now()
				var longest time.Duration
				for off := int64(0); off < pieces*mib; off += 64 * kib {
					began := time.Now()
					if _, err := r.Read(t.Context(), off, 64*kib); err != nil {
						t.Fatal(err)
					}
					if off >= 4*mib {
						longest = max(longest, time.Since(began))
					}
					time.Sleep(tt.think)
				}
				took := time.Since(start)
				line := 3*e.latency + time.Duration(pieces*mib/tt.rate*float64(time.Second)) + tt.think*16*pieces
				t.Logf("longest read %v, %v in all, the line takes %v", longest, took, line)
				if longest > tt.most {
					t.Errorf("a read took %v, want at most %v", longest, tt.most)
				}
				if took > line {
					t.Errorf("took %v, the line takes %v", took, line)
				}
			})
		})
	}
}

// TestPaceEnds ends paced reads early.
func TestPaceEnds(t *testing.T) {
	ft := makeTorrent(t, "pace", mib, fakeFile{path: "f.mkv", size: 12 * mib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		e.rate = 0.25 * mib
		f := newFixture(t, 256*mib, e)
		defer f.close()
		r := f.reader(f.add(ft), "f.mkv")
		defer r.Close()
		off := int64(0)
		for ; off < 4*mib-256*kib; off += 64 * kib {
			if _, err := r.Read(t.Context(), off, 64*kib); err != nil {
				t.Fatal(err)
			}
		}
		a := readAsync(t.Context(), r, off, 128*kib)
		synctest.Wait()
		select {
		case <-a:
			t.Fatal("not delayed")
		default:
		}
		r.Close()
		if got := <-a; got.err != nil || len(got.data) != 128*kib || got.after != 0 {
			t.Errorf("got %d bytes after %v: %v", len(got.data), got.after, got.err)
		}
	})
}
