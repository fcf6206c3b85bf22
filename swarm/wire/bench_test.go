package wire

import (
	"testing"
)

// loopReader gives the same bytes again and again, as much as fits: a fast socket.
type loopReader struct {
	data []byte
	pos  int
}

func (r *loopReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], r.data[r.pos:])
		n += k
		r.pos = (r.pos + k) % len(r.data)
	}
	return n, nil
}

// BenchmarkDecodePiece is the hot path of a download: one message, one block.
func BenchmarkDecodePiece(b *testing.B) {
	frame := Message{ID: Piece, Index: 1, Begin: 2, Data: make([]byte, BlockSize)}.Append(nil)
	d := NewDecoder(&loopReader{data: frame}, 0)
	b.SetBytes(BlockSize)
	b.ReportAllocs()
	var m Message
	for b.Loop() {
		if err := d.Decode(&m); err != nil {
			b.Fatal(err)
		}
		PutBlock(m.Data)
	}
}

func BenchmarkDecodeHave(b *testing.B) {
	d := NewDecoder(&loopReader{data: Message{ID: Have, Index: 1}.Append(nil)}, 0)
	b.ReportAllocs()
	var m Message
	for b.Loop() {
		if err := d.Decode(&m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeRequest(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = Message{ID: Request, Index: 1, Begin: 2, Length: BlockSize}.Append(buf[:0])
	}
}

func BenchmarkEncodePieceHeader(b *testing.B) {
	buf := make([]byte, 0, 64)
	data := make([]byte, BlockSize)
	b.ReportAllocs()
	for b.Loop() {
		buf = Message{ID: Piece, Index: 1, Begin: 2, Data: data}.AppendHeader(buf[:0])
	}
}

func BenchmarkParseExtHandshake(b *testing.B) {
	payload := []byte("d1:ei0e1:md11:lt_donthavei7e11:upload_onlyi3e12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee" +
		"13:metadata_sizei31235e1:pi6881e4:reqqi500e1:v12:magnetfs 0.16:yourip4:\xcb\x00\x71\x05e")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseExtHandshake(payload); err != nil {
			b.Fatal(err)
		}
	}
}
