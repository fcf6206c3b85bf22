package dht

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/endpoint"
)

// resolver looks up the names of bootstrap hosts. Answers and failures are
// remembered, so that a dead name costs its time-out once and not at every
// attempt.
type resolver struct {
	family  Family
	hosts   []string
	resolve func(ctx context.Context, host string) ([]netip.Addr, error)

	// ask finds the address of host:port where names are left to others; nil: resolve
	// does.
	ask func(ctx context.Context, hostPort string) (netip.AddrPort, error)

	mu    sync.Mutex
	cache map[string]resolved // guarded by mu
}

type resolved struct {
	addrs []netip.AddrPort // empty: the name failed
	until time.Time        // how long to believe it
	busy  bool             // being looked up
	fails int              // in a row
}

const (
	resolveTimeout = 5 * time.Second
	resolvedFor    = time.Hour
	maxHostAddrs   = 8
	maxCache       = 256 // names
)

func newResolver(cfg *Config) *resolver {
	r := &resolver{
		family:  cfg.Family,
		hosts:   cfg.Bootstrap,
		resolve: cfg.Resolve,
		cache:   make(map[string]resolved),
	}
	if r.resolve == nil {
		network := "ip4"
		if cfg.Family == IPv6 {
			network = "ip6"
		}
		r.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, network, host)
		}
	}
	return r
}

// claim returns the remembered addresses of a host, and whether the caller is
// to look it up now.
func (r *resolver) claim(host string, now time.Time) (addrs []netip.AddrPort, lookUp bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.cache[host]
	lookUp = !e.busy && !now.Before(e.until)
	if lookUp {
		e.busy = true
		r.cache[host] = e
	}
	return e.addrs, lookUp
}

// disclaim takes back a claim that came to nothing, and forgets the host if
// nothing is known of it.
func (r *resolver) disclaim(host string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.cache[host]
	e.busy = false
	if r.cache[host] = e; len(e.addrs) == 0 {
		delete(r.cache, host)
	}
}

// look resolves one host, host:port, and remembers the outcome. An address
// instead of a name needs no lookup.
func (r *resolver) look(ctx context.Context, hostPort string) []netip.AddrPort {
	var e resolved
	host, portText, err := net.SplitHostPort(hostPort)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	if err == nil && portErr == nil {
		ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
		defer cancel()
		var ips []netip.Addr
		if ip, err := netip.ParseAddr(host); err == nil {
			ips = []netip.Addr{ip}
		} else if r.ask == nil {
			ips, _ = r.resolve(ctx, host)
		} else if a, err := r.ask(ctx, hostPort); err == nil {
			ips, port = []netip.Addr{a.Addr()}, uint64(a.Port())
		}
		for _, ip := range ips {
			a := endpoint.Unmap4(netip.AddrPortFrom(ip, uint16(port)))
			if r.family.is(a.Addr()) && len(e.addrs) < maxHostAddrs {
				e.addrs = append(e.addrs, a)
			}
		}
	}
	e.until = time.Now().Add(resolvedFor)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(e.addrs) == 0 {
		old := r.cache[hostPort]
		e.addrs = old.addrs // better old ones than none
		e.fails = old.fails + 1
		// A little less than the pause between attempts, so that the attempt
		// after it looks again.
		pause := retryPauses[min(old.fails, len(retryPauses)-1)]
		e.until = time.Now().Add(pause - time.Second)
	}
	r.cache[hostPort] = e
	for host, old := range r.cache {
		if len(r.cache) <= maxCache {
			break
		}
		if !old.busy && host != hostPort && !slices.Contains(r.hosts, host) {
			delete(r.cache, host)
		}
	}
	return e.addrs
}

// retry forgets that names were not found.
func (r *resolver) retry(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for host, e := range r.cache {
		if e.fails > 0 && e.until.After(now) {
			e.until = now
			r.cache[host] = e
		}
	}
}

// maxNamed bounds the names of AddHost that are being looked up: a .torrent file
// can hold any number.
const maxNamed = 16

// AddHost tells of a node by host:port, as the key "nodes" of a .torrent file or
// a magnet link does. The name is looked up in the background; when too many
// are, it is dropped. Names come from strangers: an address in a local network
// is not believed.
func (s *Server) AddHost(hostPort string) {
	s.tryDo(func(time.Time) {
		addrs, lookUp := s.resolver.claim(hostPort, time.Now())
		s.addHosts(addrs)
		if !lookUp {
			return
		}
		select {
		case s.naming <- struct{}{}:
		default:
			s.resolver.disclaim(hostPort)
			return
		}
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			addrs := s.resolver.look(s.ctx, hostPort)
			<-s.naming
			_ = s.do(s.ctx, func(time.Time) { s.addHosts(addrs) })
		}()
	})
}

// addHosts adds what AddHost found. The owner calls it.
func (s *Server) addHosts(addrs []netip.AddrPort) {
	for _, a := range addrs {
		s.core.addNode(krpc.NodeInfo{Addr: a}, endpoint.FromDHT, netip.Addr{}, time.Now())
	}
}

// resolveRouters looks up all bootstrap hosts at once and tells the core of
// each as soon as it is known.
func (s *Server) resolveRouters() {
	for _, host := range s.resolver.hosts {
		addrs, lookUp := s.resolver.claim(host, time.Now())
		if len(addrs) > 0 {
			s.core.addRouters(addrs, time.Now())
		}
		if !lookUp {
			continue
		}
		s.wg.Add(1)
		go func() {
			defer s.wg.Done()
			addrs := s.resolver.look(s.ctx, host)
			_ = s.do(s.ctx, func(now time.Time) { s.core.addRouters(addrs, now) })
		}()
	}
}
