package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"magnetfs/cmd/magnetfs/manual"
)

// newMan makes the command that packages are built with.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages into a folder",
		Hidden: true,
		Args:   args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			root := newRoot()
			root.InitDefaultCompletionCmd()
			m := manual.Manual{
				Root:     root,
				Settings: settingFlags(),
				Version:  versionText(),
				Date:     buildDate(os.Getenv("SOURCE_DATE_EPOCH"), time.Now()),
				Ignored:  slices.Sorted(maps.Keys(ignoredOptions)),
			}
			for _, e := range exitText {
				m.Exit = append(m.Exit, manual.Exit{Code: int(e.code), Name: e.name, Text: e.text})
			}
			names, err := m.Write(a[0])
			for _, name := range names {
				fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(a[0], name))
			}
			return err
		},
	}
}

// buildDate is the moment of SOURCE_DATE_EPOCH, which builds that can be repeated
// set, else that of the commit, else what is said otherwise.
func buildDate(epoch string, otherwise time.Time) time.Time {
	if n, err := strconv.ParseInt(epoch, 10, 64); err == nil {
		return time.Unix(n, 0)
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil && s.Key == "vcs.time" {
				return t
			}
		}
	}
	return otherwise
}
