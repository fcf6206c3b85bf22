package fetch

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// visible lists what can be seen of a torrent.
func visible(t *Torrent, n *Node) (paths []string) {
	for _, c := range t.Visible(n) {
		paths = append(paths, c.Path)
		paths = append(paths, visible(t, c)...)
	}
	return paths
}

func TestHide(t *testing.T) {
	ft := makeTorrent(t, "T", 64*kib,
		fakeFile{path: "a", size: 200 * kib},
		fakeFile{path: "d/b", size: 200 * kib},
		fakeFile{path: "d/c", size: 10},
		fakeFile{path: "d/l", attr: "l", link: "a"},
		fakeFile{path: "e", size: 200 * kib})
	other := makeTorrent(t, "Other", 64*kib, fakeFile{path: "a", size: 10})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 4*mib, newFakeEngine(ft, other))
		defer f.close()
		tor := f.add(ft)
		o := f.add(other)
		node := func(path string) *Node { return find(tor.Root(), path) }
		hide := func(path string, want error) {
			t.Helper()
			if err := tor.Hide(node(path)); !errors.Is(err, want) {
				t.Errorf("hide %s: %v, want %v", path, err, want)
			}
		}
		if err := tor.Pin(nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, path := range []string{"a", "d/b", "d/c", "e"} {
			r := f.reader(tor, path)
			if _, err := r.Read(t.Context(), 0, mib); err != nil {
				t.Error(err)
			}
			r.Close()
		}
		mustEqual(t, "here", tor.CachedBytes(tor.Root()), 600*kib+10)
		hide("d", ErrNotEmpty)
		hide("d/b", nil)
		// Its two whole pieces, and not those that it shares with a and c.
		synctest.Wait() // for the keeper
		mustEqual(t, "left", tor.CachedBytes(node("d/b")), 200*kib-128*kib)
		mustEqual(t, "pinned", tor.PinStatus().Files, 3)
		if tor.Pinned(node("d/b")) || !tor.Pinned(nil) {
			t.Error("what is hidden is pinned, or what is not is not")
		}
		hide("d/c", nil)
		hide("d/l", nil)
		if n := tor.VisibleChild(tor.Root(), "d"); n == nil || len(tor.Visible(n)) != 0 {
			t.Error("the empty folder is not there")
		}
		hide("d", nil)
		mustEqual(t, "seen", strings.Join(visible(tor, tor.Root()), " "), "a e")
		if err := tor.Hide(tor.Root()); !errors.Is(err, ErrInvalid) {
			t.Errorf("the root: %v", err)
		}
		if err := tor.Hide(find(o.Root(), "a")); !errors.Is(err, ErrInvalid) {
			t.Errorf("a file of another torrent: %v", err)
		}

		if err := f.lib.Close(); err != nil {
			t.Error(err)
		}
		f.open()
		tor = f.lib.Lookup("T")
		mustEqual(t, "seen after a restart", strings.Join(visible(tor, tor.Root()), " "), "a e")
		mustEqual(t, "pinned after a restart", tor.PinStatus().Files, 2)
		if err := tor.Pin(tor.Root()); err != nil {
			t.Error(err)
		}
		mustEqual(t, "pinned of all", tor.PinStatus().Files, 2)
		if !tor.Hides() {
			t.Error("it hides nothing")
		}
		time.Sleep(time.Second)
		mustEqual(t, "left of what is hidden", tor.CachedBytes(node("d/b")), 200*kib-128*kib)
		if _, _, err := f.lib.Add(ft.magnet()); err != nil {
			t.Error(err)
		}
		mustEqual(t, "added again", len(visible(tor, tor.Root())), 6)
		if tor.Hides() || tor.Pinned(nil) {
			t.Error("what was hidden is still, or is pinned")
		}
	})
}
