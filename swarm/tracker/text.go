package tracker

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean makes a text from the network fit to be shown in a terminal: one line
// of valid UTF-8 without control characters, at most maxText bytes.
func clean(b []byte) string { return cleanTo(b, maxText) }

func cleanTo(b []byte, limit int) string {
	b = b[:min(len(b), 4*limit)]
	s := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(b))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= limit {
		return s
	}
	const dots = "…"
	cut := limit - len(dots)
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + dots
}
