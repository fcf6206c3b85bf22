package krpc

import (
	"net/netip"
	"strconv"

	"magnetfs/swarm/endpoint"
)

// Append appends the bencoded message to b. Keys are written in sorted order;
// fields that are zero are left out.
func (m *Message) Append(b []byte) []byte {
	b = append(b, 'd')
	switch m.Kind {
	case Query:
		b = append(b, "1:a"...)
		b = m.appendArgs(b)
	case Error:
		b = append(b, "1:el"...)
		b = appendInt(b, int64(m.Code))
		b = appendString(b, m.Text)
		b = append(b, 'e')
	}
	if m.IP.IsValid() {
		b = append(b, "2:ip"...)
		b = appendAddr(b, m.IP)
	}
	switch m.Kind {
	case Query:
		b = append(b, "1:q"...)
		b = appendString(b, m.Method)
	case Response:
		b = append(b, "1:r"...)
		b = m.appendResponse(b)
	}
	if m.RO {
		b = append(b, "2:roi1e"...)
	}
	b = appendKey(b, "t", m.T)
	if len(m.V) > 0 {
		b = appendKey(b, "v", m.V)
	}
	b = append(b, "1:y1:"...)
	return append(b, byte(m.Kind), 'e')
}

func (m *Message) appendArgs(b []byte) []byte {
	b = append(b, 'd')
	if m.HasCAS {
		b = appendIntKey(b, "cas", m.CAS)
	}
	b = appendKey(b, "id", m.ID[:])
	if m.ImpliedPort {
		b = appendIntKey(b, "implied_port", 1)
	}
	hash := m.Method == GetPeers || m.Method == AnnouncePeer
	if m.HasTarget && hash {
		b = appendKey(b, "info_hash", m.Target[:])
	}
	if m.Key != nil {
		b = appendKey(b, "k", m.Key)
	}
	if m.NoSeed {
		b = appendIntKey(b, "noseed", 1)
	}
	if m.Method == AnnouncePeer {
		b = appendIntKey(b, "port", int64(m.Port))
	}
	if len(m.Salt) > 0 {
		b = appendKey(b, "salt", m.Salt)
	}
	if m.Scrape {
		b = appendIntKey(b, "scrape", 1)
	}
	if m.Seed {
		b = appendIntKey(b, "seed", 1)
	}
	if m.HasSeq {
		b = appendIntKey(b, "seq", m.Seq)
	}
	if m.Sig != nil {
		b = appendKey(b, "sig", m.Sig)
	}
	if m.HasTarget && !hash {
		b = appendKey(b, "target", m.Target[:])
	}
	if m.Token != nil {
		b = appendKey(b, "token", m.Token)
	}
	if m.Value != nil {
		b = append(b, "1:v"...)
		b = append(b, m.Value...)
	}
	if m.Want4 || m.Want6 {
		b = append(b, "4:wantl"...)
		if m.Want4 {
			b = append(b, "2:n4"...)
		}
		if m.Want6 {
			b = append(b, "2:n6"...)
		}
		b = append(b, 'e')
	}
	return append(b, 'e')
}

func (m *Message) appendResponse(b []byte) []byte {
	b = append(b, 'd')
	if m.Seeds != nil && m.Peers != nil {
		b = appendKey(b, "BFpe", m.Peers)
		b = appendKey(b, "BFsd", m.Seeds)
	}
	b = appendKey(b, "id", m.ID[:])
	if m.HasSamples {
		b = appendIntKey(b, "interval", int64(m.Interval))
	}
	if m.Key != nil {
		b = appendKey(b, "k", m.Key)
	}
	if m.Nodes != nil {
		b = appendNodes(b, "nodes", m.Nodes, NodeLen4)
	}
	if m.Nodes6 != nil {
		b = appendNodes(b, "nodes6", m.Nodes6, NodeLen6)
	}
	if m.HasSamples {
		b = appendIntKey(b, "num", int64(m.Num))
		b = append(b, "7:samples"...)
		b = strconv.AppendInt(b, int64(len(m.Samples)*20), 10)
		b = append(b, ':')
		for i := range m.Samples {
			b = append(b, m.Samples[i][:]...)
		}
	}
	if m.HasSeq {
		b = appendIntKey(b, "seq", m.Seq)
	}
	if m.Sig != nil {
		b = appendKey(b, "sig", m.Sig)
	}
	if m.Token != nil {
		b = appendKey(b, "token", m.Token)
	}
	if m.Value != nil {
		b = append(b, "1:v"...)
		b = append(b, m.Value...)
	}
	if len(m.Values) > 0 {
		b = append(b, "6:valuesl"...)
		for _, a := range m.Values {
			b = appendAddr(b, a)
		}
		b = append(b, 'e')
	}
	return append(b, 'e')
}

func appendNodes(b []byte, key string, nodes []NodeInfo, size int) []byte {
	b = appendString(b, key)
	b = strconv.AppendInt(b, int64(len(nodes)*size), 10)
	b = append(b, ':')
	for _, n := range nodes {
		b = AppendNode(b, n)
	}
	return b
}

func appendAddr(b []byte, a netip.AddrPort) []byte {
	if a.Addr().Is4() {
		b = append(b, "6:"...)
	} else {
		b = append(b, "18:"...)
	}
	return endpoint.AppendCompact(b, a)
}

func appendInt(b []byte, n int64) []byte {
	b = append(b, 'i')
	b = strconv.AppendInt(b, n, 10)
	return append(b, 'e')
}

func appendString[S string | []byte](b []byte, s S) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}

func appendKey(b []byte, key string, value []byte) []byte {
	return appendString(appendString(b, key), value)
}

func appendIntKey(b []byte, key string, n int64) []byte {
	return appendInt(appendString(b, key), n)
}
