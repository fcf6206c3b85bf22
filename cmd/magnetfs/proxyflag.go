package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
)

// proxyPort is that of SOCKS (RFC 1928).
const proxyPort = "1080"

// proxyURL is a flag that names a SOCKS5 proxy: socks5://[user:password@]host[:port].
type proxyURL struct {
	addr           string // host:port; empty: none
	user, password string
}

// Set implements pflag.Value. The error does not tell a password.
func (p *proxyURL) Set(text string) error {
	if text == "" {
		*p = proxyURL{}
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("it is no URL; write socks5://host:port, with %40 for an @ in a password")
	case u.Scheme != "socks5" && u.Scheme != "socks5h":
		return fmt.Errorf("proxies of the kind %q are not known; write socks5://host:port", u.Scheme)
	case u.Hostname() == "" || u.Opaque != "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("write socks5://host:port, and nothing behind it")
	}
	port := u.Port()
	if port == "" {
		port = proxyPort
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is no port between 1 and 65535", port)
	}
	password, _ := u.User.Password()
	user := u.User.Username()
	if len(user) > 255 || len(password) > 255 || user == "" && password != "" {
		return errors.New("user and password have 1 to 255 bytes each") // RFC 1929
	}
	*p = proxyURL{addr: net.JoinHostPort(u.Hostname(), port), user: user, password: password}
	return nil
}

// String leaves the password out: settings are shown, and the log is read by others.
func (p *proxyURL) String() string {
	if p.addr == "" {
		return ""
	}
	u := url.URL{Scheme: "socks5", Host: p.addr}
	if p.user != "" {
		u.User = url.UserPassword(p.user, p.password)
	}
	return u.Redacted()
}

// Type implements pflag.Value.
func (p *proxyURL) Type() string { return "url" }
