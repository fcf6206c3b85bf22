package main

import (
	"github.com/spf13/cobra"
)

// completeValues tells the shell which values the flags of mount take.
func completeValues(cmd *cobra.Command) {
	for name, values := range map[string][]string{
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {string(formatText), string(formatJSON)},
		"encryption": {"allow", "prefer", "require"},
	} {
		// It fails for flags that are missing or registered twice, which a test sees.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	for _, name := range []string{"cache-dir", "state-dir"} {
		_ = cmd.MarkFlagDirname(name)
	}
}
