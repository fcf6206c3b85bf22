package cache

import "math"

// Key names a piece.
type Key struct {
	// Torrent is a handle from Cache.NewTorrent, 1 to 2^32-1. It is not made
	// from the info-hash: whoever can find two torrents with equal parts of it
	// would see pieces of one served as pieces of the other.
	Torrent uint64
	Piece   int // index, 0 to 2^32-1
}

// id packs a key into the 64 bits that ristretto is keyed by, one to one.
// ok is false for keys out of range; id is never 0.
func (k Key) id() (id uint64, ok bool) {
	if k.Torrent == 0 || k.Torrent > math.MaxUint32 || k.Piece < 0 || int64(k.Piece) > math.MaxUint32 {
		return 0, false
	}
	return k.Torrent<<32 | uint64(k.Piece), true
}

// hash is ristretto's KeyToHash. ristretto hashes integers by identity, and the
// rows of its count-min sketch differ by an XOR only, so that piece 7 of every
// torrent would share all its counters; splitmix64's finisher spreads them and is
// a bijection. The id itself is returned as the conflict value (0 would mean "do
// not compare").
func hash(id uint64) (key, conflict uint64) {
	z := id + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31, id
}
