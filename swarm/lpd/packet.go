package lpd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
)

const (
	// maxPacket is the largest datagram that is parsed, bytes. BEP 14 asks
	// senders to stay below 1400; the rest is room for foreign headers.
	maxPacket = 2048
	// maxHashes is the number of Infohash lines read from one packet; 1400
	// bytes hold 25, maxPacket bytes 39.
	maxHashes = 40
	// packHashes is how many we put into one packet: 1355 bytes over IPv6.
	packHashes = 25
)

// Errors of ParseAnnounce, wrapped with the offending text.
var (
	errTooLong  = errors.New("packet too long")
	errNotLPD   = errors.New("not a BT-SEARCH request")
	errBadPort  = errors.New("bad port")
	errNoHashes = errors.New("no usable info-hash")
	errTooMany  = errors.New("too many info-hashes")
)

// Announce is the content of one datagram (BEP 14, "Protocol").
type Announce struct {
	Host   string     // the multicast group it is sent to, "address:port"
	Port   uint16     // where the sender listens for peers; never 0
	Hashes [][20]byte // at least one
	Cookie string     // opaque, by which the sender knows its own packets; may be empty
}

// Append appends the datagram to b. Host and Cookie must hold no line ends.
func (a Announce) Append(b []byte) []byte {
	b = append(b, "BT-SEARCH * HTTP/1.1\r\nHost: "...)
	b = append(b, a.Host...)
	b = append(b, "\r\nPort: "...)
	b = strconv.AppendUint(b, uint64(a.Port), 10)
	for i := range a.Hashes {
		b = append(b, "\r\nInfohash: "...)
		b = hex.AppendEncode(b, a.Hashes[i][:])
	}
	if a.Cookie != "" {
		b = append(b, "\r\ncookie: "...)
		b = append(b, a.Cookie...)
	}
	return append(b, "\r\n\r\n\r\n"...)
}

// ParseAnnounce reads a datagram. It is as lenient as deployed clients are:
// header names in any case, bare line feeds, missing empty lines at the end,
// unknown headers. Info-hashes that are not 40 hex digits are passed over; a
// packet without a usable one is an error, as is a missing, repeated or
// impossible port.
func ParseAnnounce(b []byte) (Announce, error) {
	if len(b) > maxPacket {
		return Announce{}, fmt.Errorf("lpd: %w: %d bytes", errTooLong, len(b))
	}
	line, rest := cutLine(b)
	if !isRequestLine(line) {
		return Announce{}, fmt.Errorf("lpd: %w: %.40q", errNotLPD, line)
	}
	var a Announce
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		if len(line) == 0 {
			break
		}
		if err := a.header(line); err != nil {
			return Announce{}, err
		}
	}
	if a.Port == 0 {
		return Announce{}, fmt.Errorf("lpd: %w: none given", errBadPort)
	}
	if len(a.Hashes) == 0 {
		return Announce{}, fmt.Errorf("lpd: %w", errNoHashes)
	}
	return a, nil
}

// header takes over one header line; lines without a colon are passed over.
func (a *Announce) header(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimSpace(value)
	switch {
	case bytes.EqualFold(name, []byte("Host")):
		a.Host = string(value)
	case bytes.EqualFold(name, []byte("Port")):
		port, err := strconv.ParseUint(string(value), 10, 16)
		if err != nil || port == 0 || a.Port != 0 {
			return fmt.Errorf("lpd: %w: %.20q", errBadPort, value)
		}
		a.Port = uint16(port)
	case bytes.EqualFold(name, []byte("Infohash")):
		var h [20]byte
		if len(value) != 2*len(h) {
			return nil // a v2 hash in full, or junk
		}
		if _, err := hex.Decode(h[:], value); err != nil {
			return nil
		}
		if len(a.Hashes) == maxHashes {
			return fmt.Errorf("lpd: %w", errTooMany)
		}
		a.Hashes = append(a.Hashes, h)
	case bytes.EqualFold(name, []byte("cookie")):
		a.Cookie = string(value)
	}
	return nil
}

// isRequestLine reports whether line is "BT-SEARCH * HTTP/1.1" or a variant of
// it that deployed clients send (method in another case, another version).
func isRequestLine(line []byte) bool {
	f := bytes.Fields(line)
	return len(f) == 3 && bytes.EqualFold(f[0], []byte("BT-SEARCH")) &&
		string(f[1]) == "*" && bytes.HasPrefix(f[2], []byte("HTTP/"))
}

// cutLine splits b after its first line feed; the line comes without its end.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest
}
