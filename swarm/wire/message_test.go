package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// unhex decodes hex in which spaces are allowed.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// messages are one of each kind with their encoding. The first seven are the published examples of the BEPs.
var messages = []struct {
	name string
	hex  string
	msg  Message
}{
	{"have", "00000005 04 0000002a", Message{ID: Have, Index: 42}},
	{"bitfield of 10 pieces", "00000003 05 c040", Message{ID: Bitfield, Data: []byte{0xc0, 0x40}}},
	{"request", "0000000d 06 00000001 00004000 00004000", Message{ID: Request, Index: 1, Begin: 16384, Length: 16384}},
	{"port", "00000003 09 1ae1", Message{ID: Port, Port: 6881}},
	{"reject", "0000000d 10 00000001 00004000 00004000", Message{ID: Reject, Index: 1, Begin: 16384, Length: 16384}},
	{"allowed fast", "00000005 11 00000423", Message{ID: AllowedFast, Index: 1059}},
	{"lt_donthave", "00000006 14 07 0000002a", Message{ID: Extended, ExtID: 7, Data: []byte{0, 0, 0, 42}}},
	{"keep-alive", "00000000", Message{ID: KeepAlive}},
	{"choke", "00000001 00", Message{ID: Choke}},
	{"unchoke", "00000001 01", Message{ID: Unchoke}},
	{"interested", "00000001 02", Message{ID: Interested}},
	{"not interested", "00000001 03", Message{ID: NotInterested}},
	{"cancel", "0000000d 08 ffffffff 00000000 00000001", Message{ID: Cancel, Index: 1<<32 - 1, Length: 1}},
	{"suggest", "00000005 0d 00000007", Message{ID: Suggest, Index: 7}},
	{"have all", "00000001 0e", Message{ID: HaveAll}},
	{"have none", "00000001 0f", Message{ID: HaveNone}},
	{"short piece", "0000000c 07 00000001 00004000 616263",
		Message{ID: Piece, Index: 1, Begin: 16384, Length: 3, Data: []byte("abc")}},
	{"piece without data", "00000009 07 00000001 00004000", Message{ID: Piece, Index: 1, Begin: 16384}},
	{"extended, empty payload", "00000002 14 03", Message{ID: Extended, ExtID: 3, Data: []byte{}}},
	{"empty bitfield", "00000001 05", Message{ID: Bitfield, Data: []byte{}}},
	{"hash request", "00000031 15" + strings.Repeat("ab", 32) + "00000001 00000004 00000004 00000002",
		Message{ID: HashRequest, Data: hashSpanData}},
	{"hash reject", "00000031 17" + strings.Repeat("ab", 32) + "00000001 00000004 00000004 00000002",
		Message{ID: HashReject, Data: hashSpanData}},
	{"hashes", "00000071 16" + strings.Repeat("ab", 32) + "00000001 00000004 00000004 00000002" + strings.Repeat("cd", 64),
		Message{ID: Hashes, Data: append(bytes.Clone(hashSpanData), bytes.Repeat([]byte{0xcd}, 64)...)}},
}

// hashSpanData is the encoded HashSpan of the examples.
var hashSpanData = append(bytes.Repeat([]byte{0xab}, 32), 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 2)

func TestMessageAppend(t *testing.T) {
	for _, tt := range messages {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.hex)
			if got := tt.msg.Append([]byte("before")); !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Errorf("encoded %x, want %x", got[len("before"):], want)
			}
			if got := tt.msg.AppendHeader(nil); !bytes.Equal(got, want[:len(want)-len(tt.msg.Data)]) {
				t.Errorf("header %x of %x", got, want)
			}
		})
	}
}

// TestPieceHeader has the published header of a full block.
func TestPieceHeader(t *testing.T) {
	m := Message{ID: Piece, Index: 1, Begin: 16384, Data: make([]byte, BlockSize)}
	if got, want := m.AppendHeader(nil), unhex(t, "00004009 07 00000001 00004000"); !bytes.Equal(got, want) {
		t.Errorf("header %x, want %x", got, want)
	}
}

func TestUnknownIsNotSent(t *testing.T) {
	m := Message{ID: Unknown, ExtID: 99, Length: 4, Data: []byte("data")}
	if got := m.Append(nil); len(got) != 0 {
		t.Errorf("encoded as %x", got)
	}
}

// readers are the ways in which a stream may be cut into reads.
var readers = []struct {
	name string
	wrap func(io.Reader) io.Reader
}{
	{"whole", func(r io.Reader) io.Reader { return r }},
	{"byte by byte", iotest.OneByteReader},
	{"halves", iotest.HalfReader},
	{"error with data", iotest.DataErrReader},
}

func TestDecode(t *testing.T) {
	var stream []byte
	for _, tt := range messages {
		stream = append(stream, unhex(t, tt.hex)...)
	}
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			d := NewDecoder(r.wrap(bytes.NewReader(stream)), 0)
			for _, tt := range messages {
				var got Message
				if err := d.Decode(&got); err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
				if diff := cmp.Diff(tt.msg, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tt.name, diff)
				}
				if got.ID == Piece {
					PutBlock(got.Data)
				}
			}
			for range 2 {
				if err := d.Decode(new(Message)); err != io.EOF {
					t.Errorf("at the end: %v, want EOF", err)
				}
			}
		})
	}
}

// TestDecodeData has contents of all sizes around those of buffers and blocks, one behind the other.
func TestDecodeData(t *testing.T) {
	sizes := []int{1, 4095, 4096, 4097, BlockSize - 1, BlockSize, BlockSize, BlockSize, BlockSize, BlockSize, 5}
	data := make([]byte, MaxExtended)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	var stream []byte
	for i, n := range sizes {
		stream = Message{ID: Piece, Index: uint32(i), Data: data[i : i+n]}.Append(stream)
		stream = Message{ID: Extended, ExtID: uint8(i), Data: data[:n]}.Append(stream)
	}
	stream = Message{ID: Extended, ExtID: 1, Data: data}.Append(stream)
	stream = Message{ID: Bitfield, Data: make([]byte, MaxBitfield)}.Append(stream)
	for _, r := range readers {
		t.Run(r.name, func(t *testing.T) {
			d := NewDecoder(r.wrap(bytes.NewReader(stream)), 0)
			next := func() Message {
				var m Message
				if err := d.Decode(&m); err != nil {
					t.Fatal(err)
				}
				return m
			}
			for i, n := range sizes {
				m := next()
				if m.ID != Piece || int(m.Index) != i || int(m.Length) != n || !bytes.Equal(m.Data, data[i:i+n]) {
					t.Errorf("message %d: %v with wrong data", i, m)
				}
				PutBlock(m.Data)
				if m := next(); m.ID != Extended || int(m.ExtID) != i || !bytes.Equal(m.Data, data[:n]) {
					t.Errorf("message %d: %v with wrong data", i, m)
				}
			}
			if m := next(); !bytes.Equal(m.Data, data) {
				t.Errorf("%v with wrong data", m)
			}
			if m := next(); m.ID != Bitfield || len(m.Data) != MaxBitfield {
				t.Errorf("got %v", m)
			}
			if err := d.Decode(new(Message)); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		})
	}
}

func TestDecodeUnknownIsSkipped(t *testing.T) {
	for _, id := range []byte{10, 18, 19, 24, 254, 255} {
		stream := append([]byte{0, 0, 0x20, 1, id}, make([]byte, 0x2000)...)
		stream = append(stream, 0, 0, 0, 1, id, 0, 0, 0, 1, 1)
		d := NewDecoder(bytes.NewReader(stream), 0)
		for _, want := range []Message{{ID: Unknown, ExtID: id, Length: 0x2000}, {ID: Unknown, ExtID: id}, {ID: Unchoke}} {
			var got Message
			if err := d.Decode(&got); err != nil {
				t.Fatalf("id %d: %v", id, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("id %d (-want +got):\n%s", id, diff)
			}
		}
	}
}

// neverRead fails the test if anything behind the head of a refused message is asked for.
type neverRead struct{ t *testing.T }

func (r neverRead) Read([]byte) (int, error) {
	r.t.Error("read on after the head of a malformed message")
	return 0, io.EOF
}

// TestDecodeMalformed: heads that must be refused before anything else is read or allocated.
func TestDecodeMalformed(t *testing.T) {
	tests := []struct{ name, hex string }{
		{"length 2^32-1", "ffffffff 07"},
		{"length 2^31", "80000000 07"},
		{"length over the limit", "00100001 63"},
		{"choke with payload", "00000002 00"},
		{"interested with payload", "00000005 02"},
		{"have all with payload", "00000002 0e"},
		{"have too short", "00000004 04"},
		{"have without payload", "00000001 04"},
		{"have too long", "00000006 04"},
		{"request too short", "0000000c 06"},
		{"request too long", "0000000e 06"},
		{"cancel too short", "00000001 08"},
		{"reject too long", "00000011 10"},
		{"port too short", "00000002 09"},
		{"port too long", "00000005 09"},
		{"piece too short", "00000008 07"},
		{"piece without payload", "00000001 07"},
		{"piece over a block", "0000400a 07"},
		{"piece of 128 KiB", "00020009 07"},
		{"bitfield over the limit", "00040002 05"},
		{"extended without id", "00000001 14"},
		{"extended over the limit", "00010003 14"},
		{"suggest too long", "00000009 0d"},
		{"allowed fast too short", "00000002 11"},
		{"hash request too short", "00000030 15"},
		{"hash request too long", "00000051 15"},
		{"hashes too short", "00000001 16"},
		{"hashes of half a hash", "00000041 16"},
		{"too many hashes", "00008051 16"},
		{"hash reject with hashes", "00000051 17"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := NewDecoder(io.MultiReader(bytes.NewReader(unhex(t, tt.hex)), neverRead{t}), 0)
			first := d.Decode(new(Message))
			if !errors.Is(first, ErrMalformed) {
				t.Errorf("error %v, want malformed", first)
			}
			if second := d.Decode(new(Message)); second != first {
				t.Errorf("second error %v, want %v", second, first)
			}
		})
	}
}

// TestDecodeTruncated cuts each message after each byte.
func TestDecodeTruncated(t *testing.T) {
	for _, tt := range messages {
		full := unhex(t, tt.hex)
		for n := 1; n < len(full); n++ {
			err := NewDecoder(bytes.NewReader(full[:n]), 0).Decode(new(Message))
			if err != io.ErrUnexpectedEOF {
				t.Errorf("%s cut to %d bytes: %v", tt.name, n, err)
			}
		}
	}
}

// TestDecodeClaimsAllocateLittle: a length that is claimed but never sent does not cost memory of that size.
func TestDecodeClaimsAllocateLittle(t *testing.T) {
	for _, head := range []string{"00040001 05 ff", "00010002 14 01 64", "00008031 16 00", "00100000 63 00"} {
		stream := unhex(t, head)
		const rounds = 100
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			_ = NewDecoder(bytes.NewReader(stream), 0).Decode(new(Message))
		}
		runtime.ReadMemStats(&after)
		got := (after.TotalAlloc - before.TotalAlloc) / rounds
		if got > 3*smallBuffer {
			t.Errorf("%s: %d bytes allocated", head, got)
		}
	}
}

func TestDecodeMaxLength(t *testing.T) {
	stream := []byte{0, 0, 1, 0, 99}
	if err := NewDecoder(bytes.NewReader(stream), 255).Decode(new(Message)); !errors.Is(err, ErrMalformed) {
		t.Errorf("length 256 with a limit of 255: %v", err)
	}
	if err := NewDecoder(bytes.NewReader(stream), 256).Decode(new(Message)); err != io.ErrUnexpectedEOF {
		t.Errorf("length 256 with a limit of 256: %v", err)
	}
}

// emptyReader never gives anything and never an error, which io.Reader allows but must not loop for ever.
type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

func TestDecodeNoProgress(t *testing.T) {
	if err := NewDecoder(emptyReader{}, 0).Decode(new(Message)); err != io.ErrNoProgress {
		t.Errorf("error %v", err)
	}
}

func TestDecodeStreamError(t *testing.T) {
	broken := errors.New("broken")
	d := NewDecoder(io.MultiReader(strings.NewReader("\x00\x00\x00\x01\x01\x00\x00"), iotest.ErrReader(broken)), 0)
	var m Message
	if err := d.Decode(&m); err != nil || m.ID != Unchoke {
		t.Errorf("first: %v, %v", m, err)
	}
	for range 2 {
		if err := d.Decode(&m); err != broken {
			t.Errorf("error %v, want that of the stream", err)
		}
	}
}

func TestMessageString(t *testing.T) {
	tests := map[string]Message{
		"choke":                  {},
		"have 42":                {ID: Have, Index: 42},
		"request 1/2/3":          {ID: Request, Index: 1, Begin: 2, Length: 3},
		"piece 1/2/3":            {ID: Piece, Index: 1, Begin: 2, Data: []byte("abc")},
		"port 6881":              {ID: Port, Port: 6881},
		"extended 2 (3 bytes)":   {ID: Extended, ExtID: 2, Data: []byte("abc")},
		"bitfield (1 bytes)":     {ID: Bitfield, Data: []byte{1}},
		"unknown id 9 (5 bytes)": {ID: Unknown, ExtID: 9, Length: 5},
		"keep-alive":             {ID: KeepAlive},
	}
	for want, m := range tests {
		if got := m.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for id := range ID(255) {
		known := id < 10 || id >= 13 && id <= 17 || id >= 20 && id <= 23
		if (id.String() != "unknown") != known {
			t.Errorf("id %d is called %q", id, id)
		}
	}
}
