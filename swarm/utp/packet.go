package utp

import (
	"encoding/binary"
	"math/bits"
)

// kind is the type of a packet.
type kind uint8

const (
	kindData  kind = iota
	kindFin        // the last packet of a stream; has a sequence number like data
	kindState      // acknowledgement only; has no sequence number of its own
	kindReset
	kindSyn
)

const (
	version   = 1
	headerLen = 20

	extSack = 1 // selective acknowledgement; others are skipped
	// extPad only makes a packet longer. Nobody knows it, so everybody skips it.
	extPad = 128
)

// header is the fixed part of a packet, BEP 29 "header format".
type header struct {
	kind   kind
	id     uint16 // connection ID, of the receiver save in a SYN
	sent   uint32 // µs of the sender's clock
	diff   uint32 // µs between the sender's clock and the stamp of our last packet
	window uint32 // bytes that the sender has room for
	seq    uint16
	ack    uint16 // the last one received in order
	pad    int    // bytes of an extension to be skipped, of a packet that we send; 0: none
}

// packet is a decoded datagram. Its slices are parts of that.
type packet struct {
	header
	sack    []byte // mask, least significant bit first; bit 0 is ack+2; nil if none
	payload []byte
}

// isUTP tells whether a datagram may be one of ours. What begins with 'd' is the
// DHT's, whose low nibble is 4.
func isUTP(b []byte) bool {
	return len(b) >= headerLen && b[0]&0x0f == version && b[0]>>4 <= byte(kindSyn)
}

// parse decodes a datagram; false if it is malformed.
func parse(b []byte) (p packet, ok bool) {
	if !isUTP(b) {
		return p, false
	}
	p.header = header{
		kind:   kind(b[0] >> 4),
		id:     binary.BigEndian.Uint16(b[2:]),
		sent:   binary.BigEndian.Uint32(b[4:]),
		diff:   binary.BigEndian.Uint32(b[8:]),
		window: binary.BigEndian.Uint32(b[12:]),
		seq:    binary.BigEndian.Uint16(b[16:]),
		ack:    binary.BigEndian.Uint16(b[18:]),
	}
	next, rest := b[1], b[headerLen:]
	for next != 0 {
		if len(rest) < 2 || len(rest) < 2+int(rest[1]) {
			return p, false
		}
		body := rest[2 : 2+int(rest[1])]
		if next == extSack && p.sack == nil {
			p.sack = body
		}
		next, rest = rest[0], rest[2+len(body):]
	}
	p.payload = rest
	return p, true
}

// append encodes the header and, unless it is empty, a selective acknowledgement, or
// else padding.
func (h header) append(b, sack []byte) []byte {
	ext, body := byte(0), sack
	switch {
	case len(sack) > 0:
		ext = extSack
	case h.pad > 0:
		var zeros [255]byte
		ext, body = extPad, zeros[:min(h.pad, len(zeros))]
	}
	b = append(b, byte(h.kind)<<4|version, ext)
	b = binary.BigEndian.AppendUint16(b, h.id)
	b = binary.BigEndian.AppendUint32(b, h.sent)
	b = binary.BigEndian.AppendUint32(b, h.diff)
	b = binary.BigEndian.AppendUint32(b, h.window)
	b = binary.BigEndian.AppendUint16(b, h.seq)
	b = binary.BigEndian.AppendUint16(b, h.ack)
	if ext != 0 {
		b = append(b, 0, byte(len(body)))
		b = append(b, body...)
	}
	return b
}

// stamp writes the time of sending into an encoded packet.
func stamp(b []byte, micros uint32) { binary.BigEndian.PutUint32(b[4:], micros) }

// sackBits calls f with the number of each bit that is set.
func sackBits(mask []byte, f func(bit int)) {
	for i, b := range mask {
		for ; b != 0; b &= b - 1 {
			f(i*8 + bits.TrailingZeros8(b))
		}
	}
}

// ahead is how far the sequence number a is before b, modulo 2^16: negative if it
// is behind.
func ahead(a, b uint16) int { return int(int16(a - b)) }
