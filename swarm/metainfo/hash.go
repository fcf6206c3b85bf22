package metainfo

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"strings"
)

// InfoHash identifies a torrent on the wire: the SHA-1 of its info dictionary, or for torrents without v1 data the
// first 20 bytes of its v2 info-hash (BEP 52). Trackers, DHT, handshake and local discovery use this form.
type InfoHash [sha1.Size]byte

// String returns 40 lower case hex digits.
func (h InfoHash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText lets JSON and logs show the hex form.
func (h InfoHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// InfoHashV2 is the SHA-256 of an info dictionary (BEP 52).
type InfoHashV2 [sha256.Size]byte

// String returns 64 lower case hex digits.
func (h InfoHashV2) String() string { return hex.EncodeToString(h[:]) }

// Truncated returns the form used on the wire: the first 20 bytes.
func (h InfoHashV2) Truncated() InfoHash { return InfoHash(h[:sha1.Size]) }

// HashInfo returns both info-hashes of the exact bytes of an info dictionary.
func HashInfo(raw []byte) (InfoHash, InfoHashV2) {
	return sha1.Sum(raw), sha256.Sum256(raw)
}

// ParseInfoHash reads an info-hash written as 40 hex digits or 32 base32 characters (RFC 4648 without padding), in
// either case.
func ParseInfoHash(s string) (InfoHash, error) {
	switch len(s) {
	case 40:
		b, err := hex.DecodeString(s)
		if err != nil {
			return InfoHash{}, fmt.Errorf("metainfo: info-hash %q has characters that are not hex digits", s)
		}
		return InfoHash(b), nil
	case 32:
		b, err := base32.StdEncoding.DecodeString(strings.ToUpper(s))
		if err != nil {
			return InfoHash{}, fmt.Errorf("metainfo: info-hash %q is not base32 (letters and 2 to 7)", s)
		}
		return InfoHash(b), nil
	}
	return InfoHash{}, fmt.Errorf("metainfo: info-hash %q has %d characters; 40 hex digits or 32 of base32 are due",
		clip(s), len(s))
}

// multihashPrefix announces a SHA-256 (0x12) of 32 bytes (0x20), in hex.
const multihashPrefix = "1220"

// ParseInfoHashV2 reads a v2 info-hash written as 64 hex digits, with or without the multihash prefix 1220.
func ParseInfoHashV2(s string) (InfoHashV2, error) {
	digits := s
	if len(s) == 2*sha256.Size+len(multihashPrefix) {
		var ok bool
		if digits, ok = strings.CutPrefix(s, multihashPrefix); !ok {
			return InfoHashV2{}, fmt.Errorf("metainfo: v2 info-hash %q does not begin with %s (SHA-256)", s, multihashPrefix)
		}
	}
	if len(digits) != 2*sha256.Size {
		return InfoHashV2{}, fmt.Errorf("metainfo: v2 info-hash %q has %d characters; %s and 64 hex digits are due",
			clip(s), len(s), multihashPrefix)
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return InfoHashV2{}, fmt.Errorf("metainfo: v2 info-hash %q has characters that are not hex digits", s)
	}
	return InfoHashV2(b), nil
}

// clip shortens foreign text for a message.
func clip(s string) string {
	const limit = 80
	if len(s) <= limit {
		return s
	}
	return s[:limit] + "…"
}
