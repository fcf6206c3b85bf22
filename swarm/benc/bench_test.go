package benc

import (
	"fmt"
	"testing"
)

var krpcResponse = []byte("d1:rd2:id20:abcdefghij01234567895:nodes208:" + fmt.Sprintf("%0208d", 0) +
	"5:token8:aoeusnthe1:t2:aa1:y1:re")

func BenchmarkCheckKRPC(b *testing.B) {
	b.SetBytes(int64(len(krpcResponse)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Check(krpcResponse, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUnmarshalKRPC(b *testing.B) {
	type response struct {
		R struct {
			ID    []byte `bencode:"id"`
			Nodes []byte `bencode:"nodes"`
			Token []byte `bencode:"token"`
		} `bencode:"r"`
		T []byte `bencode:"t"`
		Y string `bencode:"y"`
	}
	b.SetBytes(int64(len(krpcResponse)))
	b.ReportAllocs()
	for b.Loop() {
		var r response
		if err := Unmarshal(krpcResponse, &r, Limits{MaxBytes: 4096, MaxDepth: 10, MaxTokens: 500}); err != nil {
			b.Fatal(err)
		}
	}
}
