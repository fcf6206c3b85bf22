package benc

import (
	"bytes"
	"slices"
	"strconv"
)

// entry is one key of a dictionary with its value.
type entry struct {
	key   []byte
	value Value
}

// appendCanonical appends the canonical encoding of v to b: numbers without leading zeros, keys sorted and unique. Of
// a repeated key the first value is kept. It recurses; the depth of v is bounded by the scan that made it.
func appendCanonical(b []byte, v Value) []byte {
	switch v.Kind() {
	case String:
		s, _ := v.Bytes()
		b = appendString(b, s)
	case Int:
		n, _ := v.Int()
		b = append(b, 'i')
		b = strconv.AppendInt(b, n, 10)
		b = append(b, 'e')
	case List:
		b = append(b, 'l')
		for item := range v.Items() {
			b = appendCanonical(b, item)
		}
		b = append(b, 'e')
	case Dict:
		var entries []entry
		for key, value := range v.Entries() {
			entries = append(entries, entry{key, value})
		}
		slices.SortStableFunc(entries, func(x, y entry) int { return bytes.Compare(x.key, y.key) })
		entries = slices.CompactFunc(entries, func(x, y entry) bool { return bytes.Equal(x.key, y.key) })
		b = append(b, 'd')
		for _, e := range entries {
			b = appendString(b, e.key)
			b = appendCanonical(b, e.value)
		}
		b = append(b, 'e')
	}
	return b
}

// appendString appends s as a bencoded string.
func appendString(b, s []byte) []byte {
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, ':')
	return append(b, s...)
}
