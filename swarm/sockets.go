package swarm

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"magnetfs/swarm/utp"
)

// openPackets puts the UDP sockets to use: DHT and uTP share them. It takes them
// over even if it fails.
func (s *Session) openPackets(cfg Config, packets []net.PacketConn) error {
	s.packets = packets
	if !cfg.DHT.Disable {
		if err := s.startDHT(cfg.DHT, packets, !cfg.DisableUTP); err != nil {
			return err
		}
	}
	if cfg.DisableUTP {
		return nil
	}
	for i, p := range packets {
		var c utp.Config
		if s.dht != nil {
			c.Other = s.dht.servers[i].HandlePacket
		}
		u := utp.New(p, c)
		s.utp = append(s.utp, u)
		s.listeners = append(s.listeners, u)
	}
	return nil
}

// closePackets closes the UDP sockets, after those who use them.
func (s *Session) closePackets() error {
	var errs []error
	for _, p := range s.packets {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// utpFor returns the uTP socket of an address's family, nil if there is none.
func (s *Session) utpFor(a netip.Addr) *utp.Socket {
	family := 0
	if !a.Unmap().Is4() {
		family = 1
	}
	if family < len(s.utp) {
		return s.utp[family]
	}
	return nil
}

// listen opens port, or any that is free for TCP and UDP alike if it is 0. IPv6 is
// opened where it works.
func (s *Session) listen(want int) (port uint16, packets []net.PacketConn, err error) {
	for range 16 {
		port, packets, err = s.listenOnce(want)
		if err == nil || want != 0 {
			break
		}
	}
	return port, packets, err
}

func (s *Session) listenOnce(want int) (uint16, []net.PacketConn, error) {
	l4, err := s.network.Listen(s.ctx, "tcp4", fmt.Sprintf("0.0.0.0:%d", want))
	if err != nil {
		return 0, nil, fmt.Errorf("swarm: listen: %w", err)
	}
	port := netip.MustParseAddrPort(l4.Addr().String()).Port()
	p4, err := s.network.ListenPacket(s.ctx, "udp4", fmt.Sprintf("0.0.0.0:%d", port))
	if err != nil {
		l4.Close()
		return 0, nil, fmt.Errorf("swarm: listen: %w", err)
	}
	s.listeners = append(s.listeners, l4)
	packets := []net.PacketConn{p4}
	six := fmt.Sprintf("[::]:%d", port)
	if l6, err := s.network.Listen(s.ctx, "tcp6", six); err == nil {
		s.listeners = append(s.listeners, l6)
	} else {
		s.log.Debug("no IPv6", "err", err)
	}
	if p6, err := s.network.ListenPacket(s.ctx, "udp6", six); err == nil {
		packets = append(packets, p6)
	}
	return port, packets, nil
}
