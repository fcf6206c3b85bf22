package wire

import (
	"encoding/binary"
	"net/netip"

	"magnetfs/swarm/endpoint"
)

// HolepunchType is the msg_type of a ut_holepunch message.
type HolepunchType uint8

// Types of ut_holepunch messages (BEP 55).
const (
	HolepunchRendezvous HolepunchType = 0 // initiator to relay: introduce me to Addr
	HolepunchConnect    HolepunchType = 1 // relay to both: dial Addr over uTP, now
	HolepunchError      HolepunchType = 2 // relay to initiator: why not
)

// HolepunchCode says why a relay could not help.
type HolepunchCode uint32

// Error codes of ut_holepunch (BEP 55).
const (
	HolepunchNoSuchPeer   HolepunchCode = 1 // the address is no valid one
	HolepunchNotConnected HolepunchCode = 2 // the relay is not connected to it
	HolepunchNoSupport    HolepunchCode = 3 // the target does not support holepunching
	HolepunchNoSelf       HolepunchCode = 4 // the address is the relay's own
)

// Holepunch is the payload of a ut_holepunch message (BEP 55).
type Holepunch struct {
	Type HolepunchType
	Addr netip.AddrPort
	Code HolepunchCode // HolepunchError only
}

// Lengths of the message in bytes before and behind the address.
const (
	holepunchHead = 2
	holepunchCode = 4
)

// Append appends the payload to b, with the error code that libtorrent leaves out and the BEP demands.
func (h Holepunch) Append(b []byte) []byte {
	addr := endpoint.Unmap4(h.Addr)
	family := byte(0)
	if addr.Addr().Is6() {
		family = 1
	}
	b = append(b, byte(h.Type), family)
	b = endpoint.AppendCompact(b, addr)
	return binary.BigEndian.AppendUint32(b, uint32(h.Code))
}

// ParseHolepunch parses the payload of a ut_holepunch message, with or without the error code; an error must have one.
// Whether to dial the address is for endpoint.Dialable to say. The error wraps ErrMalformed.
func ParseHolepunch(payload []byte) (Holepunch, error) {
	if len(payload) < holepunchHead {
		return Holepunch{}, malformed("ut_holepunch of %d bytes", len(payload))
	}
	h := Holepunch{Type: HolepunchType(payload[0])}
	if h.Type > HolepunchError {
		return Holepunch{}, malformed("ut_holepunch: type %d", h.Type)
	}
	size, parse := endpoint.Compact4Len, endpoint.ParseCompact4
	switch payload[1] {
	case 0:
	case 1:
		size, parse = endpoint.Compact6Len, endpoint.ParseCompact6
	default:
		return Holepunch{}, malformed("ut_holepunch: address type %d", payload[1])
	}
	body := payload[holepunchHead:]
	switch len(body) {
	case size + holepunchCode:
		if h.Type == HolepunchError {
			h.Code = HolepunchCode(binary.BigEndian.Uint32(body[size:]))
		}
	case size:
		if h.Type == HolepunchError {
			return Holepunch{}, malformed("ut_holepunch: error without code")
		}
	default:
		return Holepunch{}, malformed("ut_holepunch of %d bytes", len(payload))
	}
	addrs, err := parse(body[:size])
	if err != nil {
		return Holepunch{}, malformed("ut_holepunch: %v", err)
	}
	h.Addr = addrs[0]
	return h, nil
}
