package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"github.com/spf13/pflag"

	"magnetfs/swarm"
	"magnetfs/swarm/netdev"
	"magnetfs/swarm/portmap"
	"magnetfs/swarm/socks"
)

// reachOptions are the flags about the way to the network.
type reachOptions struct {
	netInterface string
	dns          []string
	proxy        proxyURL
	blocklist    string
	noMapping    bool
}

func (o *reachOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.netInterface, "interface", "", "use only this network interface, for everything: its `name`, such as wg0; while it is missing nothing is sent")
	f.StringSliceVar(&o.dns, "dns", nil, "servers that are asked for names with --interface, as `address` or address:port (default: those of /etc/resolv.conf)")
	f.Var(&o.proxy, "proxy", "use only this SOCKS5 proxy, for everything: a `url`, socks5://[user:password@]host:port")
	f.StringVar(&o.blocklist, "blocklist", "", "connect with nobody on this list, a `file` of PeerGuardian, eMule or networks, also packed with gzip; SIGHUP reads it again")
	f.BoolVar(&o.noMapping, "no-port-mapping", false, "do not ask the router (PCP, NAT-PMP, UPnP) to let peers connect to us")
}

// maxInterface is the length of an interface's name, as Linux has it.
const maxInterface = 15

// check finds what is wrong with the values beyond their form.
func (o *reachOptions) check() *badSetting {
	if name := o.netInterface; len(name) > maxInterface || strings.ContainsAny(name, "/ \t\n:") {
		return &badSetting{"interface", fmt.Errorf("%q is no name of a network interface; ip link shows them", name)}
	}
	if _, err := o.servers(); err != nil {
		return &badSetting{"dns", err}
	}
	if len(o.dns) > 0 && o.netInterface == "" {
		return &badSetting{"dns", errors.New("it is for --interface only; without one the system's servers are asked")}
	}
	return nil
}

// servers are those of --dns.
func (o *reachOptions) servers() (all []netip.AddrPort, err error) {
	for _, text := range o.dns {
		server, err := netip.ParseAddrPort(text)
		if err != nil {
			addr, addrErr := netip.ParseAddr(strings.Trim(text, "[]"))
			if addrErr != nil {
				return nil, fmt.Errorf("%q is neither an address nor address:port", text)
			}
			server = netip.AddrPortFrom(addr, 53)
		}
		if server.Port() == 0 {
			return nil, fmt.Errorf("%q has no port between 1 and 65535", text)
		}
		all = append(all, server)
	}
	return all, nil
}

// unreachable says why nothing can be sent yet; empty if something can.
func (o *reachOptions) unreachable() string {
	if o.netInterface == "" {
		return ""
	}
	if _, err := net.InterfaceByName(o.netInterface); err != nil {
		return fmt.Sprintf("there is no network interface %s; nothing is sent until there is", o.netInterface)
	}
	return ""
}

// reach is the way of a mount to the network.
type reach struct {
	device *netdev.Device // nil: any
	proxy  *socks.Proxy   // nil: none
	url    string         // of the proxy, without the password
	list   *blocked       // nil: nobody is blocked
	log    *slog.Logger

	noMapping bool
	port      int             // where we listen
	mapper    *portmap.Mapper // nil: the router is asked for nothing
}

func (o *reachOptions) openReach(log *slog.Logger) (*reach, error) {
	r := &reach{log: log, noMapping: o.noMapping || o.proxy.addr != ""} // a proxy is not to be gone round
	if o.netInterface != "" {
		servers, _ := o.servers() // checked before
		r.device = netdev.New(netdev.Config{Name: o.netInterface, Servers: servers, Log: log})
	}
	if o.proxy.addr != "" {
		cfg := socks.Config{Addr: o.proxy.addr, User: o.proxy.user, Password: o.proxy.password, Log: log}
		if r.device != nil {
			cfg.Under = r.device
		}
		var err error
		if r.proxy, err = socks.New(cfg); err != nil {
			r.Close()
			return nil, err
		}
		r.url = o.proxy.String()
	}
	if o.blocklist != "" {
		r.list = &blocked{path: o.blocklist, log: log}
		if err := r.list.read(); err != nil {
			r.Close()
			return nil, fmt.Errorf("block list: %w", err)
		}
	}
	return r, nil
}

// configure has a session use it.
func (r *reach) configure(cfg *swarm.Config) {
	if r.device != nil {
		cfg.Network, cfg.Resolve = r.device, r.device.Resolve
		cfg.Fault = r.fault
		cfg.LPD.Device = r.device.Name()
	}
	if r.proxy != nil {
		cfg.Network, cfg.RemoteNames, cfg.Fault = r.proxy, true, r.fault
	}
	if r.list != nil {
		cfg.Blocked = r.list.current
	}
}

// fault tells why nothing can be sent.
func (r *reach) fault(network string) error {
	if r.device != nil {
		if err := r.device.Fault(); err != nil {
			return err
		}
	}
	if r.proxy != nil {
		return r.proxy.Fault(network)
	}
	return nil
}

// attach tells the session when the network is back.
func (r *reach) attach(s *swarm.Session) {
	if r.list != nil {
		r.list.mu.Lock()
		r.list.session = s
		r.list.mu.Unlock()
	}
	if r.device != nil {
		r.device.OnBack(s.Retry)
	}
	if r.proxy != nil {
		r.proxy.OnBack(s.Retry)
	}
	if r.port = s.Port(); r.noMapping {
		return
	}
	cfg := portmap.Config{Port: uint16(r.port), Log: r.log, OnPort: s.SetMapped}
	if r.device != nil {
		cfg.Device, cfg.Dialer = r.device.Name(), r.device
	}
	r.mapper = portmap.New(cfg)
}

// reload reads the block list again.
func (r *reach) reload(log *slog.Logger) {
	if r.list == nil {
		return
	}
	if err := r.list.read(); err != nil {
		log.Error("the block list is not read again, the old one stays", "err", err)
	}
}

// Close ends what watches the network, and has the router take the port back; after the
// session.
func (r *reach) Close() error {
	if r.mapper != nil {
		_ = r.mapper.Close()
	}
	if r.device != nil {
		return r.device.Close()
	}
	return nil
}

const networkJSONName = "network.json"

// networkReport is network.json.
type networkReport struct {
	Interface string       `json:"interface,omitempty"` // empty: any
	Addresses []netip.Addr `json:"addresses,omitempty"` // of the interface
	Proxy     string       `json:"proxy,omitempty"`     // empty: none
	Port      int          `json:"port"`                // where peers reach this host
	Mapping   *mappingJSON `json:"mapping,omitempty"`   // nil: the router is asked for none
	Blocked   int          `json:"blocked,omitempty"`   // ranges of the block list
	Refused   int64        `json:"refused,omitempty"`   // who dialled us and is on it
	Error     string       `json:"error,omitempty"`     // why nothing can be sent
	UDPError  string       `json:"udp_error,omitempty"` // why no UDP can be sent; if Error is empty
}

func (r *reach) report() (n networkReport) {
	if r.device != nil {
		n.Interface, n.Addresses = r.device.Name(), r.device.Addrs()
	}
	n.Proxy, n.Port = r.url, r.port
	if r.mapper != nil {
		n.Mapping = mappingReport(r.mapper.Status())
	}
	if r.list != nil {
		n.Blocked, n.Refused = r.list.counts()
	}
	if err := r.fault("tcp"); err != nil {
		n.Error = err.Error()
	} else if err := r.fault("udp"); err != nil {
		n.UDPError = err.Error()
	}
	return n
}

func (r *reach) files() map[string]func() ([]byte, error) {
	return map[string]func() ([]byte, error){networkJSONName: func() ([]byte, error) {
		b, err := json.Marshal(r.report())
		return append(b, '\n'), err
	}}
}

// warning says why nothing can be sent, or only a part; empty if all can.
func (r *reach) warning() string {
	switch n := r.report(); {
	case n.Error != "":
		return n.Error
	case n.UDPError != "":
		return n.UDPError + ": no DHT, uTP and UDP trackers"
	}
	return ""
}

// notice is the line of the status about the network, empty if there is nothing to
// say.
func (r *reach) notice() string {
	n := r.report()
	var by []string
	if n.Proxy != "" {
		by = append(by, "only through the proxy "+n.Proxy)
	}
	if n.Interface != "" {
		by = append(by, "only by the interface "+n.Interface)
	}
	if n.Mapping != nil && n.Mapping.Method != "" {
		by = append(by, fmt.Sprintf("reached at %s (%s)", n.Mapping.External, n.Mapping.Method))
	}
	if n.Blocked > 0 {
		by = append(by, fmt.Sprintf("%d ranges of addresses are blocked", n.Blocked))
	}
	if len(by) == 0 {
		return ""
	}
	return "Network: " + strings.Join(by, "; ")
}
