// Package human writes numbers as the status, the view and messages show them, so that
// they look the same everywhere, and what strangers have named so that it does no harm.
package human

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
)

// Size writes bytes: "20 MiB". Nothing is less than 0 B.
func Size(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// Count writes a number that may not be known: "-" for nil.
func Count(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

// Amount writes how many there are: "1 seed", "2 seeds". one is the word for one.
func Amount(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// Duration writes seconds, minutes and hours, the two largest of them: "4m 10s".
func Duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s >= 3600:
		return fmt.Sprintf("%dh %02dm", s/3600, s/60%60)
	case s >= 60:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

// Clean takes out what could change a terminal or the order of what is written:
// names, and what peers and trackers say, are from strangers.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
