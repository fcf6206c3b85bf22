package portmap

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Numbers of RFC 6886 and RFC 6887.
const (
	pmpPort = 5351

	pcpVersion = 2
	pcpMap     = 1
	pcpHeader  = 24
	pcpLen     = pcpHeader + 36

	opExternal = 0
	opUDP      = 1
	opTCP      = 2

	response = 0x80

	protoTCP = 6
	protoUDP = 17
)

// pmpWaits are the times waited for an answer after each transmission (RFC 6886, 3.1, but
// given up much sooner: a router is near).
var pmpWaits = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second}

var (
	errSilent  = errors.New("no answer")
	errVersion = errors.New("not spoken there")
)

// pmp is what PCP and NAT-PMP share.
type pmp struct {
	dialer Dialer
	port   int
	nonce  [12]byte // of PCP; for all mappings, which differ in protocol
}

func newPMP(d Dialer, port int) *pmp {
	p := &pmp{dialer: d, port: port}
	rand.Read(p.nonce[:]) // never fails
	return p
}

// exchange sends a request until fits returns true for an answer, or an error with it.
func (p *pmp) exchange(ctx context.Context, gateway netip.Addr, request []byte, fits func([]byte) (bool, error)) error {
	nc, err := p.dialer.Dial(ctx, "udp", net.JoinHostPort(gateway.String(), strconv.Itoa(p.port)))
	if err != nil {
		return err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b := make([]byte, 1100) // RFC 6887, 7
	for _, wait := range pmpWaits {
		if _, err := nc.Write(request); err != nil {
			return err
		}
		end := time.Now().Add(wait)
		for {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			nc.SetReadDeadline(end)
			n, err := nc.Read(b)
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				break
			}
			if err != nil {
				return err // refused, most likely
			}
			if ok, err := fits(b[:n]); ok || err != nil {
				return err
			}
		}
	}
	return errSilent
}

// pcp is RFC 6887.
type pcp struct{ *pmp }

func (p *pcp) name() string { return "PCP" }

func (p *pcp) open(ctx context.Context, w way, port, want uint16) (netip.AddrPort, error) {
	external, err := p.mapOne(ctx, w, protoTCP, port, want, lifetime)
	if err != nil {
		return external, err
	}
	if _, err = p.mapOne(ctx, w, protoUDP, port, external.Port(), lifetime); err != nil {
		_, _ = p.mapOne(ctx, w, protoTCP, port, 0, 0)
	}
	return external, err
}

func (p *pcp) close(ctx context.Context, w way, port uint16, _ netip.AddrPort) error {
	_, err := p.mapOne(ctx, w, protoTCP, port, 0, 0)
	_, err2 := p.mapOne(ctx, w, protoUDP, port, 0, 0)
	return errors.Join(err, err2)
}

// mapOne asks for one mapping; a lifetime of 0 takes it back.
func (p *pcp) mapOne(ctx context.Context, w way, proto byte, port, want uint16, life time.Duration) (external netip.AddrPort, err error) {
	b := make([]byte, pcpLen)
	b[0], b[1] = pcpVersion, pcpMap
	binary.BigEndian.PutUint32(b[4:], uint32(life/time.Second))
	client := w.local.As16()
	copy(b[8:], client[:])
	m := b[pcpHeader:]
	copy(m, p.nonce[:])
	m[12] = proto
	binary.BigEndian.PutUint16(m[16:], port)
	binary.BigEndian.PutUint16(m[18:], want)
	any4 := netip.IPv4Unspecified().As16()
	copy(m[20:], any4[:])
	err = p.exchange(ctx, w.gateway, b, func(r []byte) (bool, error) {
		if len(r) >= 4 && r[0] != pcpVersion || len(r) >= pcpHeader && r[3] == 1 {
			return false, errVersion
		}
		if len(r) < pcpHeader || r[1] != response|pcpMap {
			return false, nil
		}
		if r[3] != 0 {
			return false, fmt.Errorf("refused with code %d", r[3])
		}
		if len(r) < pcpLen {
			return false, nil
		}
		got := r[pcpHeader:]
		if [12]byte(got[:12]) != p.nonce || got[12] != proto || binary.BigEndian.Uint16(got[16:]) != port {
			return false, nil
		}
		external = netip.AddrPortFrom(netip.AddrFrom16([16]byte(got[20:36])).Unmap(), binary.BigEndian.Uint16(got[18:]))
		if life > 0 && external.Port() == 0 {
			return false, errors.New("port 0 given")
		}
		return true, nil
	})
	return external, err
}

// natpmp is RFC 6886.
type natpmp struct{ *pmp }

func (p *natpmp) name() string { return "NAT-PMP" }

func (p *natpmp) open(ctx context.Context, w way, port, want uint16) (external netip.AddrPort, err error) {
	given, err := p.mapOne(ctx, w, opTCP, port, want, lifetime)
	if err != nil {
		return external, err
	}
	if _, err = p.mapOne(ctx, w, opUDP, port, given, lifetime); err != nil {
		_, _ = p.mapOne(ctx, w, opTCP, port, 0, 0)
		return external, err
	}
	// The address is only shown.
	ip := netip.IPv4Unspecified()
	_ = p.exchange(ctx, w.gateway, []byte{0, opExternal}, func(r []byte) (bool, error) {
		ok, err := answers(r, opExternal, 12)
		if ok && err == nil {
			ip = netip.AddrFrom4([4]byte(r[8:12]))
		}
		return ok, err
	})
	return netip.AddrPortFrom(ip, given), nil
}

func (p *natpmp) close(ctx context.Context, w way, port uint16, _ netip.AddrPort) error {
	_, err := p.mapOne(ctx, w, opTCP, port, 0, 0)
	_, err2 := p.mapOne(ctx, w, opUDP, port, 0, 0)
	return errors.Join(err, err2)
}

func (p *natpmp) mapOne(ctx context.Context, w way, op byte, port, want uint16, life time.Duration) (external uint16, err error) {
	b := []byte{0, op, 0, 0}
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, want)
	b = binary.BigEndian.AppendUint32(b, uint32(life/time.Second))
	err = p.exchange(ctx, w.gateway, b, func(r []byte) (bool, error) {
		ok, err := answers(r, op, 16)
		if !ok || err != nil {
			return ok, err
		}
		if binary.BigEndian.Uint16(r[8:]) != port {
			return false, nil
		}
		if external = binary.BigEndian.Uint16(r[10:]); external == 0 && life > 0 {
			return false, errors.New("port 0 given")
		}
		return true, nil
	})
	return external, err
}

// answers tells whether r is the answer of NAT-PMP to an operation.
func answers(r []byte, op byte, size int) (bool, error) {
	switch {
	case len(r) >= 1 && r[0] != 0:
		return false, errVersion
	case len(r) < 4 || r[1] != response|op:
		return false, nil
	}
	if code := binary.BigEndian.Uint16(r[2:]); code != 0 {
		return false, fmt.Errorf("refused with code %d", code)
	}
	return len(r) >= size, nil
}
