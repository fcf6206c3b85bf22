package metainfo

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxURLBytes bounds one URL, as many web servers do.
	maxURLBytes = 8 << 10
	// maxTextBytes bounds a comment and the like.
	maxTextBytes = 4 << 10
)

// trackerSchemes are those that trackers use. ws and wss are kept although only browsers speak them: a user can see
// them in the status, and they survive export.
var trackerSchemes = []string{"udp", "http", "https", "ws", "wss"}

// webSeedSchemes are those of BEP 19 but for ftp, which nobody serves any more.
var webSeedSchemes = []string{"http", "https"}

// cleanTracker returns an announce URL without white space around it; false if it is none.
func cleanTracker(s string) (string, bool) { return cleanURL(s, trackerSchemes) }

// cleanWebSeed returns a web seed URL with blanks and the like escaped; false if it is none.
func cleanWebSeed(s string) (string, bool) { return cleanURL(s, webSeedSchemes) }

// cleanURL accepts absolute URLs of some schemes with an address or ASCII name for a host. What is already escaped stays as it is; characters that
// have no place in a URL are escaped. Where such a URL may lead is for the dialler to judge.
func cleanURL(s string, schemes []string) (string, bool) {
	s = strings.TrimSpace(s)
	if len(s) > maxURLBytes {
		return "", false
	}
	s = RepairFolded(s)
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !slices.Contains(schemes, strings.ToLower(scheme)) {
		return "", false
	}
	s = strings.ToLower(scheme) + "://" + escapeURL(rest)
	u, err := url.Parse(s)
	return s, err == nil && isHost(u.Hostname()) && len(s) <= maxURLBytes
}

// escapeURL percent-encodes what may not stand in a URL at all, and nothing else.
func escapeURL(s string) string {
	const hexDigits = "0123456789ABCDEF"
	forbidden := func(c byte) bool { return c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 }
	if !slices.ContainsFunc([]byte(s), forbidden) {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; forbidden(c) {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return string(b)
}

// cleanHostPort returns "host:port" in the form of net.JoinHostPort; false if s is none. The host is an address or a
// name; IPv6 addresses stand in brackets. Where it may lead is for the dialler to judge.
func cleanHostPort(s string) (string, bool) {
	host, port, err := net.SplitHostPort(strings.TrimSpace(s))
	if err != nil {
		return "", false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", false
	}
	return joinHostPort(host, int64(n))
}

// joinHostPort is cleanHostPort for a host and a port that are already apart.
func joinHostPort(host string, port int64) (string, bool) {
	if port < 1 || port > 65535 || !isHost(host) {
		return "", false
	}
	return net.JoinHostPort(host, strconv.FormatInt(port, 10)), true
}

// isHost accepts IP addresses and ASCII host names.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}

// cleanText makes foreign text fit to be shown: valid UTF-8 without control and direction characters, of bounded size.
// Line breaks and tabs stay, save at the ends.
func cleanText(s string) string {
	s = s[:min(len(s), 4*maxTextBytes)] // leave room for what is going to be removed
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case isControl(r) || isInvisible(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.TrimSpace(cutText(s, maxTextBytes))
}

// addUnique appends s to list unless it is there already or the list has limit entries.
func addUnique(list []string, s string, limit int) []string {
	if len(list) >= limit || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
