package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"magnetfs/internal/human"
)

// waitPoll is how often the mount is asked whether the metadata is there.
const waitPoll = 50 * time.Millisecond

func newWait() *cobra.Command {
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "wait PATH",
		Short: "Wait until a torrent's metadata is there",
		Long: fmt.Sprintf(`Waits until the metadata of a torrent is there, so that its files can be listed,
and prints the path, with the name that the torrent's folder has by then. PATH is
the folder, something in it, or what the torrent was added as.

Exit status %d if the metadata does not come in time, %d if there is no such torrent,
if it is removed meanwhile, or if it has no such file.`, exitTimeout, exitNotFound),
		Example: `  mpv "$(magnetfs wait ~/t/'magnet:?xt=urn:btih:…')"
  magnetfs wait --json ~/t/0123456789abcdef0123456789abcdef01234567 | jq -r .path
  magnetfs wait --timeout 1m ~/t/0123456789abcdef0123456789abcdef01234567`,
		Args:              args(cobra.ExactArgs(1)),
		ValidArgsFunction: completePaths,
		RunE: func(cmd *cobra.Command, a []string) error {
			if timeout < 0 {
				return usageError(cmd, errors.New("a timeout cannot be negative"))
			}
			p, err := locate(a[0])
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			path, name, err := p.wait(ctx, timeout, newProgress(cmd.ErrOrStderr(), asJSON))
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			if asJSON {
				return emit(cmd.OutOrStdout(), torrentReport{InfoHash: p.hash, Name: name, Path: path})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after so long; 0: never")
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// torrentReport is a torrent, or a path in it, for programs.
type torrentReport struct {
	InfoHash string `json:"info_hash"`
	Name     string `json:"name"` // of its folder
	Path     string `json:"path"`
	New      *bool  `json:"new,omitempty"`    // of add: it was not there before
	Pinned   *bool  `json:"pinned,omitempty"` // of pin and unpin
}

// wait returns the place's path, and the name of the torrent's folder, when the
// torrent's metadata is there. A timeout of 0 is none.
func (p place) wait(ctx context.Context, timeout time.Duration, told *progress) (path, name string, err error) {
	defer told.clear()
	var late <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		late = timer.C
	}
	tick := time.NewTicker(waitPoll)
	defer tick.Stop()
	for !p.ready() {
		if _, err := os.Stat(p.control()); err != nil {
			return "", "", p.lost(err)
		}
		told.step(func() string {
			s, err := p.state()
			if err != nil {
				return "waiting for the metadata" // the next round finds out why
			}
			return told.bold(human.Clean(s.Name)) + ": " + s.doing()
		})
		select {
		case <-tick.C:
		case <-late:
			return "", "", withCode(exitTimeout, fmt.Errorf("no metadata within %v", timeout))
		case <-ctx.Done():
			return "", "", withCode(exitInterrupted, errors.New("interrupted"))
		}
	}
	s, err := p.state()
	if err != nil {
		return "", "", p.lost(err)
	}
	path = filepath.Join(p.mount, s.Name, p.rest)
	if _, err := os.Lstat(path); err != nil {
		return "", "", withCode(exitNotFound, errors.New("the metadata is there, and names no such file"))
	}
	return path, s.Name, nil
}

// lost says why a torrent that was there is not any more.
func (p place) lost(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESTALE) {
		if !mountedOn(p.mount) {
			return withCode(exitNotMounted, errors.New("unmounted"))
		}
		return withCode(exitNotFound, errors.New("the torrent was removed"))
	}
	return withCode(exitNotMounted, err)
}
