package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// BlockSize is the unit of request, in bytes. Only the last block of a torrent (v1) or file (v2) is shorter.
const BlockSize = 16 << 10

// MaxPieces is the largest number of pieces of a torrent that we deal with; libtorrent has the same limit.
const MaxPieces = 1 << 21

// ErrMalformed is wrapped by every error that is the sender's fault.
var ErrMalformed = errors.New("malformed")

// malformed makes an error that wraps ErrMalformed, with the package in front.
func malformed(format string, args ...any) error {
	return fmt.Errorf("wire: %w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// ID is the id byte of a message, or one of the pseudo ids KeepAlive and Unknown.
type ID uint8

// Message ids: BEP 3, BEP 6 (Suggest to AllowedFast), BEP 10 (Extended), BEP 52 (the hash messages).
const (
	Choke         ID = 0
	Unchoke       ID = 1
	Interested    ID = 2
	NotInterested ID = 3
	Have          ID = 4
	Bitfield      ID = 5
	Request       ID = 6
	Piece         ID = 7
	Cancel        ID = 8
	Port          ID = 9
	Suggest       ID = 13
	HaveAll       ID = 14
	HaveNone      ID = 15
	Reject        ID = 16
	AllowedFast   ID = 17
	Extended      ID = 20
	HashRequest   ID = 21
	Hashes        ID = 22
	HashReject    ID = 23

	// Unknown stands for every id that is not in this list. Never sent.
	Unknown ID = 254
	// KeepAlive stands for the frame of length 0, which has no id.
	KeepAlive ID = 255
)

// String returns the name of the id as the BEPs spell it.
func (id ID) String() string {
	switch id {
	case Choke:
		return "choke"
	case Unchoke:
		return "unchoke"
	case Interested:
		return "interested"
	case NotInterested:
		return "not interested"
	case Have:
		return "have"
	case Bitfield:
		return "bitfield"
	case Request:
		return "request"
	case Piece:
		return "piece"
	case Cancel:
		return "cancel"
	case Port:
		return "port"
	case Suggest:
		return "suggest piece"
	case HaveAll:
		return "have all"
	case HaveNone:
		return "have none"
	case Reject:
		return "reject request"
	case AllowedFast:
		return "allowed fast"
	case Extended:
		return "extended"
	case HashRequest:
		return "hash request"
	case Hashes:
		return "hashes"
	case HashReject:
		return "hash reject"
	case KeepAlive:
		return "keep-alive"
	}
	return "unknown"
}

// Message is one message between peers. It is flat and goes by value: the fields used depend on ID.
//
//	Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone, KeepAlive: none
//	Have, Suggest, AllowedFast:  Index
//	Request, Cancel, Reject:     Index, Begin, Length
//	Piece:                       Index, Begin, Data; Decode also sets Length to len(Data)
//	Bitfield:                    Data, most significant bit first
//	Port:                        Port
//	Extended:                    ExtID, Data (the payload after the extension id)
//	HashRequest, Hashes, HashReject: Data, see ParseHashSpan
//	Unknown:                     Length (payload bytes that were skipped), ExtID (the id byte)
//
// The zero Message is a choke.
type Message struct {
	ID     ID
	ExtID  uint8  // extension id; 0 is the extension handshake
	Port   uint16 // UDP port of the sender's DHT node
	Index  uint32 // piece index
	Begin  uint32 // byte offset in the piece
	Length uint32 // bytes
	Data   []byte // owned by the message, see the package comment
}

// Append appends the encoded message to b. Unknown has no encoding: b comes back as it was.
func (m Message) Append(b []byte) []byte {
	if m.ID == Unknown {
		return b
	}
	return append(m.AppendHeader(b), m.Data...)
}

// AppendHeader appends all of the encoded message but Data, so that Data can leave by writev.
func (m Message) AppendHeader(b []byte) []byte {
	switch m.ID {
	case KeepAlive:
		return append(b, 0, 0, 0, 0)
	case Unknown:
		return b
	case Have, Suggest, AllowedFast:
		b = appendFrame(b, m.ID, 4)
		return binary.BigEndian.AppendUint32(b, m.Index)
	case Request, Cancel, Reject:
		b = appendFrame(b, m.ID, 12)
		b = binary.BigEndian.AppendUint32(b, m.Index)
		b = binary.BigEndian.AppendUint32(b, m.Begin)
		return binary.BigEndian.AppendUint32(b, m.Length)
	case Piece:
		b = appendFrame(b, m.ID, 8+len(m.Data))
		b = binary.BigEndian.AppendUint32(b, m.Index)
		return binary.BigEndian.AppendUint32(b, m.Begin)
	case Port:
		b = appendFrame(b, m.ID, 2)
		return binary.BigEndian.AppendUint16(b, m.Port)
	case Extended:
		b = appendFrame(b, m.ID, 1+len(m.Data))
		return append(b, m.ExtID)
	}
	return appendFrame(b, m.ID, len(m.Data))
}

// appendFrame appends the length field and the id of a message with n bytes of payload.
func appendFrame(b []byte, id ID, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+n))
	return append(b, byte(id))
}

// String describes the message in a few words, without its data.
func (m Message) String() string {
	switch m.ID {
	case Have, Suggest, AllowedFast:
		return fmt.Sprintf("%v %d", m.ID, m.Index)
	case Request, Cancel, Reject:
		return fmt.Sprintf("%v %d/%d/%d", m.ID, m.Index, m.Begin, m.Length)
	case Piece:
		return fmt.Sprintf("%v %d/%d/%d", m.ID, m.Index, m.Begin, len(m.Data))
	case Port:
		return fmt.Sprintf("%v %d", m.ID, m.Port)
	case Extended:
		return fmt.Sprintf("%v %d (%d bytes)", m.ID, m.ExtID, len(m.Data))
	case Bitfield, HashRequest, Hashes, HashReject:
		return fmt.Sprintf("%v (%d bytes)", m.ID, len(m.Data))
	case Unknown:
		return fmt.Sprintf("unknown id %d (%d bytes)", m.ExtID, m.Length)
	}
	return m.ID.String()
}
