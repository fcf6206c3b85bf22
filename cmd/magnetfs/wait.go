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
)

// waitPoll is how often the mount is asked whether the metadata is there.
const waitPoll = 50 * time.Millisecond

func newWait() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait PATH",
		Short: "Wait until a torrent's metadata is there",
		Long: fmt.Sprintf(`Waits until the metadata of a torrent is there, so that its files can be listed,
and prints the path, with the name that the torrent's folder has by then. PATH is
the folder, something in it, or what the torrent was added as.

Exit status %d if the metadata does not come in time, %d if there is no such torrent,
if it is removed meanwhile, or if it has no such file.`, exitTimeout, exitNotFound),
		Example: `  mpv "$(magnetfs wait ~/t/'magnet:?xt=urn:btih:…')"
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
			path, err := p.wait(ctx, timeout)
			if err != nil {
				return fmt.Errorf("%s: %w", a[0], err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up after so long; 0: never")
	return cmd
}

// wait returns the place's path when the torrent's metadata is there. A timeout of
// 0 is none.
func (p place) wait(ctx context.Context, timeout time.Duration) (string, error) {
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
			return "", p.lost(err)
		}
		select {
		case <-tick.C:
		case <-late:
			return "", withCode(exitTimeout, fmt.Errorf("no metadata within %v", timeout))
		case <-ctx.Done():
			return "", withCode(exitInterrupted, errors.New("interrupted"))
		}
	}
	name, err := p.name()
	if err != nil {
		return "", p.lost(err)
	}
	path := filepath.Join(p.mount, name, p.rest)
	if _, err := os.Lstat(path); err != nil {
		return "", withCode(exitNotFound, errors.New("the metadata is there, and names no such file"))
	}
	return path, nil
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
