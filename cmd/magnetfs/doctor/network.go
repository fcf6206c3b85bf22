package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"magnetfs/fs"
	"magnetfs/swarm/netdev"
)

// ports tries to listen where peers are to reach us.
func ports(ctx context.Context, cfg *Config) (found []Finding) {
	var taken, denied []string
	var works []string
	for _, network := range []string{"tcp4", "udp4", "tcp6", "udp6"} {
		err := bindable(ctx, network, cfg.Port)
		switch {
		case err == nil:
			works = append(works, network)
		case errors.Is(err, unix.EADDRINUSE):
			taken = append(taken, network)
		case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EADDRNOTAVAIL): // no IPv6 here
		default:
			denied = append(denied, fmt.Sprintf("%s: %v", network, err))
		}
	}
	name := "any port"
	if cfg.Port != 0 {
		name = fmt.Sprintf("port %d", cfg.Port)
	}
	switch running, _ := fs.Mounted(); {
	case len(denied) > 0:
		return []Finding{{Status: Fail, Found: strings.Join(denied, "; "), Mend: "use --port above 1023, or look who forbids it (seccomp, container, LSM)"}}
	case len(taken) > 0 && len(running) > 0:
		return []Finding{{Status: OK, Found: name + " is in use (" + strings.Join(taken, ", ") + "), it seems by the mount that runs"}}
	case len(taken) > 0:
		return []Finding{{Status: Fail, Found: name + " is taken: " + strings.Join(taken, ", "),
			Mend: fmt.Sprintf("ss -tulpn | grep :%d shows by whom; or use another --port", cfg.Port)}}
	}
	return []Finding{{Status: OK, Found: name + " can be opened: " + strings.Join(works, ", ")}}
}

// bindable opens a socket and closes it.
func bindable(ctx context.Context, network string, port int) error {
	address := fmt.Sprintf(":%d", port)
	var c net.ListenConfig
	if strings.HasPrefix(network, "tcp") {
		l, err := c.Listen(ctx, network, address)
		if err != nil {
			return err
		}
		return l.Close()
	}
	p, err := c.ListenPacket(ctx, network, address)
	if err != nil {
		return err
	}
	return p.Close()
}

// routes asks the kernel for the way to the world. Nothing is sent: connecting a
// UDP socket only chooses the way.
func routes(ctx context.Context, _ *Config) []Finding {
	way := func(network, to string) (from string, ok bool) {
		var d net.Dialer
		c, err := d.DialContext(ctx, network, to)
		if err != nil {
			return "", false
		}
		defer c.Close()
		host, _, _ := net.SplitHostPort(c.LocalAddr().String())
		return host, true
	}
	four, ok4 := way("udp4", "198.51.100.1:9") // documentation, routed as everything else
	six, ok6 := way("udp6", "[2a00::1]:9")
	return judgeRoutes(four, ok4, six, ok6)
}

func judgeRoutes(four string, ok4 bool, six string, ok6 bool) (found []Finding) {
	switch {
	case !ok4 && !ok6:
		return []Finding{{Status: Warn, Found: "there is no way out, by IPv4 or IPv6: only what is here and peers in your network", Mend: "connect the network: ip route"}}
	case ok4:
		found = append(found, Finding{Check: "IPv4", Status: OK, Found: "from " + four})
	default:
		found = append(found, Finding{Check: "IPv4", Status: Warn, Found: "no route: only peers with IPv6 can be reached"})
	}
	const mend = "ask your provider; a VPN may leave it out on purpose, then all is well"
	switch addr, _ := netip.ParseAddr(six); {
	case !ok6:
		return append(found, Finding{Check: "IPv6", Status: Warn, Found: "no route: peers with IPv6 only cannot be reached", Mend: mend})
	case addr.IsPrivate(), addr.IsLinkLocalUnicast():
		return append(found, Finding{Check: "IPv6", Status: Warn, Found: "only with the local address " + six + ": it may not lead out", Mend: mend})
	}
	return append(found, Finding{Check: "IPv6", Status: OK, Found: "from " + six})
}

// multicast looks for an interface for local peer discovery.
func multicast(cfg *Config) Finding {
	if !cfg.LPD {
		return Finding{Status: OK, Found: "local peer discovery is off"}
	}
	all, err := net.Interfaces()
	if err != nil {
		return Finding{Status: Warn, Found: err.Error()}
	}
	var fit []string
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0 {
			fit = append(fit, i.Name)
		}
	}
	if len(fit) == 0 {
		return Finding{Status: Warn, Found: "no interface with multicast: peers in your network are not found by themselves", Mend: "a container needs --network host for it"}
	}
	return Finding{Status: OK, Found: strings.Join(fit, ", ")}
}

// names looks the first nodes of the DHT up, as a mount does.
func names(ctx context.Context, cfg *Config) []Finding {
	switch {
	case len(cfg.Bootstrap) == 0:
		return []Finding{{Status: OK, Found: "the DHT is off"}}
	case cfg.Proxy != nil:
		return []Finding{{Status: OK, Found: "left to the proxy"}}
	case cfg.Offline:
		return []Finding{{Status: OK, Found: "not asked (--offline)"}}
	}
	lookup := net.DefaultResolver.LookupNetIP
	if cfg.Interface != "" {
		d := netdev.New(netdev.Config{Name: cfg.Interface, Servers: cfg.Servers})
		defer d.Close()
		lookup = func(ctx context.Context, _, host string) ([]netip.Addr, error) { return d.Resolve(ctx, host) }
	}
	errs := make([]error, len(cfg.Bootstrap))
	var wg sync.WaitGroup
	for i, node := range cfg.Bootstrap {
		wg.Go(func() {
			host, _, err := net.SplitHostPort(node)
			if err == nil && net.ParseIP(host) == nil {
				_, err = lookup(ctx, "ip", host)
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return []Finding{judgeNames(cfg.Bootstrap, errs, servers("/etc/resolv.conf"))}
}

func judgeNames(nodes []string, errs []error, servers []string) Finding {
	var bad []string
	var last error
	for i, err := range errs {
		if err != nil {
			bad, last = append(bad, nodes[i]), err
		}
	}
	asked := "DNS of " + strings.Join(servers, ", ")
	if len(servers) == 0 {
		asked = "DNS"
	}
	switch {
	case len(bad) == 0:
		return Finding{Status: OK, Found: asked + " knows the first DHT nodes"}
	case len(bad) < len(nodes):
		return Finding{Status: OK, Found: fmt.Sprintf("%s knows %d of %d first DHT nodes", asked, len(nodes)-len(bad), len(nodes))}
	}
	mend := "look at /etc/resolv.conf"
	if slices.Contains(servers, "127.0.0.53") {
		mend = "resolvectl status; systemctl restart systemd-resolved"
	}
	return Finding{Status: Warn, Found: fmt.Sprintf("%s knows none of the first DHT nodes: %v", asked, last),
		Mend: mend + "; with --dht-bootstrap ADDRESS:PORT no names are needed, nor once the routing table is kept"}
}

// servers are the name servers of a resolv.conf.
func servers(path string) (all []string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			all = append(all, f[1])
		}
	}
	return all
}
