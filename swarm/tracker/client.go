package tracker

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxHTTP bounds the HTTP requests under way at a time; a session with
	// hundreds of torrents starts with one for each of their trackers. Guess.
	maxHTTP = 64
	// httpTimeout bounds one HTTP exchange with all redirects (libtorrent).
	httpTimeout = 30 * time.Second
)

// Network opens the sockets; it is implemented over the net package, by a SOCKS
// proxy or by a simulated network.
type Network interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error)
}

// ClientConfig says how trackers are reached. The zero value means directly.
type ClientConfig struct {
	Network Network // nil: the net package
	// Resolve looks up the addresses of a host. Nil: the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// RemoteNames leaves the resolving to Network, as proxies want it: names are
	// passed to Dial, and to WriteTo in a net.Addr whose String is host:port.
	// Addresses behind names can not be judged then.
	RemoteNames bool
	UserAgent   string         // default "magnetfs"
	RootCAs     *x509.CertPool // nil: those of the system
}

// Client talks to trackers. It is safe for concurrent use.
type Client struct {
	cfg    ClientConfig
	ctx    context.Context // ends all when the client is closed
	cancel context.CancelFunc
	mu     sync.Mutex     // leaf; wg grows only under it and while ctx lasts
	wg     sync.WaitGroup // readers of the sockets
	http   chan struct{}  // a slot for each request under way

	names memo[string, []netip.Addr]
	socks memo[family, *udpSocket]
	conns memo[connKey, uint64] // connection IDs
}

// NewClient returns a client. It opens nothing yet.
func NewClient(cfg ClientConfig) *Client {
	if cfg.Network == nil {
		cfg.Network = direct{}
	}
	if cfg.Resolve == nil {
		cfg.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "magnetfs"
	}
	c := &Client{cfg: cfg, http: make(chan struct{}, maxHTTP)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close closes the sockets. Announces under way fail; end them first by closing
// the Announcers.
func (c *Client) Close() error {
	c.mu.Lock()
	c.cancel()
	c.mu.Unlock()
	c.wg.Wait()
	return nil
}

// direct is the Network of the net package.
type direct struct{}

func (direct) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func (direct) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, network, addr)
}

// answer is a reply with where it came from.
type answer struct {
	Reply
	from netip.Addr // the tracker's; invalid through a proxy
}

// announce announces to a tracker over each address family it has, in parallel,
// and calls each with every reply as it comes, from several goroutines. It fails
// if there was none.
func (c *Client) announce(ctx context.Context, t target, r Request, each func(answer)) error {
	ctx, cancel := c.join(ctx)
	defer cancel()
	fams, err := c.families(ctx, t.host)
	if err != nil {
		return err
	}
	errs := make([]error, len(fams))
	var wg sync.WaitGroup
	for i, f := range fams {
		wg.Go(func() {
			var a answer
			if t.udp {
				a, errs[i] = c.announceUDP(ctx, t, f, r)
			} else {
				a, errs[i] = c.announceHTTP(ctx, t, f, r)
			}
			if errs[i] == nil {
				each(a)
			}
		})
	}
	wg.Wait()
	return best(errs)
}

// scrape asks a tracker for the counts of a torrent, over its first family.
func (c *Client) scrape(ctx context.Context, t target, hash [20]byte) (Counts, error) {
	ctx, cancel := c.join(ctx)
	defer cancel()
	fams, err := c.families(ctx, t.host)
	if err != nil {
		return noCounts, err
	}
	if t.udp {
		return c.scrapeUDP(ctx, t, fams[0], hash)
	}
	return c.scrapeHTTP(ctx, t, fams[0], hash)
}

// join returns a context that ends with ctx or the client.
func (c *Client) join(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.ctx, func() { cancel(net.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// best returns nil if one of errs is nil, else the one that tells most: what a
// tracker said, then silence, then what our own machine says.
func best(errs []error) error {
	rank := func(err error) int {
		var f *Failure
		switch {
		case errors.As(err, &f):
			return 2
		case isTimeout(err):
			return 1
		}
		return 0
	}
	var top error
	for _, err := range errs {
		if err == nil {
			return nil
		}
		if top == nil || rank(err) > rank(top) {
			top = err
		}
	}
	return top
}
