package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecoder: any stream decodes to messages whose encodings are, one behind the other, the stream itself (unknown
// messages apart), whether it comes in one run or byte by byte.
func FuzzDecoder(f *testing.F) {
	var all []byte
	for _, m := range messages {
		b := unhex(f, m.hex)
		all = append(all, b...)
		for n := 1; n <= len(b); n++ {
			f.Add(b[:n])
		}
		for _, length := range []string{"00000000", "00000001", "7fffffff", "fffffffe", "ffffffff"} {
			f.Add(append(unhex(f, length), b[min(4, len(b)):]...))
		}
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, in []byte) {
		slow := NewDecoder(readers[1].wrap(bytes.NewReader(in)), 0)
		d := NewDecoder(bytes.NewReader(in), 0)
		rest := in
		for {
			var m, n Message
			err := d.Decode(&m)
			if slowErr := slow.Decode(&n); (err == nil) != (slowErr == nil) || err == nil && !cmp.Equal(m, n) {
				t.Fatalf("whole: %v, %v; byte by byte: %v, %v", m, err, n, slowErr)
			}
			if err != nil {
				if err != io.EOF && err != io.ErrUnexpectedEOF && !errors.Is(err, ErrMalformed) {
					t.Fatalf("error %v", err)
				}
				if err == io.EOF && len(rest) != 0 {
					t.Fatalf("EOF with %d bytes left", len(rest))
				}
				return
			}
			if m.ID == Unknown {
				rest = rest[5+m.Length:]
				continue
			}
			encoded := m.Append(nil)
			if !bytes.HasPrefix(rest, encoded) {
				t.Fatalf("%v encodes to %x, came from %.40x", m, encoded, rest)
			}
			rest = rest[len(encoded):]
			if m.ID == Piece {
				PutBlock(m.Data)
				PutBlock(n.Data)
			}
		}
	})
}

func FuzzHandshake(f *testing.F) {
	full := unhex(f, handshakeHex)
	for n := 0; n <= len(full); n++ {
		f.Add(full[:n])
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ReadHandshake(bytes.NewReader(in))
		if err == nil && !bytes.HasPrefix(in, h.Append(nil)) {
			t.Errorf("%v from %x", h, in)
		}
	})
}

func FuzzExtHandshake(f *testing.F) {
	f.Add([]byte("d1:ei0e1:md11:lt_donthavei7e11:upload_onlyi3e12:ut_holepunchi4e11:ut_metadatai2e6:ut_pexi1ee" +
		"13:metadata_sizei31235e1:pi6881e4:reqqi500e1:v12:magnetfs 0.16:yourip4:\xcb\x00\x71\x05e"))
	f.Add([]byte("d1:md6:ut_pexi256ee13:metadata_sizei-1e1:pi65536e4:reqqi2147483648e11:upload_onlyi1e1:v3:\xff\x1b\x00e"))
	f.Add([]byte("d4:ipv44:abcd4:ipv616:abcdefghijklmnop6:yourip16:\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xffabcde"))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ParseExtHandshake(in)
		if err != nil {
			return
		}
		if h.Reqq < 0 || h.Reqq > MaxReqq || h.MetadataSize < 0 || h.MetadataSize > MaxMetadata ||
			len(h.Version) > MaxVersion || len(h.M) > 5 {
			t.Fatalf("out of bounds: %+v", h)
		}
		encoded, err := h.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseExtHandshake(encoded)
		if len(h.M) == 0 {
			h.M, again.M = nil, nil
		}
		if diff := cmp.Diff(h, again, cmpAddr); diff != "" || err != nil {
			t.Errorf("second parse: %v (-want +got):\n%s", err, diff)
		}
	})
}

func FuzzMetadataMessage(f *testing.F) {
	f.Add([]byte("d8:msg_typei0e5:piecei1ee"))
	f.Add([]byte("d8:msg_typei1e5:piecei0e10:total_sizei4eeabcd"))
	f.Add([]byte("d8:msg_typei2e5:piecei0ee"))
	f.Add([]byte("d8:msg_typei9ee"))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := ParseMetadataMessage(in)
		if err != nil || m.Type == MetadataUnknown {
			return
		}
		again, err := ParseMetadataMessage(m.Append(nil))
		if diff := cmp.Diff(m, again); diff != "" || err != nil {
			t.Errorf("second parse: %v (-want +got):\n%s", err, diff)
		}
	})
}

func FuzzPex(f *testing.F) {
	f.Add([]byte(pexExamplePayload))
	f.Add([]byte("d7:dropped6:abcdef8:dropped618:abcdefghijklmnopqre"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := ParsePex(in)
		if err != nil {
			return
		}
		if len(p.Added) > 2*maxPexParse || len(p.Dropped) > 2*maxPexParse {
			t.Fatalf("%d added, %d dropped", len(p.Added), len(p.Dropped))
		}
		// Mapped addresses change the family, and so the order of the lists, once; then it is stable.
		first := remarshal(t, p)
		if second := remarshal(t, first); len(p.Added) <= maxPexParse && len(p.Dropped) <= maxPexParse {
			if diff := cmp.Diff(first, second, cmpAddr); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(first.Added) != len(p.Added) || len(first.Dropped) != len(p.Dropped) {
				t.Errorf("lost contacts: %v became %v", p, first)
			}
		}
	})
}

// remarshal encodes and parses p.
func remarshal(t *testing.T, p Pex) Pex {
	encoded, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParsePex(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

func FuzzHolepunch(f *testing.F) {
	for _, s := range []string{"0000c63364071ae1", "0200c63364071ae100000002", "010120010db80000000000000000000000011ae100000000"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := ParseHolepunch(in)
		if err != nil {
			return
		}
		if again, err := ParseHolepunch(h.Append(nil)); err != nil || again != h {
			t.Errorf("%v became %v, %v", h, again, err)
		}
	})
}

func FuzzHashSpan(f *testing.F) {
	f.Add(hashSpanData)
	f.Add(append(bytes.Clone(hashSpanData), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, rest, err := ParseHashSpan(in)
		if err != nil {
			return
		}
		if !bytes.Equal(append(s.Append(nil), rest...), in) {
			t.Errorf("%v from %x", s, in)
		}
		if u := s.Uncles(); u < 0 || u >= maxTreeHeight {
			t.Errorf("%d uncles", u)
		}
	})
}
