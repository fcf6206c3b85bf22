package portmap

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/dcps/internetgateway2"
	"github.com/huin/goupnp/httpu"
	"github.com/huin/goupnp/soap"
	"github.com/huin/goupnp/ssdp"
)

const (
	// igd is what is searched for; routers of version 2 answer to it as well.
	igd           = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
	searchTimeout = 2500 * time.Millisecond
	httpTimeout   = 5 * time.Second
	maxBody       = 1 << 20

	errOnlyPermanent = 725 // of AddPortMapping
	errConflict      = 718
)

// connection is a service of a router that maps ports.
type connection interface {
	AddPortMappingCtx(ctx context.Context, remote string, external uint16, protocol string, internal uint16, client string, enabled bool, description string, lease uint32) error
	DeletePortMappingCtx(ctx context.Context, remote string, external uint16, protocol string) error
	GetExternalIPAddressCtx(ctx context.Context) (string, error)
}

// upnp is UPnP IGD. goupnp searches on all interfaces, and believes every device that
// answers; so of it only the parts are used.
type upnp struct {
	client http.Client
	search func(ctx context.Context, local netip.Addr) ([]*url.URL, error)
	found  connection // of the router that answered last
	at     way
}

func newUPnP(d Dialer) *upnp {
	u := &upnp{search: search}
	u.client = http.Client{Timeout: httpTimeout, Transport: bounded{&http.Transport{DialContext: d.Dial, DisableKeepAlives: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return u
}

// bounded bounds the bodies of answers.
type bounded struct{ rt http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.rt.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxBody), resp.Body}
	}
	return resp, err
}

func (u *upnp) name() string { return "UPnP" }

func (u *upnp) open(ctx context.Context, w way, port, want uint16) (external netip.AddrPort, err error) {
	if u.found == nil || u.at != w {
		if u.found, err = u.discover(ctx, w); err != nil {
			return external, err
		}
		u.at = w
	}
	ctx, cancel := context.WithTimeout(ctx, 2*httpTimeout)
	defer cancel()
	for try := range uint16(3) { // others may have the port
		if err = u.mapBoth(ctx, w, port, want+try); code(err) != errConflict {
			want += try
			break
		}
	}
	if err != nil {
		u.found = nil
		return external, err
	}
	ip := netip.IPv4Unspecified()
	if text, err := u.found.GetExternalIPAddressCtx(ctx); err == nil { // it is only shown
		if a, err := netip.ParseAddr(text); err == nil {
			ip = a
		}
	}
	return netip.AddrPortFrom(ip, want), nil
}

func (u *upnp) mapBoth(ctx context.Context, w way, port, external uint16) error {
	add := func(protocol string) error {
		err := u.found.AddPortMappingCtx(ctx, "", external, protocol, port, w.local.String(), true, "magnetfs", uint32(lifetime/time.Second))
		if code(err) == errOnlyPermanent {
			err = u.found.AddPortMappingCtx(ctx, "", external, protocol, port, w.local.String(), true, "magnetfs", 0)
		}
		return err
	}
	if err := add("TCP"); err != nil {
		return err
	}
	if err := add("UDP"); err != nil {
		_ = u.found.DeletePortMappingCtx(ctx, "", external, "TCP")
		return err
	}
	return nil
}

// code is that of an error of UPnP, 0 if it is none.
func code(err error) int {
	var fault *soap.SOAPFaultError
	if errors.As(err, &fault) {
		return fault.Detail.UPnPError.Errorcode
	}
	return 0
}

func (u *upnp) close(ctx context.Context, _ way, _ uint16, external netip.AddrPort) error {
	if u.found == nil {
		return nil
	}
	return errors.Join(u.found.DeletePortMappingCtx(ctx, "", external.Port(), "TCP"),
		u.found.DeletePortMappingCtx(ctx, "", external.Port(), "UDP"))
}

// search returns where devices say that they describe themselves.
func search(ctx context.Context, local netip.Addr) (all []*url.URL, err error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeout)
	defer cancel()
	// Bound to the address, by whose interface multicasts leave then.
	c, err := httpu.NewHTTPUClientAddr(local.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	answers, err := ssdp.RawSearch(ctx, c, igd, 2)
	if err != nil {
		return nil, err
	}
	for _, r := range answers {
		if loc, err := r.Location(); err == nil {
			all = append(all, loc)
		}
	}
	return all, nil
}

// discover finds the service of the router.
func (u *upnp) discover(ctx context.Context, w way) (connection, error) {
	locations, err := u.search(ctx, w.local)
	if err != nil {
		return nil, err
	}
	err = errSilent
	for _, loc := range locations {
		if loc.Hostname() != w.gateway.String() {
			err = fmt.Errorf("%s is not the router", loc.Hostname())
			continue
		}
		var c connection
		if c, err = u.describe(ctx, loc); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// describe reads a device's description, and returns its service.
func (u *upnp) describe(ctx context.Context, loc *url.URL) (connection, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, loc.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	root := &goupnp.RootDevice{}
	d := xml.NewDecoder(resp.Body)
	d.DefaultSpace = goupnp.DeviceXMLNamespace
	if err := d.Decode(root); err != nil {
		return nil, err
	}
	root.SetURLBase(loc) // a base that it names itself might be anywhere
	for _, kind := range []string{
		internetgateway2.URN_WANIPConnection_2, internetgateway2.URN_WANIPConnection_1, internetgateway2.URN_WANPPPConnection_1,
	} {
		clients, err := goupnp.NewServiceClientsFromRootDevice(root, loc, kind)
		if err != nil || len(clients) == 0 {
			continue
		}
		c := clients[0]
		if host, _, err := net.SplitHostPort(c.SOAPClient.EndpointURL.Host); err != nil || host != loc.Hostname() {
			continue
		}
		c.SOAPClient.HTTPClient = u.client
		switch kind {
		case internetgateway2.URN_WANIPConnection_2:
			return &internetgateway2.WANIPConnection2{ServiceClient: c}, nil
		case internetgateway2.URN_WANIPConnection_1:
			return &internetgateway2.WANIPConnection1{ServiceClient: c}, nil
		}
		return &internetgateway2.WANPPPConnection1{ServiceClient: c}, nil
	}
	return nil, errors.New("it maps no ports")
}
