package lpd

import (
	"net"
	"net/netip"
	"slices"
	"testing"
)

func prefixes(s ...string) (list []netip.Prefix) {
	for _, p := range s {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

func TestLocal(t *testing.T) {
	eth := Interface{Prefixes: prefixes("203.0.113.5/24", "2001:db8:1::5/64", "fe80::5/64")}
	lo := Interface{Prefixes: prefixes("127.0.0.1/8", "::1/128"), Loopback: true}
	for _, tt := range []struct {
		name string
		ifi  Interface
		addr string
		want bool
	}{
		{"RFC 1918, 10/8", eth, "10.9.8.7", true},
		{"RFC 1918, 172.16/12", eth, "172.31.0.1", true},
		{"beyond 172.16/12", eth, "172.32.0.1", false},
		{"RFC 1918, 192.168/16", eth, "192.168.1.1", true},
		{"shared", eth, "100.64.1.1", true},
		{"link-local", eth, "169.254.3.4", true},
		{"own public subnet", eth, "203.0.113.77", true},
		{"other public subnet", eth, "203.0.114.77", false},
		{"own public v6 subnet", eth, "2001:db8:1::77", true},
		{"other public v6 subnet", eth, "2001:db8:2::77", false},
		{"unique local", eth, "fd12::1", true},
		{"v6 link-local", eth, "fe80::77", true},
		{"loopback on ethernet", eth, "127.0.0.1", false},
		{"v6 loopback on ethernet", eth, "::1", false},
		{"loopback on loopback", lo, "127.0.0.1", true},
		{"v6 loopback on loopback", lo, "::1", true},
		{"another own address on loopback", lo, "203.0.113.5", true},
		{"unspecified", eth, "0.0.0.0", false},
		{"multicast", eth, "239.192.152.143", false},
		{"v6 multicast", eth, "ff15::efc0:988f", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.ifi.local(netip.MustParseAddr(tt.addr)); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if eth.local(netip.Addr{}) {
		t.Error("the zero address is local")
	}
}

func TestSelectInterfaces(t *testing.T) {
	const up = net.FlagUp
	lo := candidate{Interface{1, "lo", prefixes("127.0.0.1/8"), true}, up | net.FlagLoopback}
	eth := candidate{Interface{2, "eth0", prefixes("10.0.0.1/8"), false}, up | net.FlagMulticast | net.FlagBroadcast}
	bare := candidate{Interface{3, "eth1", nil, false}, up | net.FlagMulticast}
	down := candidate{Interface{4, "eth2", prefixes("10.0.0.2/8"), false}, net.FlagMulticast}
	tun := candidate{Interface{5, "tun0", prefixes("10.8.0.1/24"), false}, up | net.FlagMulticast | net.FlagPointToPoint}
	noMulti := candidate{Interface{6, "nm0", prefixes("10.7.0.1/24"), false}, up}
	all := []candidate{lo, eth, bare, down, tun, noMulti}
	for _, tt := range []struct {
		name     string
		all      []candidate
		device   string
		loopback bool
		want     []string
	}{
		{"the usual", all, "", false, []string{"eth0"}},
		{"loopback asked for", all, "", true, []string{"eth0", "lo"}},
		{"loopback alone", []candidate{lo, down, bare}, "", false, []string{"lo"}},
		{"tunnel is not a LAN", []candidate{lo, tun}, "", false, []string{"lo"}},
		{"tunnel named", all, "tun0", false, []string{"tun0"}},
		{"loopback named", all, "lo", false, []string{"lo"}},
		{"named only, even with loopback asked for", all, "eth0", true, []string{"eth0"}},
		{"named one is down", all, "eth2", true, nil},
		{"named one is missing", all, "wg0", true, nil},
		{"nothing there", nil, "", true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, i := range selectInterfaces(tt.all, tt.device, tt.loopback) {
				got = append(got, i.Name)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSystemInterfacesHasLoopback(t *testing.T) {
	all, err := systemInterfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Loopback && c.owns(netip.MustParseAddr("127.0.0.1")) && c.has(IPv4) {
			return
		}
	}
	t.Errorf("no loopback interface with 127.0.0.1 in %+v", all)
}
