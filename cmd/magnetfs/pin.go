package main

import (
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"magnetfs/internal/human"
)

const pinAttribute = "user.magnetfs.pin"

func newPin() *cobra.Command {
	var o pinOptions
	cmd := &cobra.Command{
		Use:   "pin PATH…",
		Short: "Fetch files or whole torrents, and keep them",
		Long: `Has files, folders or whole torrents fetched and kept, although nobody reads them,
until "magnetfs unpin". It returns at once, unless --wait is given: then when all of
it is here. "magnetfs status" shows the progress. What is read is always fetched
before what is pinned. A torrent can be pinned before its metadata is there.

The same is done by: setfattr -n ` + pinAttribute + ` -v 1 PATH`,
		Example: `  magnetfs pin ~/t/'Big Buck Bunny'/film.mkv
  magnetfs pin --wait ~/t/'A Series'/season-1 && cp -r ~/t/'A Series'/season-1 ~/series`,
		Args:              args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completePaths,
		RunE: func(cmd *cobra.Command, a []string) error {
			if o.timeout < 0 {
				return usageError(cmd, errors.New("a timeout cannot be negative"))
			}
			return o.run(cmd, a, true)
		},
	}
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until all of it is here")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "wait for each no longer than that; 0: as long as it takes")
	jsonFlag(cmd.Flags(), &o.asJSON)
	return cmd
}

func newUnpin() *cobra.Command {
	var o pinOptions
	cmd := &cobra.Command{
		Use:   "unpin PATH…",
		Short: "Let go of what was pinned",
		Long: `Lets go of pinned files, folders or torrents. They stay in the cache as long as
everything else that was read.

The same is done by: setfattr -n ` + pinAttribute + ` -v 0 PATH`,
		Example:           `  magnetfs unpin ~/t/'Big Buck Bunny'`,
		Args:              args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completePaths,
		RunE:              func(cmd *cobra.Command, a []string) error { return o.run(cmd, a, false) },
	}
	jsonFlag(cmd.Flags(), &o.asJSON)
	return cmd
}

// pinOptions are the flags of pin and unpin.
type pinOptions struct {
	wait, asJSON bool
	timeout      time.Duration
}

// run pins or unpins all paths, then waits for them.
func (o *pinOptions) run(cmd *cobra.Command, paths []string, pin bool) error {
	value := map[bool]string{true: "1", false: "0"}[pin]
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	places := map[string]place{}
	err := each(paths, func(path string) error {
		p, err := locate(path)
		if err == nil {
			err = setPin(p, path, value)
		}
		if err == nil {
			places[path] = p
		}
		return err
	})
	report := func(path string) error {
		p, ok := places[path]
		if !ok {
			return nil // said already
		}
		if o.wait {
			if err := p.waitPinned(ctx, o.timeout, newProgress(cmd.ErrOrStderr(), o.asJSON)); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		if !o.asJSON {
			return nil
		}
		s, err := p.state()
		if err != nil {
			return p.lost(err)
		}
		return emit(cmd.OutOrStdout(), torrentReport{
			InfoHash: p.hash, Name: s.Name, Path: filepath.Join(p.mount, s.Name, p.rest), Pinned: &pin,
		})
	}
	if later := each(paths, report); err == nil {
		err = later
	} else if later != nil {
		err = withCode(codeOf(err), append(several(failures(err)), failures(later)...))
	}
	return err
}

// setPin sets the attribute.
func setPin(p place, said, value string) error {
	err := unix.Setxattr(p.path(), pinAttribute, []byte(value), 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESTALE):
		if _, known := os.Stat(filepath.Join(p.mount, p.hash)); known == nil && !p.ready() {
			return withCode(exitNotFound, fmt.Errorf("%s: the metadata is not there yet: first magnetfs wait, or pin the whole torrent", said))
		}
		return withCode(exitNotFound, fmt.Errorf("%s: %w", said, err))
	case errors.Is(err, unix.ENOSPC):
		return withCode(exitNoRoom, p.noRoom(said))
	case err != nil:
		return fmt.Errorf("%s: %w", said, err)
	}
	return nil
}

// noRoom says why a pin was refused.
func (p place) noRoom(said string) error {
	var room struct{ Capacity, Used int64 }
	raw, err := os.ReadFile(filepath.Join(p.mount, controlName, "pins.json"))
	if err == nil {
		err = json.Unmarshal(raw, &room)
	}
	if err != nil {
		return fmt.Errorf("%s: it is too large to be pinned", said)
	}
	var need int64
	_ = filepath.WalkDir(p.path(), func(_ string, d iofs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				need += info.Size()
			}
		}
		return nil
	})
	return fmt.Errorf("%s: %s do not fit: %s can be pinned in all, %s of it are taken (mount with a larger --ram, or unpin something)",
		said, human.Size(need), human.Size(room.Capacity), human.Size(room.Used))
}

// ready tells whether the metadata of the torrent is there.
func (p place) ready() bool {
	_, err := os.Stat(filepath.Join(p.mount, controlName, "torrents", p.hash+".torrent"))
	return err == nil
}
