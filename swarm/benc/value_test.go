package benc

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValue(t *testing.T) {
	in := []byte("d4:dictd1:k1:ve4:listl1:ai-7elee3:numi007e3:num4:late3:str3:abce")
	v, err := Parse(in, Limits{})
	require.NoError(t, err)
	require.Equal(t, Dict, v.Kind())
	require.Equal(t, in, v.Raw())

	var keys []string
	for k := range v.Entries() {
		keys = append(keys, string(k))
	}
	require.Equal(t, []string{"dict", "list", "num", "num", "str"}, keys, "repeated keys come up each time")

	n, ok := v.Get("num").Int()
	require.True(t, ok, "the first of two wins")
	require.EqualValues(t, 7, n)
	require.Equal(t, "i007e", string(v.Get("num").Raw()))

	s, ok := v.Get("str").Bytes()
	require.True(t, ok)
	require.Equal(t, "abc", string(s))
	require.Equal(t, "3:abc", string(v.Get("str").Raw()))

	var kinds []Kind
	for item := range v.Get("list").Items() {
		kinds = append(kinds, item.Kind())
	}
	require.Equal(t, []Kind{String, Int, List}, kinds)
	require.Equal(t, "l1:ai-7elee", string(v.Get("list").Raw()))

	s, ok = v.Get("dict").Get("k").Bytes()
	require.True(t, ok)
	require.Equal(t, "v", string(s))
}

func TestValueOtherKinds(t *testing.T) {
	values := map[Kind]string{String: "1:x", Int: "i1e", List: "li1ee", Dict: "d1:ai1ee", Invalid: ""}
	for kind, in := range values {
		t.Run(kind.String(), func(t *testing.T) {
			var v Value
			if kind != Invalid {
				var err error
				v, err = Parse([]byte(in), Limits{})
				require.NoError(t, err)
			}
			require.Equal(t, kind, v.Kind())
			require.Equal(t, in, string(v.Raw()))
			require.NoError(t, v.Fault())
			_, ok := v.Bytes()
			require.Equal(t, kind == String, ok)
			_, ok = v.Int()
			require.Equal(t, kind == Int, ok)
			items, entries := 0, 0
			for range v.Items() {
				items++
			}
			for range v.Entries() {
				entries++
			}
			require.Equal(t, kind == List, items == 1)
			require.Equal(t, kind == Dict, entries == 1)
			require.Equal(t, Invalid, v.Get("b").Kind())
		})
	}
}

func TestValueIterationStops(t *testing.T) {
	v, err := Parse([]byte("l1:a1:b1:ce"), Limits{})
	require.NoError(t, err)
	for item := range v.Items() {
		s, _ := item.Bytes()
		require.Equal(t, "a", string(s))
		break
	}
}

func TestParseTrailing(t *testing.T) {
	_, err := Parse([]byte("i1ei2e"), Limits{})
	require.ErrorContains(t, err, "offset 3: bytes after the value")
	v, n, err := ParsePrefix([]byte("i1ei2e"), Limits{})
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.Equal(t, "i1e", string(v.Raw()))
}

// TestValueRawIsCapped makes sure that appending to what a Value returns cannot write into its neighbours.
func TestValueRawIsCapped(t *testing.T) {
	in := []byte("d1:a1:b1:c1:de")
	v, err := Parse(in, Limits{})
	require.NoError(t, err)
	s, _ := v.Get("a").Bytes()
	_ = append(s, 'X')
	_ = append(v.Get("a").Raw(), 'X')
	require.Equal(t, "d1:a1:b1:c1:de", string(in))
}

func TestCanonical(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"canonical stays", "d1:ai1e1:bl0:ee", "d1:ai1e1:bl0:ee"},
		{"numbers", "li007ei00e03:abce", "li7ei0e3:abce"},
		{"keys sorted", "d1:bi1e1:ai2ee", "d1:ai2e1:bi1ee"},
		{"first of a repeated key", "d1:ai1e1:b0:1:ai2ee", "d1:ai1e1:b0:e"},
		{"inside other values", "ld1:bd1:yi01e1:xi2ee1:a0:ee", "ld1:a0:1:bd1:xi2e1:yi1eeee"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := Parse([]byte(test.in), Limits{})
			require.NoError(t, err)
			require.Equal(t, test.want, string(appendCanonical(nil, v)))
		})
	}
}
