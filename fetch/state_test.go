package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A second library on the same directory is refused, and welcome afterwards.
func TestStateLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine())
		defer f.close()
		if lib, err := Open(f.cfg); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Errorf("%v, %v", lib, err)
		}
		f.lib.Close()
		f.open()
	})
}

// After a crash the files are whatever they were: here, those of a running
// library, copied away.
func TestCrash(t *testing.T) {
	ft := makeTorrent(t, "Real", 64*kib, fakeFile{path: "f.bin", size: 200 * kib})
	tests := []struct {
		name   string
		damage func(t *testing.T, dir string)
		ready  bool // the metadata survives
		names  string
	}{
		{"nothing is damaged", func(*testing.T, string) {}, true, "Real, film"},
		{"no list", func(t *testing.T, dir string) { remove(t, dir, listFile) }, true, "Real, film"},
		{"the list is garbage", func(t *testing.T, dir string) { write(t, dir, listFile, []byte("garbage")) }, true, "Real, film"},
		{"no database", func(t *testing.T, dir string) { remove(t, dir, dbFile) }, false, "Real, film"},
		{"the database is empty", func(t *testing.T, dir string) { write(t, dir, dbFile, nil) }, false, "Real, film"},
		{"the database is garbage", func(t *testing.T, dir string) { write(t, dir, dbFile, bytes.Repeat([]byte("garbage "), 9000)) }, false, "Real, film"},
		{"the database is cut short", func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, dbFile), 9000); err != nil {
				t.Fatal(err)
			}
		}, false, "Real, film"},
		{"pages of the database are garbage", func(t *testing.T, dir string) { scribble(t, dir, dbFile, 8192, 1<<20) }, false, "Real, film"},
		{"all but a page of the database are zero", func(t *testing.T, dir string) { scribble(t, dir, dbFile, 4096, 1<<20) }, false, "Real, film"},
		{"both are garbage", func(t *testing.T, dir string) {
			write(t, dir, dbFile, []byte("garbage"))
			write(t, dir, listFile, []byte("garbage"))
		}, false, ""},
		{"the database is garbage, one entry of the list too", func(t *testing.T, dir string) {
			write(t, dir, dbFile, []byte("garbage"))
			write(t, dir, listFile, []byte(`[{"hash":"nonsense","name":"x"},{"hash":"`+hashB+`","name":"../x"},{"hash":"`+hashA+`","name":"film"}]`))
		}, false, "film"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newFakeEngine(ft)
				f := newFixture(t, mib, e)
				f.add(ft)
				f.mustAdd("magnet:?xt=urn:btih:" + hashA + "&dn=film")
				gone, _ := f.mustAdd(strings.Repeat("c", 40))
				f.lib.Remove(gone)    // it waits for the disk
				time.Sleep(listEvery) // the list follows
				synctest.Wait()

				crashed := t.TempDir()
				for _, name := range []string{dbFile, listFile} {
					raw, err := os.ReadFile(filepath.Join(f.dir, name))
					if err != nil {
						t.Fatal(err)
					}
					write(t, crashed, name, raw)
				}
				f.lib.Close()

				tt.damage(t, crashed)
				f.cfg.StateDir = crashed
				for range 2 { // and once more: it is mended
					f.open()
					mustEqual(t, "names", f.names(), tt.names)
					if tor := f.lib.Lookup("Real"); tor != nil && (tor.Root() != nil) != tt.ready {
						t.Errorf("metadata survived: %v", tor.Root() != nil)
					}
					if tor := f.lib.Lookup("film"); tor != nil && !tt.ready && f.lib.Lookup(hashA) != tor {
						t.Error("the hash is not found")
					}
					f.lib.Close()
				}
				f.cache.Close()
			})
		})
	}
}

// A database that becomes damaged while it is used is made anew from memory.
func TestDamageInFlight(t *testing.T) {
	ft := makeTorrent(t, "Real", 64*kib, fakeFile{path: "f.bin", size: 200 * kib})
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine(ft))
		f.add(ft)
		scribble(t, f.dir, dbFile, 0, 1<<20)
		for i := range 9 {
			f.mustAdd(strings.Repeat(fmt.Sprint(i), 40))
		}
		before := f.names()
		f.lib.Close()
		f.open()
		mustEqual(t, "names", f.names(), before)
		f.close()
	})
}

// A directory that cannot be written is an error at once, not a loss later.
func TestStateDirErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine())
		defer f.close()
		cfg := f.cfg
		cfg.StateDir = filepath.Join(t.TempDir(), "file")
		write(t, filepath.Dir(cfg.StateDir), "file", nil)
		if _, err := Open(cfg); err == nil {
			t.Error("a file was taken for the directory")
		}
		cfg.StateDir = t.TempDir()
		if err := os.Mkdir(filepath.Join(cfg.StateDir, dbFile), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(cfg); err == nil {
			t.Error("a folder was taken for the database")
		}
		for _, bad := range []Config{{}, {Engine: f.engine, Cache: f.cache}, {Engine: f.engine, StateDir: "x"}, {Cache: f.cache, StateDir: "x"}} {
			if _, err := Open(bad); err == nil {
				t.Errorf("opened with %+v", bad)
			}
		}
	})
}

// While the disk refuses, changes stay unsaved and are saved later.
func TestSaveRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine())
		defer f.close()
		list := filepath.Join(f.dir, listFile)
		f.mustAdd(hashA)
		time.Sleep(listEvery)
		synctest.Wait()
		if err := os.Remove(list); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(list, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		f.mustAdd(hashB)
		time.Sleep(listEvery) // in vain
		synctest.Wait()
		if err := os.RemoveAll(list); err != nil {
			t.Fatal(err)
		}
		f.lib.Close()
		raw, err := os.ReadFile(list)
		if err != nil || !bytes.Contains(raw, []byte(hashA)) || !bytes.Contains(raw, []byte(hashB)) {
			t.Errorf("%s, %v", raw, err)
		}
	})
}

// Many torrents that are added in a row do not write the list of all for each.
func TestListIsWrittenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine())
		defer f.close()
		list := filepath.Join(f.dir, listFile)
		f.mustAdd(hashA)
		synctest.Wait()
		first, err := os.Stat(list)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 9 {
			f.mustAdd(strings.Repeat(fmt.Sprint(i), 40))
		}
		synctest.Wait()
		if now, err := os.Stat(list); err != nil || !os.SameFile(first, now) {
			t.Errorf("the list was written again at once, %v", err)
		}
		time.Sleep(listEvery)
		synctest.Wait()
		if raw, err := os.ReadFile(list); err != nil || !bytes.Contains(raw, []byte(strings.Repeat("8", 40))) {
			t.Errorf("the list does not follow: %s, %v", raw, err)
		}
	})
}

// Any contents of the two files: Open gives a library or an error.
func FuzzState(f *testing.F) {
	f.Add([]byte("garbage"), []byte(`[{"hash":"`+hashA+`","name":"film","spellings":["x"]}]`))
	f.Add([]byte{}, []byte(`[]`))
	seed := f.TempDir()
	d, _, err := openState(seed, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	d.close()
	if raw, err := os.ReadFile(filepath.Join(seed, dbFile)); err == nil {
		f.Add(raw, []byte(`{`))
	}
	f.Fuzz(func(t *testing.T, db, list []byte) {
		dir := t.TempDir()
		write(t, dir, dbFile, db)
		write(t, dir, listFile, list)
		log := slog.New(slog.NewTextHandler(io.Discard, nil))
		for range 2 {
			d, found, err := openState(dir, log)
			if err != nil {
				return
			}
			for _, s := range found {
				if err := s.rec.check(); err != nil {
					t.Errorf("a record with %v", err)
				}
			}
			d.close()
		}
	})
}

func write(t testing.TB, dir, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// scribble overwrites bytes [from, to) of a file, as far as it is long.
func scribble(t testing.TB, dir, name string, from, to int64) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if to = min(to, st.Size()); from < to {
		if _, err := file.WriteAt(bytes.Repeat([]byte{0xa5, 0, 0xff}, int(to-from))[:to-from], from); err != nil {
			t.Fatal(err)
		}
	}
}

// A state directory that cannot be written is told of, once in the log, and holds
// nobody up.
func TestUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, mib, newFakeEngine())
		f.lib.Close()
		var log bytes.Buffer
		f.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		f.open()
		defer f.close()

		list := filepath.Join(f.dir, listFile)
		if err := os.MkdirAll(filepath.Join(list, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		add := func(n int) {
			t.Helper()
			if _, _, err := f.lib.Add(fmt.Sprintf("%040x", n)); err != nil {
				t.Fatal(err)
			}
		}
		add(1)
		time.Sleep(2 * listEvery)
		if f.lib.Unsaved() == nil {
			t.Error("no problem")
		}
		start := time.Now()
		for n := range 50 {
			add(n + 2)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("adding took %v", took)
		}
		time.Sleep(3 * saveRetry)
		if err := os.RemoveAll(list); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveRetry + listEvery)
		if err := f.lib.Unsaved(); err != nil {
			t.Errorf("still a problem: %v", err)
		}
		synctest.Wait()
		if said := log.String(); strings.Count(said, "cannot be saved") != 1 || !strings.Contains(said, "saved again") {
			t.Errorf("the log says %s", said)
		}
	})
}
