package main

import (
	"strings"
	"testing"
)

func TestProxyURL(t *testing.T) {
	for _, c := range []struct {
		text string
		want proxyURL // no address: refused
		back string
	}{
		{"socks5://127.0.0.1:9050", proxyURL{addr: "127.0.0.1:9050"}, "socks5://127.0.0.1:9050"},
		{"socks5h://proxy.example", proxyURL{addr: "proxy.example:1080"}, "socks5://proxy.example:1080"},
		{"socks5://[2001:db8::1]:1081/", proxyURL{addr: "[2001:db8::1]:1081"}, "socks5://[2001:db8::1]:1081"},
		{"socks5://ann:p%40ss@host:1", proxyURL{"host:1", "ann", "p@ss"}, "socks5://ann:xxxxx@host:1"},
		{"host:1080", proxyURL{}, ""},
		{"http://host:80", proxyURL{}, ""},
		{"socks4://host", proxyURL{}, ""},
		{"socks5://", proxyURL{}, ""},
		{"socks5://host:0", proxyURL{}, ""},
		{"socks5://host:99999", proxyURL{}, ""},
		{"socks5://host/path", proxyURL{}, ""},
		{"socks5://:secret@host", proxyURL{}, ""},
		{"socks5://" + strings.Repeat("u", 256) + "@host", proxyURL{}, ""},
		{"socks5://ann:se cret@%zz", proxyURL{}, ""},
	} {
		var got proxyURL
		err := got.Set(c.text)
		if got != c.want || (err != nil) != (c.want.addr == "") || got.String() != c.back {
			t.Errorf("%q: %+v, %q, %v", c.text, got, got.String(), err)
		}
		if err != nil && strings.Contains(err.Error(), "cret") {
			t.Errorf("%q: the error tells the password: %v", c.text, err)
		}
	}
}
