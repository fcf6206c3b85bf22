package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"magnetfs/fs"
)

// A second mount at the same time cannot have the torrents of the first, whose
// state folder is in use: it gets a list, a port, a log and a cache of its own, in
// folders below the usual ones that bear the name of the place it is mounted on.
// From then on a mount on that place uses them, whether it is the first or not, so
// that the order of mounting makes no difference.

// mountsDir is where such folders are, below the usual one.
const mountsDir = "mounts"

// targetFile says in a state folder on which place it was used last.
func targetFile(state string) string { return filepath.Join(state, "mounted-on") }

func saveTarget(state, target string) error {
	return renameio.WriteFile(targetFile(state), []byte(target+"\n"), 0o600)
}

// inUseBy returns the place of the live mount, other than the one on path, that
// uses a state folder; empty if there is none.
func inUseBy(state, path string) string {
	b, err := os.ReadFile(targetFile(state))
	if err != nil {
		return ""
	}
	target, err := fs.Find(strings.TrimSuffix(string(b), "\n"))
	if err != nil || target == path || !alive(target) {
		return ""
	}
	return target
}

// ownName is the name of the folders of the mount on path: of what it ends in, and
// of a hash, as two such places can end in the same.
func ownName(path string) string {
	base := strings.Map(func(r rune) rune {
		if r < ' ' || r == '/' {
			return '_'
		}
		return r
	}, filepath.Base(path))
	if len(base) > 100 {
		base = strings.ToValidUTF8(base[:100], "")
	}
	sum := sha256.Sum256([]byte(path))
	return base + "-" + hex.EncodeToString(sum[:4])
}

// usual is the state folder for a mount on dir whose user did not name one: the
// usual one, base, or one of its own, whose name below it is returned as well.
// beside is the mount because of which a new one is needed. Without a dir it is
// base.
func usual(base, dir string) (state, own, beside string, err error) {
	if dir == "" {
		return base, "", "", nil
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return "", "", "", err
	}
	// The folder itself is not looked at: whoever serves it may hang.
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(parent, filepath.Base(path))
	}
	own = filepath.Join(mountsDir, ownName(path))
	switch _, err := os.Stat(filepath.Join(base, own)); {
	case err == nil:
		return filepath.Join(base, own), own, "", nil
	case !errors.Is(err, iofs.ErrNotExist):
		return "", "", "", fmt.Errorf("state folder: %w", err)
	}
	if beside = inUseBy(base, path); beside != "" {
		return filepath.Join(base, own), own, beside, nil
	}
	return base, "", "", nil
}
