// Package socks reaches the network through a SOCKS5 proxy (RFC 1928, RFC 1929) and in
// no other way. TCP goes by CONNECT, with golang.org/x/net/proxy; UDP, which that has
// not, by UDP ASSOCIATE as far as the proxy offers it. Names are left to the proxy:
// Dial takes them, and so does WriteTo, in a net.Addr whose String is host:port.
//
// Nobody can connect to us but through an association: Listen returns a listener that
// accepts nobody. An association ends with its TCP connection to the proxy; a
// PacketConn lives on, and gets another one. Meanwhile writing to it fails.
//
// Fragments are dropped: nobody sends any, and RFC 1928 lets us.
package socks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/net/proxy"
)

var (
	// ErrUnreachable is wrapped by errors of connecting to the proxy itself.
	ErrUnreachable = errors.New("the proxy does not answer")
	// ErrNoUDP says that the proxy refuses to pass on UDP.
	ErrNoUDP = errors.New("the proxy passes on no UDP")
	// ErrLogin says that it does not want us.
	ErrLogin = errors.New("the proxy refuses the user or password")

	errAsking = errors.New("the proxy is being asked")
)

// Under is what the proxy itself is reached by.
type Under interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Config names the proxy.
type Config struct {
	Addr     string // host:port
	User     string // empty: it asks for none
	Password string
	Under    Under        // nil: the net package
	Log      *slog.Logger // nil: nothing is logged
}

// Proxy reaches the network through a proxy. Its methods may be called from any
// goroutine.
type Proxy struct {
	cfg    Config
	log    *slog.Logger
	dialer proxy.ContextDialer

	mu   sync.Mutex // leaf; guards the rest
	tcp  error      // of the latest connection to the proxy
	udp  error      // of the latest association
	back func()
}

// New returns a proxy, to which it does not connect yet.
func New(cfg Config) (*Proxy, error) {
	if cfg.Under == nil {
		cfg.Under = direct{}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Proxy{cfg: cfg, log: cfg.Log.With("proxy", cfg.Addr), udp: errAsking}
	var auth *proxy.Auth
	if cfg.User != "" {
		auth = &proxy.Auth{User: cfg.User, Password: cfg.Password}
	}
	d, err := proxy.SOCKS5("tcp", cfg.Addr, auth, forward{p})
	if err != nil {
		return nil, fmt.Errorf("socks: %w", err)
	}
	p.dialer = d.(proxy.ContextDialer)
	return p, nil
}

// direct is the net package.
type direct struct{}

func (direct) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// forward connects to the proxy, and notes whether it can be reached.
type forward struct{ p *Proxy }

// Dial is there for an old interface of x/net.
func (f forward) Dial(network, addr string) (net.Conn, error) {
	return f.DialContext(context.Background(), network, addr)
}

func (f forward) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := f.p.cfg.Under.Dial(ctx, network, addr)
	switch {
	case err == nil:
		f.p.note(&f.p.tcp, nil)
	case ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
		f.p.note(&f.p.tcp, err)
	}
	return nc, err
}

// note takes what became of an attempt, and tells when it is the first that came out.
func (p *Proxy) note(what *error, err error) {
	p.mu.Lock()
	was, back := *what, p.back
	*what = err
	p.mu.Unlock()
	switch {
	case err == nil && was != nil:
		if back != nil {
			back()
		}
	case err != nil && (was == nil || was.Error() != err.Error()):
		p.log.Warn("the proxy cannot be used", "err", err)
	}
}

// OnBack has f called whenever the proxy works that did not; it should return soon.
func (p *Proxy) OnBack(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.back = f
}

// Fault tells why nothing can be sent by "tcp" or "udp" at present; nil if something
// can, as far as is known.
func (p *Proxy) Fault(network string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if network == "udp" {
		return p.udp
	}
	return p.tcp
}

// Dial connects to addr, host:port, through the proxy.
func (p *Proxy) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return p.dialer.DialContext(ctx, network, addr)
}

// Listen returns a listener that accepts nobody: SOCKS has nothing that would last. addr
// is IP:port.
func (p *Proxy) Listen(_ context.Context, _, addr string) (net.Listener, error) {
	at, err := chooseAddr(addr)
	if err != nil {
		return nil, err
	}
	return &listener{addr: net.TCPAddrFromAddrPort(at), done: make(chan struct{})}, nil
}

type listener struct {
	addr net.Addr
	once sync.Once
	done chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	<-l.done
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
}

func (l *listener) Addr() net.Addr { return l.addr }

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Check asks the proxy for an association, and ends that again: nil if it can be had. An
// error that is ErrNoUDP means that all else works.
func (p *Proxy) Check(ctx context.Context) error {
	a, err := p.associate(ctx)
	if err != nil {
		return err
	}
	return a.close()
}

// associateTimeout bounds connecting to the proxy with all that is said there.
const associateTimeout = 10 * time.Second
