package tracker

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const okReply = "d8:completei5e10:incompletei2e8:intervali1800e5:peers6:" + peer4 + "e"

func gzipped(b []byte) []byte {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	z.Write(b)
	z.Close()
	return buf.Bytes()
}

func TestHTTPAnnounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		var got *http.Request
		defer serveHTTP(t, w.host("6.6.6.6"), ":80", func(rw http.ResponseWriter, r *http.Request) {
			got = r.Clone(context.Background())
			io.WriteString(rw, okReply)
		})()
		w.name("tracker.example", "6.6.6.6")
		start := time.Now()
		list, err := w.announce("http://u:p@tracker.example/x/announce?pass=key", Request{InfoHash: [20]byte{0xff, ' '}, Port: 6881, Left: -1, Event: Started})
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		if d := time.Since(start); d != 80*time.Millisecond {
			t.Errorf("took %v, want two round trips", d)
		}
		if a := list[0]; !slices.Equal(a.Peers, addrs("203.0.113.5:6881")) || a.from != netip.MustParseAddr("6.6.6.6") || a.Counts != (Counts{5, 2, -1}) {
			t.Errorf("got %+v", a)
		}
		q := got.URL.Query()
		if q.Get("pass") != "key" || q.Get("info_hash") != "\xff "+strings.Repeat("\x00", 18) || q.Get("event") != "started" || q.Get("left") != "16384" {
			t.Errorf("asked %s", got.URL)
		}
		if user, pass, _ := got.BasicAuth(); user != "u" || pass != "p" || got.Host != "tracker.example" || got.UserAgent() != "magnetfs" {
			t.Errorf("headers %v for %s", got.Header, got.Host)
		}
	})
}

func TestHTTPReplies(t *testing.T) {
	spaces := bytes.Repeat([]byte(" "), 10<<20)
	for _, tt := range []struct {
		name   string
		handle http.HandlerFunc
		err    error  // matched by errors.Is
		says   string // or by its text
	}{
		{name: "chunked", handle: func(w http.ResponseWriter, _ *http.Request) {
			for i := range okReply {
				io.WriteString(w, okReply[i:i+1])
				w.(http.Flusher).Flush()
			}
		}},
		{name: "gzip", handle: func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				w.WriteHeader(406)
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped([]byte(okReply)))
		}},
		{name: "x-gzip, trailing bytes", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "x-gzip")
			w.Write(gzipped([]byte(okReply + "\n")))
		}},
		{name: "gzip bomb", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped(spaces))
		}, err: errTooLarge},
		{name: "broken gzip", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, okReply)
		}, err: gzip.ErrHeader},
		{name: "cut gzip", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped([]byte(okReply))[:30])
		}, err: io.ErrUnexpectedEOF},
		{name: "large body", handle: func(w http.ResponseWriter, _ *http.Request) { w.Write(spaces) }, err: errTooLarge},
		{name: "large headers", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeaders))
		}, says: "exceeded"},
		{name: "cut body", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "500")
			io.WriteString(w, okReply)
		}, err: io.ErrUnexpectedEOF},
		{name: "HTML", handle: func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, err: errNotBencoded},
		{name: "not found", handle: http.NotFound, says: "HTTP 404 Not Found"},
		{name: "failure", handle: func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "d14:failure reason2:noe")
		}, says: "no"},
		{name: "failure with a status", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			io.WriteString(w, "d14:failure reason2:noe")
		}, says: "no"},
		{name: "peers with an error status", handle: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			io.WriteString(w, okReply)
		}, says: "HTTP 500 Internal Server Error"},
		{name: "never ends", handle: func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, err: context.DeadlineExceeded},
		{name: "never begins", handle: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, err: context.DeadlineExceeded},
		{name: "drips", handle: func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
		}, err: context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				defer serveHTTP(t, w.host("6.6.6.6"), ":80", tt.handle)()
				start := time.Now()
				list, err := w.announce("http://6.6.6.6/announce", Request{})
				if d := time.Since(start); d > httpTimeout {
					t.Errorf("took %v", d)
				}
				switch {
				case tt.err == nil && tt.says == "":
					if err != nil || len(list) != 1 || len(list[0].Peers) != 1 {
						t.Errorf("%v, %v", list, err)
					}
				case tt.err != nil && !errors.Is(err, tt.err):
					t.Errorf("error %v, want %v", err, tt.err)
				case err == nil || !strings.Contains(err.Error(), tt.says):
					t.Errorf("error %v, want %q", err, tt.says)
				}
			})
		})
	}
}

func TestRetryAfterHeader(t *testing.T) {
	for in, want := range map[string]time.Duration{"120": 2 * time.Minute, "": 0, "-1": 0, "Wed, 21 Oct 2015 07:28:00 GMT": 0, "99999999999": 0} {
		if got := retryAfter(in); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// to answers with a redirect.
func to(code int, location string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(code)
	}
}

func TestRedirects(t *testing.T) {
	// 6.6.6.6 and 7.7.7.7 are public, 10.0.0.1 and 10.0.0.2 are not.
	for _, tt := range []struct {
		name  string
		start string
		first http.HandlerFunc
		err   error
	}{
		{"same host", "http://6.6.6.6/announce", to(302, "/ok/announce"), nil},
		{"other host, permanent", "http://6.6.6.6/announce", to(301, "http://7.7.7.7/ok/announce"), nil},
		{"307", "http://6.6.6.6/announce", to(307, "http://7.7.7.7/ok/announce?x=y"), nil},
		{"public to local", "http://6.6.6.6/announce", to(302, "http://10.0.0.1/announce/ok"), errRedirect},
		{"public to local by name", "http://6.6.6.6/announce", to(302, "http://local.example/announce/ok"), errRedirect},
		{"public to loopback", "http://6.6.6.6/announce", to(302, "http://127.0.0.1/announce/ok"), errRedirect},
		{"local to local", "http://10.0.0.2/announce", to(302, "http://10.0.0.1/announce/ok"), nil},
		{"local to local, no tracker", "http://10.0.0.2/announce", to(302, "http://10.0.0.1/ok/reboot"), errForbidden},
		{"local to public", "http://10.0.0.2/announce", to(302, "http://7.7.7.7/ok"), nil},
		{"local, no tracker", "http://10.0.0.1/ok/reboot?now=1", nil, errForbidden},
		{"local", "http://10.0.0.1/announce/ok", nil, nil},
		{"local by name", "http://local.example/announce/ok", nil, nil},
		{"to the unspecified address", "http://6.6.6.6/announce", to(302, "http://0.0.0.0/announce"), errForbidden},
		{"other scheme", "http://6.6.6.6/announce", to(302, "file:///etc/passwd"), errRedirect},
		{"no location", "http://6.6.6.6/announce", to(302, ""), errRedirect},
		{"bad location", "http://6.6.6.6/announce", to(302, "http://%zz/"), errRedirect},
		{"no host", "http://6.6.6.6/announce", to(302, "http:///announce"), errHost},
		{"loop", "http://6.6.6.6/announce", to(302, "/announce"), errRedirects},
		{"unknown name", "http://6.6.6.6/announce", to(302, "http://nowhere.example/announce"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				w.name("local.example", "10.0.0.1")
				handle := func(rw http.ResponseWriter, r *http.Request) {
					switch {
					case !strings.Contains(r.URL.Path, "ok"):
						tt.first(rw, r)
					case r.URL.Query().Get("x") == "" && r.URL.Query().Get("info_hash") == "":
						rw.WriteHeader(400) // the parameters got lost
					default:
						io.WriteString(rw, okReply)
					}
				}
				for _, addr := range []string{"6.6.6.6", "7.7.7.7", "10.0.0.1", "10.0.0.2"} {
					defer serveHTTP(t, w.host(addr), ":80", handle)()
				}
				list, err := w.announce(tt.start, Request{})
				if tt.name == "unknown name" {
					if describe(err) != "host not found" {
						t.Errorf("error %q", describe(err))
					}
					return
				}
				if !errors.Is(err, tt.err) || err == nil && len(list) != 1 {
					t.Errorf("%v, %v; want %v", list, err, tt.err)
				}
			})
		})
	}
}

func TestRedirectRules(t *testing.T) {
	from, _ := url.Parse("https://u:p@t.example/announce?info_hash=x")
	for _, tt := range []struct {
		location, want string
		err            error
	}{
		{"/b", "https://u:p@t.example/b?info_hash=x", nil},
		{"https://t.example/b?c", "https://u:p@t.example/b?c", nil},
		{"https://other.example/b", "https://other.example/b?info_hash=x", nil}, // no password for others
		{"https://t.example:444/b", "https://t.example:444/b?info_hash=x", nil},
		{"http://t.example/b", "", errRedirect},
		{"https://ünsafe.example/b", "", errHost},
		{"https://t.example/" + strings.Repeat("x", 3*maxURL), "", errRedirect},
	} {
		resp := &http.Response{StatusCode: 302, Header: http.Header{"Location": {tt.location}}}
		got, err := redirect(resp, from)
		if !errors.Is(err, tt.err) || err == nil && got.String() != tt.want {
			t.Errorf("%.60s: %v, %v; want %s, %v", tt.location, got, err, tt.want, tt.err)
		}
	}
	if got, err := redirect(&http.Response{StatusCode: 200}, from); got != nil || err != nil {
		t.Errorf("200: %v, %v", got, err)
	}
}

func TestHTTPUsesEachFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		var from []string
		defer serveHTTP(t, w.host("6.6.6.6", "2a00::6"), ":80", func(rw http.ResponseWriter, r *http.Request) {
			from = append(from, netip.MustParseAddrPort(r.RemoteAddr).Addr().String())
			io.WriteString(rw, okReply)
		})()
		w.name("tracker.example", "6.6.6.6", "2a00::6")
		list, err := w.announce("http://tracker.example/announce", Request{})
		slices.Sort(from)
		if err != nil || len(list) != 2 || !slices.Equal(from, []string{"2a00::5", "5.5.5.5"}) {
			t.Errorf("%v, %v, from %v", list, err, from)
		}
	})
}

// The next address of a name is tried when one refuses.
func TestHTTPTriesNextAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.host("6.6.6.7")
		defer serveHTTP(t, w.host("6.6.6.6"), ":80", func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, okReply) })()
		w.name("tracker.example", "6.6.6.7", "6.6.6.6")
		if _, err := w.announce("http://tracker.example/announce", Request{}); err != nil {
			t.Error(err)
		}
	})
}

func TestHTTPErrorsInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.host("6.6.6.7")
		for url, want := range map[string]string{
			"http://6.6.6.7/announce":          "connection refused",
			"http://nowhere.example/announce":  "host not found",
			"http://6.6.6.8/announce":          "timed out",
			"https://6.6.6.7/announce?passkey": "connection refused",
			"udp://nowhere.example:1/announce": "host not found",
		} {
			if _, err := w.announce(url, Request{}); err == nil || describe(err) != want {
				t.Errorf("%s: %q, want %q", url, describe(err), want)
			}
		}
	})
}

func TestHTTPScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		hash := [20]byte{1: 0xee}
		defer serveHTTP(t, w.host("6.6.6.6"), ":80", func(rw http.ResponseWriter, r *http.Request) {
			h := r.URL.Query().Get("info_hash")
			if r.URL.Path != "/scrape" {
				h = "?"
			}
			fmt.Fprintf(rw, "d5:filesd%d:%sd8:completei11e10:incompletei19eeee", len(h), h)
		})()
		target, _ := parseTarget("http://6.6.6.6/announce")
		if c, err := w.client.scrape(t.Context(), target, hash); err != nil || c != (Counts{11, 19, -1}) {
			t.Errorf("%+v, %v", c, err)
		}
		target, _ = parseTarget("http://6.6.6.6/x")
		if _, err := w.client.scrape(t.Context(), target, hash); !errors.Is(err, errNoScrape) {
			t.Errorf("error %v, want %v", err, errNoScrape)
		}
	})
}

// More requests than slots: all get their turn.
func TestHTTPSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		busy, most := 0, 0
		lock := make(chan struct{}, 1)
		count := func(n int) {
			lock <- struct{}{}
			busy += n
			most = max(most, busy)
			<-lock
		}
		defer serveHTTP(t, w.host("6.6.6.6"), ":80", func(rw http.ResponseWriter, _ *http.Request) {
			count(1)
			time.Sleep(time.Second)
			count(-1)
			io.WriteString(rw, okReply)
		})()
		errs := make(chan error)
		const n = 2*maxHTTP + 10
		for range n {
			go func() {
				_, err := w.announce("http://6.6.6.6/announce", Request{})
				errs <- err
			}()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if most > maxHTTP {
			t.Errorf("%d requests at a time, want at most %d", most, maxHTTP)
		}
	})
}

func TestHTTPNamesGoToTheProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		defer serveHTTP(t, w.host("6.6.6.6"), ":80", func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, okReply) })()
		w.net.SetName("tracker.example", netip.MustParseAddr("6.6.6.6"))
		w.client = NewClient(ClientConfig{Network: w.us, RemoteNames: true, Resolve: w.resolve})
		list, err := w.announce("http://tracker.example/announce", Request{})
		if err != nil || len(list) != 1 || list[0].from.IsValid() {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// HTTPS over real sockets: the certificate is verified.
func TestHTTPS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, okReply) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused certificate is no news
	srv.StartTLS()
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	target, err := parseTarget(srv.URL + "/announce")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		roots *x509.CertPool
		want  string
	}{
		{"trusted", pool, ""},
		{"not trusted", x509.NewCertPool(), "certificate is not valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := NewClient(ClientConfig{RootCAs: tt.roots})
			defer c.Close()
			err := c.announce(t.Context(), target, Request{}, func(answer) {})
			if got := ""; err != nil {
				got = describe(err)
				if got != tt.want {
					t.Errorf("error %q (%v), want %q", got, err, tt.want)
				}
			} else if tt.want != "" {
				t.Errorf("no error, want %q", tt.want)
			}
		})
	}
}
