package wire

import "encoding/binary"

// AppendDontHave appends the payload of an lt_donthave message (BEP 54): the sender lost this piece.
func AppendDontHave(b []byte, piece uint32) []byte {
	return binary.BigEndian.AppendUint32(b, piece)
}

// ParseDontHave parses the payload of an lt_donthave message. The index is not checked against the torrent. The error
// wraps ErrMalformed.
func ParseDontHave(payload []byte) (piece uint32, err error) {
	if len(payload) != 4 {
		return 0, malformed("lt_donthave of %d bytes", len(payload))
	}
	return binary.BigEndian.Uint32(payload), nil
}

// AppendUploadOnly appends the payload of an upload_only message, which tells of a change (practice of libtorrent; the
// state at the start is in the extension handshake, BEP 21).
func AppendUploadOnly(b []byte, uploadOnly bool) []byte {
	return append(b, byte(flag(uploadOnly)))
}

// ParseUploadOnly parses the payload of an upload_only message. The error wraps ErrMalformed.
func ParseUploadOnly(payload []byte) (bool, error) {
	if len(payload) != 1 {
		return false, malformed("upload_only of %d bytes", len(payload))
	}
	return payload[0] != 0, nil
}
