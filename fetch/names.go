package fetch

import (
	"unicode/utf8"

	"magnetfs/swarm/metainfo"
)

const (
	// maxFolderName is what Linux allows for one path element.
	maxFolderName = 255
	// controlDir is the front end's own folder in the root.
	controlDir = ".magnetfs"
)

// folderName chooses the folder's name of a torrent that would like to be called
// base, which is a safe path element. taken tells whether another torrent bears a
// name.
//
// A torrent chooses its name itself, so it must not be able to pass for another
// one: names that are somebody else's, the front end's, or that read as a link or
// hash of another torrent get ` [first 8 hex digits of the hash]`.
func folderName(base string, hash metainfo.InfoHash, taken func(string) bool) string {
	if base == "" {
		base = hash.String()
	}
	if len(base) <= maxFolderName && base != controlDir && !taken(base) && !namesAnother(base, hash) {
		return base
	}
	for digits := 8; ; digits = len(hash) * 2 {
		suffix := " [" + hash.String()[:digits] + "]"
		name := cutBytes(base, maxFolderName-len(suffix)) + suffix
		if !taken(name) || digits > 8 {
			return name
		}
	}
}

// namesAnother tells whether a name is a way to write the hash of another torrent.
func namesAnother(name string, hash metainfo.InfoHash) bool {
	m, err := metainfo.ParseMagnet(name)
	return err == nil && m.InfoHash != hash
}

// cutBytes shortens valid UTF-8 to at most n bytes at a character's border.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
