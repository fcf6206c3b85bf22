package netdev

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// control binds a socket to the interface, before it has an address.
func (d *Device) control(_, _ string, rc syscall.RawConn) error {
	var err error
	if e := rc.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, d.cfg.Name)
	}); e != nil {
		return e
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("sockets may not be bound to %s (that needs Linux 5.7, or root): %w", d.cfg.Name, err)
	case err != nil:
		return fmt.Errorf("bind to the interface %s: %w", d.cfg.Name, err)
	}
	return nil
}

// isGone tells whether a socket was not opened since the interface is missing.
func isGone(err error) bool { return errors.Is(err, unix.ENODEV) }

// watch signals moved whenever an interface or an address changes, and gives routed the
// numbers of interfaces that there are new routes by, until ctx is done or netlink
// fails.
func watch(ctx context.Context, moved chan<- struct{}, routed chan<- int) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addrs := make(chan netlink.AddrUpdate)
	links := make(chan netlink.LinkUpdate)
	if err := netlink.AddrSubscribeWithOptions(addrs, ctx.Done(), netlink.AddrSubscribeOptions{}); err != nil {
		return fmt.Errorf("netdev: watch addresses: %w", err)
	}
	err := netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{})
	if err != nil {
		err = fmt.Errorf("netdev: watch interfaces: %w", err)
		links = nil
		cancel()
	}
	routes := make(chan netlink.RouteUpdate)
	if e := netlink.RouteSubscribeWithOptions(routes, ctx.Done(), netlink.RouteSubscribeOptions{}); e != nil {
		err = errors.Join(err, fmt.Errorf("netdev: watch routes: %w", e))
		routes = nil
		cancel()
	}
	// Each subscription has a goroutine that closes its channel at its end; we leave
	// when all have.
	for addrs != nil || links != nil || routes != nil {
		select {
		case _, ok := <-addrs:
			if !ok {
				addrs = nil
				cancel()
			}
		case _, ok := <-links:
			if !ok {
				links = nil
				cancel()
			}
		case r, ok := <-routes:
			if !ok {
				routes = nil
				cancel()
			} else if r.Type == unix.RTM_NEWROUTE {
				signal(routed, r.LinkIndex)
			}
			continue
		}
		signal(moved, struct{}{})
	}
	return err
}

// signal sends to a channel that has room, and else leaves it: somebody is behind, and
// will look anyway.
func signal[T any](c chan<- T, v T) {
	select {
	case c <- v:
	default:
	}
}
