package metainfo

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxMagnetBytes = 64 << 10 // of a whole link; guess, browsers pass less
	maxMagnetList  = 64       // trackers, and so on: each
	maxSelectIndex = 10000    // as in libtorrent
	maxSelect      = 1000     // ranges; guess
)

const (
	urnBTIH = "urn:btih:"
	urnBTMH = "urn:btmh:"
)

// ParseMagnet reads a magnet link, or an info-hash alone: 40 hex digits or 32 base32 characters for v1, 64 hex digits
// with or without 1220 before them for v2. White space around it is ignored, and so are parameters that are unknown or
// beyond 64 of a kind, and sources that cannot be used. Tracker and web seed URLs whose "//" was folded to "/" are
// repaired (see [RepairFolded]).
//
// Errors are meant for whoever typed the text and say what is wrong with it.
func ParseMagnet(s string) (*Magnet, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxMagnetBytes {
		return nil, fmt.Errorf("magnet: %d bytes are over the limit of %d", len(s), maxMagnetBytes)
	}
	const scheme = "magnet:"
	if len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) {
		return parseBareHash(s)
	}
	query, ok := strings.CutPrefix(s[len(scheme):], "?")
	if !ok {
		return nil, errors.New(`magnet: "?" is missing after "magnet:"`)
	}
	m := &Magnet{}
	other := "" // an xt that we cannot use
	for param := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(param, "=")
		name = paramName(name)
		var err error
		if name == "xt" {
			err = m.addTopic(value, &other)
		} else {
			m.addParam(name, value)
		}
		if err != nil {
			return nil, withHint(err, query)
		}
	}
	if !m.HasV1 && !m.HasV2 {
		if other != "" {
			return nil, fmt.Errorf("magnet: %q is not a BitTorrent info-hash (urn:btih or urn:btmh)", clip(other))
		}
		return nil, withHint(errors.New("magnet: no info-hash (xt=urn:btih:…)"), query)
	}
	m.truncateV2()
	return m, nil
}

// truncateV2 sets the info-hash of a link that has no v1 hash.
func (m *Magnet) truncateV2() {
	if !m.HasV1 {
		m.InfoHash = m.InfoHashV2.Truncated()
	}
}

// withHint adds the likeliest reason for a link that ends too early: a shell takes a bare "&" as the end of the
// command. Then no "&" is left in what arrived.
func withHint(err error, query string) error {
	if strings.Contains(query, "&") {
		return err
	}
	return fmt.Errorf(`%w; if the link goes on with "&", the shell cut it there: put it in single quotes`, err)
}

// parseBareHash reads an info-hash without a link around it.
func parseBareHash(s string) (*Magnet, error) {
	m := &Magnet{}
	var err error
	switch {
	case s == "":
		return nil, errors.New("magnet: empty")
	case hasPrefixFold(s, urnBTIH), hasPrefixFold(s, urnBTMH):
		err = m.addTopic(s, new(string))
	case len(s) == 40 || len(s) == 32:
		m.InfoHash, err = ParseInfoHash(s)
		m.HasV1 = true
	case len(s) == 64 || len(s) == 68:
		m.InfoHashV2, err = ParseInfoHashV2(s)
		m.HasV2 = true
	default:
		return nil, fmt.Errorf("magnet: %q is neither a magnet link nor an info-hash of 40 hex digits, "+
			"32 base32 characters, or 64 hex digits for v2", clip(s))
	}
	if err != nil {
		return nil, err
	}
	m.truncateV2()
	return m, nil
}

// paramName returns the name of a parameter without case and numbering ("TR.1") and without what is left of an "&"
// that was copied out of HTML ("amp;tr").
func paramName(s string) string {
	s = strings.TrimPrefix(strings.ToLower(s), "amp;")
	if dot := strings.LastIndexByte(s, '.'); dot >= 0 && dot+1 < len(s) && strings.Trim(s[dot+1:], "0123456789") == "" {
		return s[:dot]
	}
	return s
}

// addTopic reads an xt. A malformed info-hash is an error even beside a good one, and so is a second, different one;
// a topic of another network is stored in other.
func (m *Magnet) addTopic(value string, other *string) error {
	urn, err := url.PathUnescape(value)
	if err != nil {
		return fmt.Errorf("magnet: xt=%q: broken percent escape", clip(value))
	}
	switch {
	case hasPrefixFold(urn, urnBTIH):
		h, err := ParseInfoHash(urn[len(urnBTIH):])
		if err != nil {
			return err
		}
		if m.HasV1 && m.InfoHash != h {
			return errors.New("magnet: two different info-hashes; only one torrent can be added at a time")
		}
		m.InfoHash, m.HasV1 = h, true
	case hasPrefixFold(urn, urnBTMH):
		digits := urn[len(urnBTMH):]
		if len(digits) == 64 { // allowed as a bare hash only: here the multihash says which hash it is
			return fmt.Errorf("magnet: v2 info-hash %q does not begin with %s", clip(digits), multihashPrefix)
		}
		h, err := ParseInfoHashV2(digits)
		if err != nil {
			return err
		}
		if m.HasV2 && m.InfoHashV2 != h {
			return errors.New("magnet: two different info-hashes; only one torrent can be added at a time")
		}
		m.InfoHashV2, m.HasV2 = h, true
	default:
		*other = urn
	}
	return nil
}

// addParam reads any other parameter. What cannot be used is left out.
func (m *Magnet) addParam(name, value string) {
	switch name {
	case "dn":
		if m.DisplayName == "" {
			text := cleanText(unescapeLenient(strings.ReplaceAll(value, "+", " ")))
			m.DisplayName = strings.NewReplacer("\n", " ", "\t", " ").Replace(text)
		}
	case "tr":
		if s, ok := cleanTracker(unescapeLenient(value)); ok {
			m.Trackers = addUnique(m.Trackers, s, maxMagnetList)
		}
	case "ws":
		if s, ok := cleanWebSeed(unescapeLenient(value)); ok {
			m.WebSeeds = addUnique(m.WebSeeds, s, maxMagnetList)
		}
	case "x.pe":
		if s, ok := cleanHostPort(unescapeLenient(value)); ok {
			m.Peers = addUnique(m.Peers, s, maxMagnetList)
		}
	case "dht":
		if s, ok := cleanHostPort(unescapeLenient(value)); ok {
			m.Nodes = addUnique(m.Nodes, s, maxMagnetList)
		}
	case "so":
		m.addSelect(unescapeLenient(value))
	}
}

// addSelect reads a list of indices and closed ranges (BEP 53). Malformed tokens are skipped.
func (m *Magnet) addSelect(value string) {
	for token := range strings.SplitSeq(value, ",") {
		if len(m.Select) == maxSelect {
			return
		}
		low, high, isRange := strings.Cut(token, "-")
		if !isRange {
			high = low
		}
		first, err1 := strconv.ParseUint(low, 10, 31)
		last, err2 := strconv.ParseUint(high, 10, 31)
		if err1 == nil && err2 == nil && first <= last && last <= maxSelectIndex {
			m.Select = append(m.Select, Range{int(first), int(last)})
		}
	}
}

// unescapeLenient decodes percent escapes and keeps broken ones as they are.
func unescapeLenient(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// foldedSchemes are the URL schemes that occur inside magnets, with their colon.
var foldedSchemes = []string{"udp:", "http:", "https:", "ws:", "wss:"}

// RepairFolded restores the "//" behind the scheme of every URL in s. A magnet used as a path loses it: "tr=udp://x"
// reaches a file system as "tr=udp:/x". Text that is whole stays as it is.
func RepairFolded(s string) string {
	var b strings.Builder
	done := 0 // s[:done] is in b
	for i := 0; i < len(s); i++ {
		if s[i] != ':' || i+1 == len(s) || s[i+1] != '/' || strings.HasPrefix(s[i+1:], "//") || !endsInScheme(s[:i+1]) {
			continue
		}
		b.WriteString(s[done : i+1])
		b.WriteByte('/')
		done = i + 1
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// endsInScheme reports whether s ends in a scheme of ours that is a word of its own.
func endsInScheme(s string) bool {
	for _, scheme := range foldedSchemes {
		start := len(s) - len(scheme)
		if start < 0 || !strings.EqualFold(s[start:], scheme) {
			continue
		}
		if start == 0 || !isSchemeChar(s[start-1]) {
			return true
		}
	}
	return false
}

func isSchemeChar(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '+' || c == '-' || c == '.'
}
