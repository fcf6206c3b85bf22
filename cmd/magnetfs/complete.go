package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"magnetfs/fs"
)

// completePatience bounds how long a shell waits for the names in a mount whose
// process may hang.
const completePatience = time.Second

// completeValues tells the shell which values the flags of mount take.
func completeValues(cmd *cobra.Command) {
	for name, values := range map[string][]string{
		"log-level":  {"debug", "info", "warn", "error"},
		"log-format": {string(formatText), string(formatJSON)},
		"encryption": {"allow", "prefer", "require"},
		"utp":        {"on", "off"},
	} {
		// It fails for flags that are missing or registered twice, which a test sees.
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.RegisterFlagCompletionFunc("interface", completeInterfaces)
	for _, name := range []string{"cache-dir", "state-dir"} {
		_ = cmd.MarkFlagDirname(name)
	}
	_ = cmd.MarkFlagFilename("config", "toml")
	_ = cmd.MarkFlagFilename("blocklist")
}

// completeInterfaces proposes the network interfaces.
func completeInterfaces(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
	all, _ := net.Interfaces()
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeMounts proposes the folders of all mounts for the first argument.
func completeMounts(_ *cobra.Command, a []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := fs.Mounted()
	if len(a) > 0 || err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// completeLive proposes the mounts, then what can be changed of one.
func completeLive(cmd *cobra.Command, a []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(a) == 0 {
		return completeMounts(cmd, a, prefix)
	}
	var keys []string
	for _, key := range live {
		keys = append(keys, key+"=")
	}
	return keys, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeNames proposes the mounts, then the torrents of the one that was chosen.
func completeNames(cmd *cobra.Command, a []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(a) == 0 {
		return completeMounts(cmd, a, prefix)
	}
	return without(torrentNames(a[0]), a[1:]), cobra.ShellCompDirectiveNoFileComp
}

// completePaths proposes the folders of all torrents. What is written already with
// a slash behind the folder of a mount is left to the shell, which knows how to go
// on into folders.
func completePaths(_ *cobra.Command, a []string, prefix string) ([]string, cobra.ShellCompDirective) {
	var paths []string
	mounts, err := fs.Mounted()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	for _, mount := range mounts {
		for _, name := range torrentNames(mount) {
			paths = append(paths, filepath.Join(mount, name))
		}
	}
	for _, p := range paths {
		if strings.HasPrefix(prefix, p+"/") {
			return nil, cobra.ShellCompDirectiveDefault
		}
	}
	if prefix != "" && !strings.HasPrefix(prefix, "/") { // relative: as files
		return nil, cobra.ShellCompDirectiveDefault
	}
	return without(paths, a), cobra.ShellCompDirectiveDefault
}

// completeAdd proposes the mounts, then torrent files.
func completeAdd(cmd *cobra.Command, a []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(a) == 0 {
		return completeMounts(cmd, a, prefix)
	}
	return []string{"torrent"}, cobra.ShellCompDirectiveFilterFileExt
}

// torrentNames lists a mount; nothing if it does not answer.
func torrentNames(dir string) (names []string) {
	answer := make(chan []string, 1)
	go func() {
		entries, _ := os.ReadDir(dir)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		answer <- names
	}()
	select {
	case names = <-answer:
		return names
	case <-time.After(completePatience):
		return nil
	}
}

// without leaves out what stands on the command line already.
func without(all, taken []string) (rest []string) {
	for _, s := range all {
		found := false
		for _, t := range taken {
			found = found || s == t
		}
		if !found {
			rest = append(rest, s)
		}
	}
	return rest
}
