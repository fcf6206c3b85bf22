package krpc

import (
	"errors"
	"fmt"
	"net/netip"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/endpoint"
)

// Limits of one packet. Clients send at most 1,500 bytes; the others are what
// libtorrent allows (node.cpp).
var limits = benc.Limits{MaxBytes: MaxPacket, MaxDepth: 10, MaxTokens: 500}

// MaxPacket is the largest packet that Decode reads, bytes.
const MaxPacket = 4096

// ErrMalformed is wrapped by all errors of Decode.
var ErrMalformed = errors.New("krpc: malformed")

// Decode reads one packet. Bytes behind the dictionary are ignored. The message
// refers to b.
//
// An error means that the packet is no KRPC message and deserves no answer. A
// message that lacks what its query needs is no error: HasID, HasTarget and nil
// slices tell, and the sender can be told so.
func Decode(b []byte) (m Message, err error) {
	v, _, err := benc.ParsePrefix(b, limits)
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if v.Kind() != benc.Dict {
		return m, fmt.Errorf("%w: no dictionary", ErrMalformed)
	}
	var args, resp, fault benc.Value
	for key, v := range v.Entries() {
		switch string(key) {
		case "t":
			m.T, _ = v.Bytes()
		case "y":
			if y, _ := v.Bytes(); len(y) == 1 {
				m.Kind = Kind(y[0])
			}
		case "q":
			q, _ := v.Bytes()
			m.Method = method(q)
		case "v":
			m.V, _ = v.Bytes()
		case "ro":
			m.RO = isTrue(v)
		case "ip":
			m.IP = parsePeer(v)
		case "a":
			args = v
		case "r":
			resp = v
		case "e":
			fault = v
		}
	}
	if len(m.T) == 0 || len(m.T) > maxTransaction {
		return m, fmt.Errorf("%w: no transaction ID", ErrMalformed)
	}
	switch {
	case m.Kind == Query && m.Method != "":
		m.decodeBody(args)
	case m.Kind == Response:
		m.decodeBody(resp)
	case m.Kind == Error:
		m.decodeFault(fault)
	default:
		return m, fmt.Errorf("%w: neither query, response nor error", ErrMalformed)
	}
	return m, nil
}

// maxTransaction bounds the transaction ID that we echo. Clients use 1 to 8
// bytes.
const maxTransaction = 32

// method returns the constant for a known name, so that no string is allocated.
func method(q []byte) string {
	switch string(q) {
	case Ping:
		return Ping
	case FindNode:
		return FindNode
	case GetPeers:
		return GetPeers
	case AnnouncePeer:
		return AnnouncePeer
	case Get:
		return Get
	case Put:
		return Put
	case SampleInfohashes:
		return SampleInfohashes
	}
	return string(q[:min(len(q), 64)])
}

// decodeBody reads the arguments of a query or the values of a response. Both
// share their keys.
func (m *Message) decodeBody(body benc.Value) {
	m.Port = -1
	for key, v := range body.Entries() {
		switch string(key) {
		case "id":
			m.ID, m.HasID = parseID(v)
		case "info_hash", "target":
			if !m.HasTarget {
				m.Target, m.HasTarget = parseID(v)
			}
		case "want":
			m.decodeWant(v)
		case "noseed":
			m.NoSeed = isTrue(v)
		case "scrape":
			m.Scrape = isTrue(v)
		case "seed":
			m.Seed = isTrue(v)
		case "implied_port":
			m.ImpliedPort = isTrue(v)
		case "port":
			if n, ok := v.Int(); ok && n >= 0 && n < 1<<16 {
				m.Port = int(n)
			}
		case "token":
			m.Token, _ = v.Bytes()
		case "nodes":
			b, _ := v.Bytes()
			m.Nodes = ParseNodes(b, false)
		case "nodes6":
			b, _ := v.Bytes()
			m.Nodes6 = ParseNodes(b, true)
		case "values":
			m.Values = parseValues(v)
		case "BFsd":
			m.Seeds = sized(v, FilterLen)
		case "BFpe":
			m.Peers = sized(v, FilterLen)
		case "samples":
			m.decodeSamples(v)
		case "num":
			m.Num = count(v)
		case "interval":
			m.Interval = count(v)
		case "v":
			m.Value = v.Raw()
		case "k":
			m.Key = sized(v, 32)
		case "sig":
			m.Sig = sized(v, 64)
		case "salt":
			m.Salt, _ = v.Bytes()
		case "seq":
			m.Seq, m.HasSeq = v.Int()
		case "cas":
			m.CAS, m.HasCAS = v.Int()
		}
	}
}

func (m *Message) decodeWant(list benc.Value) {
	for v := range list.Items() {
		switch b, _ := v.Bytes(); string(b) {
		case "n4":
			m.Want4 = true
		case "n6":
			m.Want6 = true
		}
	}
}

func (m *Message) decodeSamples(v benc.Value) {
	b, ok := v.Bytes()
	if !ok || len(b)%20 != 0 {
		return
	}
	m.HasSamples = true
	for ; len(b) > 0; b = b[20:] {
		m.Samples = append(m.Samples, ID(b[:20]))
	}
}

// decodeFault reads [code, text].
func (m *Message) decodeFault(list benc.Value) {
	for v := range list.Items() {
		if n, ok := v.Int(); ok && n > 0 && n < 1<<31 {
			m.Code = int(n)
		} else if b, ok := v.Bytes(); ok {
			m.Text = string(b[:min(len(b), 200)])
		}
	}
}

// parseValues reads peers: a list of compact peers, or all of them in one
// string as old mainline clients send them.
func parseValues(v benc.Value) (peers []netip.AddrPort) {
	if b, ok := v.Bytes(); ok {
		peers, _ = endpoint.ParseCompact4(b)
		return peers
	}
	for item := range v.Items() {
		if a := parsePeer(item); a.IsValid() {
			peers = append(peers, a)
		}
	}
	return peers
}

// parsePeer reads one compact peer of 6 or 18 bytes; else the result is the
// zero address.
func parsePeer(v benc.Value) (a netip.AddrPort) {
	b, _ := v.Bytes()
	var list []netip.AddrPort
	switch len(b) {
	case endpoint.Compact4Len:
		list, _ = endpoint.ParseCompact4(b)
	case endpoint.Compact6Len:
		list, _ = endpoint.ParseCompact6(b)
	}
	if len(list) == 1 {
		a = list[0]
	}
	return a
}

func parseID(v benc.Value) (id ID, ok bool) {
	b, _ := v.Bytes()
	if len(b) != len(id) {
		return id, false
	}
	return ID(b), true
}

// sized returns the string v if it has n bytes, else nil.
func sized(v benc.Value, n int) []byte {
	if b, _ := v.Bytes(); len(b) == n {
		return b
	}
	return nil
}

func isTrue(v benc.Value) bool {
	n, ok := v.Int()
	return ok && n != 0
}

// count reads a number that cannot be negative; anything odd is 0.
func count(v benc.Value) int {
	n, _ := v.Int()
	return int(max(0, min(n, 1<<31-1)))
}
