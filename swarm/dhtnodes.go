package swarm

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"magnetfs/swarm/dht"
)

// saveStateEvery is how often DHT tables are saved while a session runs.
const saveStateEvery = 5 * time.Minute

// DHTConfig configures the DHT nodes of a session.
type DHTConfig struct {
	Disable bool

	// Bootstrap are the hosts asked first, host:port; nil for the well-known
	// ones, empty for none.
	Bootstrap []string

	// Load returns what Save was given last for the family ("IPv4", "IPv6") in
	// this or an earlier session, nil if nothing. Save keeps it; it is called
	// from a goroutine of the session, now and then and at Close. Both may be
	// nil.
	Load func(family string) []byte
	Save func(family string, state []byte)
}

// dhtNodes are the DHT nodes of a session, one per address family, on the UDP
// sockets of the session's port.
type dhtNodes struct {
	cfg     DHTConfig
	servers []*dht.Server // IPv4 first
}

// startDHT starts a node on each socket, which are IPv4 and then, if there is
// one, IPv6. passive nodes are handed their packets by uTP.
func (s *Session) startDHT(cfg DHTConfig, packets []net.PacketConn, passive bool) error {
	if cfg.Bootstrap == nil {
		cfg.Bootstrap = dht.DefaultBootstrap
	}
	d := &dhtNodes{cfg: cfg}
	s.dht = d
	for i, p := range packets {
		family := dht.Family(i)
		c := dht.Config{
			Conn:      p,
			Passive:   passive,
			Family:    family,
			Bootstrap: cfg.Bootstrap,
			Resolve:   s.resolve,
			Names:     s.remote,
			Blocked:   s.blocks,
			Log:       s.log.With("dht", family.String()),
		}
		if cfg.Load != nil {
			c.State = cfg.Load(family.String())
		}
		srv, err := dht.New(c)
		if err != nil {
			return err
		}
		d.servers = append(d.servers, srv)
	}
	if len(d.servers) == 2 {
		dht.Link(d.servers[0], d.servers[1])
	}
	if cfg.Save != nil {
		s.wg.Go(func() {
			t := time.NewTicker(saveStateEvery)
			defer t.Stop()
			for {
				select {
				case <-t.C:
					d.save()
				case <-s.ctx.Done():
					return
				}
			}
		})
	}
	return nil
}

func (d *dhtNodes) save() {
	if d.cfg.Save == nil {
		return
	}
	for i, srv := range d.servers {
		if b, err := srv.State(); err == nil {
			d.cfg.Save(dht.Family(i).String(), b)
		}
	}
}

func (d *dhtNodes) close() error {
	d.save()
	var errs []error
	for _, srv := range d.servers {
		errs = append(errs, srv.Close())
	}
	return errors.Join(errs...)
}

// good returns the number of good nodes in the tables.
func (d *dhtNodes) good() (n int) {
	for _, srv := range d.servers {
		n += srv.Stats().Good
	}
	return n
}

// dhtPort is the UDP port of our nodes, 0 if the DHT is off.
func (s *Session) dhtPort() uint16 {
	if s.dht == nil {
		return 0
	}
	return s.port
}

// toldDHTPort is the port that peers are told of: through a proxy we have another one,
// which we do not know.
func (s *Session) toldDHTPort() uint16 {
	if s.remote {
		return 0
	}
	return s.dhtPort()
}

// addNode takes the address of a node from a peer (PORT message, BEP 5).
func (s *Session) addNode(addr netip.AddrPort) {
	if s.dht == nil {
		return
	}
	for i, srv := range s.dht.servers {
		if addr.Addr().Unmap().Is4() == (dht.Family(i) == dht.IPv4) {
			srv.AddNode(addr, addr.Addr())
		}
	}
}

// seenAs takes a peer's word of our address: a vote (BEP 42).
func (s *Session) seenAs(ip, informant netip.Addr) {
	if s.dht == nil {
		return
	}
	for i, srv := range s.dht.servers {
		if ip.Unmap().Is4() == (dht.Family(i) == dht.IPv4) {
			srv.AddVote(ip, informant)
		}
	}
}

// external is where the Internet sees us, by family, as far as the DHT knows.
func (s *Session) external() (selves [2]netip.AddrPort) {
	if s.dht == nil {
		return selves
	}
	for i, srv := range s.dht.servers {
		if a := srv.External(); a.IsValid() {
			selves[i] = netip.AddrPortFrom(a, s.reachedAt())
		}
	}
	return selves
}
