package benc

import (
	"bytes"
	"testing"
)

// fuzzLimits keep a fuzz run quick.
var fuzzLimits = Limits{MaxBytes: 1 << 16, MaxDepth: 80, MaxTokens: 5000}

// FuzzCheck holds the scanner, the walker, the canonical form and the library's decoder against one another.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"", "0:", "i0e", "i-0e", "i01e", "01:a", "le", "de", "e", "l", "d1:b0:1:a0:e", "d1:a0:1:a0:e",
		"i9223372036854775808e", "99999999999999999999:", "d8:msg_typei1e5:piecei0e10:total_sizei3425eexxxx",
		"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
		"d5:addedle7:added.f0:1:md11:ut_metadatai3e6:ut_pexi1ee4:reqqi250e1:v5:LT 20e",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n, err := Check(in, fuzzLimits)
		v, pn, perr := ParsePrefix(in, fuzzLimits)
		if (err == nil) != (perr == nil) || n != pn {
			t.Fatalf("Check: %d, %v; ParsePrefix: %d, %v", n, err, pn, perr)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(v.Raw(), in[:n]) {
			t.Fatalf("raw value %q of %q", v.Raw(), in[:n])
		}
		canonical := appendCanonical(nil, v)
		if (v.Fault() == nil) != bytes.Equal(canonical, in[:n]) {
			t.Fatalf("fault %v, but the canonical form of %q is %q", v.Fault(), in[:n], canonical)
		}
		var decoded any
		if un, err := UnmarshalPrefix(in, &decoded, fuzzLimits); err != nil || un != n {
			t.Fatalf("UnmarshalPrefix of %q: %d, %v; want %d", in[:n], un, err, n)
		}
		again, err := Marshal(decoded)
		if err != nil || !bytes.Equal(again, canonical) {
			t.Fatalf("%q was encoded again as %q, %v", canonical, again, err)
		}
		var typed message
		_ = Unmarshal(in, &typed, fuzzLimits) // must not panic
	})
}
