package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"magnetfs/cmd/magnetfs/watch"
	"magnetfs/fs"
)

// watchEvery is the pause between two texts of status --watch.
const watchEvery = 2 * time.Second

func newStatus() *cobra.Command {
	var asJSON, live bool
	cmd := &cobra.Command{
		Use:   "status [DIR] [PATH]",
		Short: "Show what a mount is doing",
		Long: `Shows the torrents of the mount on DIR, where their peers come from, what is
pinned, and what the reads that wait are waiting for. DIR can be left out if there
is only one mount. PATH, a torrent's folder, name, magnet link or info-hash, limits
it to one torrent.

With --watch it goes on until it is interrupted: in a terminal as a view that fills
the screen (q quits, the last line tells the other keys), else as a text every two
seconds, or with --json as a line.`,
		Example: `  magnetfs status
  magnetfs status ~/t/'Big Buck Bunny'
  magnetfs status ~/t 'Big Buck Bunny' --watch
  magnetfs status --json | jq -r '.[] | "\(.name) \(.down)"'`,
		Args: args(cobra.MaximumNArgs(2)),
		ValidArgsFunction: func(cmd *cobra.Command, a []string, prefix string) ([]string, cobra.ShellCompDirective) {
			if len(a) > 1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeNames(cmd, a, prefix)
		},
		RunE: func(cmd *cobra.Command, a []string) error {
			s, err := findStatus(a)
			if err != nil {
				return err
			}
			if !live {
				return s.print(cmd.OutOrStdout(), asJSON, false)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			if out, ok := terminal(cmd.OutOrStdout()); ok && !asJSON {
				return watch.Run(ctx, s.mount, watch.Files{Dir: filepath.Join(s.mount, controlName), Only: s.hash}, cmd.InOrStdin(), out)
			}
			return s.follow(ctx, cmd.OutOrStdout(), asJSON)
		},
	}
	jsonFlag(cmd.Flags(), &asJSON)
	cmd.Flags().BoolVarP(&live, "watch", "w", false, "go on, with what changes")
	return cmd
}

// terminal tells whether a full-screen view can be drawn.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd())) && term.IsTerminal(int(os.Stdin.Fd())) && os.Getenv("TERM") != "dumb"
}

// statusOf says what is to be shown: a mount, or a torrent of it.
type statusOf struct {
	mount string
	hash  string // empty: all torrents
}

// findStatus understands the arguments.
func findStatus(a []string) (statusOf, error) {
	if len(a) == 0 {
		mount, err := mountOf(nil)
		return statusOf{mount: mount}, err
	}
	mount, err := fs.Find(a[0])
	if len(a) == 1 {
		if err == nil {
			return statusOf{mount: mount}, nil
		}
		if p, err := locate(a[0]); err == nil || codeOf(err) != exitNotMounted {
			return statusOf{p.mount, p.hash}, err
		}
		return statusOf{}, err
	}
	if err != nil {
		return statusOf{}, err
	}
	// The second is a path from here, or a name in the mount.
	if m, below, err := splitMount(a[1]); err == nil && m == mount && below != "" {
		p, err := locateIn(mount, below)
		return statusOf{p.mount, p.hash}, err
	}
	p, err := locateIn(mount, strings.TrimPrefix(a[1], mount+"/"))
	return statusOf{p.mount, p.hash}, err
}

// print writes what the mount says; JSON in one line if line is set.
func (s statusOf) print(w io.Writer, asJSON, line bool) error {
	name := "status"
	if asJSON {
		name += ".json"
	}
	if s.hash != "" {
		name = filepath.Join("by-hash", s.hash, name)
	}
	raw, err := os.ReadFile(filepath.Join(s.mount, controlName, name))
	if err != nil {
		return s.lost(err)
	}
	if asJSON && line {
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b.WriteByte('\n')
		raw = b.Bytes()
	}
	_, err = w.Write(raw)
	return err
}

// follow prints again and again until ctx ends.
func (s statusOf) follow(ctx context.Context, w io.Writer, asJSON bool) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if !asJSON {
			if _, err := fmt.Fprintln(w, time.Now().Format(time.DateTime)); err != nil {
				return err
			}
		}
		if err := s.print(w, asJSON, true); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !asJSON {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
	}
}

func (s statusOf) lost(err error) error {
	if s.hash == "" {
		return err
	}
	return place{mount: s.mount, hash: s.hash}.lost(err)
}

// mountedOn tells whether magnetfs is mounted on a path.
func mountedOn(path string) bool {
	_, err := fs.Find(path)
	return err == nil
}
