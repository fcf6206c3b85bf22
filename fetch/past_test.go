package fetch

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A program that opens a file for each part of it, as servers do, is one reader;
// two programs are two.
func TestReopened(t *testing.T) {
	ft := makeTorrent(t, "film", 1*mib, fakeFile{path: "film.bin", size: 40 * mib}, fakeFile{path: "other.bin", size: 20 * mib})
	for _, tt := range []struct {
		name  string
		path  string
		owner string
		after time.Duration
		off   int64
		want  string // of the 40 pieces of the film, or the 20 of the other file
	}{
		{"goes on", "film.bin", "httpd (1)", time.Second, 4 * mib, "-----wwww..............................."},
		{"goes on a little later", "film.bin", "httpd (1)", 9 * time.Second, 4*mib + 300*kib, "-----wwww..............................."},
		{"elsewhere", "film.bin", "httpd (1)", time.Second, 20 * mib, "-----...............-..................."},
		{"too late", "film.bin", "httpd (1)", 11 * time.Second, 4 * mib, "-----..................................."},
		{"another program", "film.bin", "ffprobe (2)", time.Second, 4 * mib, "-----..................................."},
		{"nobody", "film.bin", "", time.Second, 4 * mib, "-----..................................."},
		{"another file", "other.bin", "httpd (1)", time.Second, 4 * mib, "....-..............."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine(ft)
				e.latency, e.rate = 10*time.Millisecond, 2*mib
				f := newFixture(t, 256*mib, e)
				defer f.close()
				tor := f.add(ft)
				owner := "httpd (1)"
				if tt.owner == "" {
					owner = ""
				}
				for part := range int64(4) { // each handle reads one piece
					r := f.reader(tor, "film.bin")
					r.SetOwner(owner)
					for off := part * mib; off < (part+1)*mib; off += 128 * kib {
						if _, err := r.Read(t.Context(), off, 128*kib); err != nil {
							t.Fatal(err)
						}
					}
					e.of(ft).setPeers(0) // nothing ahead comes
					synctest.Wait()
					r.Close()
					e.of(ft).setPeers(1)
				}
				time.Sleep(tt.after)
				r := f.reader(tor, tt.path)
				defer r.Close()
				r.SetOwner(tt.owner)
				synctest.Wait()
				mustEqual(t, "wanted before the first read", strings.Trim(e.of(ft).wanted(), "-."), "")
				if _, err := r.Read(t.Context(), tt.off, 128*kib); err != nil {
					t.Fatal(err)
				}
				e.of(ft).setPeers(0)
				synctest.Wait()
				got := strings.ReplaceAll(e.of(ft).wanted(), "+", "-") // delivered before or after the plan
				if tt.path == "film.bin" {
					got = got[:40]
				} else {
					got = got[40:]
				}
				mustEqual(t, "wanted", got, tt.want)
			})
		})
	}
}

// Few handles are remembered, and not for ever.
func TestReopenedIsBounded(t *testing.T) {
	ft := makeTorrent(t, "film", 1*mib, fakeFile{path: "film.bin", size: 4 * mib})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 16*mib, newFakeEngine(ft))
		defer f.close()
		tor := f.add(ft)
		for i := range 3 * maxPast {
			r := f.reader(tor, "film.bin")
			r.SetOwner(string(rune('a' + i)))
			if _, err := r.Read(t.Context(), 0, 4*kib); err != nil {
				t.Fatal(err)
			}
			r.Close()
		}
		remembered := func() int {
			f.lib.readers.mu.Lock()
			defer f.lib.readers.mu.Unlock()
			return len(f.lib.readers.past)
		}
		mustEqual(t, "remembered", remembered(), maxPast)
		time.Sleep(pastFor + 2*restEvery)
		mustEqual(t, "remembered later", remembered(), 0)
	})
}

// The kernel tells of a close after the next open, at times.
func TestReopenedBeforeClosed(t *testing.T) {
	ft := makeTorrent(t, "film", 1*mib, fakeFile{path: "film.bin", size: 16 * mib})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 64*mib, newFakeEngine(ft))
		defer f.close()
		tor := f.add(ft)
		open := func() *Reader {
			r := f.reader(tor, "film.bin")
			r.SetOwner("httpd (1)")
			return r
		}
		r := open()
		for part := range int64(4) {
			if _, err := r.Read(t.Context(), part*mib, 1*mib); err != nil {
				t.Fatal(err)
			}
			next := open()
			r.Close()
			r = next
		}
		defer r.Close()
		if _, err := r.Read(t.Context(), 4*mib, 128*kib); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, "mode", r.status().Mode, ModePlayer)
	})
}
