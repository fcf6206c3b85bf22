package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/swarm"
	"magnetfs/swarm/metainfo"
)

const (
	hashA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func (f *fixture) names() string {
	var names []string
	for _, t := range f.lib.Torrents() {
		names = append(names, t.Name())
	}
	return strings.Join(names, ", ")
}

func (f *fixture) mustAdd(text string) (*Torrent, bool) {
	f.t.Helper()
	t, created, err := f.lib.Add(text)
	if err != nil {
		f.t.Fatal(err)
	}
	return t, created
}

func TestAddSpellings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		f := newFixture(t, mib, e)
		defer f.close()
		first := "magnet:?xt=urn:btih:" + hashA + "&dn=My+Film&tr=udp://one.test:1/announce&x.pe=10.0.0.1:6881"
		a, created := f.mustAdd(first)
		if !created || a.Name() != "My Film" || a.HashString() != hashA {
			t.Fatalf("created %v, name %q, hash %s", created, a.Name(), a.HashString())
		}
		if a.Root() != nil {
			t.Error("a tree without metadata")
		}
		select {
		case <-a.Ready():
			t.Error("ready without metadata")
		default:
		}
		if _, err := a.Open(&Node{Kind: File}); !errors.Is(err, ErrNotReady) {
			t.Errorf("open without metadata: %v", err)
		}
		if _, err := a.Metainfo(); !errors.Is(err, ErrNotReady) {
			t.Errorf("metainfo without metadata: %v", err)
		}

		spellings := []string{
			hashA,
			strings.ToUpper(hashA),
			"VKVKVKVKVKVKVKVKVKVKVKVKVKVKVKVK",
			"magnet:?xt=urn:btih:" + strings.ToUpper(hashA) + "&tr=udp://two.test:2&tr=udp://one.test:1/announce&x.pe=10.0.0.2:6881",
		}
		for _, s := range spellings {
			if a.TypedAs(s) {
				t.Errorf("%q was not typed yet", s)
			}
			again, created := f.mustAdd(s)
			if created || again != a {
				t.Errorf("%q made another torrent", s)
			}
			if !a.TypedAs(s) || f.lib.Lookup(s) != a {
				t.Errorf("%q is no alias", s)
			}
		}
		for _, s := range append(spellings, first, "My Film", hashA) {
			if f.lib.Lookup(s) != a {
				t.Errorf("%q is not found", s)
			}
		}
		for _, s := range []string{"", "my film", hashB, "magnet:?xt=urn:btih:" + hashA, ".magnetfs"} {
			if f.lib.Lookup(s) != nil {
				t.Errorf("%q is found", s)
			}
		}
		mustEqual(t, "names", f.names(), "My Film")
		e.mu.Lock()
		sw := e.swarms[a.hash]
		e.mu.Unlock()
		mustEqual(t, "merged into the swarm", fmt.Sprint(sw.added), "[udp://two.test:2 10.0.0.2:6881]")
		m, err := metainfo.ParseMagnet(a.Magnet())
		if err != nil {
			t.Fatal(err)
		}
		mustEqual(t, "magnet", fmt.Sprintln(m.Trackers, m.Peers, m.DisplayName),
			"[udp://one.test:1/announce udp://two.test:2] [10.0.0.1:6881 10.0.0.2:6881] My Film\n")
		if len(e.adds) != 1 {
			t.Errorf("joined %d times", len(e.adds))
		}
		mustEqual(t, "status", a.Status().Name, "My Film")
	})
}

func TestAddInvalid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine())
		defer f.close()
		for _, text := range []string{"", "hello", "magnet:?dn=x", "magnet:?xt=urn:btih:" + hashA[1:], hashA + "0", "http://x"} {
			if _, _, err := f.lib.Add(text); !errors.Is(err, ErrInvalid) || len(err.Error()) < 20 {
				t.Errorf("%q: %v", text, err)
			}
		}
		for name, raw := range map[string][]byte{"empty": nil, "text": []byte("hello"), "dict": []byte("de")} {
			if _, _, err := f.lib.AddMetainfo(raw); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, _, err := f.lib.AddMetainfo(make([]byte, maxMetainfo+1)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("large: %v", err)
		}
		mustEqual(t, "names", f.names(), "")
	})
}

// A torrent with v1 and v2 hashes is one torrent, whichever a link names.
func TestHybridIsOne(t *testing.T) {
	const v2 = "1220" + "dddddddddddddddddddddddddddddddddddddddd" + "dddddddddddddddddddddddd"
	for _, tt := range []struct {
		name  string
		links []string
	}{
		{"both, then v2", []string{"magnet:?xt=urn:btih:" + hashA + "&xt=urn:btmh:" + v2, "magnet:?xt=urn:btmh:" + v2, "magnet:?xt=urn:btih:" + hashA}},
		{"v2, then both, then v1", []string{v2, "magnet:?xt=urn:btih:" + hashA + "&xt=urn:btmh:" + v2}},
		{"v1, then both, then v2", []string{hashA, "magnet:?xt=urn:btih:" + hashA + "&xt=urn:btmh:" + v2, v2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, mib, newFakeEngine())
				defer f.close()
				first, _ := f.mustAdd(tt.links[0])
				for _, link := range tt.links[1:] {
					if again, created := f.mustAdd(link); created || again != first {
						t.Errorf("%s made another torrent", link)
					}
				}
				name := f.names()
				f.lib.Close()
				f.open()
				mustEqual(t, "names", f.names(), name)
				if again, created := f.mustAdd(tt.links[len(tt.links)-1] + " "); created {
					t.Errorf("another torrent after a restart: %s", again.Name())
				}
				if err := f.lib.Remove(f.lib.Torrents()[0]); err != nil || f.lib.Lookup(hashA) != nil {
					t.Errorf("remove: %v", err)
				}
			})
		})
	}
}

// A link may name a second hash that is not the torrent's. Its info knows, and then the hash is free for its owner.
func TestWrongSecondHash(t *testing.T) {
	const v2 = "1220" + "dddddddddddddddddddddddddddddddddddddddd" + "dddddddddddddddddddddddd"
	ft := makeTorrent(t, "film", 64*kib, fakeFile{path: "f.bin", size: 200 * kib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		f := newFixture(t, mib, e)
		defer f.close()
		first, _ := f.mustAdd(ft.magnet() + "&xt=urn:btmh:" + v2)
		if f.lib.Lookup(v2[4:44]) != first {
			t.Error("a link is not believed")
		}
		e.of(ft).spec.OnInfo(ft.info)
		<-first.Ready()
		if f.lib.Lookup(v2[4:44]) != nil || strings.Contains(first.Magnet(), "btmh") {
			t.Error("a link counts more than the info")
		}
		if second, created := f.mustAdd(v2); !created || second == first {
			t.Error("the hash leads to another torrent")
		}
	})
}

func TestNameClashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine())
		defer f.close()
		a, _ := f.mustAdd("magnet:?xt=urn:btih:" + hashA + "&dn=film")
		b, _ := f.mustAdd("magnet:?xt=urn:btih:" + hashB + "&dn=film")
		c, _ := f.mustAdd("magnet:?xt=urn:btih:" + strings.Repeat("c", 40) + "&dn=" + hashB)
		mustEqual(t, "names", f.names(), hashB+" [cccccccc], film, film [bbbbbbbb]")
		if f.lib.Lookup("film") != a || f.lib.Lookup("film [bbbbbbbb]") != b || f.lib.Lookup(hashB) != b || f.lib.Lookup(hashB+" [cccccccc]") != c {
			t.Error("a name leads to the wrong torrent")
		}
		if err := f.lib.Remove(a); err != nil {
			t.Fatal(err)
		}
		if f.lib.Lookup("film") != nil || f.lib.Lookup(hashA) != nil {
			t.Error("a removed torrent is found")
		}
		mustEqual(t, "the other keeps its name", b.Name(), "film [bbbbbbbb]")
		if err := f.lib.Remove(a); !errors.Is(err, ErrRemoved) {
			t.Errorf("removed twice: %v", err)
		}
		again, created := f.mustAdd(hashA)
		if !created || again == a {
			t.Error("a removed torrent came back")
		}
	})
}

func TestMetadataArrives(t *testing.T) {
	ft := makeTorrent(t, "True Name", 64*kib, fakeFile{path: "f.bin", size: 200 * kib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		f := newFixture(t, mib, e)
		defer f.close()
		var changes []string
		f.lib.OnChange(func(c Change) {
			changes = append(changes, fmt.Sprintf("%s %q %q", [...]string{"added", "ready", "renamed", "labelled", "removed"}[c.Kind], c.Old, c.Name))
			if f.lib.Lookup(c.Name) != c.Torrent && c.Kind != Removed {
				t.Errorf("%+v: the name leads elsewhere", c)
			}
		})
		tor, _ := f.mustAdd(ft.magnet() + "&dn=Guess")
		e.of(ft).spec.OnInfo(ft.info)
		e.of(ft).spec.OnInfo(ft.info) // a swarm should not; nothing happens
		<-tor.Ready()
		mustEqual(t, "name", tor.Name(), "True Name")
		mustEqual(t, "tree", list(tor.Root()), "- f.bin 204800\n")
		if f.lib.Lookup("True Name") != tor || f.lib.Lookup("Guess") != tor {
			t.Error("the new or the old name is not found")
		}
		r := f.reader(tor, "f.bin")
		parts, err := r.Read(t.Context(), 0, 200*kib)
		r.Close()
		if err != nil || !bytes.Equal(join(parts), ft.payload) {
			t.Errorf("read: %v", err)
		}
		if data, err := (store{tor}).ReadPiece(1); err != nil || !bytes.Equal(data, ft.payload[64*kib:128*kib]) {
			t.Errorf("upload: %v", err)
		}
		raw, err := tor.Metainfo()
		if err != nil {
			t.Fatal(err)
		}
		if m, err := metainfo.ParseMetainfo(raw); err != nil || m.InfoHash != ft.info.InfoHash {
			t.Errorf("metainfo: %v", err)
		}
		synctest.Wait() // the changes are told while the names still hold
		f.lib.Remove(tor)
		if _, err := (store{tor}).ReadPiece(1); !errors.Is(err, swarm.ErrNotHave) {
			t.Errorf("upload of a removed torrent: %v", err)
		}
		synctest.Wait()
		mustEqual(t, "changes", strings.Join(changes, "\n"),
			`added "" "Guess"`+"\n"+`renamed "Guess" "True Name"`+"\n"+`ready "" "True Name"`+"\n"+`removed "" "True Name"`)
		select {
		case <-tor.Removed():
		default:
			t.Error("Removed is not closed")
		}
	})
}

// A .torrent file for a torrent that waits for its metadata.
func TestMetainfoForMagnet(t *testing.T) {
	ft := makeTorrent(t, "Named", 64*kib, fakeFile{path: "f.bin", size: 200 * kib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		f := newFixture(t, mib, e)
		defer f.close()
		tor, _ := f.mustAdd(ft.magnet())
		old := e.of(ft)
		same, created, err := f.lib.AddMetainfo(ft.raw)
		if err != nil || created || same != tor {
			t.Fatalf("%v, created %v", err, created)
		}
		<-tor.Ready()
		mustEqual(t, "name", tor.Name(), "Named")
		if !old.closed || e.of(ft) == old || e.of(ft).spec.Info != tor.info {
			t.Error("the swarm was not joined anew with the metadata")
		}
		mustEqual(t, "trackers", fmt.Sprint(e.of(ft).spec.Trackers), "[[udp://tracker.test:1]]")
		r := f.reader(tor, "f.bin")
		defer r.Close()
		if _, err := r.Read(t.Context(), 0, 1); err != nil {
			t.Error(err)
		}
		// Once more changes nothing.
		if _, created, err := f.lib.AddMetainfo(ft.raw); err != nil || created || len(e.adds) != 2 {
			t.Errorf("%v, created %v, joined %d times", err, created, len(e.adds))
		}
	})
}

func TestEngineRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine()
		e.err = errors.New("no sockets left")
		f := newFixture(t, mib, e)
		defer f.close()
		tor, created := f.mustAdd(hashA)
		if !created || f.lib.Lookup(hashA) != tor {
			t.Error("not listed")
		}
		if s := tor.Status(); s.Reason != "no sockets left" {
			t.Errorf("status %+v", s)
		}
		e.err = nil
		f.mustAdd(strings.ToUpper(hashA) + "\n") // merging into it is harmless
		if err := f.lib.Remove(tor); err != nil {
			t.Error(err)
		}
	})
}

// What was added survives, what was removed stays removed.
func TestRestart(t *testing.T) {
	ft := makeTorrent(t, "Real", 64*kib, fakeFile{path: "d/f.bin", size: 200 * kib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft)
		f := newFixture(t, mib, e)
		a, _ := f.mustAdd("magnet:?xt=urn:btih:" + hashA + "&dn=film&tr=udp://one.test:1&x.pe=10.0.0.1:1&so=1,3-4")
		time.Sleep(time.Second)
		b, _ := f.mustAdd("magnet:?xt=urn:btih:" + hashB + "&dn=film")
		gone, _ := f.mustAdd(strings.Repeat("c", 40))
		f.mustAdd(ft.magnet() + "&dn=Guess")
		e.of(ft).spec.OnInfo(ft.info)
		f.lib.Remove(gone)
		f.mustAdd(strings.ToUpper(hashA))
		before, addedA, magnetA := f.names(), a.Added(), a.Magnet()
		addedB := b.Added()
		if err := f.lib.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.lib.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if _, _, err := f.lib.Add(hashA); !errors.Is(err, ErrClosed) {
			t.Errorf("add after close: %v", err)
		}
		if err := f.lib.Remove(a); !errors.Is(err, ErrClosed) {
			t.Errorf("remove after close: %v", err)
		}

		time.Sleep(time.Hour)
		f.open()
		mustEqual(t, "names", f.names(), before)
		a, b = f.lib.Lookup(hashA), f.lib.Lookup(hashB)
		if !a.Added().Equal(addedA) || !b.Added().Equal(addedB) {
			t.Error("times changed")
		}
		mustEqual(t, "magnet", a.Magnet(), magnetA)
		for _, s := range []string{"film", strings.ToUpper(hashA)} {
			if f.lib.Lookup(s) != a {
				t.Errorf("%q is not found", s)
			}
		}
		mustEqual(t, "clash", b.Name(), "film [bbbbbbbb]")
		tor := f.lib.Lookup("Real")
		if tor == nil || tor != f.lib.Lookup("Guess") {
			t.Fatal("the torrent with metadata is not found by its names")
		}
		<-tor.Ready()
		mustEqual(t, "tree", list(tor.Root()), "d d 0\n- d/f.bin 204800\n")
		e.mu.Lock()
		for _, spec := range e.adds[len(e.adds)-3:] {
			if spec.InfoHash == a.hash && (fmt.Sprint(spec.Trackers) != "[[udp://one.test:1]]" || fmt.Sprint(spec.Peers) != "[10.0.0.1:1]") {
				t.Errorf("joined with %v, %v", spec.Trackers, spec.Peers)
			}
		}
		e.mu.Unlock()
		r := f.reader(tor, "d/f.bin")
		if _, err := r.Read(t.Context(), 0, 10); err != nil {
			t.Error(err)
		}
		r.Close()
		f.close()
	})
}

// Add, Remove, metadata and reads of many torrents at once, for the race detector.
func TestLibraryStress(t *testing.T) {
	var fts []*fakeTorrent
	for i := range 4 {
		fts = append(fts, makeTorrent(t, fmt.Sprintf("t%d", i%2), 16*kib, fakeFile{path: "f", size: int64(50+i) * kib}))
	}
	e := newFakeEngine(fts...)
	f := newFixture(t, mib, e)
	defer f.close()
	var mu sync.Mutex
	listed := map[*Torrent]int{}
	f.lib.OnChange(func(c Change) {
		mu.Lock()
		defer mu.Unlock()
		switch c.Kind {
		case Added:
			listed[c.Torrent]++
		case Removed:
			listed[c.Torrent]--
		}
	})
	stop := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			ft := fts[g]
			for time.Now().Before(stop) {
				tor, _, err := f.lib.Add(ft.magnet())
				if err != nil {
					t.Error(err)
					return
				}
				wg.Go(func() { e.of(ft).spec.OnInfo(ft.info) })
				<-tor.Ready()
				r, err := tor.Open(tor.Root().Child("f"))
				if err != nil {
					t.Error(err)
					return
				}
				if parts, err := r.Read(t.Context(), 0, mib); err != nil || !bytes.Equal(join(parts), ft.payload) {
					t.Error(err)
				}
				f.lib.Torrents()
				f.lib.Lookup("t0")
				tor.Status()
				wg.Go(r.Close)
				if err := f.lib.Remove(tor); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := f.names(); n != "" {
		t.Errorf("left: %s", n)
	}
	if used := f.cache.Used(); used != 0 {
		t.Errorf("%d bytes of removed torrents in the cache", used)
	}
}
