package benc

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		in   string
		n    int    // bytes of the value
		err  string // part of the error; empty: accepted
		soft string // part of the soft fault; empty: canonical
	}{
		{name: "empty string", in: "0:", n: 2},
		{name: "string", in: "4:spam", n: 6},
		{name: "binary string", in: "3:\x00\xff:", n: 5},
		{name: "zero", in: "i0e", n: 3},
		{name: "negative", in: "i-42e", n: 5},
		{name: "largest integer", in: "i9223372036854775807e", n: 21},
		{name: "smallest integer", in: "i-9223372036854775808e", n: 22},
		{name: "empty list", in: "le", n: 2},
		{name: "empty dictionary", in: "de", n: 2},
		{name: "list", in: "l4:spami7ee", n: 11},
		{name: "dictionary", in: "d1:ai1e1:bli2eee", n: 16},
		{name: "nested keys are separate orders", in: "d1:bd1:ai1ee1:cd1:ai1eee", n: 24},
		{name: "trailing bytes", in: "i1exyz", n: 3},
		{name: "trailing block of a metadata message", in: "d8:msg_typei1eeee", n: 15},

		{name: "no input", in: "", err: "offset 0: input ends"},
		{name: "minus zero", in: "i-0e", err: "leading zero"},
		{name: "negative leading zero", in: "i-01e", err: "leading zero"},
		{name: "no digits", in: "ie", err: "in an integer"},
		{name: "blank", in: "i e", err: "in an integer"},
		{name: "only a sign", in: "i-e", err: "in an integer"},
		{name: "no end of integer", in: "i1", err: "ends inside an integer"},
		{name: "lone i", in: "i", err: "ends inside an integer"},
		{name: "lone minus", in: "i-", err: "ends inside an integer"},
		{name: "two signs", in: "i--1e", err: "in an integer"},
		{name: "plus", in: "i+1e", err: "in an integer"},
		{name: "integer over 64 bits", in: "i9223372036854775808e", err: "64 bits"},
		{name: "integer under 64 bits", in: "i-9223372036854775809e", err: "64 bits"},
		{name: "21 digits", in: "i000000000000000000001e", err: "64 bits"},
		{name: "a million digits", in: "i" + strings.Repeat("1", 1e6) + "e", err: "64 bits"},
		{name: "string beyond input", in: "5:abcd", err: "string of 5 bytes, 4 left"},
		{name: "huge string length", in: "99999999999999999999:", err: "longer than"},
		{name: "string length of 2^63", in: "9223372036854775808:", err: "longer than"},
		{name: "string length of many zeros", in: strings.Repeat("0", 100) + ":", err: "too many digits"},
		{name: "negative string length", in: "-1:a", err: "unexpected byte '-'"},
		{name: "string length without colon", in: "3abc", err: "in a string length"},
		{name: "only a length", in: "l1", err: "inside a string length"},
		{name: "key without value", in: "d3:foo", err: "ends inside a value"},
		{name: "key without value, closed", in: "d3:fooe", err: `key "foo" without a value`},
		{name: "integer key", in: "di1e1:ae", err: "key is not a string"},
		{name: "list key", in: "dlei1ee", err: "key is not a string"},
		{name: "open list", in: "li1e", err: "ends inside a value"},
		{name: "lone l", in: "l", err: "ends inside a value"},
		{name: "lone e", in: "e", err: "end mark without a value"},
		{name: "garbage", in: "x", err: "unexpected byte 'x'"},
		{name: "garbage inside a list", in: "lxe", err: "offset 1: unexpected byte 'x'"},
		{name: "deep lists", in: strings.Repeat("l", 1e6), err: "nested deeper than 100"},
		{name: "deep dictionaries", in: strings.Repeat("d1:a", 1e6), err: "nested deeper than 100"},

		{name: "unsorted keys", in: "d1:b0:1:a0:e", n: 12, soft: `key "a" out of order`},
		{name: "repeated key", in: "d1:a0:1:a0:e", n: 12, soft: `key "a" repeated`},
		{name: "integer with leading zero", in: "i01e", n: 4, soft: "integer with a leading zero"},
		{name: "integer of zeros", in: "i00e", n: 4, soft: "integer with a leading zero"},
		{name: "length with leading zero", in: "01:a", n: 4, soft: "length with a leading zero"},
		{name: "first fault is kept", in: "l01:ai01ee", n: 10, soft: "offset 1:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n, err := Check([]byte(test.in), Limits{})
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				var syntax *SyntaxError
				require.ErrorAs(t, err, &syntax)
				require.LessOrEqual(t, syntax.Offset, len(test.in))
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.n, n)
			v, n, err := ParsePrefix([]byte(test.in), Limits{})
			require.NoError(t, err)
			require.Equal(t, test.n, n)
			if test.soft == "" {
				require.NoError(t, v.Fault())
			} else {
				require.ErrorContains(t, v.Fault(), test.soft)
			}
		})
	}
}

func TestCheckLimits(t *testing.T) {
	tests := []struct {
		name string
		in   string
		lim  Limits
		err  string
	}{
		{"bytes, just fits", "4:spam", Limits{MaxBytes: 6}, ""},
		{"bytes, string too long", "4:spam", Limits{MaxBytes: 5}, "larger than the limit of 5"},
		{"bytes, list too long", "li1ei2ee", Limits{MaxBytes: 7}, "larger than the limit of 7"},
		{"bytes count only the value", "i1e" + strings.Repeat("x", 100), Limits{MaxBytes: 3}, ""},
		{"depth, just fits", "llee", Limits{MaxDepth: 2}, ""},
		{"depth exceeded", "llleee", Limits{MaxDepth: 2}, "nested deeper than 2"},
		{"depth is not a count", "l" + strings.Repeat("le", 50) + "e", Limits{MaxDepth: 2}, ""},
		{"elements, just fit", "d1:ai1ee", Limits{MaxTokens: 3}, ""},
		{"elements exceeded", "d1:ai1ee", Limits{MaxTokens: 2}, "more than 2 elements"},
		{"default depth", strings.Repeat("l", 100) + strings.Repeat("e", 100), Limits{}, ""},
		{"default depth exceeded", strings.Repeat("l", 101) + strings.Repeat("e", 101), Limits{}, "nested deeper"},
		{"default bytes", "16777207:" + strings.Repeat("x", 16<<20-9), Limits{}, ""},
		{"default bytes exceeded", "16777208:" + strings.Repeat("x", 16<<20-8), Limits{}, "larger than the limit"},
		{"default elements exceeded", "l" + strings.Repeat("0:", 3e6) + "e", Limits{}, "more than 3000000 elements"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Check([]byte(test.in), test.lim)
			if test.err == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.err)
			}
		})
	}
}

// TestCheckTruncated cuts a value at every byte: each part must be refused, at an offset inside it.
func TestCheckTruncated(t *testing.T) {
	in := []byte("d4:infod6:lengthi-12e4:name5:a.bin4:listl1:ali0eeee1:zdee")
	n, err := Check(in, Limits{})
	require.NoError(t, err)
	require.Equal(t, len(in), n)
	for cut := range in {
		_, err := Check(in[:cut], Limits{})
		var syntax *SyntaxError
		require.True(t, errors.As(err, &syntax), "cut at %d: %v", cut, err)
		require.LessOrEqual(t, syntax.Offset, cut)
	}
}

func TestCheckAllocates(t *testing.T) {
	in := []byte("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := Check(in, Limits{}); err != nil {
			t.Fatal(err)
		}
	}))
}
