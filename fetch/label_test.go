package fetch

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

func TestLabel(t *testing.T) {
	ft := makeTorrent(t, "Own Name", 64*kib, fakeFile{path: "f.bin", size: 200 * kib})
	other := makeTorrent(t, "Other", 64*kib, fakeFile{path: "f.bin", size: 200 * kib})
	synctest.Test(t, func(t *testing.T) {
		e := newFakeEngine(ft, other)
		f := newFixture(t, mib, e)
		var changes []string
		f.lib.OnChange(func(c Change) {
			if c.Kind == Labelled {
				changes = append(changes, fmt.Sprintf("%s>%s", c.Old, c.Name))
			}
		})
		tor, _ := f.mustAdd(ft.magnet() + "&dn=Guess")
		o, _ := f.mustAdd(other.magnet() + "&dn=Taken")
		tests := []struct {
			name string
			want error
		}{
			{"Taken", ErrExists},
			{"", ErrInvalid},
			{"..", ErrInvalid},
			{"a/b", ErrInvalid},
			{"a\x1bb", ErrInvalid},
			{"a\xff", ErrInvalid},
			{".magnetfs", ErrInvalid},
			{o.HashString(), ErrInvalid},
			{strings.ToUpper(o.HashString()), ErrInvalid},
			{"Magnet:?dn=x", ErrInvalid},
			{strings.Repeat("x", 241), ErrNameTooLong},
			{strings.Repeat("é", 120), nil},
			{"Mine", nil},
			{"Mine", nil},
		}
		for _, tt := range tests {
			if err := tor.Label(tt.name); !errors.Is(err, tt.want) {
				t.Errorf("%q: %v, want %v", tt.name, err, tt.want)
			}
		}
		e.of(ft).spec.OnInfo(ft.info)
		mustEqual(t, "name with metadata", tor.Name(), "Mine")
		check := func() {
			t.Helper()
			for _, name := range []string{"Mine", "Own Name", "Guess", tor.HashString(), ft.magnet() + "&dn=Guess"} {
				if f.lib.Lookup(name) != tor {
					t.Errorf("%q does not lead to it", name)
				}
			}
		}
		check()
		if err := f.lib.Close(); err != nil {
			t.Error(err)
		}
		f.open()
		tor = f.lib.Lookup(tor.HashString())
		mustEqual(t, "name after a restart", tor.Name(), "Mine")
		check()

		// The own name stays an alias for ever, others may have it.
		for i := range 2 * maxOldNames {
			if err := tor.Label(fmt.Sprint("Name ", i)); err != nil {
				t.Error(err)
			}
		}
		if f.lib.Lookup("Own Name") != tor || f.lib.Lookup("Mine") != nil {
			t.Error("the aliases are not the own name and the latest")
		}
		o = f.lib.Lookup(o.HashString())
		if o == nil {
			t.Fatal("the other one is gone")
		}
		if err := o.Label("Own Name"); err != nil {
			t.Error(err)
		}
		if f.lib.Lookup("Own Name") != o {
			t.Error("the alias comes before a folder's name")
		}
		if err := f.lib.Remove(o); err != nil {
			t.Error(err)
		}
		if f.lib.Lookup("Own Name") != tor {
			t.Error("the alias is gone with the other folder")
		}
		if err := o.Label("x"); !errors.Is(err, ErrRemoved) {
			t.Errorf("of a removed torrent: %v", err)
		}
		if err := tor.Label("Own Name"); err != nil || tor.Name() != "Own Name" {
			t.Errorf("back: %q, %v", tor.Name(), err)
		}
		f.close()
		mustEqual(t, "changes", strings.Join(changes, " "), "Guess>"+strings.Repeat("é", 120)+" "+strings.Repeat("é", 120)+">Mine")
	})
}
