// Package wire encodes and decodes what BitTorrent peers say to each other: the handshake and messages of BEP 3, the
// fast extension (BEP 6), the extension protocol (BEP 10) with metadata exchange (BEP 9), peer exchange (BEP 11),
// lt_donthave (BEP 54) and holepunch (BEP 55), and the hash messages of BEP 52.
//
// It is encode and decode only: no goroutines, no clocks, no sockets, and no knowledge of a torrent. So it checks what
// a message must look like by itself (lengths by type, counts, ranges of fields) and leaves what depends on the
// torrent (piece index < count, length of the bitfield, was this block requested) and on what was negotiated (fast
// messages only between fast peers) to its caller.
//
// # Ownership of data
//
// A decoded [Message] owns its Data; nothing in it refers to the decoder's buffer, so it may go to another goroutine.
// For a Piece, Data is a block from a shared pool: whoever holds the message last calls [PutBlock] exactly once, or
// lets the garbage collector have it. After PutBlock the slice must not be touched by anybody. Under the race detector
// PutBlock overwrites the block and panics when it gets one twice.
//
// # Errors
//
// Every fault of the peer wraps [ErrMalformed]; other errors of the functions that read are those of the stream. A
// frame is judged by its length and id before anything is allocated or read, and memory grows only with bytes that
// have arrived. After an error a [Decoder] is at no defined place in the stream: close the connection.
//
// # Traps
//
// Extension messages go out with the id that the receiver announced, come in with the id that we announced. In
// ut_metadata the raw block follows the dictionary: its start is where the decoder stopped, not where "ee" is found.
// The allowed-fast set ends when it holds all pieces, else the loop never would.
package wire
