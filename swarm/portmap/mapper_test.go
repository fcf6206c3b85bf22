package portmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var here = way{gateway: netip.MustParseAddr("127.0.0.1"), local: netip.MustParseAddr("127.0.0.1")}

// router answers PCP or NAT-PMP.
type router struct {
	conn    net.PacketConn
	version byte
	refuse  byte   // code of refusals, if not 0
	port    uint16 // given instead of the one that is wanted, if not 0

	mu  sync.Mutex
	log []string // "TCP 6881 3600", in order
}

func newRouter(t *testing.T, version, refuse byte, port uint16) *router {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &router{conn: conn, version: version, refuse: refuse, port: port}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1100)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			conn.WriteTo([]byte{}, from) // noise
			conn.WriteTo([]byte{r.version, 0xff, 0, 0}, from)
			conn.WriteTo(r.answer(b[:n]), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return r
}

func (r *router) pmp() *pmp { return newPMP(direct{}, r.conn.LocalAddr().(*net.UDPAddr).Port) }

func (r *router) said() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.log)
}

func (r *router) answer(q []byte) []byte {
	if q[0] != r.version { // RFC 6887, 9; RFC 6886, 3.5
		return []byte{r.version, q[1] | response, 0, 1, 0, 0, 0, 0}
	}
	note := func(proto string, port, given uint16, life uint32) uint16 {
		if r.port != 0 && life > 0 {
			given = r.port
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.log = append(r.log, fmt.Sprintf("%s %d as %d for %d", proto, port, given, life))
		return given
	}
	if r.version == 0 {
		b := []byte{0, q[1] | response, 0, r.refuse, 0, 0, 0, 9}
		if q[1] == opExternal {
			return append(b, 203, 0, 113, 7)
		}
		port, life := binary.BigEndian.Uint16(q[4:]), binary.BigEndian.Uint32(q[8:])
		given := note(map[byte]string{opTCP: "TCP", opUDP: "UDP"}[q[1]], port, binary.BigEndian.Uint16(q[6:]), life)
		b = binary.BigEndian.AppendUint16(b, port)
		b = binary.BigEndian.AppendUint16(b, given)
		return binary.BigEndian.AppendUint32(b, life)
	}
	b := slices.Clone(q)
	b[1], b[3] = b[1]|response, r.refuse
	m := b[pcpHeader:]
	given := note(map[byte]string{protoTCP: "TCP", protoUDP: "UDP"}[m[12]], binary.BigEndian.Uint16(m[16:]), binary.BigEndian.Uint16(m[18:]), binary.BigEndian.Uint32(q[4:]))
	binary.BigEndian.PutUint16(m[18:], given)
	copy(m[20:], []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 7})
	return b
}

func TestPMP(t *testing.T) {
	for _, tt := range []struct {
		name    string
		version byte
		make    func(*pmp) protocol
		other   func(*pmp) protocol
	}{
		{"PCP", pcpVersion, func(p *pmp) protocol { return &pcp{p} }, func(p *pmp) protocol { return &natpmp{p} }},
		{"NAT-PMP", 0, func(p *pmp) protocol { return &natpmp{p} }, func(p *pmp) protocol { return &pcp{p} }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRouter(t, tt.version, 0, 0)
			if _, err := tt.other(r.pmp()).open(t.Context(), here, 6881, 6881); !errors.Is(err, errVersion) {
				t.Errorf("the other protocol: %v", err)
			}
			p := tt.make(r.pmp())
			external, err := p.open(t.Context(), here, 6881, 6881)
			if err != nil || external.String() != "203.0.113.7:6881" {
				t.Fatalf("%v, %v", external, err)
			}
			if err := p.close(t.Context(), here, 6881, external); err != nil {
				t.Error(err)
			}
			want := []string{"TCP 6881 as 6881 for 3600", "UDP 6881 as 6881 for 3600", "TCP 6881 as 0 for 0", "UDP 6881 as 0 for 0"}
			if got := r.said(); !slices.Equal(got, want) {
				t.Errorf("asked for %q", got)
			}
			refusing := newRouter(t, tt.version, 2, 0)
			if _, err := tt.make(refusing.pmp()).open(t.Context(), here, 6881, 6881); err == nil || !strings.Contains(err.Error(), "code 2") {
				t.Errorf("refused: %v", err)
			}
			gone := newRouter(t, tt.version, 0, 0)
			gone.conn.Close()
			if _, err := tt.make(gone.pmp()).open(t.Context(), here, 6881, 6881); err == nil {
				t.Error("nobody there")
			}
		})
	}
}

// The mapper tells of the port that is given, and takes the mapping back at the end.
func TestMapper(t *testing.T) {
	r := newRouter(t, 0, 0, 40000)
	told := make(chan uint16, 10)
	m := newMapper(Config{Port: 6881, OnPort: func(p uint16) { told <- p }})
	m.find = func(string) (way, error) { return here, nil }
	m.protocols = []protocol{&pcp{r.pmp()}, &natpmp{r.pmp()}}
	m.start()
	if p := <-told; p != 40000 {
		t.Errorf("told of port %d", p)
	}
	st := m.Status()
	if st.Method != "NAT-PMP" || st.External.String() != "203.0.113.7:40000" || st.Gateway != here.gateway || st.Err != nil {
		t.Errorf("%+v", st)
	}
	m.Close()
	if got := r.said(); len(got) != 4 || !strings.HasSuffix(got[2], "for 0") {
		t.Errorf("asked for %q", got)
	}
}

func TestNoRouter(t *testing.T) {
	for _, find := range []func(string) (way, error){
		func(string) (way, error) { return way{}, errNoGateway },
		func(string) (way, error) { return here, errPublic },
	} {
		m := newMapper(Config{Port: 6881, OnPort: func(p uint16) { t.Errorf("told of port %d", p) }})
		m.find, m.protocols = find, nil
		m.start()
		for m.Status().Err == nil {
			time.Sleep(time.Millisecond)
		}
		m.Close()
		if st := m.Status(); st.Method != "" {
			t.Errorf("%+v", st)
		}
	}
	if _, err := wayOut("no-such-device"); !errors.Is(err, errNoGateway) {
		t.Errorf("by an interface that is missing: %v", err)
	}
}

const description = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>%s/ctl</controlURL></service></serviceList></device></root>`

// upnpRouter describes itself and takes SOAP.
func upnpRouter(t *testing.T, control string, answer func(action, body string) (fault int)) (*url.URL, *upnp) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ctl" {
			fmt.Fprintf(w, description, control)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, action, _ := strings.Cut(strings.Trim(r.Header.Get("SOAPACTION"), `"`), "#")
		inner := fmt.Sprintf(`<u:%sResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1"><NewExternalIPAddress>203.0.113.8</NewExternalIPAddress></u:%[1]sResponse>`, action)
		if f := answer(action, string(body)); f != 0 {
			w.WriteHeader(http.StatusInternalServerError)
			inner = fmt.Sprintf(`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError><errorCode>%d</errorCode></UPnPError></detail></s:Fault>`, f)
		}
		fmt.Fprintf(w, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%s</s:Body></s:Envelope>`, inner)
	}))
	t.Cleanup(s.Close)
	loc, err := url.Parse(s.URL + "/desc.xml")
	if err != nil {
		t.Fatal(err)
	}
	u := newUPnP(direct{})
	u.search = func(context.Context, netip.Addr) ([]*url.URL, error) { return []*url.URL{loc}, nil }
	return loc, u
}

// A router that has the port given away, and knows no leases.
func TestUPnP(t *testing.T) {
	var actions []string
	_, u := upnpRouter(t, "", func(action, body string) int {
		port, _, _ := strings.Cut(body[strings.Index(body, "<NewExternalPort>")+len("<NewExternalPort>"):], "<")
		switch {
		case action == "AddPortMapping" && port == "6881":
			return errConflict
		case action == "AddPortMapping" && !strings.Contains(body, "<NewLeaseDuration>0<"):
			return errOnlyPermanent
		case action != "GetExternalIPAddress":
			actions = append(actions, action+" "+port)
		}
		return 0
	})
	external, err := u.open(t.Context(), here, 6881, 6881)
	if err != nil || external.String() != "203.0.113.8:6882" {
		t.Fatalf("%v, %v", external, err)
	}
	if err := u.close(t.Context(), here, 6881, external); err != nil {
		t.Error(err)
	}
	want := []string{"AddPortMapping 6882", "AddPortMapping 6882", "DeletePortMapping 6882", "DeletePortMapping 6882"}
	if !slices.Equal(actions, want) {
		t.Errorf("%q", actions)
	}
}

func TestUPnPRefused(t *testing.T) {
	loc, u := upnpRouter(t, "", func(string, string) int { return 606 })
	if _, err := u.open(t.Context(), here, 6881, 6881); code(err) != 606 {
		t.Errorf("not authorized: %v", err)
	}
	// Only the router counts, at its own address.
	if _, err := u.open(t.Context(), way{netip.MustParseAddr("192.0.2.1"), here.local}, 6881, 6881); err == nil || !strings.Contains(err.Error(), "not the router") {
		t.Errorf("somebody else: %v", err)
	}
	_, u = upnpRouter(t, "http://192.0.2.9:80", func(string, string) int { return 0 })
	if _, err := u.open(t.Context(), here, 6881, 6881); err == nil {
		t.Error("a service of another host")
	}
	loc.Path = "/ctl"
	u.search = func(context.Context, netip.Addr) ([]*url.URL, error) { return []*url.URL{loc}, nil }
	if _, err := u.open(t.Context(), here, 6881, 6881); err == nil {
		t.Error("no description")
	}
	u.search = func(context.Context, netip.Addr) ([]*url.URL, error) { return nil, nil }
	if _, err := u.open(t.Context(), here, 6881, 6881); !errors.Is(err, errSilent) {
		t.Errorf("nobody: %v", err)
	}
}
