// Package benc decodes and encodes bencoding (BEP 3, "bencoding") for input that strangers wrote.
//
// The decoder and encoder are those of github.com/anacrolix/torrent/bencode. This package stands in front of them,
// because that decoder alone is not safe on hostile input: it parses integers of any length in quadratic time, also
// under keys that nobody asked for, and it panics on some targets. Every value is therefore first scanned once,
// without allocation and without recursion: balanced, within the [Limits], string lengths inside the input, integers
// within int64, dictionary keys strings. Only then is it decoded, and a panic there becomes an error.
//
// Two ways lead into a value:
//
//   - [Unmarshal] and [UnmarshalPrefix] fill Go structs: messages, tracker replies, KRPC.
//   - [Parse] gives a [Value] that is walked in place. It keeps the exact bytes of every part, which the identity of a
//     torrent depends on, and leaves it to the caller what to think of odd types. Package metainfo is built on it.
//
// # Soft faults
//
// Unsorted or repeated dictionary keys and leading zeros ("i01e", "01:a") are invalid, yet real torrents and messages
// hold them. They do not fail the scan. Unmarshal puts such input into canonical form before it decodes, so that one
// badly sorted dictionary under a foreign key does not cost the whole message; of a repeated key the first value
// counts. [Value.Fault] reports them to callers that must be strict, such as metainfo for v2 torrents.
//
// # Targets
//
// Unmarshal refuses target types on which the decoder misbehaves: structs with unexported fields (unless tagged
// `bencode:"-"`), byte arrays without an UnmarshalBencode method (the decoder takes a string of any length for them),
// maps with keys other than strings, and slices of any (they never decode). What it cannot refuse: a list of one
// element is taken where a scalar is expected, and a field of type [Bytes] in a message with soft faults holds the
// canonical form, not the bytes that were sent.
//
// The package has no state and no goroutines; all functions may be called from anywhere.
package benc
