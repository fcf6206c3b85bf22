package tracker

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"magnetfs/internal/simnet"
	"magnetfs/swarm/endpoint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a simulated host that opens what trackers need.
type host interface {
	ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error)
	Listen(ctx context.Context, network, addr string) (net.Listener, error)
}

// udpTracker is a small tracker over UDP. Its fields other than mu are guarded
// by it and may be changed at any time.
type udpTracker struct {
	conn net.PacketConn
	wg   sync.WaitGroup

	mu       sync.Mutex
	drop     int                   // datagrams to swallow
	peers    []netip.AddrPort      // given in replies
	ids      map[uint64]bool       // connection IDs given out and not forgotten
	lastID   uint64                // given out
	requests []string              // "connect", "announce started", "scrape"
	last     []byte                // latest announce
	refuse   string                // answer announces with this error
	mangle   func(b []byte) []byte // changes a reply; nil result: none
}

func newUDPTracker(t *testing.T, h host, addr string, peers ...string) *udpTracker {
	t.Helper()
	conn, err := h.ListenPacket(t.Context(), "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	u := &udpTracker{conn: conn, ids: make(map[uint64]bool), peers: addrs(peers...)}
	u.wg.Go(u.serve)
	return u
}

func (u *udpTracker) close() {
	u.conn.Close()
	u.wg.Wait()
}

func (u *udpTracker) set(f func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	f()
}

// log returns and clears the requests received.
func (u *udpTracker) log() (list []string) {
	u.set(func() { list, u.requests = u.requests, nil })
	return list
}

func (u *udpTracker) serve() {
	buf := make([]byte, 2048)
	for {
		n, from, err := u.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if reply := u.answer(buf[:n], from.(*net.UDPAddr).AddrPort().Addr().Unmap().Is6()); reply != nil {
			u.conn.WriteTo(reply, from)
		}
	}
}

func (u *udpTracker) answer(b []byte, v6 bool) (out []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.drop > 0 {
		u.drop--
		return nil
	}
	if len(b) < 16 {
		return nil
	}
	id, action, tid := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), b[12:16]
	out = append(binary.BigEndian.AppendUint32(nil, action), tid...)
	switch {
	case action == actionConnect && id == protocolID:
		u.requests = append(u.requests, "connect")
		u.lastID += 0x100000001
		u.ids[u.lastID] = true
		out = binary.BigEndian.AppendUint64(out, u.lastID)
	case !u.ids[id]:
		u.requests = append(u.requests, "bad connection")
		return nil
	case u.refuse != "":
		out = append(append(binary.BigEndian.AppendUint32(nil, actionError), tid...), u.refuse...)
	case action == actionAnnounce && len(b) >= 98:
		u.last = append([]byte(nil), b...)
		u.requests = append(u.requests, "announce "+Event(binary.BigEndian.Uint32(b[80:])).String())
		out = binary.BigEndian.AppendUint32(out, 1800)
		out = binary.BigEndian.AppendUint32(out, 2)
		out = binary.BigEndian.AppendUint32(out, 5)
		for _, p := range u.peers {
			if p.Addr().Is6() == v6 {
				out = endpoint.AppendCompact(out, p)
			}
		}
	case action == actionScrape:
		u.requests = append(u.requests, "scrape")
		out = binary.BigEndian.AppendUint32(out, 5)
		out = binary.BigEndian.AppendUint32(out, 7)
		out = binary.BigEndian.AppendUint32(out, 2)
	default:
		return nil
	}
	if u.mangle != nil {
		out = u.mangle(out)
	}
	return out
}

// serveHTTP runs an HTTP server on a host until the returned function is called.
func serveHTTP(t *testing.T, h host, addr string, f http.HandlerFunc) (stop func()) {
	t.Helper()
	ln, err := h.Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup // Server.Close does not wait for handlers
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wg.Add(1)
		defer wg.Done()
		f(w, r)
	})}
	wg.Go(func() { srv.Serve(ln) })
	return func() {
		srv.Close()
		wg.Wait()
	}
}

// world is a simulated network with us on it, 20 ms from everyone.
type world struct {
	t      *testing.T
	net    *simnet.Net
	us     *simnet.Host
	client *Client
	names  map[string][]netip.Addr
}

const delay = 10 * time.Millisecond // of each side's link

func newWorld(t *testing.T) *world {
	w := &world{t: t, net: simnet.New(1), names: make(map[string][]netip.Addr)}
	w.us = w.host("5.5.5.5", "2a00::5")
	w.client = NewClient(ClientConfig{Network: w.us, Resolve: w.resolve})
	return w
}

func (w *world) host(addr ...string) *simnet.Host {
	var list []netip.Addr
	for _, a := range addr {
		list = append(list, netip.MustParseAddr(a))
	}
	return w.net.Host(simnet.Link{Delay: delay}, list...)
}

func (w *world) name(name string, addr ...string) {
	for _, a := range addr {
		w.names[name] = append(w.names[name], netip.MustParseAddr(a))
	}
}

func (w *world) resolve(_ context.Context, name string) ([]netip.Addr, error) {
	if a := w.names[name]; a != nil {
		return a, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (w *world) close() {
	w.client.Close()
	w.net.Close()
}

// announce does one announce and returns the replies.
func (w *world) announce(url string, r Request) ([]answer, error) {
	w.t.Helper()
	target, err := parseTarget(url)
	if err != nil {
		w.t.Fatal(err)
	}
	var mu sync.Mutex
	var list []answer
	err = w.client.announce(w.t.Context(), target, r, func(a answer) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, a)
	})
	return list, err
}
