package lpd

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bindToDevice makes the socket see and use one interface only.
func bindToDevice(fd int, device string) error {
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device); err != nil {
		return fmt.Errorf("SO_BINDTODEVICE %s: %w", device, err)
	}
	return nil
}

// watchInterfaces calls changed when an address or the state of an interface
// changes, until ctx is done or netlink fails.
func watchInterfaces(ctx context.Context, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	addrs := make(chan netlink.AddrUpdate)
	links := make(chan netlink.LinkUpdate)
	if err := netlink.AddrSubscribeWithOptions(addrs, ctx.Done(), netlink.AddrSubscribeOptions{}); err != nil {
		cancel()
		return fmt.Errorf("lpd: watch addresses: %w", err)
	}
	if err := netlink.LinkSubscribeWithOptions(links, ctx.Done(), netlink.LinkSubscribeOptions{}); err != nil {
		links = nil
		cancel()
	}
	// Each subscription has a goroutine that closes its channel at its end; we
	// leave when both have.
	for addrs != nil || links != nil {
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
		}
		if ctx.Err() == nil {
			changed()
		}
	}
	cancel()
	return nil
}
