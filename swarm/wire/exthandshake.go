package wire

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"magnetfs/swarm/benc"
)

// Names of the extensions that we know, as they stand under the key m of an extension handshake.
const (
	UTMetadata  = "ut_metadata"  // BEP 9
	UTPex       = "ut_pex"       // BEP 11
	UTHolepunch = "ut_holepunch" // BEP 55
	LTDontHave  = "lt_donthave"  // BEP 54
	UploadOnly  = "upload_only"  // a message, beside the handshake key of that name; practice of libtorrent
)

// The ids that we announce: those of libtorrent.
const (
	IDPex        = 1
	IDMetadata   = 2
	IDUploadOnly = 3
	IDHolepunch  = 4
	IDDontHave   = 7
)

// Bounds of the values in an extension handshake.
const (
	DefaultReqq = 250      // requests a peer queues when it does not say; BEP 10
	MaxReqq     = 2000     // what we believe at most; libtorrent announces this
	MaxVersion  = 100      // bytes of a client's name
	MaxMetadata = 16 << 20 // bytes of an info dictionary
)

// extLimits bound the dictionaries in extension messages.
var extLimits = benc.Limits{MaxBytes: MaxExtended, MaxDepth: 32, MaxTokens: 4096}

// ExtHandshake is the payload of the extended message with id 0 (BEP 10). Zero fields are absent.
type ExtHandshake struct {
	// M maps the names of extensions to the ids under which the sender wants to receive them. Parsed: only names
	// that we know, only ids from 1 to 255.
	M map[string]uint8
	// Port is the TCP port on which the sender listens.
	Port uint16
	// Version names the client. Parsed: printable, at most MaxVersion bytes.
	Version string
	// YourIP is the address of the receiver as the sender sees it.
	YourIP netip.Addr
	// IPv4 and IPv6 are further addresses that the sender claims to have. Unverified: dial with low rank, if at all.
	IPv4, IPv6 netip.Addr
	// Reqq is the number of requests that the sender queues. Parsed: 1 to MaxReqq, or 0 if absent (see DefaultReqq).
	Reqq int
	// MetadataSize is the size of the info dictionary in bytes; 0: the sender has none. Parsed: values out of 1 to
	// MaxMetadata count as none.
	MetadataSize int
	// UploadOnly says that the sender will not download (BEP 21).
	UploadOnly bool
	// Encrypt says that the sender prefers encrypted connections.
	Encrypt bool
}

// extWire is an extension handshake as it is encoded. The order of fields does not matter: keys are sorted.
type extWire struct {
	E            int              `bencode:"e"`
	IPv4         []byte           `bencode:"ipv4,omitempty"`
	IPv6         []byte           `bencode:"ipv6,omitempty"`
	M            map[string]uint8 `bencode:"m"`
	MetadataSize int              `bencode:"metadata_size,omitempty"`
	P            uint16           `bencode:"p,omitempty"`
	Reqq         int              `bencode:"reqq,omitempty"`
	UploadOnly   int              `bencode:"upload_only,omitempty"`
	V            string           `bencode:"v,omitempty"`
	YourIP       []byte           `bencode:"yourip,omitempty"`
}

// Marshal returns the payload of the message. Ids that are 0 in M are sent: they withdraw an extension.
func (h ExtHandshake) Marshal() ([]byte, error) {
	return benc.Marshal(extWire{
		E:            flag(h.Encrypt),
		IPv4:         h.IPv4.Unmap().AsSlice(),
		IPv6:         h.IPv6.AsSlice(),
		M:            h.M,
		MetadataSize: h.MetadataSize,
		P:            h.Port,
		Reqq:         h.Reqq,
		UploadOnly:   flag(h.UploadOnly),
		V:            h.Version,
		YourIP:       h.YourIP.Unmap().AsSlice(),
	})
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// ParseExtHandshake parses the payload of a first extension handshake.
func ParseExtHandshake(payload []byte) (ExtHandshake, error) {
	var h ExtHandshake
	err := h.Update(payload)
	return h, err
}

// Update applies a later handshake of the same peer: it changes only what the message carries, and an extension is
// withdrawn by the id 0. Values of the wrong type or out of range are ignored or clamped, so that one odd key does not
// cost the whole message. The error wraps ErrMalformed: the payload is no dictionary. h is unchanged then.
func (h *ExtHandshake) Update(payload []byte) error {
	v, _, err := benc.ParsePrefix(payload, extLimits)
	if err != nil {
		return malformed("extension handshake: %v", err)
	}
	if v.Kind() != benc.Dict {
		return malformed("extension handshake is a %v", v.Kind())
	}
	for key, val := range v.Entries() {
		h.set(string(key), val)
	}
	return nil
}

// set applies one key of a received handshake.
func (h *ExtHandshake) set(key string, val benc.Value) {
	n, isInt := val.Int()
	s, isString := val.Bytes()
	switch key {
	case "m":
		for name, id := range val.Entries() {
			h.setExtension(string(name), id)
		}
	case "p":
		if isInt && n > 0 && n <= 65535 {
			h.Port = uint16(n)
		}
	case "v":
		if isString {
			h.Version = printable(s)
		}
	case "yourip":
		if a, ok := netip.AddrFromSlice(s); ok {
			h.YourIP = a.Unmap()
		}
	case "ipv4":
		if a, ok := netip.AddrFromSlice(s); ok && a.Is4() {
			h.IPv4 = a
		}
	case "ipv6":
		if a, ok := netip.AddrFromSlice(s); ok && a.Is6() && !a.Is4In6() {
			h.IPv6 = a
		}
	case "reqq":
		if isInt {
			h.Reqq = int(min(max(n, 1), MaxReqq))
		}
	case "metadata_size":
		if isInt {
			h.MetadataSize = 0
			if n > 0 && n <= MaxMetadata {
				h.MetadataSize = int(n)
			}
		}
	case "upload_only":
		if isInt {
			h.UploadOnly = n != 0
		}
	case "e":
		if isInt {
			h.Encrypt = n != 0
		}
	}
}

// setExtension applies one entry of the dictionary m.
func (h *ExtHandshake) setExtension(name string, val benc.Value) {
	switch name {
	case UTMetadata, UTPex, UTHolepunch, LTDontHave, UploadOnly:
	default:
		return
	}
	id, ok := val.Int()
	switch {
	case !ok || id < 0 || id > 255:
	case id == 0:
		delete(h.M, name)
	default:
		if h.M == nil {
			h.M = make(map[string]uint8)
		}
		h.M[name] = uint8(id)
	}
}

// printable cuts s to MaxVersion bytes and replaces what does not belong into a terminal or a table.
func printable(s []byte) string {
	if len(s) > MaxVersion {
		end := MaxVersion
		for end > MaxVersion-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	clean := strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(s))
	return strings.TrimSpace(clean)
}
