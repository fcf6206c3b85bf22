package socks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Numbers of RFC 1928 and RFC 1929.
const (
	version      = 5
	loginVersion = 1

	methodNone  = 0
	methodLogin = 2

	cmdAssociate = 3

	addrIPv4 = 1
	addrName = 3
	addrIPv6 = 4

	replyRuleset     = 2
	replyUnsupported = 7
)

// association is a way for UDP through the proxy, while control lasts.
type association struct {
	control net.Conn
	relay   net.Conn // UDP, connected to where the proxy takes datagrams
}

func (a *association) close() error { return errors.Join(a.relay.Close(), a.control.Close()) }

// associate asks the proxy for an association.
func (p *Proxy) associate(ctx context.Context) (*association, error) {
	ctx, cancel := context.WithTimeout(ctx, associateTimeout)
	defer cancel()
	control, err := forward{p}.DialContext(ctx, "tcp", p.cfg.Addr)
	if err != nil {
		return nil, err
	}
	if c, ok := control.(*net.TCPConn); ok {
		// Nothing is said on it any more, and its end has to be noticed.
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3})
	}
	stop := context.AfterFunc(ctx, func() { control.SetDeadline(time.Unix(1, 0)) })
	relay, err := p.agree(control)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		var nc net.Conn
		if nc, err = p.cfg.Under.Dial(ctx, "udp", relay.String()); err == nil {
			return &association{control, nc}, nil
		}
	}
	control.Close()
	return nil, err
}

// agree says who we are and asks for the association. It returns where the proxy takes
// our datagrams.
func (p *Proxy) agree(rw net.Conn) (relay netip.AddrPort, err error) {
	if err := login(rw, p.cfg.User, p.cfg.Password); err != nil {
		return relay, err
	}
	// Where we send from is not known to us, as there may be a NAT: zeros (RFC 1928, 7).
	if _, err := rw.Write([]byte{version, cmdAssociate, 0, addrIPv4, 0, 0, 0, 0, 0, 0}); err != nil {
		return relay, err
	}
	var head [4]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return relay, fmt.Errorf("%w: %w", ErrNoUDP, err) // some hang up
	}
	switch {
	case head[0] != version:
		return relay, fmt.Errorf("socks: not a SOCKS5 proxy: it answers version %d", head[0])
	case head[1] == replyUnsupported || head[1] == replyRuleset:
		return relay, ErrNoUDP
	case head[1] != 0:
		return relay, fmt.Errorf("%w: code %d", ErrNoUDP, head[1])
	}
	size := map[byte]int{addrIPv4: 4, addrIPv6: 16}[head[3]]
	if size == 0 {
		return relay, fmt.Errorf("socks: the proxy names its relay in a way of its own: %d", head[3])
	}
	b := make([]byte, size+2)
	if _, err := io.ReadFull(rw, b); err != nil {
		return relay, err
	}
	ip, _ := netip.AddrFromSlice(b[:size])
	ip = ip.Unmap()
	port := binary.BigEndian.Uint16(b[size:])
	if port == 0 {
		return relay, errors.New("socks: the proxy's relay has port 0")
	}
	if ip.IsUnspecified() { // the same host then
		at, err := netip.ParseAddrPort(rw.RemoteAddr().String())
		if err != nil {
			return relay, err
		}
		ip = at.Addr().Unmap()
	}
	return netip.AddrPortFrom(ip, port), nil
}

// login does what comes before the request.
func login(rw io.ReadWriter, user, password string) error {
	hello := []byte{version, 1, methodNone}
	if user != "" {
		hello = []byte{version, 2, methodNone, methodLogin}
	}
	if _, err := rw.Write(hello); err != nil {
		return err
	}
	var b [2]byte
	if _, err := io.ReadFull(rw, b[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	switch {
	case b[0] != version:
		return fmt.Errorf("socks: not a SOCKS5 proxy: it answers version %d", b[0])
	case b[1] == methodNone:
		return nil
	case b[1] != methodLogin || user == "":
		return ErrLogin
	}
	said := append([]byte{loginVersion, byte(len(user))}, user...)
	said = append(append(said, byte(len(password))), password...)
	if _, err := rw.Write(said); err != nil {
		return err
	}
	if _, err := io.ReadFull(rw, b[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrLogin, err)
	}
	if b[1] != 0 {
		return ErrLogin
	}
	return nil
}

// wrap puts the header before a datagram to dst, host:port. It appends to b.
func wrap(b []byte, dst net.Addr, data []byte) ([]byte, error) {
	b = append(b, 0, 0, 0)
	if u, ok := dst.(*net.UDPAddr); ok {
		return append(appendAddr(b, u.AddrPort()), data...), nil
	}
	host, portText, err := net.SplitHostPort(dst.String())
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return append(appendAddr(b, netip.AddrPortFrom(ip, uint16(port))), data...), nil
	}
	if host == "" || len(host) > 255 {
		return nil, fmt.Errorf("socks: a name of %d bytes", len(host))
	}
	b = append(append(b, addrName, byte(len(host))), host...)
	return append(binary.BigEndian.AppendUint16(b, uint16(port)), data...), nil
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().Unmap()
	kind := byte(addrIPv6)
	if ip.Is4() {
		kind = addrIPv4
	}
	b = append(append(b, kind), ip.AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// unwrap takes the header off a datagram of the proxy; false if it is none that we can
// use: a fragment, from a name, or broken.
func unwrap(b []byte) (data []byte, from netip.AddrPort, ok bool) {
	if len(b) < 4 || b[2] != 0 {
		return nil, from, false
	}
	size := 4
	switch b[3] {
	case addrIPv4:
	case addrIPv6:
		size = 16
	default:
		return nil, from, false
	}
	kept := b[4:]
	if len(kept) < size+2 {
		return nil, from, false
	}
	ip, _ := netip.AddrFromSlice(kept[:size])
	from = netip.AddrPortFrom(ip.Unmap(), binary.BigEndian.Uint16(kept[size:]))
	return kept[size+2:], from, true
}

// chooseAddr reads IP:port, and chooses a port for 0: none is opened here, and others
// will be told one.
func chooseAddr(addr string) (netip.AddrPort, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return at, fmt.Errorf("socks: listen on %q: %w", addr, err)
	}
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), uint16(16<<10+rand.N(16<<10)))
	}
	return at, nil
}
