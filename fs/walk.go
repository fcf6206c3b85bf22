package fs

import (
	"slices"
	"strings"
)

// A verbatim magnet such as
//
//	magnet:?xt=urn:btih:…&tr=udp://host:1/announce&tr=http://t/announce
//
// reaches a file system as the path components
//
//	magnet:?xt=urn:btih:…&tr=udp:   host:1   announce&tr=http:   t   announce
//
// The functions of this file turn such a walk back into the text, and guess from
// the text alone whether it goes on. Where the caller's own arguments are known
// (caller.go) no guess is needed.

// schemes are the URL schemes of trackers and web seeds: after one of them the
// slash that ended the component was a double one, which the kernel folded.
var schemes = []string{"udp:", "http:", "https:", "ws:", "wss:", "ftp:"}

// isMagnetStart tells whether a name in the root begins the text of a magnet.
func isMagnetStart(name string) bool {
	const start = "magnet:"
	return len(name) >= len(start) && strings.EqualFold(name[:len(start)], start)
}

// endsInScheme tells whether the text stops right before the "//" of a URL. The
// colon may be percent-encoded.
func endsInScheme(text string) bool {
	tail := text[max(0, len(text)-8):] // the longest is "https%3a"
	tail = strings.Replace(strings.ToLower(tail), "%3a", ":", 1)
	for _, s := range schemes {
		if strings.HasSuffix(tail, s) {
			return true
		}
	}
	return false
}

// joinWalk appends the next component to the text of a walk.
func joinWalk(text, name string) string {
	if endsInScheme(text) {
		return text + "//" + name
	}
	return text + "/" + name
}

// components cuts a path as the kernel does: slashes in a row count as one, "."
// is passed over.
func components(path string) []string {
	parts := strings.Split(path, "/")
	out := parts[:0]
	for _, p := range parts {
		if p != "" && p != "." {
			out = append(out, p)
		}
	}
	return out
}

// openURL returns the part after "://" of a text whose last parameter is a raw
// URL; ok is false if it is not.
func openURL(text string) (rest string, ok bool) {
	param := text[strings.LastIndexByte(text, '&')+1:]
	_, rest, ok = strings.Cut(param, "://")
	return rest, ok
}

// mayContinue tells whether more components can sensibly follow a text that was
// typed as a whole: it ends in a scheme, or in a URL without an "announce".
func mayContinue(text string) bool {
	if endsInScheme(text) {
		return true
	}
	rest, ok := openURL(text)
	return ok && !strings.Contains(strings.ToLower(rest), "announce") && !strings.Contains(rest, "?")
}

// continues tells whether a name is the next component of a magnet that was typed
// as a whole before: where mkdir -p makes one directory after the other, or where
// the name of a torrent has a slash in it.
func continues(text, name string) bool {
	return isMagnetStart(text) && (mayContinue(text) || hasParameter(name))
}

// hasParameter tells whether a component brings another parameter of a magnet.
func hasParameter(name string) bool {
	for part := range strings.SplitSeq(name, "&") {
		key, _, ok := strings.Cut(part, "=")
		if ok && len(part) < len(name) && slices.Contains(parameters, strings.ToLower(key)) {
			return true
		}
	}
	return false
}

// parameters are the keys that magnets have.
var parameters = []string{"xt", "dn", "tr", "ws", "as", "xs", "x.pe", "so", "xl", "kt", "mt"}

// hasTopic tells whether the info-hash has come by already.
func hasTopic(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "xt=") || strings.Contains(text, "xt.1=")
}

// ahead says what follows a component of a walk.
type ahead uint8

const (
	unknown ahead = iota
	last          // nothing: it is the last component
	more          // at least one more component
)

// guess judges from the text alone. A scheme is certainly followed by a host, a
// host nearly certainly by a path (a tracker without a path at the very end of
// the magnet is the exception), anything else is taken for the end.
func guess(text string) ahead {
	if endsInScheme(text) {
		return more
	}
	if rest, ok := openURL(text); ok && !strings.Contains(rest, "/") {
		return more
	}
	return last
}

// aheadIn looks for the walk as a run of whole components of path.
func aheadIn(path, walk []string) ahead {
	for i := 0; i+len(walk) <= len(path); i++ {
		if equal(path[i:i+len(walk)], walk) {
			if i+len(walk) == len(path) {
				return last
			}
			return more
		}
	}
	return unknown
}

// aheadAtTail is aheadIn for a path that is relative to a directory in the middle
// of the walk: its first components are the walk's last.
func aheadAtTail(path, walk []string) ahead {
	for n := min(len(path), len(walk)); n > 0; n-- {
		if equal(path[:n], walk[len(walk)-n:]) {
			if n == len(path) {
				return last
			}
			return more
		}
	}
	return unknown
}

func equal(a, b []string) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
