package tracker

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxRedirects = 5
	maxHeaders   = 64 << 10 // bytes of response headers
)

var (
	errRedirects = errors.New("too many redirects")
	errRedirect  = errors.New("redirect is not allowed")
	errTooLarge  = errors.New("reply is too large")
)

// httpError is an answer with a status that is neither success nor redirect.
type httpError struct {
	code    int
	retryIn time.Duration // of a Retry-After header; 0 if there was none
}

func (e *httpError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.code, http.StatusText(e.code)))
}

// visit is one GET with its redirects. It judges the addresses behind each
// host: a local address is for trackers that look like one, and out of reach
// for redirects that began in public.
type visit struct {
	c      *Client
	family family
	marker string // how the path on a local address must begin
	path   string // of the current hop
	hop    int
	origin place      // where the first hop led
	remote netip.Addr // last connected to; invalid through a proxy
}

// get fetches u over family f. The body of an error status is returned as well,
// with the error: trackers put their reasons there.
func (c *Client) get(ctx context.Context, u *url.URL, f family, marker string) ([]byte, netip.Addr, error) {
	select {
	case c.http <- struct{}{}:
		defer func() { <-c.http }()
	case <-ctx.Done():
		return nil, netip.Addr{}, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	v := &visit{c: c, family: f, marker: marker}
	// A transport of its own: connections carry the verdict of one visit, and
	// the next announce is half an hour away. No proxy from the environment.
	tr := &http.Transport{
		DialContext:            v.dial,
		TLSClientConfig:        &tls.Config{RootCAs: c.cfg.RootCAs, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		DisableCompression:     true, // done below, with limits
		MaxResponseHeaderBytes: maxHeaders,
	}
	defer tr.CloseIdleConnections()
	for ; ; v.hop++ {
		resp, err := v.fetch(ctx, tr, u)
		if err != nil {
			return nil, netip.Addr{}, err // not v.remote: a dial may still be at it
		}
		next, err := redirect(resp, u)
		if next == nil && err == nil {
			b, err := readReply(resp)
			resp.Body.Close()
			return b, v.remote, err
		}
		resp.Body.Close()
		if err != nil {
			return nil, v.remote, err
		}
		if v.hop == maxRedirects {
			return nil, v.remote, errRedirects
		}
		u = next
	}
}

// fetch does one hop.
func (v *visit) fetch(ctx context.Context, tr *http.Transport, u *url.URL) (*http.Response, error) {
	v.path = u.Path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errBadURL
	}
	req.Header.Set("User-Agent", v.c.cfg.UserAgent)
	req.Header.Set("Accept-Encoding", "gzip")
	if u.User != nil {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	return tr.RoundTrip(req)
}

// dial connects to the first address of the host that is allowed and answers.
func (v *visit) dial(ctx context.Context, _, hostport string) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	if _, literal := netip.ParseAddr(host); v.c.cfg.RemoteNames && literal != nil {
		if v.hop == 0 {
			v.origin = public
		}
		return v.c.cfg.Network.Dial(ctx, "tcp", hostport)
	}
	addrs, err := v.c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	err = errNotFound
	for _, a := range addrs {
		if v.family != anyFamily && familyOf(a) != v.family {
			continue
		}
		where := placeOf(a, uint16(port))
		if e := v.judge(where); e != nil {
			err = e
			continue
		}
		var conn net.Conn
		conn, err = v.c.cfg.Network.Dial(ctx, familyOf(a).network("tcp"), netip.AddrPortFrom(a, uint16(port)).String())
		if err == nil {
			if v.hop == 0 {
				v.origin = where
			}
			if !v.c.cfg.RemoteNames {
				v.remote = a
			}
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// judge tells whether the current hop may lead to such a place.
func (v *visit) judge(where place) error {
	switch {
	case where == forbidden:
		return errForbidden
	case where == public:
		return nil
	case !strings.HasPrefix(v.path, v.marker):
		return fmt.Errorf("%w: local, and the path does not begin with %s", errForbidden, v.marker)
	case v.hop > 0 && v.origin != local:
		return fmt.Errorf("%w: from a public to a local address", errRedirect)
	}
	return nil
}

// redirect returns where the response sends us; nil if nowhere. Parameters are
// carried over if the new address has none.
func redirect(resp *http.Response, from *url.URL) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	location := resp.Header.Get("Location")
	if location == "" || len(location) > 2*maxURL {
		return nil, fmt.Errorf("%w: bad location", errRedirect)
	}
	to, err := from.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("%w: bad location", errRedirect)
	}
	switch {
	case to.Scheme != "http" && to.Scheme != "https":
		return nil, fmt.Errorf("%w: to scheme %q", errRedirect, clean([]byte(to.Scheme)))
	case from.Scheme == "https" && to.Scheme == "http":
		return nil, fmt.Errorf("%w: from https to http", errRedirect)
	case !validHost(to.Hostname()):
		return nil, errHost
	}
	to.Fragment, to.RawFragment = "", ""
	if to.RawQuery == "" {
		to.RawQuery = from.RawQuery
	}
	if to.User == nil && to.Scheme == from.Scheme && to.Host == from.Host {
		to.User = from.User
	}
	return to, nil
}

// readReply reads the body, with limits on both sides of the decompression.
func readReply(resp *http.Response) ([]byte, error) {
	var status error
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		status = &httpError{resp.StatusCode, retryAfter(resp.Header.Get("Retry-After"))}
	}
	body := io.Reader(io.LimitReader(resp.Body, maxBody+1))
	if enc := resp.Header.Get("Content-Encoding"); strings.EqualFold(enc, "gzip") || strings.EqualFold(enc, "x-gzip") {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, cmp.Or(status, err)
		}
		body = io.LimitReader(z, maxBody+1)
	}
	b, err := io.ReadAll(body)
	if len(b) > maxBody {
		err = errTooLarge
	}
	if err != nil {
		return nil, cmp.Or(status, err)
	}
	return b, status
}

// retryAfter reads the header of that name, of which only the form in seconds
// is used.
func retryAfter(s string) time.Duration {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}

func (c *Client) announceHTTP(ctx context.Context, t target, f family, r Request) (answer, error) {
	b, from, err := c.get(ctx, t.announceURL(r), f, "/announce")
	if b == nil && err != nil {
		return answer{}, err
	}
	reply, parseErr := parseAnnounce(b)
	var said *Failure
	if err != nil && !errors.As(parseErr, &said) {
		return answer{}, err // the status tells more than an error page
	}
	return answer{reply, from}, parseErr
}

func (c *Client) scrapeHTTP(ctx context.Context, t target, f family, hash [20]byte) (Counts, error) {
	u, err := t.scrapeURL([][20]byte{hash})
	if err != nil {
		return noCounts, err
	}
	b, _, err := c.get(ctx, u, f, "/scrape")
	if err != nil {
		return noCounts, err
	}
	return parseScrape(b, hash)
}
