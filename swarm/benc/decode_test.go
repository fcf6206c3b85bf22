package benc

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// message has the shapes that occur on the wire.
type message struct {
	Type   string            `bencode:"y"`
	Number int64             `bencode:"n,omitempty"`
	Map    map[string]int    `bencode:"m,omitempty"`
	Nested *struct{ A int }  `bencode:"nested,omitempty"`
	List   []string          `bencode:"list,omitempty"`
	Raw    Bytes             `bencode:"raw,omitempty"`
	Strs   map[string]string `bencode:"strs,omitempty"`
}

func TestUnmarshal(t *testing.T) {
	tests := []struct {
		name string
		in   string
		want message
		err  string
	}{
		{name: "plain", in: "d1:ni5e1:y1:qe", want: message{Type: "q", Number: 5}},
		{name: "unknown keys", in: "d1:xd1:al1:bee1:y1:qe", want: message{Type: "q"}},
		{name: "unsorted dictionary under an unknown key", in: "d1:xd1:bi1e1:ai1ee1:y1:qe", want: message{Type: "q"}},
		{name: "repeated key: the first counts", in: "d1:y1:q1:y1:re", want: message{Type: "q"}},
		{name: "leading zeros", in: "d1:ni05e1:y01:qe", want: message{Type: "q", Number: 5}},
		{name: "raw", in: "d3:rawli1eee", want: message{Raw: Bytes("li1ee")}},
		{name: "map", in: "d1:md6:ut_pexi1e11:ut_metadatai2eee", want: message{Map: map[string]int{"ut_pex": 1, "ut_metadata": 2}}},
		{name: "deeper than the library's default", in: "d1:x" + strings.Repeat("l", 90) + strings.Repeat("e", 90) + "1:y1:qe",
			want: message{Type: "q"}},

		{name: "trailing bytes", in: "dee", err: "bytes after the value"},
		{name: "wrong type", in: "d1:nd1:ai1eee", err: "benc:"},
		{name: "not a dictionary", in: "i1e", err: "benc:"},
		{name: "number too long under an unknown key", in: "d1:xi" + strings.Repeat("9", 1<<20) + "ee", err: "64 bits"},
		{name: "truncated", in: "d1:y1:q", err: "input ends"},
		{name: "empty", in: "", err: "input ends"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got message
			err := Unmarshal([]byte(test.in), &got, Limits{})
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestUnmarshalMaxBytes(t *testing.T) {
	var m message
	require.ErrorContains(t, Unmarshal([]byte("d1:y1:qe"), &m, Limits{MaxBytes: 7}), "limit of 7 bytes")
	require.ErrorContains(t, Unmarshal([]byte("de"+strings.Repeat("x", 100)), &m, Limits{MaxBytes: 7}), "limit of 7 bytes")
	n, err := UnmarshalPrefix([]byte("de"+strings.Repeat("x", 100)), &m, Limits{MaxBytes: 7})
	require.NoError(t, err, "the limit is on the value")
	require.Equal(t, 2, n)
}

func TestUnmarshalPrefix(t *testing.T) {
	var m message
	n, err := UnmarshalPrefix([]byte("d1:ni01e1:y1:qeee: the block"), &m, Limits{})
	require.NoError(t, err)
	require.Equal(t, len("d1:ni01e1:y1:qe"), n, "size in the input, not of the canonical form")
	require.Equal(t, message{Type: "q", Number: 1}, m)
}

func TestUnmarshalTargets(t *testing.T) {
	type hidden struct {
		Y string `bencode:"y"`
		n int
	}
	type recursive struct {
		Next *recursive
		n    int `bencode:"-"`
	}
	_ = hidden{n: 0}
	_ = recursive{n: 0}
	tests := []struct {
		name   string
		target any
		err    string
	}{
		{"no pointer", message{}, "not a pointer"},
		{"nothing", nil, "not a pointer"},
		{"nil pointer", (*message)(nil), "not a pointer"},
		{"unexported field", &hidden{}, "field n is not exported"},
		{"unexported field inside", &map[string][]hidden{}, "field n is not exported"},
		{"byte array", &struct{ ID [20]byte }{}, "strings of any length"},
		{"map of any keys", &map[any]string{}, "not strings"},
		{"slice of any", &struct{ L []any }{}, "never decodes"},
		{"recursive", &recursive{}, ""},
		{"any", new(any), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second verdict comes from memory
				err := Unmarshal([]byte("de"), test.target, Limits{})
				if test.err == "" {
					require.NoError(t, err)
				} else {
					require.ErrorContains(t, err, test.err)
				}
			}
		})
	}
}

// panics is a target whose decoder has a bug.
type panics struct{}

func (*panics) UnmarshalBencode([]byte) error  { panic("own invariant") }
func (panics) MarshalBencode() ([]byte, error) { panic("own invariant") }

func TestPanicsBecomeErrors(t *testing.T) {
	require.ErrorContains(t, Unmarshal([]byte("i1e"), &panics{}, Limits{}), "own invariant")
	_, err := Marshal(panics{})
	require.ErrorContains(t, err, "own invariant")
}

func TestMarshal(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want string
		err  string
	}{
		{name: "struct", in: message{Type: "q", Number: -3, Raw: Bytes("le")}, want: "d1:ni-3e3:rawle1:y1:qe"},
		{name: "map is sorted", in: map[string]any{"b": 1, "a": []string{"x"}}, want: "d1:al1:xe1:bi1ee"},
		{name: "float", in: 1.5, err: "benc:"},
		{name: "empty raw value", in: struct{ Raw Bytes }{}, err: "benc:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Marshal(test.in)
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, string(got))
		})
	}
}
