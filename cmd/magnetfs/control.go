package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"magnetfs/fs"
	"magnetfs/swarm/metainfo"
)

// The commands that talk to a running mount, through its files.

// maxTorrentFile is the largest torrent file that a mount takes, in bytes.
const maxTorrentFile = 16 << 20

func newAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add DIR MAGNET|HASH|FILE.torrent|-…",
		Short: "Add torrents to a mount",
		Long: `Adds torrents to the mount on DIR: magnet links, info-hashes, torrent files, or "-"
for links, one a line, or a torrent file from standard input. It does not wait for
the network.`,
		Example: `  magnetfs add ~/t 'magnet:?xt=urn:btih:…'
  magnetfs add ~/t ~/Downloads/*.torrent
  magnetfs add ~/t - < links.txt`,
		Args:              args(cobra.MinimumNArgs(2)),
		ValidArgsFunction: completeAdd,
		RunE: func(cmd *cobra.Command, a []string) error {
			path, err := fs.Find(a[0])
			if err != nil {
				return err
			}
			for _, what := range a[1:] {
				if err := add(path, what, cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// add adds one argument.
func add(path, what string, stdin io.Reader) error {
	if what == "-" {
		b, err := io.ReadAll(io.LimitReader(stdin, maxTorrentFile+1))
		if err != nil {
			return err
		}
		// A dictionary, whose first key begins with its length; or a hash.
		if len(b) > 0 && b[0] == 'd' && bytes.Contains(b[:min(16, len(b))], []byte{':'}) {
			return addFile(path, "standard input", b)
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" {
				if err := addText(path, line); err != nil {
					return err
				}
			}
		}
		return nil
	}
	_, magnetErr := metainfo.ParseMagnet(what)
	if magnetErr == nil {
		return addText(path, what)
	}
	b, err := os.ReadFile(what)
	switch {
	case err == nil:
		return addFile(path, what, b)
	case strings.HasPrefix(strings.ToLower(what), "magnet:") || !strings.HasSuffix(what, ".torrent"):
		return withCode(exitInvalid, magnetErr)
	}
	return withCode(exitInvalid, err)
}

// addText adds a magnet link or hash.
func addText(path, text string) error {
	if _, err := metainfo.ParseMagnet(text); err != nil {
		return withCode(exitInvalid, err)
	}
	return write(path, "add", text, []byte(text+"\n"))
}

// addFile adds a torrent file.
func addFile(path, name string, b []byte) error {
	if _, err := metainfo.ParseMetainfo(b); err != nil {
		return withCode(exitInvalid, fmt.Errorf("%s: %w", name, err))
	}
	return write(path, "add", name, b)
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
	var purged bool
	cmd := &cobra.Command{
		Use:   "rm DIR NAME…",
		Short: "Remove torrents from a mount",
		Long: `Removes torrents from the mount on DIR, by the name of their folder, by the magnet
link they were added with or by their info-hash. rmdir DIR/NAME does the same. What
is on disk of them stays until the room is needed, unless --purge is given.`,
		Args: args(cobra.MinimumNArgs(2)),
		Example: `  magnetfs rm ~/t 'Big Buck Bunny'
  magnetfs rm --purge ~/t 0123456789abcdef0123456789abcdef01234567`,
		ValidArgsFunction: completeNames,
		RunE: func(cmd *cobra.Command, a []string) error {
			path, err := fs.Find(a[0])
			if err != nil {
				return err
			}
			for _, name := range a[1:] {
				if err := remove(path, name, purged); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&purged, "purge", false, "free what is kept of them on disk too")
	return cmd
}

// remove removes a torrent. A magnet has slashes and many spellings, so its
// info-hash is used.
func remove(path, name string, purged bool) error {
	folder := name
	if m, err := metainfo.ParseMagnet(name); err == nil && strings.Contains(name, ":") {
		folder = m.InfoHash.String()
	}
	if folder == "" || strings.Contains(folder, "/") {
		return withCode(exitNotFound, fmt.Errorf("%q is not the name of a torrent", name))
	}
	hash := ""
	if purged {
		hash, _ = hashOf(path, folder) // rmdir says what is wrong
	}
	err := unix.Rmdir(filepath.Join(path, folder))
	if errors.Is(err, unix.ENOENT) {
		return withCode(exitNotFound, fmt.Errorf("%s: there is no such torrent in %s", name, path))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if hash != "" {
		return purge(path, hash)
	}
	return nil
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
