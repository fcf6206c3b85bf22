package benc

import (
	"bytes"
	"fmt"

	"github.com/anacrolix/torrent/bencode"
)

// Bytes is a field type that keeps its value encoded. Marshal refuses it when it is empty: tag the field omitempty.
type Bytes = bencode.Bytes

// Unmarshal decodes data, which must be exactly one value, into the variable that v points to. Trailing bytes are an
// error. Keys that v has no field for are skipped. What v holds after an error is undefined. An error is a fault of
// the input, except for a target type that is refused (see the package comment), which is a bug of the caller.
func Unmarshal(data []byte, v any, lim Limits) error {
	if maxBytes := lim.withDefaults().MaxBytes; len(data) > maxBytes {
		return &SyntaxError{maxBytes, fmt.Sprintf("value larger than the limit of %d bytes", maxBytes)}
	}
	n, err := UnmarshalPrefix(data, v, lim)
	if err == nil && n < len(data) {
		return &SyntaxError{n, "bytes after the value"}
	}
	return err
}

// UnmarshalPrefix is Unmarshal for input that goes on behind the value, such as a ut_metadata message. It returns the
// size of the value in bytes; Limits.MaxBytes bounds that, not the length of data.
func UnmarshalPrefix(data []byte, v any, lim Limits) (n int, err error) {
	if err := checkTarget(v); err != nil {
		return 0, err
	}
	s, err := scan(data, lim, nil)
	if err != nil {
		return 0, err
	}
	data = data[:s.end]
	if s.soft != nil {
		doc, err := Parse(data, lim)
		if err != nil {
			return 0, err
		}
		data = appendCanonical(make([]byte, 0, len(data)), doc)
	}
	return s.end, decode(data, v, s.depth)
}

// decode runs the library's decoder on a scanned, canonical value of the given depth.
func decode(data []byte, v any, depth int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("benc: decoding into %T: %v", v, r)
		}
	}()
	if depth <= bencode.DefaultMaxDepth {
		err = bencode.Unmarshal(data, v)
	} else {
		// Reads byte by byte, several times slower; nothing that is meant well nests so deep.
		d := bencode.NewDecoder(bytes.NewReader(data))
		d.MaxDepth = depth
		err = d.Decode(v)
	}
	if err != nil {
		return fmt.Errorf("benc: %w", err)
	}
	return nil
}

// Marshal returns the canonical encoding of v: structs and maps as dictionaries with sorted keys. An error means that
// v holds something without an encoding, which is a bug of the caller.
func Marshal(v any) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			data, err = nil, fmt.Errorf("benc: encoding %T: %v", v, r)
		}
	}()
	data, err = bencode.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("benc: %w", err)
	}
	return data, nil
}
