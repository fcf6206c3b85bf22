package fetch

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bits-and-blooms/bitset"

	"magnetfs/cache"
	"magnetfs/swarm/metainfo"
)

// pinnedTorrent has files that share pieces: 8 pieces of 256 KiB.
//
//	0       1       2       3       4       5       6       7
//	[a a a a|a a b b|b b b b|b b c c|d d d d|d d d d|d d d d|d d d d]
func pinnedTorrent(t *testing.T, name string) *fakeTorrent {
	return makeTorrent(t, name, 256*kib,
		fakeFile{path: "a", size: 384 * kib}, fakeFile{path: "dir/b", size: 512 * kib},
		fakeFile{path: "dir/c", size: 128 * kib}, fakeFile{path: "d", size: mib},
		fakeFile{path: "empty", size: 0}, fakeFile{path: "link", attr: "l", link: "a"})
}

func TestPinFetchesAndUnpinLetsGo(t *testing.T) {
	ft := pinnedTorrent(t, "files")
	for _, tt := range []struct {
		pin  string // "" is the whole torrent
		want string // delivered
		cost int64
	}{
		{"a", "--......", 512 * kib},
		{"dir/b", ".---....", 768 * kib},
		{"dir", ".---....", 768 * kib},
		{"d", "....----", mib},
		{"empty", "........", 0},
		{"", "--------", 2 * mib},
	} {
		t.Run("pin "+tt.pin, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine(ft)
				e.latency = 50 * time.Millisecond
				f := newFixture(t, 16*mib, e)
				defer f.close()
				tor := f.add(ft)
				n := tor.Root()
				if tt.pin != "" {
					n = find(n, tt.pin)
				}
				if err := tor.Pin(n); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				sw := e.of(ft)
				mustEqual(t, "delivered", strings.ReplaceAll(sw.wanted(), "+", "-"), tt.want)
				if !slices.IsSorted(sw.delivered) {
					t.Errorf("not in order: %v", sw.delivered)
				}
				s := tor.PinStatus()
				mustEqual(t, "have", s.Have, s.Size)
				mustEqual(t, "pinned", tor.Pinned(n), true)
				mustEqual(t, "held in the cache", f.cache.Pinned(), tt.cost)
				_, used := f.lib.PinRoom()
				mustEqual(t, "counted", used, tt.cost)
				if err := tor.Unpin(n); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				mustEqual(t, "pinned after unpin", tor.Pinned(n), false)
				mustEqual(t, "held after unpin", f.cache.Pinned(), 0)
				mustEqual(t, "wants after unpin", len(sw.wants), 0)
				mustEqual(t, "status after unpin", tor.PinStatus(), PinStatus{})
			})
		})
	}
}

func TestPinsOverlap(t *testing.T) {
	ft := pinnedTorrent(t, "overlap")
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 16*mib, newFakeEngine(ft))
		defer f.close()
		tor := f.add(ft)
		root := tor.Root()
		pinned := func() (s string) {
			for _, path := range []string{"a", "dir", "dir/b", "dir/c", "d", "empty"} {
				if tor.Pinned(find(root, path)) {
					s += path + " "
				}
			}
			return s
		}
		for _, step := range []struct {
			do   func(*Node) error
			path string
			want string
		}{
			{tor.Pin, "dir/b", "dir/b "},
			{tor.Pin, "dir/b", "dir/b "}, // again
			{tor.Pin, "a", "a dir/b "},
			{tor.Pin, "dir/c", "a dir dir/b dir/c "},
			{tor.Unpin, "dir/b", "a dir/c "}, // piece 1 stays for a, piece 3 for c
			{tor.Unpin, "d", "a dir/c "},     // was not pinned
		} {
			if err := step.do(find(root, step.path)); err != nil {
				t.Fatal(err)
			}
			mustEqual(t, "after "+step.path, pinned(), step.want)
		}
		time.Sleep(time.Minute)
		mustEqual(t, "held", f.cache.Pinned(), 768*kib)
		if err := tor.Pin(nil); err != nil || !tor.Pinned(nil) || !tor.Pinned(root) {
			t.Errorf("the whole torrent: %v", err)
		}
		if err := tor.Pin(find(root, "link")); !errors.Is(err, ErrInvalid) {
			t.Errorf("a link: %v", err)
		}
		if err := tor.Pin(&Node{Kind: File, File: 99}); !errors.Is(err, ErrInvalid) {
			t.Errorf("a file of another torrent: %v", err)
		}
		if err := f.lib.Remove(tor); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		mustEqual(t, "held after the removal", f.cache.Pinned(), 0)
		if err := tor.Pin(nil); !errors.Is(err, ErrRemoved) {
			t.Errorf("a removed torrent: %v", err)
		}
	})
}

// What does not fit is refused, and says by how much.
func TestPinNoRoom(t *testing.T) {
	one, two := pinnedTorrent(t, "one"), pinnedTorrent(t, "two")
	synctest.Test(t, func(t *testing.T) {
		var capacity atomic.Int64 // read by the keeper as well
		capacity.Store(mib)
		f := newFixture(t, 16*mib, newFakeEngine(one, two))
		f.close()
		f.cfg.PinCapacity = func() int64 { return capacity.Load() }
		f = reopened(f)
		defer f.close()
		tor, other := f.add(one), f.add(two)
		err := tor.Pin(nil)
		if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), `pin "one": 2.0 MiB are more than the 1.0 MiB that can be pinned`) {
			t.Errorf("too large: %v", err)
		}
		if err := tor.Pin(find(tor.Root(), "a")); err != nil {
			t.Fatal(err)
		}
		err = other.Pin(find(other.Root(), "dir"))
		if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), `pin "two/dir": 768 KiB are more than the 512 KiB left of the 1.0 MiB`) {
			t.Errorf("the second: %v", err)
		}
		mustEqual(t, "pinned all the same", other.Pinned(find(other.Root(), "dir/b")), false)
		capacity.Store(4 * mib)
		if err := other.Pin(find(other.Root(), "dir")); err != nil {
			t.Errorf("with more room: %v", err)
		}
	})
}

// reopened is the fixture after a restart, with an empty cache.
func reopened(f *fixture) *fixture {
	f.t.Helper()
	c, err := cache.New(cache.Config{Bytes: f.cache.Budget()})
	if err != nil {
		f.t.Fatal(err)
	}
	next := &fixture{t: f.t, dir: f.dir, cache: c, engine: f.engine, cfg: f.cfg}
	next.cfg.Cache = c
	next.open()
	return next
}

func TestPinsAfterRestart(t *testing.T) {
	ft := pinnedTorrent(t, "kept")
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 16*mib, newFakeEngine(ft))
		tor := f.add(ft)
		for _, path := range []string{"a", "d"} {
			if err := tor.Pin(find(tor.Root(), path)); err != nil {
				t.Fatal(err)
			}
		}
		f.close()
		f = reopened(f)
		tor = f.lib.Torrents()[0]
		time.Sleep(time.Minute)
		mustEqual(t, "pinned", tor.Pinned(find(tor.Root(), "a")) && tor.Pinned(find(tor.Root(), "d")) && !tor.Pinned(nil), true)
		mustEqual(t, "here again", strings.ReplaceAll(f.engine.of(ft).wanted(), "+", "-"), "--..----")
		f.close()

		// With less memory: as much as it holds, and the status says so.
		f.cfg.PinCapacity = func() int64 { return 768 * kib }
		f = reopened(f)
		defer f.close()
		tor = f.lib.Torrents()[0]
		time.Sleep(time.Minute)
		s := tor.PinStatus()
		mustEqual(t, "full", s.Full, true)
		mustEqual(t, "still pinned", s.Files, 2)
		mustEqual(t, "held", f.cache.Pinned(), 768*kib)
	})
}

// so= of a magnet, and pins from before the metadata.
func TestPinLater(t *testing.T) {
	ft := pinnedTorrent(t, "later")
	for _, tt := range []struct {
		name    string
		so      string
		pin     bool // the whole torrent, before the metadata
		room    int64
		ready   bool // the metadata is there when the magnet comes
		want    string
		refused string
	}{
		{name: "one file", so: "0", room: 8 * mib, want: "--......"},
		{name: "ranges", so: "0,3-4", room: 8 * mib, want: "--..----"},
		{name: "metadata is there", so: "3", room: 8 * mib, ready: true, want: "....----"},
		{name: "no such files", so: "17-30", room: 8 * mib, want: "........"},
		{name: "too large", so: "0,3", room: mib, want: "........", refused: "1.5 MiB are more than the 1.0 MiB"},
		{name: "whole", pin: true, room: 8 * mib, want: "--------"},
		{name: "whole, too large", pin: true, room: mib, want: "........", refused: "2.0 MiB are more than the 1.0 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, 16*mib, newFakeEngine(ft))
				f.close()
				f.cfg.PinCapacity = func() int64 { return tt.room }
				f = reopened(f)
				if tt.ready {
					f.add(ft)
				}
				link := ft.magnet()
				if tt.so != "" {
					link += "&so=" + tt.so
				}
				tor, _, err := f.lib.Add(link)
				if err != nil {
					t.Fatal(err)
				}
				if tt.pin {
					if err := tor.Pin(nil); err != nil || !tor.Pinned(nil) {
						t.Fatalf("pin: %v", err)
					}
				}
				if !tt.ready {
					mustEqual(t, "later", tor.PinStatus().Later, true)
					f.close() // it is not forgotten
					f = reopened(f)
					tor = f.lib.Torrents()[0]
					mustEqual(t, "later, after a restart", tor.PinStatus().Later, true)
					f.engine.of(ft).spec.OnInfo(ft.info)
				}
				defer f.close()
				time.Sleep(time.Minute)
				mustEqual(t, "delivered", strings.ReplaceAll(f.engine.of(ft).wanted(), "+", "-"), tt.want)
				s := tor.PinStatus()
				if s.Later || tt.refused == "" && s.Refused != "" || !strings.Contains(s.Refused, tt.refused) {
					t.Errorf("status %+v, want refused %q", s, tt.refused)
				}
				if !tt.pin && tor.Magnet() == "" {
					t.Error("no magnet")
				}
			})
		})
	}
}

// Pins give way to readers, and are not evicted by them.
func TestPinsBesideReaders(t *testing.T) {
	bubble(t, 16*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, ft *fakeTorrent) {
		sw.rate = mib // 4 pieces a second
		if err := tor.Pin(find(tor.Root(), "g.bin")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond) // the second is under way
		r := f.reader(tor, "f.bin")
		defer r.Close()
		a := <-readAsync(t.Context(), r, 0, 64*kib)
		if a.err != nil || a.after > 500*time.Millisecond {
			t.Errorf("a read beside a pin: %v after %v", a.err, a.after)
		}
		for off := int64(0); off < 48*256*kib; off += 256 * kib {
			if a := <-readAsync(t.Context(), r, off, 256*kib); a.err != nil || !bytes.Equal(a.data, ft.file(0)[off:off+256*kib]) {
				t.Fatalf("at %d: %v", off, a.err)
			}
		}
		time.Sleep(time.Minute)
		mustEqual(t, "the pin is whole", tor.Complete(find(tor.Root(), "g.bin")), true)
		for range 3 { // turn the rest of the cache over
			for off := int64(0); off < 48*256*kib; off += 256 * kib {
				<-readAsync(t.Context(), r, off, 256*kib)
			}
		}
		mustEqual(t, "and stays whole", tor.Complete(find(tor.Root(), "g.bin")), true)
		if used := f.cache.Used(); used > f.cache.Budget() {
			t.Errorf("cache over its bound: %d", used)
		}
	})
}

// Pieces that nobody has do not hold up the others, and come when somebody has them.
func TestPinPassesOver(t *testing.T) {
	bubble(t, 32*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, ft *fakeTorrent) {
		sw.connected = 1
		sw.absent = map[int]bool{}
		for p := range 20 { // more than are on their way at a time
			sw.absent[p] = true
		}
		if err := tor.Pin(nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if n, _ := sw.count(); n != 44 {
			t.Errorf("%d pieces came, not 44", n)
		}
		sw.mu.Lock()
		sw.absent = nil
		sw.mu.Unlock()
		sw.poke()
		time.Sleep(2 * time.Minute)
		mustEqual(t, "whole", tor.Complete(tor.Root()), true)
	})
}

func TestReadersAndPieceMap(t *testing.T) {
	bubble(t, 32*mib, func(t *testing.T, f *fixture, tor *Torrent, sw *fakeSwarm, ft *fakeTorrent) {
		r := f.reader(tor, "f.bin")
		defer r.Close()
		r.SetOwner("cat (7)")
		mustEqual(t, "mode", tor.Readers(nil)[0].Mode, ModeOpened)
		if a := <-readAsync(t.Context(), r, 300*kib, 4*kib); a.err != nil {
			t.Fatal(a.err)
		}
		s := tor.Readers(nil)[0]
		mustEqual(t, "mode", s.Mode, ModeProbe)
		mustEqual(t, "offset", s.Offset, 304*kib)
		mustEqual(t, "ahead", s.Ahead, 512*kib-304*kib)
		mustEqual(t, "owner", s.Owner, "cat (7)")

		sw.setPeers(0)
		ch := readAsync(t.Context(), r, 10*256*kib-100, 200)
		time.Sleep(3 * time.Second)
		s = tor.Readers([]WaitingPiece{{Piece: 10, Blocks: 16, Received: 3, From: []string{"10.0.0.1:1"}}})[0]
		if len(s.Waiting) != 1 || s.Waiting[0].Offset != 10*256*kib-100 || s.Waiting[0].Length != 200 || time.Since(s.Waiting[0].Since) != 3*time.Second {
			t.Fatalf("waiting %+v", s.Waiting)
		}
		p := s.Waiting[0].Pieces
		if len(p) != 2 || p[0].Piece != 9 || p[0].Blocks != 16 || p[1].Received != 3 || p[1].From[0] != "10.0.0.1:1" {
			t.Errorf("pieces %+v", p)
		}
		if err := tor.Pin(find(tor.Root(), "g.bin")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var pic []byte
		for _, s := range tor.PieceMap() {
			pic = append(pic, byte(s))
		}
		mustEqual(t, "map", string(pic), ".#.......!!....................................."+"++++++++++++++++")
		sw.setPeers(1)
		if a := <-ch; a.err != nil {
			t.Error(a.err)
		}
		for off := int64(3 * mib); off < 7*mib; off += 256 * kib {
			if a := <-readAsync(t.Context(), r, off, 256*kib); a.err != nil {
				t.Fatal(a.err)
			}
		}
		s = tor.Readers(nil)[0]
		if s.Mode != ModePlayer || len(s.Window) < 4 || len(s.Waiting) != 0 || s.WindowHave > len(s.Window) {
			t.Errorf("a player: %+v", s)
		}
		time.Sleep(2 * time.Minute)
		mustEqual(t, "mode at rest", tor.Readers(nil)[0].Mode, ModeIdle)
	})
}

// setOf is the set of the places with a '#'.
func setOf(pic string) *bitset.BitSet {
	set := bitset.New(uint(len(pic)))
	for i, c := range pic {
		set.SetTo(uint(i), c == '#')
	}
	return set
}

func TestRangesOf(t *testing.T) {
	for _, tt := range []struct {
		set  string
		want []metainfo.Range
	}{
		{"....", nil},
		{"#...", []metainfo.Range{{First: 0, Last: 0}}},
		{"#.##", []metainfo.Range{{First: 0, Last: 0}, {First: 2, Last: 3}}},
		{"####", []metainfo.Range{{First: 0, Last: 3}}},
	} {
		if got := rangesOf(setOf(tt.set)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.set, got, tt.want)
		}
	}
}
