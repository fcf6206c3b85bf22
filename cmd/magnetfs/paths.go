package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// stateDir is where lives what cannot be fetched again: torrents, port, log.
func stateDir() (string, error) {
	return xdg("XDG_STATE_HOME", ".local/state")
}

// cacheDir is where lives what was fetched. It is a folder of its own even if both
// variables name the same place: each of the two folders has its lock.
func cacheDir() (string, error) {
	dir, err := cacheBase()
	return filepath.Join(dir, piecesDir), err
}

const piecesDir = "pieces"

func cacheBase() (string, error) { return xdg("XDG_CACHE_HOME", ".cache") }

// mountStateDir is stateDir, or what systemd made for the service (StateDirectory=).
func mountStateDir() (string, error) { return given("STATE_DIRECTORY", stateDir) }

// mountCacheDir is cacheDir, or what systemd made for the service (CacheDirectory=);
// own is the name of the folders of a mount that has its own, or empty.
func mountCacheDir(own string) (string, error) {
	if own == "" {
		return given("CACHE_DIRECTORY", cacheDir)
	}
	dir, err := given("CACHE_DIRECTORY", cacheBase)
	return filepath.Join(dir, own, piecesDir), err
}

// given returns the folder of a variable of systemd.exec(5). Several, with colons,
// are not ours to choose from.
func given(variable string, otherwise func() (string, error)) (string, error) {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) && !strings.Contains(dir, ":") {
		return dir, nil
	}
	return otherwise()
}

// xdg returns our folder below one of the XDG base directories. As the
// specification demands, a relative path in the variable is ignored.
func xdg(variable, fallback string) (string, error) {
	base := os.Getenv(variable)
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no folder of our own: set %s or HOME", variable)
		}
		base = filepath.Join(home, fallback)
	}
	return filepath.Join(base, "magnetfs"), nil
}
