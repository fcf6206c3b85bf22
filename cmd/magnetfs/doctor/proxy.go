package doctor

import (
	"context"
	"errors"

	"magnetfs/swarm/netdev"
	"magnetfs/swarm/socks"
)

// proxy asks the proxy for what a mount needs of it.
func proxy(ctx context.Context, cfg *Config) []Finding {
	switch {
	case cfg.Proxy == nil:
		return nil
	case cfg.Offline:
		return []Finding{{Status: OK, Found: cfg.Proxy.Addr + ", not asked (--offline)"}}
	}
	c := *cfg.Proxy
	if cfg.Interface != "" {
		d := netdev.New(netdev.Config{Name: cfg.Interface, Servers: cfg.Servers})
		defer d.Close()
		c.Under = d
	}
	p, err := socks.New(c)
	if err == nil {
		err = p.Check(ctx)
	}
	return []Finding{judgeProxy(c.Addr, err)}
}

func judgeProxy(addr string, err error) Finding {
	switch {
	case err == nil:
		return Finding{Status: OK, Found: addr + " passes on TCP and UDP"}
	case errors.Is(err, socks.ErrNoUDP):
		return Finding{Status: Warn, Found: addr + ": " + err.Error() + ", so there is no DHT, no uTP, no UDP tracker: peers come from HTTP trackers, other peers and x.pe",
			Mend: "choose a proxy that has UDP ASSOCIATE"}
	case errors.Is(err, socks.ErrLogin):
		return Finding{Status: Warn, Found: addr + ": " + err.Error(), Mend: "--proxy socks5://user:password@host:port"}
	}
	return Finding{Status: Warn, Found: addr + ": " + err.Error(), Mend: "nothing is sent until it answers; is it running?"}
}
