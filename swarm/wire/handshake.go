package wire

import "io"

// Sizes of the handshake in bytes (BEP 3): the responder knows all it needs after HandshakeHashLen.
const (
	HandshakeLen     = 68
	HandshakeHashLen = 48
)

// HandshakePrefix is what every unencrypted connection starts with. Anything else is encrypted (MSE) or not BitTorrent.
const HandshakePrefix = "\x13BitTorrent protocol"

// Reserved are the eight bytes by which the handshake tells which extensions are supported.
type Reserved [8]byte

// The bits of Reserved: byte index and mask.
const (
	extendedByte, extendedBit = 5, 0x10 // BEP 10
	dhtByte, dhtBit           = 7, 0x01 // BEP 5
	fastByte, fastBit         = 7, 0x04 // BEP 6
	v2Byte, v2Bit             = 7, 0x10 // BEP 52
)

// NewReserved returns what we support: the extension protocol and the fast extension, and the DHT unless it is
// switched off or the torrent private.
func NewReserved(dht bool) Reserved {
	var r Reserved
	r[extendedByte] |= extendedBit
	r[fastByte] |= fastBit
	if dht {
		r[dhtByte] |= dhtBit
	}
	return r
}

// WithV2 returns r with the bit set that says "this torrent has a v2 part" (BEP 52).
func (r Reserved) WithV2() Reserved {
	r[v2Byte] |= v2Bit
	return r
}

// Extended tells whether the sender speaks the extension protocol (BEP 10).
func (r Reserved) Extended() bool { return r[extendedByte]&extendedBit != 0 }

// Fast tells whether the sender speaks the fast extension (BEP 6).
func (r Reserved) Fast() bool { return r[fastByte]&fastBit != 0 }

// DHT tells whether the sender runs a DHT node (BEP 5).
func (r Reserved) DHT() bool { return r[dhtByte]&dhtBit != 0 }

// V2 tells whether the sender supports v2 of this torrent (BEP 52).
func (r Reserved) V2() bool { return r[v2Byte]&v2Bit != 0 }

// Handshake is the first thing each side of a connection sends (BEP 3, "peer protocol").
type Handshake struct {
	Reserved Reserved
	InfoHash [20]byte // of a v2 torrent the first 20 bytes
	PeerID   [20]byte
}

// Append appends the HandshakeLen bytes of the encoded handshake to b.
func (h Handshake) Append(b []byte) []byte {
	b = append(b, HandshakePrefix...)
	b = append(b, h.Reserved[:]...)
	b = append(b, h.InfoHash[:]...)
	return append(b, h.PeerID[:]...)
}

// ReadHandshake reads exactly HandshakeLen bytes. The error wraps ErrMalformed if they are something else, which is
// known as soon as the prefix was read; it is io.EOF if the stream was empty, io.ErrUnexpectedEOF if it ended early.
func ReadHandshake(r io.Reader) (Handshake, error) {
	h, err := ReadHandshakeHash(r)
	if err != nil {
		return Handshake{}, err
	}
	h.PeerID, err = ReadPeerID(r)
	if err != nil {
		return Handshake{}, err
	}
	return h, nil
}

// ReadHandshakeHash reads the first HandshakeHashLen bytes and returns a handshake without peer id. A responder answers
// after this; ReadPeerID reads the rest. Errors as for ReadHandshake.
func ReadHandshakeHash(r io.Reader) (Handshake, error) {
	var b [HandshakeHashLen]byte
	if _, err := io.ReadFull(r, b[:len(HandshakePrefix)]); err != nil {
		return Handshake{}, err
	}
	if string(b[:len(HandshakePrefix)]) != HandshakePrefix {
		return Handshake{}, malformed("handshake starts with %q", b[:len(HandshakePrefix)])
	}
	rest := b[len(HandshakePrefix):]
	if _, err := io.ReadFull(r, rest); err != nil {
		return Handshake{}, unexpected(err)
	}
	var h Handshake
	copy(h.Reserved[:], rest)
	copy(h.InfoHash[:], rest[len(h.Reserved):])
	return h, nil
}

// ReadPeerID reads the last 20 bytes of a handshake. An end of the stream is io.ErrUnexpectedEOF.
func ReadPeerID(r io.Reader) (id [20]byte, err error) {
	_, err = io.ReadFull(r, id[:])
	return id, unexpected(err)
}
