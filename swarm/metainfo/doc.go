// Package metainfo reads what describes a torrent: info dictionaries, .torrent files and magnet links, of v1 (BEP 3),
// v2 (BEP 52) and hybrid torrents.
//
// # Entry points
//
//   - [ParseInfo] takes the bytes of an info dictionary, from a file or from peers (BEP 9), and gives an [Info]: names
//     that are safe to show, and the layout of files and pieces.
//   - [ParseMetainfo] takes a .torrent file: an info with its trackers (BEP 12), web seeds (BEP 19), DHT nodes (BEP 5)
//     and piece layers.
//   - [ParseMagnet] takes what a user typed: a magnet link (BEP 9, 52, 53) or an info-hash in any spelling.
//
// All three take input from strangers. They return errors and never panic, work in linear time, and allocate no more
// than a small multiple of the input; no claimed length is believed before it is checked. Results are immutable, free
// of goroutines and locks, and a pure function of the input: mounting again gives the same names.
//
// # Identity
//
// The info-hash is that of the exact bytes received. Nothing is ever decoded and encoded again to compute it, so
// unsorted keys, unknown keys and names in odd encodings survive.
//
// # Where we differ from others
//
// Practice is libtorrent's unless said otherwise.
//
//   - A v1 info with unsorted keys or leading zeros is taken, one with a repeated key is not: readers disagree which
//     value counts. v2 and hybrid infos must be canonical, as the specification says.
//   - A torrent of no bytes is taken, as an empty tree; libtorrent refuses it.
//   - Files of one name are told apart however many there are; libtorrent gives up at 500, Transmission at once. Names
//     are compared with regard to case.
//   - A symlink that leads nowhere is hidden ([File].BadLink); libtorrent points it at itself.
//   - Missing piece layers are no error, wrong or surplus ones are (BEP 52 requires them; magnets never have them).
//   - A web seed URL of httpseeds (BEP 17), update-url (BEP 39) and similar torrents (BEP 38) are ignored.
//
// # Hash trees
//
// merkle.go and hashtree.go hold the v2 trees: [NewTree] verifies a piece layer, [HashRequest] checks and answers the
// hash messages, [Info.VerifyPiece] judges the data of a piece by all hashes that are known.
package metainfo
