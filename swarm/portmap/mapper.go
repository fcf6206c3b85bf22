// Package portmap has the router let others connect to us: by PCP (RFC 6887), else by
// NAT-PMP (RFC 6886), else by UPnP IGD. IPv4 only. The router is the one that the
// kernel sends through; only it is asked, and by UPnP only one that answers from its
// address. All is bounded in time, and never waited for.
//
// A mapping lasts an hour and is renewed after twenty minutes, so that one that a
// router has forgotten is soon there again; it is taken back at the end. PCP and
// NAT-PMP are a few bytes each, of one socket, so they are our own; go-nat-pmp knows
// no context and waits for up to two minutes.
package portmap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	lifetime     = time.Hour // asked for
	renewAfter   = lifetime / 3
	lookEvery    = 30 * time.Second // whether the way out is another one
	retryFirst   = 30 * time.Second
	retryLast    = 30 * time.Minute
	removeWithin = 2 * time.Second // at the end
	settleAfter  = time.Second     // nothing is asked before a first read may have begun
)

var (
	errNoGateway = errors.New("there is no router")
	errPublic    = errors.New("our address is public, nothing has to be mapped")
)

// Dialer opens sockets.
type Dialer interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
}

// Config says what is to be mapped.
type Config struct {
	Port   uint16       // of TCP and UDP
	Device string       // the interface by which the router has to be reached; empty: any
	Dialer Dialer       // nil: the net package
	Log    *slog.Logger // nil: nothing is logged

	// OnPort is called with the port that others reach us by, whenever that changes;
	// 0: they cannot. It is called from a goroutine of the Mapper.
	OnPort func(port uint16)
}

// Status is what is known of the mapping.
type Status struct {
	Method   string         // "PCP", "NAT-PMP", "UPnP"; empty: there is no mapping
	Gateway  netip.Addr     // the router
	External netip.AddrPort // where others reach us by TCP; the address may be unknown
	Err      error          // why there is no mapping; nil while that is being found out
}

// way is a path out, as the kernel has it.
type way struct{ gateway, local netip.Addr }

// protocol asks a router for mappings.
type protocol interface {
	// open maps a port of TCP and of UDP. want is what others should reach us by.
	open(ctx context.Context, w way, port, want uint16) (external netip.AddrPort, err error)
	// close takes that back.
	close(ctx context.Context, w way, port uint16, external netip.AddrPort) error
	name() string
}

// Mapper keeps a port mapped. Its methods may be called from any goroutine.
type Mapper struct {
	cfg       Config
	log       *slog.Logger
	protocols []protocol
	find      func(device string) (way, error)
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu     sync.Mutex // leaf; guards status
	status Status
}

// New starts to map. Close ends it.
func New(cfg Config) *Mapper {
	m := newMapper(cfg)
	m.start()
	return m
}

// newMapper returns one that is not started.
func newMapper(cfg Config) *Mapper {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Dialer == nil {
		cfg.Dialer = direct{}
	}
	if cfg.OnPort == nil {
		cfg.OnPort = func(uint16) {}
	}
	p := newPMP(cfg.Dialer, pmpPort)
	return &Mapper{cfg: cfg, log: cfg.Log, find: wayOut, protocols: []protocol{&pcp{pmp: p}, &natpmp{pmp: p}, newUPnP(cfg.Dialer)}}
}

// direct is the net package.
type direct struct{}

func (direct) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

func (m *Mapper) start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	m.wg.Go(func() { m.run(ctx) })
}

// Status tells what is known. It never waits.
func (m *Mapper) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// Close takes the mapping back, for two seconds at most.
func (m *Mapper) Close() error {
	m.cancel()
	m.wg.Wait()
	return nil
}

// mapping is one that a router has made.
type mapping struct {
	by       protocol
	way      way
	external netip.AddrPort
}

// run keeps the mapping.
func (m *Mapper) run(ctx context.Context) {
	var have *mapping
	defer func() { m.remove(have) }()
	var asked way // last time
	pause := retryFirst
	next := time.Now()
	timer := time.NewTimer(settleAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w, err := m.find(m.cfg.Device)
		if w != asked { // another network: what was mapped there is out of reach
			asked, have, next, pause = w, nil, time.Now(), retryFirst
		}
		if !time.Now().Before(next) {
			var made *mapping
			if err == nil {
				made, err = m.open(ctx, w, have)
			}
			if ctx.Err() != nil {
				if made != nil {
					have = made
				}
				return
			}
			have = made
			if err == nil {
				next, pause = time.Now().Add(renewAfter), retryFirst
			} else {
				next, pause = time.Now().Add(pause), min(2*pause, retryLast)
			}
			m.tell(w, have, err)
		}
		timer.Reset(min(lookEvery, max(0, time.Until(next))))
	}
}

// open maps the port, by the way that worked before if there is one.
func (m *Mapper) open(ctx context.Context, w way, have *mapping) (*mapping, error) {
	want := m.cfg.Port
	protocols := m.protocols
	if have != nil {
		want = have.external.Port()
		protocols = append([]protocol{have.by}, protocols...)
	}
	var errs []error
	for _, p := range protocols {
		external, err := p.open(ctx, w, m.cfg.Port, want)
		if err == nil {
			return &mapping{p, w, external}, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		m.log.Debug("no port mapping", "by", p.name(), "router", w.gateway, "err", err)
		errs = append(errs, fmt.Errorf("%s: %w", p.name(), err))
	}
	return nil, errors.Join(errs...)
}

// tell notes what became of it.
func (m *Mapper) tell(w way, have *mapping, err error) {
	now := Status{Gateway: w.gateway, Err: err}
	if have != nil {
		now.Method, now.External = have.by.name(), have.external
	}
	m.mu.Lock()
	was := m.status
	m.status = now
	m.mu.Unlock()
	if was.External.Port() != now.External.Port() {
		m.cfg.OnPort(now.External.Port())
	}
	switch {
	case have != nil && was.External != now.External:
		m.log.Info("the router has mapped our port", "by", now.Method, "external", now.External, "port", m.cfg.Port)
	case have == nil && was.Method != "":
		m.log.Warn("our port is not mapped any more", "err", err)
	case have == nil && was.Err == nil && !errors.Is(err, errNoGateway):
		m.log.Info("the router does not map our port", "err", err)
	}
}

// remove takes a mapping back.
func (m *Mapper) remove(have *mapping) {
	if have == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeWithin)
	defer cancel()
	if err := have.by.close(ctx, have.way, m.cfg.Port, have.external); err != nil {
		m.log.Debug("the port mapping is left to expire", "err", err)
	}
}
