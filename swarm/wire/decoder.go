package wire

import (
	"encoding/binary"
	"io"
)

// Sizes of a decoder's buffer in bytes. It starts small, as most connections never carry data towards us, and becomes
// large with the first piece message: four blocks for each read from the socket.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

// Limits on the payload of a message, in bytes, checked before it is read. They bound what one message may allocate.
const (
	DefaultMaxLength = 1 << 20       // length field of any frame, also of those that are skipped
	MaxBitfield      = MaxPieces / 8 // bitfield
	MaxExtended      = 64 << 10      // payload of an extended message: handshake and PEX are the large ones
	maxHashes        = 1024          // hashes in one hashes message; we never ask for more than 512 and their uncles
)

// maxEmptyReads is how many reads in a row may return nothing before the stream counts as broken; as in bufio.
const maxEmptyReads = 100

// Awaiter is a stream that is told, before each Read, how many bytes the decoder needs next. It may let Read sleep until
// so many are there, but has to return what there is if the stream ends before.
type Awaiter interface {
	Await(n int)
}

// Decoder reads messages from a stream. It buffers, so nothing else may read from the stream beside it. Not safe for
// concurrent use.
type Decoder struct {
	src  io.Reader
	aw   Awaiter // src, or nil
	max  uint32  // limit of the length field
	buf  []byte
	r, w int   // buf[r:w] is read but not consumed
	err  error // first error; the decoder is dead then
}

// NewDecoder returns a decoder for the stream src. maxLen limits the length field of a frame in bytes; 0 means
// DefaultMaxLength.
func NewDecoder(src io.Reader, maxLen int) *Decoder {
	if maxLen <= 0 {
		maxLen = DefaultMaxLength
	}
	aw, _ := src.(Awaiter)
	return &Decoder{src: src, aw: aw, max: uint32(min(maxLen, 1<<31-1)), buf: make([]byte, smallBuffer)}
}

// Buffered returns the number of bytes that were read from the stream but not decoded yet.
func (d *Decoder) Buffered() int { return d.w - d.r }

// Read gives out bytes of the stream as they are, in place of messages. It is meant for the handshake, which comes
// before the first message: ReadHandshake(d).
func (d *Decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := d.fill(1); err != nil {
		return 0, err
	}
	n := copy(p, d.buf[d.r:d.w])
	d.r += n
	return n, nil
}

// Decode reads the next message into m. Data is new memory, for a piece a block of the pool (see PutBlock); all fields
// that the message does not use are zero. Messages with an unknown id are skipped and reported as Unknown.
//
// Errors: io.EOF when the stream ended between two messages, io.ErrUnexpectedEOF when inside one, one that wraps
// ErrMalformed when the peer is at fault, else the error of the stream. Every later call returns the same error.
func (d *Decoder) Decode(m *Message) error {
	err := d.decode(m)
	if err != nil {
		d.fail(err)
	}
	return err
}

func (d *Decoder) decode(m *Message) error {
	if err := d.fill(4); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(d.buf[d.r:])
	if n == 0 {
		d.r += 4
		*m = Message{ID: KeepAlive}
		return nil
	}
	if n > d.max {
		return malformed("message of %d bytes, over the limit of %d", n, d.max)
	}
	if err := d.fill(5); err != nil {
		return unexpected(err)
	}
	id := ID(d.buf[d.r+4])
	d.r += 5
	*m = Message{ID: id}
	switch id {
	case Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
		return d.expect(id, n, 0)
	case Have, Suggest, AllowedFast:
		return d.decodeIndex(m, n)
	case Request, Cancel, Reject:
		return d.decodeRequest(m, n)
	case Piece:
		return d.decodePiece(m, n)
	case Port:
		return d.decodePort(m, n)
	case Extended:
		return d.decodeExtended(m, n)
	case Bitfield:
		if n-1 > MaxBitfield {
			return malformed("bitfield of %d bytes, over the limit of %d", n-1, MaxBitfield)
		}
		return d.decodeData(m, n-1)
	case HashRequest, HashReject:
		if n-1 != hashSpanLen {
			return malformed("%v of %d bytes, want %d", id, n-1, hashSpanLen)
		}
		return d.decodeData(m, n-1)
	case Hashes:
		if n-1 < hashSpanLen || (n-1-hashSpanLen)%32 != 0 || (n-1-hashSpanLen)/32 > maxHashes {
			return malformed("hashes of %d bytes", n-1)
		}
		return d.decodeData(m, n-1)
	}
	*m = Message{ID: Unknown, ExtID: uint8(id), Length: n - 1}
	return d.skip(int(n - 1))
}

// expect checks the length field n of a message whose payload has a fixed size, and has the payload in the buffer.
func (d *Decoder) expect(id ID, n, payload uint32) error {
	if n-1 != payload {
		return malformed("%v of %d bytes, want %d", id, n-1, payload)
	}
	return unexpected(d.fill(int(payload)))
}

func (d *Decoder) decodeIndex(m *Message, n uint32) error {
	if err := d.expect(m.ID, n, 4); err != nil {
		return err
	}
	m.Index = binary.BigEndian.Uint32(d.buf[d.r:])
	d.r += 4
	return nil
}

func (d *Decoder) decodeRequest(m *Message, n uint32) error {
	if err := d.expect(m.ID, n, 12); err != nil {
		return err
	}
	p := d.buf[d.r : d.r+12]
	m.Index = binary.BigEndian.Uint32(p)
	m.Begin = binary.BigEndian.Uint32(p[4:])
	m.Length = binary.BigEndian.Uint32(p[8:])
	d.r += 12
	return nil
}

func (d *Decoder) decodePort(m *Message, n uint32) error {
	if err := d.expect(m.ID, n, 2); err != nil {
		return err
	}
	m.Port = binary.BigEndian.Uint16(d.buf[d.r:])
	d.r += 2
	return nil
}

// decodePiece reads a piece message into a block of the pool. A piece without data, which BitComet sends in place of a
// reject, gets none.
func (d *Decoder) decodePiece(m *Message, n uint32) error {
	if n < 9 || n > 9+BlockSize {
		return malformed("piece of %d bytes, want 8 to %d", n-1, 8+BlockSize)
	}
	if len(d.buf) < largeBuffer {
		d.grow(largeBuffer)
	}
	if err := d.fill(8); err != nil {
		return unexpected(err)
	}
	m.Index = binary.BigEndian.Uint32(d.buf[d.r:])
	m.Begin = binary.BigEndian.Uint32(d.buf[d.r+4:])
	m.Length = n - 9
	d.r += 8
	if m.Length == 0 {
		return nil
	}
	blk := GetBlock()[:m.Length]
	if err := d.readFull(blk); err != nil {
		PutBlock(blk)
		return err
	}
	m.Data = blk
	return nil
}

func (d *Decoder) decodeExtended(m *Message, n uint32) error {
	if n < 2 || n-2 > MaxExtended {
		return malformed("extended message of %d bytes, want 1 to %d", n-1, 1+MaxExtended)
	}
	if err := d.fill(1); err != nil {
		return unexpected(err)
	}
	m.ExtID = d.buf[d.r]
	d.r++
	return d.decodeData(m, n-2)
}

// decodeData reads n bytes into new memory, which grows only as they arrive: a length that is claimed and never sent
// costs one small buffer.
func (d *Decoder) decodeData(m *Message, n uint32) error {
	const firstStep = 4 << 10
	data := make([]byte, 0, min(int(n), firstStep))
	for len(data) < int(n) {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), min(int(n), 2*cap(data)))
			copy(grown, data)
			data = grown
		}
		have := len(data)
		data = data[:cap(data)]
		if err := d.readFull(data[have:]); err != nil {
			return err
		}
	}
	m.Data = data
	return nil
}

// skip throws n bytes of the stream away.
func (d *Decoder) skip(n int) error {
	for {
		k := min(n, d.w-d.r)
		d.r += k
		n -= k
		if n == 0 {
			return nil
		}
		if err := d.fill(1); err != nil {
			return unexpected(err)
		}
	}
}

// readFull fills p, from the buffer first. What is larger than the buffer goes past it.
func (d *Decoder) readFull(p []byte) error {
	n := copy(p, d.buf[d.r:d.w])
	d.r += n
	p = p[n:]
	for len(p) > 0 {
		if len(p) >= len(d.buf) {
			k, err := d.read(p, len(p))
			if err != nil {
				return unexpected(err)
			}
			p = p[k:]
			continue
		}
		// The buffer is empty.
		d.r, d.w = 0, 0
		k, err := d.read(d.buf, len(p))
		if err != nil {
			return unexpected(err)
		}
		d.w = k
		k = copy(p, d.buf[:d.w])
		d.r += k
		p = p[k:]
	}
	return nil
}

// fill reads until at least n bytes lie in the buffer in one run. n is at most the few bytes of a message head, so
// what has to be moved to the front is as small.
func (d *Decoder) fill(n int) error {
	if d.w-d.r >= n {
		return nil
	}
	d.w = copy(d.buf, d.buf[d.r:d.w])
	d.r = 0
	for d.w < n {
		k, err := d.read(d.buf[d.w:], n-d.w)
		if err != nil {
			if d.w > 0 {
				err = unexpected(err)
			}
			return err
		}
		d.w += k
	}
	return nil
}

// read reads at least one byte from the stream; need are needed next.
func (d *Decoder) read(p []byte, need int) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if d.aw != nil {
		d.aw.Await(need)
	}
	for range maxEmptyReads {
		n, err := d.src.Read(p)
		if err != nil {
			d.err = err // reported when what came with it is used up
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	d.err = io.ErrNoProgress
	return 0, d.err
}

// grow makes the buffer n bytes large.
func (d *Decoder) grow(n int) {
	buf := make([]byte, n)
	d.w = copy(buf, d.buf[d.r:d.w])
	d.r = 0
	d.buf = buf
}

// fail ends the decoder: what is buffered is forgotten, and every read from now on returns err.
func (d *Decoder) fail(err error) {
	d.err = err
	d.r, d.w = 0, 0
}

// unexpected turns an end of the stream into one inside a message.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
