package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"magnetfs/swarm/netdev"
)

// netInterface looks at the one interface that is to be used.
func netInterface(cfg *Config) Finding {
	if cfg.Interface == "" {
		return Finding{}
	}
	ifi, err := net.InterfaceByName(cfg.Interface)
	if err != nil {
		var have []string
		all, _ := net.Interfaces()
		for _, i := range all {
			have = append(have, i.Name)
		}
		return Finding{Status: Warn, Found: fmt.Sprintf("there is no %s: nothing is sent until there is", cfg.Interface),
			Mend: "start the VPN, or choose one of " + strings.Join(have, ", ")}
	}
	if err := bindTo(cfg.Interface); err != nil {
		return Finding{Status: Fail, Found: fmt.Sprintf("%s: %v", cfg.Interface, err), Mend: "it needs Linux 5.7 or later, or root; or use a network namespace, see docs/users/vpn.md"}
	}
	d := netdev.New(netdev.Config{Name: cfg.Interface})
	defer d.Close()
	if err := d.Fault(); err != nil {
		return Finding{Status: Warn, Found: err.Error(), Mend: "ip address show dev " + cfg.Interface}
	}
	return judgeServers(ifi.Name, d.Addrs(), cfg.Servers, servers("/etc/resolv.conf"))
}

// judgeServers tells whether names can be asked for through the interface.
func judgeServers(name string, addrs []netip.Addr, given []netip.AddrPort, system []string) Finding {
	found := fmt.Sprintf("%s can be used, with %d addresses", name, len(addrs))
	if len(given) > 0 {
		return Finding{Status: OK, Found: found}
	}
	for _, s := range system {
		if a, err := netip.ParseAddr(s); err != nil || !a.IsLoopback() {
			return Finding{Status: OK, Found: found}
		}
	}
	return Finding{Status: Warn, Found: found + "; but /etc/resolv.conf names only this host, which cannot be asked through it: trackers and first DHT nodes are not found by name",
		Mend: "name a server of the VPN: --dns ADDRESS"}
}

// bindTo tries whether this user may bind a socket to the interface.
func bindTo(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, name)
	return errors.Join(err, unix.Close(fd))
}
