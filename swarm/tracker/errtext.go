package tracker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"syscall"
)

// isTimeout reports whether nobody answered in time.
func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.ETIMEDOUT) {
		return true
	}
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// describe puts an error into the few words that fit a table. It leaves out
// addresses and the URL, which may hold a passkey.
func describe(err error) string {
	var (
		dns   *net.DNSError
		errno syscall.Errno
		cert  *tls.CertificateVerificationError
		host  x509.HostnameError
		op    *net.OpError
	)
	switch {
	case isTimeout(err):
		return "timed out"
	case errors.Is(err, errNotBencoded):
		return errNotBencoded.Error()
	case errors.As(err, &dns) && dns.IsNotFound:
		return errNotFound.Error()
	case errors.As(err, &dns):
		return "name lookup failed"
	case errors.As(err, &host):
		return "certificate is for another host"
	case errors.As(err, &cert):
		return "certificate is not valid"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &op):
		return clean([]byte(op.Err.Error()))
	}
	return clean([]byte(err.Error()))
}
