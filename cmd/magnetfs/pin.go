package main

import (
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"magnetfs/internal/human"
)

const pinAttribute = "user.magnetfs.pin"

func newPin() *cobra.Command {
	return &cobra.Command{
		Use:   "pin PATH…",
		Short: "Fetch files or whole torrents, and keep them",
		Long: `Has files, folders or whole torrents fetched and kept, although nobody reads them,
until "magnetfs unpin". It returns at once; "magnetfs status" shows the progress.
What is read is always fetched before what is pinned. A torrent can be pinned
before its metadata is there.

The same is done by: setfattr -n ` + pinAttribute + ` -v 1 PATH`,
		Example: `  magnetfs pin ~/t/'Big Buck Bunny'/film.mkv
  magnetfs pin ~/t/'A Series'/season-1`,
		Args:              args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completePaths,
		RunE:              func(_ *cobra.Command, a []string) error { return eachPlace(a, "1") },
	}
}

func newUnpin() *cobra.Command {
	return &cobra.Command{
		Use:   "unpin PATH…",
		Short: "Let go of what was pinned",
		Long: `Lets go of pinned files, folders or torrents. They stay in the cache as long as
everything else that was read.

The same is done by: setfattr -n ` + pinAttribute + ` -v 0 PATH`,
		Example:           `  magnetfs unpin ~/t/'Big Buck Bunny'`,
		Args:              args(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completePaths,
		RunE:              func(_ *cobra.Command, a []string) error { return eachPlace(a, "0") },
	}
}

func eachPlace(paths []string, value string) error {
	for _, path := range paths {
		p, err := locate(path)
		if err != nil {
			return err
		}
		if err := setPin(p, path, value); err != nil {
			return err
		}
	}
	return nil
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
