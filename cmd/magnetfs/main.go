package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker for releases: -ldflags "-X main.version=v1.2.3".
var version string

func main() {
	if isHelper(os.Args[0]) {
		os.Exit(helper(os.Args[1:]))
	}
	cmd, err := newRoot().ExecuteC()
	if err != nil {
		printError(os.Stderr, cmd, os.Args[1:], err)
	}
	os.Exit(int(codeOf(err)))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "magnetfs",
		Short: "Files of BitTorrent swarms, readable as soon as they are named",
		Long: `magnetfs shows torrents as folders. What is read is fetched from the swarm, when
it is read; nothing else is.

  magnetfs mount ~/t                     start
  mkdir ~/t/'magnet:?xt=urn:btih:…'      add a torrent (quote it: & is special to the shell)
  mpv ~/t/'Big Buck Bunny'/film.mkv      play it
  rmdir ~/t/'Big Buck Bunny'             remove it
  magnetfs umount ~/t                    stop

Every command takes --json and prints objects for programs then, errors too.

` + exitHelp(),
		Args:          args(cobra.NoArgs),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cobra.AddTemplateFunc("plain", plainFlags)
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages |", ".FlagUsages | plain |"))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, err)
	})
	root.AddCommand(newMount(), newUmount(), newAdd(), newRm(), newCache(), newStatus(), newWait(), newPin(), newUnpin(), newConfig(), newDoctor(), newVersion(), newMan())
	return root
}

// plainFlags takes out what pflag writes behind each switch, keeping the columns.
func plainFlags(usages string) string {
	const noise = "[=true|false]"
	return strings.ReplaceAll(usages, noise, strings.Repeat(" ", len(noise)))
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return emit(cmd.OutOrStdout(), versionReport{versionText(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "magnetfs", versionText())
			return err
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// versionReport is the version for programs.
type versionReport struct {
	Version  string `json:"version"` // as the text has it
	Go       string `json:"go"`
	Platform string `json:"platform"` // linux/amd64
}

// versionText is the version of the release, of the module, or the commit.
func versionText() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	set := map[string]string{}
	for _, s := range info.Settings {
		set[s.Key] = s.Value
	}
	commit := set["vcs.revision"]
	switch {
	case info.Main.Version != "" && info.Main.Version != "(devel)":
		return info.Main.Version + " " + info.GoVersion
	case commit == "":
		return "(devel) " + info.GoVersion
	case set["vcs.modified"] == "true":
		commit = commit[:min(12, len(commit))] + " modified"
	default:
		commit = commit[:min(12, len(commit))]
	}
	return commit + " " + info.GoVersion
}

// args makes a command's check of its arguments a usage error.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usageError(cmd, err)
		}
		return nil
	}
}

func usageError(cmd *cobra.Command, err error) error {
	return withCode(exitUsage, fmt.Errorf("%w\n\nUsage: %s\nMore: %s --help", err, cmd.UseLine(), cmd.CommandPath()))
}
