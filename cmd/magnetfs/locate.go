package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"magnetfs/fs"
	"magnetfs/swarm/metainfo"
)

// place is a path in a mount.
type place struct {
	mount string // absolute
	hash  string // of the torrent, 40 hex digits
	rest  string // path below the torrent's folder, empty for the folder
}

// path leads to the place whatever the torrent's folder is called by now.
func (p place) path() string { return filepath.Join(p.mount, p.hash, p.rest) }

// control is the control folder of the place's torrent.
func (p place) control() string { return filepath.Join(p.mount, controlName, "by-hash", p.hash) }

// locate finds the torrent of a path in a mount: its folder, something in it, or
// what it was added as. The path need not exist below the folder.
func locate(path string) (place, error) {
	mount, below, err := splitMount(path)
	if err != nil {
		return place{}, err
	}
	return locateIn(mount, below)
}

// locateIn finds the torrent of a path below a mount.
func locateIn(mount, below string) (place, error) {
	if below == "" {
		return place{}, withCode(exitUsage, fmt.Errorf("%s is the whole mount: name a torrent in it", mount))
	}
	name, rest, _ := strings.Cut(below, "/")
	if isMagnet(below) {
		hash, rest, err := cutMagnet(below)
		if err != nil {
			return place{}, withCode(exitInvalid, err)
		}
		name = hash
		return identify(mount, name, rest, below)
	}
	return identify(mount, name, filepath.Clean("/" + rest)[1:], name)
}

// identify asks the mount for the info-hash of a torrent.
func identify(mount, name, rest, said string) (place, error) {
	buf := make([]byte, 64)
	n, err := unix.Getxattr(filepath.Join(mount, name), "user.magnetfs.infohash", buf)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODATA), errors.Is(err, unix.ESTALE):
		return place{}, withCode(exitNotFound, fmt.Errorf("%s: there is no such torrent in %s", said, mount))
	case err != nil:
		return place{}, fmt.Errorf("%s: %w", filepath.Join(mount, name), err)
	}
	return place{mount, string(buf[:n]), rest}, nil
}

func isMagnet(s string) bool { return len(s) >= 7 && strings.EqualFold(s[:7], "magnet:") }

// cutMagnet finds where a magnet with slashes in it ends and a path begins: the
// longest beginning that is a magnet counts.
func cutMagnet(s string) (hash, rest string, err error) {
	for end := len(s); end > 0; end = strings.LastIndexByte(s[:end], '/') {
		m, parseErr := metainfo.ParseMagnet(s[:end])
		if parseErr == nil {
			return m.InfoHash.String(), strings.Trim(s[end:], "/"), nil
		}
		if err == nil {
			err = parseErr
		}
	}
	return "", "", err
}

// splitMount cuts a path behind the folder that magnetfs is mounted on. A magnet in
// it keeps its double slashes.
func splitMount(path string) (mount, below string, err error) {
	dir, magnet := path, ""
	if isMagnet(path) {
		dir, magnet = ".", strings.TrimSuffix(path, "/")
	} else if i := strings.Index(strings.ToLower(path), "/magnet:?"); i >= 0 {
		dir, magnet = path[:i], strings.TrimSuffix(path[i+1:], "/")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	// From the top, so that nothing inside of a mount is touched.
	for end := 1; end <= len(abs); end++ {
		if end < len(abs) && abs[end] != '/' {
			continue
		}
		mount, err := fs.Find(abs[:end])
		if err != nil {
			continue
		}
		below := strings.Trim(abs[end:], "/")
		switch {
		case magnet != "" && below != "":
			below += "/" + magnet
		case magnet != "":
			below = magnet
		}
		return mount, below, nil
	}
	if _, err := os.Lstat(abs); err != nil && magnet == "" {
		return "", "", withCode(exitNotFound, err)
	}
	return "", "", fmt.Errorf("%w: %s is in no mount", fs.ErrNotMounted, path)
}
