package tracker

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
)

// maxURL bounds the length of a tracker's URL, bytes; guess.
const maxURL = 2048

// Errors of tracker URLs. They are final: no retry can help.
var (
	errScheme   = errors.New("scheme is not supported")
	errBadURL   = errors.New("bad URL")
	errNoPort   = errors.New("no port given")
	errHost     = errors.New("bad host name")
	errParams   = errors.New("URL holds announce parameters")
	errNoScrape = errors.New("tracker has no scrape address")
)

// target is a tracker's URL taken apart.
type target struct {
	udp  bool
	url  *url.URL // without fragment; for UDP only its path and query are of use
	host string   // name or address, lower case, without brackets
	port string   // decimal, 1-65535
}

// ownParams must not come with a URL: they would let whoever wrote it forge
// our announce, or turn it into a request to something that is no tracker
// (list of libtorrent).
var ownParams = []string{"info_hash", "peer_id", "port", "uploaded", "downloaded", "left", "corrupt", "event", "key"}

// parseTarget checks a tracker's URL: http, https or udp, an ASCII host, for
// UDP a port, no announce parameters.
func parseTarget(s string) (target, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxURL {
		return target{}, fmt.Errorf("%w: %d bytes long", errBadURL, len(s))
	}
	u, err := url.Parse(s)
	if err != nil {
		return target{}, errBadURL // the text of err repeats the URL
	}
	t := target{url: u, host: strings.ToLower(u.Hostname()), port: u.Port()}
	u.Fragment, u.RawFragment = "", ""
	switch u.Scheme { // lower case by url.Parse
	case "http", "https":
		if t.port == "" {
			t.port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
	case "udp":
		t.udp = true
		if t.port == "" {
			return target{}, errNoPort
		}
	default:
		return target{}, fmt.Errorf("%w: %q", errScheme, clean([]byte(u.Scheme)))
	}
	if n, err := strconv.ParseUint(t.port, 10, 16); err != nil || n == 0 {
		return target{}, fmt.Errorf("%w: port %q", errBadURL, t.port)
	}
	if !validHost(t.host) {
		return target{}, errHost
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if slices.Contains(ownParams, name) {
			return target{}, fmt.Errorf("%w: %s", errParams, name)
		}
	}
	return t, nil
}

// validHost accepts ASCII names and literal addresses. Others would have to go
// through IDNA, which is not worth its lookalikes (libtorrent refuses as well).
func validHost(h string) bool {
	if h == "" || len(h) > 253 {
		return false
	}
	for i := range len(h) {
		if c := h[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("/\\@%", c) >= 0 {
			return false
		}
	}
	return true
}

// key is equal for two spellings of the same tracker.
func (t target) key() string {
	return t.url.Scheme + "://" + t.host + ":" + t.port + t.url.EscapedPath() + "?" + t.url.RawQuery
}

// request returns path and query as UDP trackers get them (BEP 41); empty if
// there is nothing to say.
func (t target) request() string {
	s := t.url.EscapedPath()
	if t.url.RawQuery != "" {
		s += "?" + t.url.RawQuery
	}
	if s == "/" {
		return ""
	}
	return s
}

// announceURL returns the URL of an announce, keeping the query there is.
func (t target) announceURL(r Request) *url.URL {
	return withQuery(t.url, query(r))
}

// scrapeURL returns the URL of a scrape: "announce" at the start of the last
// element of the path becomes "scrape" (BEP 48). Always with info-hashes, since
// without any a tracker may dump all it has.
func (t target) scrapeURL(hashes [][20]byte) (*url.URL, error) {
	dir, last := path.Split(t.url.EscapedPath())
	rest, ok := strings.CutPrefix(last, "announce")
	if !ok || len(hashes) == 0 {
		return nil, errNoScrape
	}
	u := *t.url
	u.RawPath = dir + "scrape" + rest
	var err error
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, errNoScrape
	}
	var q []byte
	for i, h := range hashes {
		if i > 0 {
			q = append(q, '&')
		}
		q = append(q, "info_hash="...)
		q = appendEscaped(q, h[:])
	}
	return withQuery(&u, string(q)), nil
}

func withQuery(base *url.URL, q string) *url.URL {
	u := *base
	if u.RawQuery != "" {
		q = u.RawQuery + "&" + q
	}
	u.RawQuery, u.ForceQuery = q, false
	return &u
}

// query returns the parameters of an HTTP announce (BEP 3, 7, 23).
func query(r Request) string {
	b := make([]byte, 0, 320)
	b = append(b, "info_hash="...)
	b = appendEscaped(b, r.InfoHash[:])
	b = append(b, "&peer_id="...)
	b = appendEscaped(b, r.PeerID[:])
	b = fmt.Appendf(b, "&port=%d&uploaded=%d&downloaded=%d&left=%d&key=%08X",
		r.Port, r.Uploaded, r.Downloaded, r.left(), r.Key)
	if r.Event != None {
		b = fmt.Appendf(b, "&event=%v", r.Event)
	}
	if r.NumWant >= 0 {
		b = fmt.Appendf(b, "&numwant=%d", r.NumWant)
	}
	b = append(b, "&compact=1&no_peer_id=1"...)
	switch r.Crypto {
	case CryptoSupported:
		b = append(b, "&supportcrypto=1"...)
	case CryptoRequired:
		b = append(b, "&requirecrypto=1"...)
	}
	if r.TrackerID != "" {
		b = append(b, "&trackerid="...)
		b = appendEscaped(b, []byte(r.TrackerID))
	}
	return string(b)
}

// appendEscaped percent-encodes all but the unreserved characters of RFC 3986;
// url.QueryEscape would turn spaces into plus signs, which not every tracker
// undoes.
func appendEscaped(b, raw []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, c := range raw {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}
