package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"magnetfs/cmd/magnetfs/doctor"
	"magnetfs/swarm/dht"
	"magnetfs/swarm/socks"
)

func newDoctor() *cobra.Command {
	var asJSON, offline bool
	var file string
	cmd := &cobra.Command{
		Use:   "doctor [DIR]",
		Short: "Say what is missing for a mount, and how to mend it",
		Long: fmt.Sprintf(`Looks at what a mount needs: FUSE and the right to it, ports, routes, names, folders,
limits; with DIR also whether it can be mounted on. It takes the settings that a mount
would take, see magnetfs-config(5). Of the network it asks only for the names of the
first DHT nodes, as a mount does; --offline leaves that out. It takes three seconds at
most.

What is marked "warn" works less well, what is marked "fail" has to be mended: then
the exit status is %d.`, exitFailed),
		Example: `  magnetfs doctor
  magnetfs doctor ~/t
  magnetfs doctor --json | jq -r '.[] | select(.status == "fail") | .mend'`,
		Args: args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, a []string) error {
			dir := ""
			if len(a) == 1 {
				dir = a[0]
			}
			found := diagnose(cmd, file, dir, offline)
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetEscapeHTML(false)
				enc.SetIndent("", "  ")
				if err := enc.Encode(found); err != nil {
					return err
				}
			} else if err := printFindings(cmd.OutOrStdout(), found, colourful(cmd.OutOrStdout())); err != nil {
				return err
			}
			if doctor.Failed(found) {
				return withCode(exitFailed, errors.New("something has to be mended first"))
			}
			return nil
		},
	}
	configFlag(cmd.Flags(), &file)
	jsonFlag(cmd.Flags(), &asJSON)
	cmd.Flags().BoolVar(&offline, "offline", false, "ask the network nothing")
	return cmd
}

// diagnose runs the checks with the settings that a mount on dir would have. If
// these are wrong that is the first finding, and the defaults are looked at.
func diagnose(cmd *cobra.Command, file, dir string, offline bool) []doctor.Finding {
	settled := doctor.Finding{Check: "settings", Status: doctor.OK, Found: "all defaults, or from the environment"}
	o, err := nextMount(file, dir)
	switch {
	case err != nil:
		settled.Status, settled.Found, settled.Mend = doctor.Fail, err.Error(), "mend them there; magnetfs-config(5) has them all"
		o = newMountOptions()
		_, _ = o.folders(dir) // without a home the paths are empty, which the checks tell
	case o.config != nil:
		settled.Found = o.config.Path
	}
	cfg := doctor.Config{
		Dir: dir, StateDir: o.stateDir, CacheDir: o.cacheDir, RAM: int64(o.ram), Port: o.port,
		LPD: !o.noLPD, Interface: o.netInterface, AllowOther: o.allowOther, Offline: offline, Built: buildDate("", time.Time{}),
	}
	if o.proxy.addr != "" {
		cfg.Proxy = &socks.Config{Addr: o.proxy.addr, User: o.proxy.user, Password: o.proxy.password}
		cfg.LPD = false
	}
	cfg.Servers, _ = o.servers() // checked with the settings
	if o.disk == 0 {
		cfg.CacheDir = ""
	}
	if cfg.Port == 0 {
		cfg.Port = savedPort(o.stateDir)
	}
	if !o.noDHT {
		cfg.Bootstrap = o.bootstrap
		if len(cfg.Bootstrap) == 0 {
			cfg.Bootstrap = dht.DefaultBootstrap
		}
	}
	return append([]doctor.Finding{settled}, doctor.Run(cmd.Context(), cfg)...)
}

// colourful tells whether colours may be used: on a terminal that knows them, and if
// nobody minds (no-color.org).
func colourful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// printFindings writes a line for each finding, and below it what to do.
func printFindings(w io.Writer, found []doctor.Finding, colours bool) error {
	paint := func(s doctor.Status) string { return string(s) }
	if colours {
		codes := map[doctor.Status]int{doctor.OK: 32, doctor.Warn: 33, doctor.Fail: 31}
		paint = func(s doctor.Status) string { return fmt.Sprintf("\x1b[%dm%s\x1b[0m", codes[s], s) }
	}
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(tw, "%s\t%s\n", f.Check, oneLine(f.Found))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	for i, f := range found {
		if _, err := fmt.Fprintf(w, "%s%s  %s\n", paint(f.Status), strings.Repeat(" ", 4-len(f.Status)), lines[i]); err != nil {
			return err
		}
		if f.Mend == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "      -> %s\n", oneLine(f.Mend)); err != nil {
			return err
		}
	}
	return nil
}

// oneLine keeps a text in its line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\t' || r == '\r' }), " ")
}
