package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// answer is how a read in the background ended.
type answer struct {
	data  []byte
	err   error
	after time.Duration
}

func readAsync(ctx context.Context, r *Reader, off int64, n int) <-chan answer {
	ch := make(chan answer, 1)
	start := time.Now()
	go func() {
		parts, err := r.Read(ctx, off, n)
		ch <- answer{join(parts), err, time.Since(start)}
	}()
	return ch
}

// bubble runs a test with a library over one torrent of 64 pieces of 256 KiB.
func bubble(t *testing.T, budget int64, do func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, ft *fakeTorrent)) {
	t.Helper()
	ft := makeTorrent(t, "bubble", 256*kib, fakeFile{path: "f.bin", size: 48 * 256 * kib}, fakeFile{path: "g.bin", size: 16 * 256 * kib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		e.latency = 50 * time.Millisecond
		f := newFixture(t, budget, e)
		tor := f.add(ft)
		do(t, f, tor, e.of(ft), ft)
		f.close()
	})
}

func TestTimeouts(t *testing.T) {
	bubble(t, 32*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, ft *fakeTorrent) {
		r := f.reader(tor, "f.bin")
		defer r.Close()
		if _, err := r.Read(t.Context(), 0, 4*kib); err != nil {
			t.Fatal(err)
		}

		sw.setPeers(0)
		a := <-readAsync(t.Context(), r, mib, 128*kib)
		if !errors.Is(a.err, ErrTimeout) || a.after != 60*time.Second {
			t.Errorf("nobody: %v after %v", a.err, a.after)
		}
		// The kernel asks for the parts of a failed request: at once.
		for off := int64(mib); off < mib+128*kib; off += 4 * kib {
			a = <-readAsync(t.Context(), r, off, 4*kib)
			if !errors.Is(a.err, ErrTimeout) || a.after != 0 {
				t.Fatalf("part of a failed read: %v after %v", a.err, a.after)
			}
		}
		// The same read again is not a part of it: the torrent is stalled.
		a = <-readAsync(t.Context(), r, mib, 128*kib)
		if !errors.Is(a.err, ErrTimeout) || a.after != 5*time.Second {
			t.Errorf("stalled: %v after %v", a.err, a.after)
		}
		other := f.reader(tor, "g.bin")
		defer other.Close()
		a = <-readAsync(t.Context(), other, 0, 4*kib)
		if !errors.Is(a.err, ErrTimeout) || a.after != 5*time.Second {
			t.Errorf("stalled, another reader: %v after %v", a.err, a.after)
		}
		// What is here is served all the same.
		a = <-readAsync(t.Context(), r, 0, 4*kib)
		if a.err != nil || a.after != 0 {
			t.Errorf("cached: %v after %v", a.err, a.after)
		}

		// A source appears while a read waits in the stalled torrent.
		ch := readAsync(t.Context(), r, 2*mib, 4*kib)
		time.Sleep(3 * time.Second)
		sw.setPeers(1)
		a = <-ch
		if a.err != nil || a.after != 3*time.Second+50*time.Millisecond || !bytes.Equal(a.data, ft.file(0)[2*mib:2*mib+4*kib]) {
			t.Errorf("source after 3 s: %v after %v", a.err, a.after)
		}
		// And the stall is over.
		sw.setPeers(0)
		a = <-readAsync(t.Context(), r, 3*mib, 4*kib)
		if !errors.Is(a.err, ErrTimeout) || a.after != 60*time.Second {
			t.Errorf("the stall is over: %v after %v", a.err, a.after)
		}
		mustEqual(t, "nothing is wanted in the end", len(sw.wants), 0)
	})
}

func TestNoBlocks(t *testing.T) {
	bubble(t, 32*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, _ *fakeTorrent) {
		sw.mu.Lock()
		sw.had[0] = true // as if it sent the piece over and over to the void
		sw.mu.Unlock()
		r := f.reader(tor, "f.bin")
		defer r.Close()
		a := <-readAsync(t.Context(), r, 0, 4*kib)
		if !errors.Is(a.err, ErrTimeout) || a.after != 300*time.Second {
			t.Errorf("%v after %v", a.err, a.after)
		}
	})
}

// Every way to end a blocked read, at once.
func TestReadsEnd(t *testing.T) {
	errUnmount := errors.New("unmounting")
	for _, tt := range []struct {
		name string
		end  func(f *fixture, tor *Torrent, r *Reader, cancel func())
		want error
	}{
		{"the context is cancelled", func(_ *fixture, _ *Torrent, _ *Reader, cancel func()) { cancel() }, context.Canceled},
		{"the reader is closed", func(_ *fixture, _ *Torrent, r *Reader, _ func()) { r.Close() }, ErrClosed},
		{"the torrent is removed", func(f *fixture, tor *Torrent, _ *Reader, _ func()) { f.lib.Remove(tor) }, ErrRemoved},
		{"all reads are failed", func(f *fixture, _ *Torrent, _ *Reader, _ func()) { f.lib.FailReads(errUnmount) }, errUnmount},
		{"the library is closed", func(f *fixture, _ *Torrent, _ *Reader, _ func()) { f.lib.Close() }, ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, 32*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, _ *fakeTorrent) {
				sw.setPeers(0)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				r := f.reader(tor, "f.bin")
				defer r.Close()
				var chs []<-chan answer
				for i := range 8 {
					chs = append(chs, readAsync(ctx, r, int64(i)*mib, 128*kib))
				}
				time.Sleep(1500 * time.Millisecond)
				tt.end(f, tor, r, cancel)
				for _, ch := range chs {
					a := <-ch
					if !errors.Is(a.err, tt.want) || a.after != 1500*time.Millisecond {
						t.Errorf("%v after %v, want %v", a.err, a.after, tt.want)
					}
				}
				synctest.Wait()
				tor.mu.Lock()
				defer tor.mu.Unlock()
				if len(tor.waiters) != 0 {
					t.Errorf("%d waiters left", len(tor.waiters))
				}
				if n := f.cache.Pinned(); n != 0 {
					t.Errorf("%d bytes are pinned", n)
				}
			})
		})
	}
}

// After the end nothing is served any more.
func TestReadAfterEnd(t *testing.T) {
	bubble(t, 32*mib, func(t *testing.T, f *fixture, tor *Torrent, _ *fakeSwarm, _ *fakeTorrent) {
		r := f.reader(tor, "f.bin")
		if _, err := r.Read(t.Context(), 0, 1); err != nil {
			t.Fatal(err)
		}
		closed := f.reader(tor, "f.bin")
		closed.Close()
		closed.Close()
		if _, err := closed.Read(t.Context(), 0, 1); !errors.Is(err, ErrClosed) {
			t.Errorf("closed reader: %v", err)
		}
		f.lib.FailReads(errors.New("x"))
		if _, err := r.Read(t.Context(), 3*mib, 1); err != nil {
			t.Errorf("FailReads is for the reads of its moment only: %v", err)
		}
		node := find(tor.Root(), "f.bin")
		f.lib.Remove(tor)
		if _, err := r.Read(t.Context(), 0, 1); !errors.Is(err, ErrRemoved) {
			t.Errorf("removed torrent: %v", err)
		}
		if _, err := tor.Open(node); !errors.Is(err, ErrRemoved) {
			t.Errorf("open in a removed torrent: %v", err)
		}
		r.Close()
		if f.cache.Used() != 0 {
			t.Errorf("%d bytes of a removed torrent in the cache", f.cache.Used())
		}
	})
}

// Many reads of one piece share its delivery; a waiter gets its bytes although the
// cache has no room for them.
func TestWaitersGetBytes(t *testing.T) {
	bubble(t, 1*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, ft *fakeTorrent) {
		if !f.cache.Reserve(1 * mib) { // nothing fits
			t.Fatal("no room for the test")
		}
		var chs []<-chan answer
		for range 5 {
			r := f.reader(tor, "f.bin")
			defer r.Close()
			chs = append(chs, readAsync(t.Context(), r, 100*kib, 200*kib)) // two pieces
		}
		for _, ch := range chs {
			a := <-ch
			if a.err != nil || !bytes.Equal(a.data, ft.file(0)[100*kib:300*kib]) {
				t.Errorf("%v, %d bytes", a.err, len(a.data))
			}
			if a.after != 50*time.Millisecond {
				t.Errorf("after %v", a.after)
			}
		}
		// Two would do; a reader that is just setting its wants when a piece
		// arrives may have it fetched once more.
		if n, _ := sw.count(); n > 7 {
			t.Errorf("%d deliveries for 2 pieces", n)
		}
		time.Sleep(restEvery)
		synctest.Wait()
		sw.mu.Lock()
		defer sw.mu.Unlock()
		if len(sw.had) != 0 {
			t.Errorf("the swarm believes that we hold %v", sw.had)
		}
		if tor.CachedBytes(tor.Root()) != 0 {
			t.Errorf("%d bytes cached", tor.CachedBytes(tor.Root()))
		}
	})
}

// A piece that is evicted is fetched again.
func TestEvictedAndReadAgain(t *testing.T) {
	bubble(t, 2*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, ft *fakeTorrent) {
		r := f.reader(tor, "f.bin")
		defer r.Close()
		for round := range 3 {
			for p := range 48 {
				off := int64(p) * 256 * kib
				parts, err := r.Read(t.Context(), off, 64*kib)
				if err != nil || !bytes.Equal(join(parts), ft.file(0)[off:off+64*kib]) {
					t.Fatalf("round %d, piece %d: %v", round, p, err)
				}
				if f.cache.Used() > f.cache.Budget() {
					t.Fatalf("cache over its bound: %d", f.cache.Used())
				}
			}
		}
		synctest.Wait()
		sw.mu.Lock()
		believed := len(sw.had)
		sw.mu.Unlock()
		if held := f.cache.Stats().Pieces; believed != held {
			t.Errorf("the swarm believes in %d pieces, the cache holds %d", believed, held)
		}
		if got, want := tor.CachedBytes(tor.Root()), int64(believed)*256*kib; got != want {
			t.Errorf("%d bytes cached, want %d", got, want)
		}
	})
}

func TestCachedAndComplete(t *testing.T) {
	ft := makeTorrent(t, "parts", 64*kib,
		fakeFile{path: "d/a", size: 100 * kib}, fakeFile{path: "d/b", size: 10 * kib},
		fakeFile{path: "d/empty"}, fakeFile{path: "c", size: 200 * kib})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 4*mib, newFakeEngine(ft))
		defer f.close()
		tor := f.add(ft)
		show := func() string {
			s := ""
			for _, path := range []string{"d", "d/a", "d/b", "d/empty", "c"} {
				n := find(tor.Root(), path)
				s += fmt.Sprintf("%s %d %v, ", path, tor.CachedBytes(n)/kib, tor.Complete(n))
			}
			return s
		}
		mustEqual(t, "nothing read", show(), "d 0 false, d/a 0 false, d/b 0 false, d/empty 0 true, c 0 false, ")
		r := f.reader(tor, "c")
		defer r.Close()
		if _, err := r.Read(t.Context(), 0, kib); err != nil { // piece 1, of 64 to 128 KiB
			t.Fatal(err)
		}
		mustEqual(t, "first piece of c", show(), "d 46 false, d/a 36 false, d/b 10 true, d/empty 0 true, c 18 false, ")
		a := f.reader(tor, "d/a")
		defer a.Close()
		if _, err := a.Read(t.Context(), 0, kib); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, "and of a", show(), "d 110 true, d/a 100 true, d/b 10 true, d/empty 0 true, c 18 false, ")
		if _, err := r.Read(t.Context(), 0, 200*kib); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, "all", tor.Complete(tor.Root()), true)
	})
}
