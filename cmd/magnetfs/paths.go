package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// stateDir is where lives what cannot be fetched again: torrents, port, log.
func stateDir() (string, error) {
	return xdg("XDG_STATE_HOME", ".local/state")
}

// cacheDir is where lives what was fetched. It is a folder of its own even if both
// variables name the same place: each of the two folders has its lock.
func cacheDir() (string, error) {
	dir, err := xdg("XDG_CACHE_HOME", ".cache")
	return filepath.Join(dir, "pieces"), err
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
