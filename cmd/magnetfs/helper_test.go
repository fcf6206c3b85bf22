package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseOrder(t *testing.T) {
	for _, c := range []struct {
		name, args string
		flags      string // of magnetfs mount
		user       string
		fault      string
	}{
		{"plain", "none /mnt/x", "", "", ""},
		{"as mount calls it", "none /mnt/x -o rw", "", "", ""},
		{"of a line for systemd", "none /mnt/x -o rw,noauto,_netdev,nofail,x-systemd.automount,X-mount.mkdir,comment=hello", "", "", ""},
		{"of a line with user", "none /mnt/x -o rw,noexec,nosuid,nodev,user=ann", "--no-exec", "", ""},
		{"read-only", "none /mnt/x -o ro", "--read-only", "", ""},
		{"settings", "none /mnt/x -o ram=1GiB,no-dht,log_level=debug", "--ram=1GiB --no-dht=true --log-level=debug", "", ""},
		{"a value with a comma", `none /mnt/x -o dht-bootstrap="a.example:1,b.example:2",ro`, "--dht-bootstrap=a.example:1,b.example:2 --read-only", "", ""},
		{"options twice", "none /mnt/x -o ro -o allow_other", "--read-only --allow-other=true", "", ""},
		{"options in front, letters together", "-no allow_other none /mnt/x", "--allow-other=true", "", ""},
		{"type and namespace", "none /mnt/x -t magnetfs -N 7 -o ro", "--read-only", "", ""},
		{"for somebody", "none /mnt/x -o uid=ann,no_lpd", "--no-lpd=true", "ann", ""},
		{"for nobody", "none /mnt/x -o uid", "", "", "uid=1000"},
		{"unknown", "none /mnt/x -o colour=red", "", "", `"colour" is unknown;`},
		{"misspelt", "none /mnt/x -o allow-othre", "", "", "did you mean allow-other?"},
		{"in front only", "none /mnt/x -o foreground", "", "", `"foreground" is unknown`},
		{"a switch with a value", "none /mnt/x -o no-dht=1", "", "", "has no value"},
		{"a value is missing", "none /mnt/x -o ram", "", "", "ram=…"},
		{"a bad value", "none /mnt/x -o ram=much", "", "", "256MiB"},
		{"devices of strangers", "none /mnt/x -o dev", "", "", "strangers"},
		{"other options", "none /mnt/x -o remount,ro", "", "", "umount it first"},
		{"a torrent as source", "magnet:?xt=urn:btih:12 /mnt/x", "", "", "added in the mount"},
		{"no folder", "none", "", "", "usage"},
		{"no options after -o", "none /mnt/x -o", "", "", "-o wants a value"},
		{"an unknown letter", "none /mnt/x -x", "", "", "-x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := parseOrder(strings.Fields(c.args), newMount().Flags())
			if c.fault != "" {
				if err == nil || !strings.Contains(err.Error(), c.fault) {
					t.Errorf("fault %v, want %q", err, c.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if o.target != "/mnt/x" || strings.Join(o.flags, " ") != c.flags || o.user != c.user {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestSplitOptions(t *testing.T) {
	for text, want := range map[string][]string{
		"":              nil,
		",,":            nil,
		"a,b=c":         {"a", "b=c"},
		`a="b,c",d`:     {"a=b,c", "d"},
		`a="b,c`:        {"a=b,c"},
		`a=ü,b="",c=""`: {"a=ü", "b=", "c="},
	} {
		if got := splitOptions(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestEscapePath(t *testing.T) {
	for path, want := range map[string]string{ // as systemd-escape --path has it
		"/":           "-",
		"/mnt/x":      "mnt-x",
		"/mnt/x/":     "mnt-x",
		"/mnt/a-b c":  `mnt-a\x2db\x20c`,
		"/.hidden/.a": `\x2ehidden-.a`,
		"/ü":          `\xc3\xbc`,
	} {
		if got := escapePath(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestHelperStatus(t *testing.T) {
	for code, want := range map[exitCode]int{exitOK: 0, exitUsage: 1, exitInterrupted: 8, exitTarget: 32, exitFailed: 32} {
		if got := helperStatus(code); got != want {
			t.Errorf("%d: %d, want %d", code, got, want)
		}
	}
}
