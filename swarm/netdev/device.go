// Package netdev keeps sockets on one network interface, such as the tunnel of a
// VPN: everything that is opened by a Device is bound to it (SO_BINDTODEVICE), the
// questions for names included. Nothing is ever sent by another one. While the
// interface is missing or down, sending and connecting fail.
//
// The kernel binds a socket to an interface's number, and a tunnel that is closed
// and opened again has another one. So a Device watches it (netlink) and opens
// listeners and UDP sockets anew, on the same port; who holds them notices nothing
// but the errors meanwhile. Connections are closed when the interface is gone or
// has lost their address, so that nobody waits for an answer that cannot come.
//
// Binding to the addresses of the interface instead, for which no right is needed,
// does not keep packets on it: Linux routes by the destination. Since 5.7 everybody
// may bind a socket that is not bound yet; before, only root.
package netdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
	"weak"
)

// poll is the period of looking at the interface unasked: netlink may lose messages,
// and a port that was taken may be free again.
const poll = 10 * time.Second

const (
	// settling is how long after an interface can be used routes by it are taken for
	// its own: those who make a tunnel set its addresses first.
	settling = 30 * time.Second
	// routesPause lets addresses and routes come in flocks: without a route the kernel
	// looks for everybody on the link itself, for seconds.
	routesPause = 300 * time.Millisecond
)

// ErrDown is wrapped by the errors of sending while the interface cannot be used.
var ErrDown = errors.New("nothing is sent")

// Config names the interface.
type Config struct {
	Name    string           // of the interface; it need not be there yet
	Servers []netip.AddrPort // for names; none: those of /etc/resolv.conf
	Log     *slog.Logger     // nil: nothing is logged
}

// Device opens sockets on one interface. Its methods may be called from any
// goroutine.
type Device struct {
	cfg    Config
	log    *slog.Logger
	cancel context.CancelFunc
	wg     sync.WaitGroup
	names  *net.Resolver

	mu     sync.Mutex // leaf; guards the rest
	now    state
	held   map[settler]struct{}
	conns  []weak.Pointer[net.TCPConn]
	next   int       // of Servers
	usable time.Time // when it changed last
	back   func()    // called when the interface can be used again
}

// state is what an interface is like.
type state struct {
	index int // 0: there is none of the name
	up    bool
	addrs []netip.Addr // without zones
}

func (s state) equal(t state) bool {
	return s.index == t.index && s.up == t.up && slices.Equal(s.addrs, t.addrs)
}

// settler is a socket that is opened anew.
type settler interface {
	// settle brings it in line with the interface of this number, 0 for none.
	settle(index int)
}

// New starts to watch the interface. Close ends it.
func New(cfg Config) *Device {
	d := newDevice(cfg)
	if err := d.Fault(); err != nil {
		d.log.Warn("the interface cannot be used yet", "err", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	moved, routed := make(chan struct{}, 1), make(chan int, 16)
	d.wg.Go(func() {
		for ctx.Err() == nil {
			if err := watch(ctx, moved, routed); err != nil && ctx.Err() == nil {
				d.log.Debug("interfaces are not watched", "err", err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(poll):
			}
		}
	})
	d.wg.Go(func() { d.follow(ctx, moved, routed) })
	return d
}

// newDevice returns one that is not watched.
func newDevice(cfg Config) *Device {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	d := &Device{cfg: cfg, log: cfg.Log.With("interface", cfg.Name), held: map[settler]struct{}{}, now: look(cfg.Name)}
	d.names = &net.Resolver{PreferGo: true, Dial: d.dialServer}
	return d
}

// Close ends the watching. The sockets are their owners' to close.
func (d *Device) Close() error {
	d.cancel()
	d.wg.Wait()
	return nil
}

// Name is the interface's.
func (d *Device) Name() string { return d.cfg.Name }

// Fault tells why nothing can be sent at present; nil if something can. The error
// wraps ErrDown.
func (d *Device) Fault() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	why := ""
	switch {
	case d.now.index == 0:
		why = "does not exist"
	case !d.now.up:
		why = "is down"
	case len(d.now.addrs) == 0:
		why = "has no address"
	default:
		return nil
	}
	return fmt.Errorf("%w: the interface %s %s", ErrDown, d.cfg.Name, why)
}

// OnBack has f called whenever the interface can be used again, has other addresses,
// or leads to other places since, from a goroutine of the Device; it should return soon.
func (d *Device) OnBack(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.back = f
}

// Addrs are the addresses of the interface, without zones.
func (d *Device) Addrs() []netip.Addr {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.now.addrs)
}

// follow keeps everything in line with the interface.
func (d *Device) follow(ctx context.Context, moved <-chan struct{}, routed <-chan int) {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	routes := time.NewTimer(0)
	<-routes.C
	defer routes.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case index := <-routed:
			d.mu.Lock()
			if index == d.now.index && time.Since(d.usable) < settling {
				routes.Reset(routesPause)
			}
			d.mu.Unlock()
			continue
		case <-routes.C:
			d.tellBack()
			continue
		case <-moved:
		case <-tick.C:
		}
		if d.adopt(look(d.cfg.Name)) {
			routes.Reset(routesPause)
		}
	}
}

// adopt takes what the interface is like now, and returns true if it can be used and
// could not before, or has other addresses.
func (d *Device) adopt(now state) (back bool) {
	d.mu.Lock()
	was := d.now
	d.now = now
	held := make([]settler, 0, len(d.held))
	for h := range d.held {
		held = append(held, h)
	}
	var lost []*net.TCPConn
	if !was.equal(now) {
		d.usable = time.Now()
		lost = d.lostConns(was.index != now.index)
	}
	d.mu.Unlock()
	for _, c := range lost {
		c.Close()
	}
	for _, h := range held {
		h.settle(now.index)
	}
	if was.equal(now) {
		return false
	}
	if err := d.Fault(); err != nil {
		d.log.Warn("the interface cannot be used", "err", err)
		return false
	}
	d.log.Info("the interface can be used", "addresses", now.addrs)
	return true
}

// tellBack calls what OnBack was given.
func (d *Device) tellBack() {
	d.mu.Lock()
	back := d.back
	d.mu.Unlock()
	if back != nil {
		back()
	}
}

// lostConns forgets and returns the connections that are of no use any more. The
// caller holds mu.
func (d *Device) lostConns(all bool) (lost []*net.TCPConn) {
	d.conns = slices.DeleteFunc(d.conns, func(w weak.Pointer[net.TCPConn]) bool {
		c := w.Value()
		if c == nil {
			return true
		}
		if a, ok := c.LocalAddr().(*net.TCPAddr); ok && !all {
			ip := a.AddrPort().Addr().Unmap().WithZone("")
			if slices.Contains(d.now.addrs, ip) {
				return false
			}
		}
		lost = append(lost, c)
		return true
	})
	return lost
}

// track notes a connection, which nobody has to tell us the end of.
func (d *Device) track(nc net.Conn) {
	c, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.conns) == cap(d.conns) {
		d.conns = slices.DeleteFunc(d.conns, func(w weak.Pointer[net.TCPConn]) bool { return w.Value() == nil })
	}
	d.conns = append(d.conns, weak.Make(c))
}

// hold notes a socket that has to follow the interface, and settles it.
func (d *Device) hold(h settler) {
	d.mu.Lock()
	d.held[h] = struct{}{}
	index := d.now.index
	d.mu.Unlock()
	h.settle(index)
}

func (d *Device) release(h settler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.held, h)
}

// look reads what the interface of a name is like.
func look(name string) (s state) {
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return state{}
	}
	s.index, s.up = ifi.Index, ifi.Flags&net.FlagUp != 0
	addrs, err := ifi.Addrs()
	if err != nil {
		return s
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok {
				s.addrs = append(s.addrs, addr.Unmap())
			}
		}
	}
	return s
}
