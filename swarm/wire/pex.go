package wire

import (
	"net/netip"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/endpoint"
)

// PexFlags tell about a peer in a PEX message (BEP 11, "added.f").
type PexFlags uint8

// The flags.
const (
	PexEncryption PexFlags = 1 << iota // prefers encryption
	PexSeed                            // seed or upload-only
	PexUTP                             // supports uTP
	PexHolepunch                       // supports ut_holepunch
	PexReachable                       // the sender has dialled it with success
)

// Limits of PEX.
const (
	// MaxPexSend is the number of added, and of dropped contacts that a message may have (BEP 11).
	MaxPexSend = 50
	// maxPexParse is what we take of one received list; a first message may be a snapshot without limit.
	maxPexParse = 200
)

// PexPeer is a contact and what the sender knows of it.
type PexPeer struct {
	Addr  netip.AddrPort
	Flags PexFlags
}

// Pex is the payload of a ut_pex message (BEP 11): who joined and who left since the last one. IPv4 and IPv6 are mixed
// here and apart on the wire.
type Pex struct {
	Added   []PexPeer
	Dropped []netip.AddrPort
}

// pexWire is a PEX message as it is encoded. BEP 11 wants one field at least, so the IPv4 fields are always there.
type pexWire struct {
	Added    []byte `bencode:"added"`
	AddedF   []byte `bencode:"added.f"`
	Added6   []byte `bencode:"added6,omitempty"`
	Added6F  []byte `bencode:"added6.f,omitempty"`
	Dropped  []byte `bencode:"dropped"`
	Dropped6 []byte `bencode:"dropped6,omitempty"`
}

// Marshal returns the payload of the message. The caller keeps each list within MaxPexSend and without duplicates.
func (p Pex) Marshal() ([]byte, error) {
	w := pexWire{Added: []byte{}, AddedF: []byte{}, Dropped: []byte{}}
	for _, peer := range p.Added {
		if a := endpoint.Unmap4(peer.Addr); a.Addr().Is4() {
			w.Added = endpoint.AppendCompact(w.Added, a)
			w.AddedF = append(w.AddedF, byte(peer.Flags))
		} else {
			w.Added6 = endpoint.AppendCompact(w.Added6, a)
			w.Added6F = append(w.Added6F, byte(peer.Flags))
		}
	}
	for _, a := range p.Dropped {
		if a = endpoint.Unmap4(a); a.Addr().Is4() {
			w.Dropped = endpoint.AppendCompact(w.Dropped, a)
		} else {
			w.Dropped6 = endpoint.AppendCompact(w.Dropped6, a)
		}
	}
	return benc.Marshal(w)
}

// ParsePex parses the payload of a ut_pex message. Of each list on the wire the first 200 contacts are returned. They
// are as the peer wrote them: port 0 and addresses that must not be dialled included, see endpoint.Dialable. Lists of
// flags may be absent, but not of another length than their contacts. The error wraps ErrMalformed.
func ParsePex(payload []byte) (Pex, error) {
	v, err := benc.Parse(payload, extLimits)
	if err != nil {
		return Pex{}, malformed("ut_pex: %v", err)
	}
	if v.Kind() != benc.Dict {
		return Pex{}, malformed("ut_pex: message is a %v", v.Kind())
	}
	var p Pex
	for _, list := range [...]struct {
		name, flags string
		size        int
		parse       func([]byte) ([]netip.AddrPort, error)
	}{
		{"added", "added.f", endpoint.Compact4Len, endpoint.ParseCompact4},
		{"added6", "added6.f", endpoint.Compact6Len, endpoint.ParseCompact6},
		{"dropped", "", endpoint.Compact4Len, endpoint.ParseCompact4},
		{"dropped6", "", endpoint.Compact6Len, endpoint.ParseCompact6},
	} {
		contacts, _ := v.Get(list.name).Bytes()
		if len(contacts)%list.size != 0 {
			return Pex{}, malformed("ut_pex: %s of %d bytes", list.name, len(contacts))
		}
		count := len(contacts) / list.size
		flags, _ := v.Get(list.flags).Bytes()
		if len(flags) != 0 && len(flags) != count {
			return Pex{}, malformed("ut_pex: %s for %d contacts has %d flags", list.name, count, len(flags))
		}
		addrs, err := list.parse(contacts[:min(count, maxPexParse)*list.size])
		if err != nil {
			return Pex{}, malformed("ut_pex: %s: %v", list.name, err)
		}
		if list.flags == "" {
			p.Dropped = append(p.Dropped, addrs...)
			continue
		}
		for i, a := range addrs {
			peer := PexPeer{Addr: a}
			if len(flags) != 0 {
				peer.Flags = PexFlags(flags[i])
			}
			p.Added = append(p.Added, peer)
		}
	}
	return p, nil
}
