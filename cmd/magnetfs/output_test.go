package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"

	"github.com/spf13/cobra"
)

// Every command that does or tells something speaks JSON.
func TestEveryCommandHasJSON(t *testing.T) {
	without := []string{"magnetfs", "magnetfs cache", "magnetfs man"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if has := c.Flags().Lookup(jsonName) != nil; has == slices.Contains(without, c.CommandPath()) {
			t.Errorf("%s: --json is %v", c.CommandPath(), has)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

func TestErrorsAsJSON(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		want []errorReport // without texts; nil: plain text
	}{
		{"failed", []string{"status", "--json", dir}, []errorReport{{Code: exitNotMounted, Name: "not-mounted"}}},
		{"flag behind", []string{"status", dir, "--json"}, []errorReport{{Code: exitNotMounted, Name: "not-mounted"}}},
		{"usage", []string{"wait", "--json"}, []errorReport{{Code: exitUsage, Name: "usage"}}},
		{"behind the fault", []string{"status", "--nope", "--json"}, []errorReport{{Code: exitUsage, Name: "usage"}}},
		{"several", []string{"pin", "--json", dir + "/a", dir + "/b"},
			[]errorReport{{Code: exitNotFound, Name: "not-found"}, {Code: exitNotFound, Name: "not-found"}}},
		{"not wanted", []string{"status", dir}, nil},
		{"switched off", []string{"status", "--json=false", dir}, nil},
		{"an argument", []string{"status", "--nope", "--", "--json"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("XDG_STATE_HOME", t.TempDir())
			t.Setenv("XDG_CONFIG_HOME", t.TempDir())
			root := newRoot()
			root.SetArgs(c.args)
			root.SetOut(&bytes.Buffer{})
			cmd, err := root.ExecuteC()
			if err == nil {
				t.Fatal("no error")
			}
			var b bytes.Buffer
			printError(&b, cmd, c.args, err)
			if c.want == nil {
				if !bytes.HasPrefix(b.Bytes(), []byte("magnetfs: ")) {
					t.Errorf("got %s", b.String())
				}
				return
			}
			var got []errorReport
			for line := range bytes.Lines(b.Bytes()) {
				var r errorReport
				if err := json.Unmarshal(line, &r); err != nil || r.Error == "" {
					t.Fatalf("%q: %v", line, err)
				}
				r.Error = ""
				got = append(got, r)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestEach(t *testing.T) {
	invalid, missing := withCode(exitInvalid, errors.New("a")), withCode(exitNotFound, errors.New("b"))
	for _, c := range []struct {
		name string
		errs []error
		code exitCode
		text string
		n    int
	}{
		{"none", []error{nil, nil}, exitOK, "", 0},
		{"one", []error{nil, missing, nil}, exitNotFound, "b", 1},
		{"the first counts", []error{errors.New("x"), missing}, exitFailed, "x\nb", 2},
		{"two", []error{invalid, nil, missing}, exitInvalid, "a\nb", 2},
		{"nested", []error{withCode(exitInvalid, several{invalid, missing}), missing}, exitInvalid, "a\nb\nb", 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			err := each(make([]string, len(c.errs)), func(string) error {
				calls++
				return c.errs[calls-1]
			})
			if calls != len(c.errs) || codeOf(err) != c.code {
				t.Errorf("%d calls, code %d", calls, codeOf(err))
			}
			if err != nil && (err.Error() != c.text || len(failures(err)) != c.n) {
				t.Errorf("%q, %d errors", err, len(failures(err)))
			}
		})
	}
}

// What is no terminal is not written to.
func TestProgressIsForTerminals(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, false)
	p.next = p.start
	p.step(func() string { return "x" })
	p.clear()
	if b.Len() > 0 {
		t.Errorf("wrote %q", b.String())
	}
}

func TestBar(t *testing.T) {
	var p progress
	for _, c := range []struct {
		have, all int64
		want      string
	}{
		{0, 10, "░░░░░░░░░░░░░░░░░░░░"}, {5, 10, "██████████░░░░░░░░░░"}, {10, 10, "████████████████████"},
		{11, 10, "████████████████████"}, {0, 0, "████████████████████"},
	} {
		if got := p.bar(c.have, c.all); got != c.want {
			t.Errorf("%d of %d: %s", c.have, c.all, got)
		}
	}
}
