package metainfo

import (
	"fmt"
	"strconv"
	"strings"
)

// Magnet is a link to a torrent (BEP 9, 52, 53).
type Magnet struct {
	InfoHash    InfoHash // v1, or the truncated v2 one if there is no other
	HasV1       bool
	InfoHashV2  InfoHashV2 // zero unless HasV2
	HasV2       bool
	DisplayName string   // dn: what to call the torrent until its info is there; one line, safe to print, not a safe file name
	Trackers    []string // tr: announce URLs
	Peers       []string // x.pe: host:port
	WebSeeds    []string // ws: URLs
	Nodes       []string // dht: DHT nodes, host:port
	Select      []Range  // so: files to fetch, by their index in the metainfo; none means all
}

// Range is a closed range of file indices, 0 ≤ First ≤ Last.
type Range struct{ First, Last int }

// String returns the range as in so=: "4" or "6-8".
func (r Range) String() string {
	if r.First == r.Last {
		return strconv.Itoa(r.First)
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Selects reports whether the link asks for a file. Without a selection it asks for all.
func (m *Magnet) Selects(file int) bool {
	for _, r := range m.Select {
		if r.First <= file && file <= r.Last {
			return true
		}
	}
	return len(m.Select) == 0
}

// Matches reports whether raw is the info dictionary that the link names, by every hash it names.
func (m *Magnet) Matches(raw []byte) bool {
	v1, v2 := HashInfo(raw)
	return (!m.HasV1 || v1 == m.InfoHash) && (!m.HasV2 || v2 == m.InfoHashV2) && (m.HasV1 || m.HasV2)
}

// String returns the link in its usual form. ParseMagnet reads it back as m.
func (m *Magnet) String() string {
	var b strings.Builder
	b.WriteString("magnet:?")
	add := func(key, value string) {
		if b.Len() > len("magnet:?") {
			b.WriteByte('&')
		}
		b.WriteString(key)
		b.WriteByte('=')
		b.WriteString(value)
	}
	if m.HasV1 {
		add("xt", urnBTIH+m.InfoHash.String())
	}
	if m.HasV2 {
		add("xt", urnBTMH+multihashPrefix+m.InfoHashV2.String())
	}
	if m.DisplayName != "" {
		add("dn", escapeParam(m.DisplayName))
	}
	for _, list := range []struct {
		key    string
		values []string
	}{{"tr", m.Trackers}, {"ws", m.WebSeeds}, {"x.pe", m.Peers}, {"dht", m.Nodes}} {
		for _, v := range list.values {
			add(list.key, escapeParam(v))
		}
	}
	if len(m.Select) > 0 {
		tokens := make([]string, len(m.Select))
		for i, r := range m.Select {
			tokens[i] = r.String()
		}
		add("so", strings.Join(tokens, ","))
	}
	return b.String()
}

// escapeParam percent-encodes all but the unreserved characters of RFC 3986 and the colon.
func escapeParam(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', strings.IndexByte("-._~:", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
