package main

import (
	"fmt"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/portmap"
)

// mappingJSON is a mapping of our port in network.json.
type mappingJSON struct {
	Method   string `json:"method,omitempty"` // PCP, NAT-PMP or UPnP; empty: there is none
	Router   string `json:"router,omitempty"`
	External string `json:"external,omitempty"` // address:port, or only the port
	Error    string `json:"error,omitempty"`    // why there is none, or why it is of little use
}

func mappingReport(s portmap.Status) *mappingJSON {
	m := &mappingJSON{Method: s.Method}
	if s.Gateway.IsValid() {
		m.Router = s.Gateway.String()
	}
	if s.Err != nil {
		m.Error = oneLine(s.Err.Error())
	}
	if s.Method == "" {
		return m
	}
	ip := s.External.Addr()
	if ip.IsUnspecified() {
		m.External = fmt.Sprintf("port %d", s.External.Port())
		return m
	}
	m.External = s.External.String()
	if endpoint.Private(ip) {
		m.Error = "the router is behind another one, or the provider's NAT: its own address is private"
	}
	return m
}
