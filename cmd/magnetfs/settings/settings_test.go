package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// example are flags of each kind.
func example() *pflag.FlagSet {
	f := pflag.NewFlagSet("example", pflag.ContinueOnError)
	f.SortFlags = false
	f.String("ram", "256MiB", "")
	f.Int("port", 0, "")
	f.Bool("no-dht", false, "")
	f.Duration("read-timeout", time.Minute, "")
	f.StringSlice("nodes", []string{"a:1", "b:2"}, "")
	f.String("config", "", "")
	f.Bool("help", false, "")
	return f
}

// apply gives the example's flags their values from a command line, an environment
// and the text of a file.
func apply(t *testing.T, args, environment, file string) (*Settings, error) {
	t.Helper()
	flags := example()
	if err := flags.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, v := range strings.Fields(environment) {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	from := Sources{Dirs: []string{"/link", "/home/ann/t"}, Lookup: func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}}
	if file != "" {
		var err error
		if from.File, err = parse("/etc/x.toml", []byte(file), "/home/ann"); err != nil {
			return nil, err
		}
	}
	return Apply(flags, from, example)
}

func TestPrecedence(t *testing.T) {
	const file = `
ram = "1GiB"
port = 7001
[mounts."~/t/"]
ram = "2GiB"
[mounts."/elsewhere"]
ram = "9GiB"
`
	for _, c := range []struct {
		name, args, env, file string
		key                   string
		value                 any
		origin                Origin
		where                 string
	}{
		{"default", "", "", "", "ram", "256MiB", Default, ""},
		{"file", "", "", file, "port", int64(7001), FromFile, "/etc/x.toml"},
		{"section of the mount before the rest", "", "", file, "ram", "2GiB", FromFile, `/etc/x.toml, [mounts."/home/ann/t"]`},
		{"environment before the file", "", "MAGNETFS_RAM=3GiB", file, "ram", "3GiB", Environment, "MAGNETFS_RAM"},
		{"an empty variable is none", "", "MAGNETFS_RAM=", "", "ram", "256MiB", Default, ""},
		{"flag before all", "--ram 4GiB", "MAGNETFS_RAM=3GiB", file, "ram", "4GiB", Flag, "--ram"},
		{"a flag that says the default", "--port 0", "", file, "port", int64(0), Flag, "--port"},
		{"words in a variable", "", "MAGNETFS_NO_DHT=true", "", "no-dht", true, Environment, "MAGNETFS_NO_DHT"},
		{"switch in the file", "", "", "no-dht = true", "no-dht", true, FromFile, "/etc/x.toml"},
		{"duration", "", "", `read-timeout = "90s"`, "read-timeout", "1m30s", FromFile, "/etc/x.toml"},
		{"no time at all", "", "", `read-timeout = 0`, "read-timeout", "0s", FromFile, "/etc/x.toml"},
		{"size as a number", "", "", `ram = 300000000`, "ram", "300000000", FromFile, "/etc/x.toml"},
		{"list replaces the default", "", "", `nodes = ["c:3"]`, "nodes", []string{"c:3"}, FromFile, "/etc/x.toml"},
		{"empty list", "", "", `nodes = []`, "nodes", []string{}, FromFile, "/etc/x.toml"},
		{"list in one text", "", "MAGNETFS_NODES=c:3,d:4", "", "nodes", []string{"c:3", "d:4"}, Environment, "MAGNETFS_NODES"},
		{"list by default", "", "", "", "nodes", []string{"a:1", "b:2"}, Default, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := apply(t, c.args, c.env, c.file)
			if err != nil {
				t.Fatal(err)
			}
			for _, got := range s.List() {
				if got.Key == c.key && (!reflect.DeepEqual(got.Value, c.value) || got.Origin != c.origin || got.Where != c.where) {
					t.Errorf("%#v", got)
				}
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct{ name, env, file, want string }{
		{"unknown key", "", "rma = 1", `/etc/x.toml: there is no setting "rma", did you mean ram?`},
		{"unknown, like nothing", "", "colour = 1", `/etc/x.toml: there is no setting "colour"`},
		{"not for files", "", `config = "x"`, `no setting "config"`},
		{"unknown for another mount", "", "[mounts.'/elsewhere']\nrma = 1", `/etc/x.toml, [mounts."/elsewhere"]: there is no setting "rma"`},
		{"bad value", "", `port = "x"`, `/etc/x.toml: port: `},
		{"bad value for another mount", "", "[mounts.'/elsewhere']\nport = 'x'", `/etc/x.toml, [mounts."/elsewhere"]: port: `},
		{"duration without a unit", "", "read-timeout = 60", `/etc/x.toml: read-timeout: `},
		{"list for one value", "", "ram = ['a']", `ram: one value is wanted`},
		{"table for a value", "", "[ram]\nx = 1", `ram: a text, a number`},
		{"date in a list", "", "nodes = [1979-05-27]", `nodes: a text`},
		{"syntax", "", "ram = 1\nport = = 2", `/etc/x.toml:2:8: `},
		{"key twice", "", "ram = 1\nram = 2", `/etc/x.toml`},
		{"mounts is no table", "", "mounts = 1", `[mounts."/home/ann/t"]`},
		{"mount is no table", "", "[mounts]\n'/x' = 1", `[mounts."/x"]`},
		{"relative mount", "", "[mounts.t]\nram = 1", `has to be absolute`},
		{"bad variable", "MAGNETFS_PORT=x", "", `MAGNETFS_PORT: `},
		{"bad, but overruled", "MAGNETFS_PORT=1", "port = 'x'", `/etc/x.toml: port: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := apply(t, "", c.env, c.file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("fault %v, want %q", err, c.want)
			}
		})
	}
}

func TestBlame(t *testing.T) {
	s, err := apply(t, "--ram 1", "MAGNETFS_PORT=2", "no-dht = true")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"ram": "--ram: bad", "port": "MAGNETFS_PORT: bad", "no-dht": "/etc/x.toml: no-dht: bad", "nodes": "--nodes: bad",
	} {
		if got := s.Blame(key, errors.New("bad")).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// What is written is a file that gives the same values.
func TestTOMLRoundTrip(t *testing.T) {
	s, err := apply(t, `--ram a"b\c --nodes x:1,y:2`, "MAGNETFS_NO_DHT=1", "port = 7001")
	if err != nil {
		t.Fatal(err)
	}
	var b, raw bytes.Buffer
	r := &Report{File: "/etc/x.toml", Settings: s.List()}
	if err := errors.Join(r.TOML(&b), r.JSON(&raw)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# /etc/x.toml\n", "# --ram\n", "# MAGNETFS_NO_DHT\n", "# file\n", "# default\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in:\n%s", want, &b)
		}
	}
	again, err := apply(t, "", "", b.String())
	if err != nil {
		t.Fatalf("%v in:\n%s", err, &b)
	}
	for i, got := range again.List() {
		if want := s.List()[i]; !reflect.DeepEqual(got.Value, want.Value) {
			t.Errorf("%s: %#v, want %#v", got.Key, got.Value, want.Value)
		}
	}
	// A report that a mount handed over as JSON is written alike.
	var back Report
	if err := json.Unmarshal(raw.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	var c bytes.Buffer
	if err := back.TOML(&c); err != nil || c.String() != b.String() {
		t.Errorf("%v:\n%s\nwant\n%s", err, &c, &b)
	}
}

func TestMisspelt(t *testing.T) {
	got := Misspelt(example(), []string{"MAGNETFS_RAM=1", "MAGNETFS_RAMM=1", "MAGNETFS_NODHT=1", "MAGNETFS_LOGS=1", "RAMM=1"})
	want := []string{"MAGNETFS_RAMM is no setting, did you mean MAGNETFS_RAM?", "MAGNETFS_NODHT is no setting, did you mean MAGNETFS_NO_DHT?"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.toml")
	if _, err := Load(path, ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file out of nothing: %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("#"), maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, ""); err == nil {
		t.Error("took a file of any size")
	}
	if _, err := Load(t.TempDir(), ""); err == nil {
		t.Error("took a folder")
	}
}

func FuzzFile(f *testing.F) {
	f.Add("ram = '1'\n[mounts.'/x']\nport = 1")
	f.Add("nodes = [1, 'a', true, 1.5]")
	f.Add("mounts = []")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := parse("/x", []byte(text), "/home")
		if err != nil {
			return
		}
		s, err := Apply(example(), Sources{File: file, Lookup: func(string) (string, bool) { return "", false }}, example)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := (&Report{Settings: s.List()}).TOML(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := parse("/y", b.Bytes(), "/home"); err != nil {
			t.Errorf("%v in what was written:\n%s", err, &b)
		}
	})
}
