package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"magnetfs/fs"
	"magnetfs/swarm/metainfo"
)

// The commands that talk to a running mount, through its files.

// maxTorrentFile is the largest torrent file that a mount takes, in bytes.
const maxTorrentFile = 16 << 20

func newAdd() *cobra.Command {
	var o addOptions
	cmd := &cobra.Command{
		Use:   "add DIR MAGNET|HASH|FILE.torrent|-…",
		Short: "Add torrents to a mount",
		Long: `Adds torrents to the mount on DIR: magnet links, info-hashes, torrent files, or "-"
for links, one a line, or a torrent file from standard input. It does not wait for
the network, unless --wait is given: then it prints the torrents' folders when their
files can be listed. If one of several cannot be added, the others are.`,
		Example: `  magnetfs add ~/t 'magnet:?xt=urn:btih:…'
  magnetfs add ~/t ~/Downloads/*.torrent
  magnetfs add ~/t - < links.txt
  mpv "$(magnetfs add --wait ~/t 'magnet:?xt=urn:btih:…')"`,
		Args:              args(cobra.MinimumNArgs(2)),
		ValidArgsFunction: completeAdd,
		RunE: func(cmd *cobra.Command, a []string) error {
			if o.timeout < 0 {
				return usageError(cmd, errors.New("a timeout cannot be negative"))
			}
			path, err := fs.Find(a[0])
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return each(a[1:], func(what string) error {
				return add(path, what, cmd.InOrStdin(), func(hash string, isNew bool) error {
					return o.added(ctx, cmd, place{mount: path, hash: hash}, isNew)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&o.wait, "wait", false, "wait until the metadata is there, and print the folder")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "wait for each no longer than that; 0: as long as it takes")
	jsonFlag(cmd.Flags(), &o.asJSON)
	return cmd
}

// addOptions say what follows when a torrent was added.
type addOptions struct {
	wait, asJSON bool
	timeout      time.Duration
}

// added waits for a torrent's metadata, and prints it, as far as that is wanted.
func (o *addOptions) added(ctx context.Context, cmd *cobra.Command, p place, isNew bool) error {
	path, name := "", ""
	if o.wait {
		var err error
		if path, name, err = p.wait(ctx, o.timeout, newProgress(cmd.ErrOrStderr(), o.asJSON)); err != nil {
			return fmt.Errorf("%s: %w", p.hash, err)
		}
	}
	switch {
	case o.asJSON:
		if name == "" {
			s, err := p.state()
			if err != nil {
				return p.lost(err)
			}
			name, path = s.Name, filepath.Join(p.mount, s.Name)
		}
		return emit(cmd.OutOrStdout(), torrentReport{InfoHash: p.hash, Name: name, Path: path, New: &isNew})
	case o.wait:
		_, err := fmt.Fprintln(cmd.OutOrStdout(), path)
		return err
	}
	return nil
}

// add adds one argument, and calls added for every torrent in it, after it was added,
// with its info-hash and whether it was not there before.
func add(path, what string, stdin io.Reader, added func(hash string, isNew bool) error) error {
	if what == "-" {
		b, err := io.ReadAll(io.LimitReader(stdin, maxTorrentFile+1))
		if err != nil {
			return err
		}
		// A dictionary, whose first key begins with its length; or a hash.
		if len(b) > 0 && b[0] == 'd' && bytes.Contains(b[:min(16, len(b))], []byte{':'}) {
			return addFile(path, "standard input", b, added)
		}
		return each(strings.Split(string(b), "\n"), func(line string) error {
			if line = strings.TrimSpace(line); line == "" {
				return nil
			}
			return addText(path, line, added)
		})
	}
	_, magnetErr := metainfo.ParseMagnet(what)
	if magnetErr == nil {
		return addText(path, what, added)
	}
	b, err := os.ReadFile(what)
	switch {
	case err == nil:
		return addFile(path, what, b, added)
	case strings.HasPrefix(strings.ToLower(what), "magnet:") || !strings.HasSuffix(what, ".torrent"):
		return withCode(exitInvalid, magnetErr)
	}
	return withCode(exitInvalid, err)
}

// addText adds a magnet link or hash.
func addText(path, text string, added func(hash string, isNew bool) error) error {
	m, err := metainfo.ParseMagnet(text)
	if err != nil {
		return withCode(exitInvalid, err)
	}
	return addOne(path, m.InfoHash.String(), text, []byte(text+"\n"), added)
}

// addFile adds a torrent file.
func addFile(path, name string, b []byte, added func(hash string, isNew bool) error) error {
	m, err := metainfo.ParseMetainfo(b)
	if err != nil {
		return withCode(exitInvalid, fmt.Errorf("%s: %w", name, err))
	}
	return addOne(path, m.InfoHash.String(), name, b, added)
}

// addOne hands a torrent to the mount.
func addOne(path, hash, what string, b []byte, added func(hash string, isNew bool) error) error {
	_, err := os.Stat(place{mount: path, hash: hash}.control())
	isNew := errors.Is(err, os.ErrNotExist)
	if err := write(path, "add", what, b); err != nil {
		return err
	}
	return added(hash, isNew)
}

// write hands b to a control file of the mount, which judges it at the end of a
// line or at close.
func write(path, file, what string, b []byte) error {
	f, err := os.OpenFile(filepath.Join(path, controlName, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EFBIG) {
		return withCode(exitInvalid, fmt.Errorf("%s: %w", what, err))
	}
	return err
}

func newRm() *cobra.Command {
	var purged, asJSON bool
	cmd := &cobra.Command{
		Use:   "rm DIR NAME…",
		Short: "Remove torrents from a mount",
		Long: `Removes torrents from the mount on DIR, by the name of their folder, by the magnet
link they were added with or by their info-hash. rmdir DIR/NAME does the same. What
is on disk of them stays until the room is needed, unless --purge is given. If one of
several cannot be removed, the others are.`,
		Args: args(cobra.MinimumNArgs(2)),
		Example: `  magnetfs rm ~/t 'Big Buck Bunny'
  magnetfs rm --purge ~/t 0123456789abcdef0123456789abcdef01234567`,
		ValidArgsFunction: completeNames,
		RunE: func(cmd *cobra.Command, a []string) error {
			path, err := fs.Find(a[0])
			if err != nil {
				return err
			}
			return each(a[1:], func(name string) error {
				hash, err := remove(path, name, purged)
				if err == nil && asJSON {
					err = emit(cmd.OutOrStdout(), removed{hash, name, purged})
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&purged, "purge", false, "free what is kept of them on disk too")
	jsonFlag(cmd.Flags(), &asJSON)
	return cmd
}

// removed is a torrent that was removed, for programs.
type removed struct {
	InfoHash string `json:"info_hash"`
	Removed  string `json:"removed"` // as it was named
	Purged   bool   `json:"purged"`
}

// remove removes a torrent, and returns its info-hash. A magnet has slashes and many
// spellings, so its info-hash is used.
func remove(path, name string, purged bool) (hash string, err error) {
	folder := name
	if m, err := metainfo.ParseMagnet(name); err == nil && strings.Contains(name, ":") {
		folder = m.InfoHash.String()
	}
	if folder == "" || strings.Contains(folder, "/") {
		return "", withCode(exitNotFound, fmt.Errorf("%q is not the name of a torrent", name))
	}
	hash, _ = hashOf(path, folder) // rmdir says what is wrong
	err = unix.Rmdir(filepath.Join(path, folder))
	if errors.Is(err, unix.ENOENT) {
		return "", withCode(exitNotFound, fmt.Errorf("%s: there is no such torrent in %s", name, path))
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if purged && hash != "" {
		return hash, purge(path, hash)
	}
	return hash, nil
}

// mountOf finds the mount named by the argument, or the only one.
func mountOf(a []string) (string, error) {
	if len(a) == 1 {
		return fs.Find(a[0])
	}
	all, err := fs.Mounted()
	if err != nil {
		return "", err
	}
	switch len(all) {
	case 0:
		return "", fmt.Errorf("%w: nothing is mounted; start with: magnetfs mount DIR", fs.ErrNotMounted)
	case 1:
		return all[0], nil
	}
	return "", withCode(exitUsage, fmt.Errorf("which mount? There are %s", strings.Join(all, ", ")))
}
