// Package krpc is the message format of the DHT: encode and decode only.
//
// One message is one bencoded dictionary in one UDP datagram (BEP 5, "KRPC
// Protocol"), with the additions of BEP 32 (nodes6, want), 33 (scrape), 42 (ip,
// node IDs), 43 (ro), 44 (get, put) and 51 (sample_infohashes).
//
// The package has no goroutine, socket or clock. [Message] is flat: the fields
// of the arguments and of the response share one struct, since a message is
// either of them. [Decode] is lenient about what a field holds (a field of the
// wrong type or length counts as absent, as in libtorrent) and strict about
// bencoding itself. It reads the checked bytes directly instead of going
// through reflection: a message costs about one allocation per list, and one
// badly sorted key of a foreign extension does not refuse the message.
package krpc
