package metainfo

import (
	"strings"
	"unicode/utf8"
)

const (
	// maxNameBytes bounds one path element. Linux allows 255; the rest is room for what is appended to tell equal
	// names apart, here and in the torrent's folder name. As in libtorrent.
	maxNameBytes = 240
	// maxExtBytes is the longest extension, without its dot, that is kept when a name is cut. As in libtorrent.
	maxExtBytes = 9
	// placeholder stands for characters that cannot be shown and for elements of which nothing is left.
	placeholder = "_"
)

// SafeName makes one path element out of a name that a stranger chose:
//
//   - path separators, / and \, and invisible characters that change how text is shown (bidirectional and zero width)
//     are removed;
//   - each control character and each run of bytes that is not UTF-8 becomes "_";
//   - more than 240 bytes are cut at a character border, keeping an extension of up to 9 bytes.
//
// If nothing is left, or "." or "..", the result is fallback, which must be safe itself; an empty fallback means "_".
// The result is a pure function of the arguments, and unless fallback is otherwise, it is valid UTF-8 of 1 to 240
// bytes. A safe name is left as it is.
func SafeName(s, fallback string) string {
	s = cutName(cleanName(s))
	switch s {
	case "", ".", "..":
		if fallback == "" {
			return placeholder
		}
		return fallback
	}
	return s
}

// cleanName does what SafeName does to single characters.
func cleanName(s string) string {
	if isPlain(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	inBadRun := false
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && size == 1
		switch {
		case bad && inBadRun, r == '/', r == '\\', isInvisible(r):
		case bad, isControl(r):
			b.WriteString(placeholder)
		default:
			b.WriteRune(r)
		}
		inBadRun = bad
		i += size
	}
	return b.String()
}

// isPlain reports whether s is printable ASCII without separators: nothing to clean, which is the usual case.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '/' || c == '\\' {
			return false
		}
	}
	return true
}

// isControl covers the C0 and C1 control characters and DEL.
func isControl(r rune) bool {
	return r < ' ' || 0x7f <= r && r <= 0x9f
}

// isInvisible covers the characters of no width that reorder or hide text: the list of libtorrent.
func isInvisible(r rune) bool {
	switch {
	case r == 0x061c, r == 0xfeff,
		0x200b <= r && r <= 0x200f,
		0x202a <= r && r <= 0x202e,
		0x2060 <= r && r <= 0x2064,
		0x2066 <= r && r <= 0x2069:
		return true
	}
	return false
}

// cutName shortens valid UTF-8 to maxNameBytes, keeping a short extension.
func cutName(s string) string {
	if len(s) <= maxNameBytes {
		return s
	}
	stem, ext := splitExt(s)
	return cutText(stem, maxNameBytes-len(ext)) + ext
}

// splitExt splits a name in front of its last dot. What follows is an extension only if it is short and something
// stands before it; otherwise ext is empty.
func splitExt(s string) (stem, ext string) {
	dot := strings.LastIndexByte(s, '.')
	if dot <= 0 || len(s)-dot-1 > maxExtBytes {
		return s, ""
	}
	return s[:dot], s[dot:]
}

// cutText shortens valid UTF-8 to at most n bytes without splitting a character.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
