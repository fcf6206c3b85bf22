package manual

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func example() *Manual {
	root := &cobra.Command{Use: "tool", Short: "Do things", Long: "About it.\n\n  tool do x   # " + strings.Repeat("long… ", 30) + "\n\nExit status:\n  0 fine"}
	do := &cobra.Command{
		Use: "do THING", Short: "Do a thing", Example: "  tool do 'a-b' ~/x\n\n  .dot\n  'quote",
		Long: ".begins with a dot and 'has' a \\ and a -dash.\n\n" + strings.Repeat("many words ", 40), Run: func(*cobra.Command, []string) {},
	}
	do.Flags().IntP("number", "n", 7, "how `many`")
	do.Flags().Bool("quick", false, "be quick")
	hidden := &cobra.Command{Use: "secret", Hidden: true, Run: do.Run}
	root.AddCommand(do, hidden)
	flags := pflag.NewFlagSet("do", pflag.ContinueOnError)
	flags.String("ram", "1", "memory")
	flags.StringSlice("nodes", nil, "nodes to ask")
	return &Manual{
		Root: root, Settings: flags, Version: `1.0 "x"`, Date: time.Unix(0, 0),
		Exit: []Exit{{0, "ok", "done"}, {2, "usage", "wrong flags"}}, Ignored: []string{"auto", "rw"},
	}
}

func TestPages(t *testing.T) {
	dir := t.TempDir()
	names, err := example().Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"magnetfs-config.5", "mount.magnetfs.8", "tool-do.1", "tool.1"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	for name, parts := range map[string][]string{
		"tool.1":            {".TH TOOL 1 1970-01-01 \"magnetfs 1.0 x\"", "\\fB2\\fR usage\nWrong flags.", "\\fBdo THING\\fR\nDo a thing.", "About it."},
		"tool-do.1":         {"\\fB\\-n\\fR, \\fB\\-\\-number\\fR=\\fImany\\fR\nHow many. Default: 7.", "\\&.begins with", "\\(aqa\\-b\\(aq", "\n\\&.dot\n", "\\fB\\-\\-quick\\fR\nBe quick.\n", "\\(ti/x\n"},
		"magnetfs-config.5": {"MAGNETFS_RAM", "Default: \"1\".", "Default: []."},
		"mount.magnetfs.8":  {"auto, rw."},
	} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(string(raw), part) {
				t.Errorf("%s: %q is not in:\n%s", name, part, raw)
			}
		}
		if strings.Contains(string(raw), "Exit status:") {
			t.Errorf("%s has the exit codes twice", name)
		}
		in := bufio.NewScanner(bytes.NewReader(raw))
		for in.Scan() {
			line := in.Text()
			for i := range len(line) {
				if line[i] > '~' {
					t.Errorf("%s: not ASCII: %s", name, line)
					break
				}
			}
			if len(line) > 80 || strings.HasSuffix(line, " ") {
				t.Errorf("%s: %d bytes, or a space at the end: %s", name, len(line), line)
			}
		}
	}
}
