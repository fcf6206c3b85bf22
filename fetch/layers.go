package fetch

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"magnetfs/swarm/metainfo"
)

// Piece layers (BEP 52) are not part of the info dictionary: they come with a
// .torrent file, or from peers, file by file, when somebody reads.

// bucketLayers: info-hash, 20 bytes, and pieces root, 32 bytes → piece layer.
var bucketLayers = []byte("layers")

// gotLayers takes an info that knows more piece layers.
func (l *Library) gotLayers(t *Torrent, info *metainfo.Info) {
	t.mu.Lock()
	news := t.info != nil && len(info.PieceLayers()) > len(t.info.PieceLayers())
	if news {
		t.info = info
	}
	t.mu.Unlock()
	if news {
		l.saver.mark(t.hash)
	}
}

// verifyPiece checks a piece by all that is known by now.
func (t *Torrent) verifyPiece(first *metainfo.Info) func(i int, data []byte) error {
	return func(i int, data []byte) error {
		t.mu.Lock()
		info := t.info
		t.mu.Unlock()
		if info == nil {
			info = first
		}
		return info.VerifyPiece(i, data)
	}
}

// putLayers writes the piece layers of a torrent; most times they are there.
func putLayers(tx *bolt.Tx, hash metainfo.InfoHash, info *metainfo.Info) error {
	layers := info.PieceLayers()
	if len(layers) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(bucketLayers)
	if err != nil {
		return err
	}
	for root, layer := range layers {
		key := append(hash[:], root[:]...)
		if bytes.Equal(b.Get(key), layer) {
			continue
		}
		if err := b.Put(key, layer); err != nil {
			return err
		}
	}
	return nil
}

// eachLayer calls f for the piece layers of a torrent, with their keys.
func eachLayer(tx *bolt.Tx, hash metainfo.InfoHash, f func(c *bolt.Cursor, key, layer []byte) error) error {
	b := tx.Bucket(bucketLayers)
	if b == nil {
		return nil
	}
	c := b.Cursor()
	for key, layer := c.Seek(hash[:]); bytes.HasPrefix(key, hash[:]); key, layer = c.Next() {
		if err := f(c, key, layer); err != nil {
			return err
		}
	}
	return nil
}

// dropLayers forgets the piece layers of a torrent.
func dropLayers(tx *bolt.Tx, hash metainfo.InfoHash) error {
	return eachLayer(tx, hash, func(c *bolt.Cursor, _, _ []byte) error { return c.Delete() })
}

// withLayers adds the piece layers that were kept. Those that are not what they
// should be are fetched again.
func (d *stateDir) withLayers(tx *bolt.Tx, hash metainfo.InfoHash, info *metainfo.Info) *metainfo.Info {
	if info == nil || !info.V2 {
		return info
	}
	layers := map[[32]byte][]byte{}
	err := eachLayer(tx, hash, func(_ *bolt.Cursor, key, layer []byte) error {
		if len(key) != len(hash)+32 {
			return fmt.Errorf("key of %d bytes", len(key))
		}
		layers[[32]byte(key[len(hash):])] = bytes.Clone(layer)
		return nil
	})
	if err == nil {
		var full *metainfo.Info
		if full, err = info.WithPieceLayers(layers); err == nil {
			return full
		}
	}
	d.log.Warn("piece layers on disk are damaged and fetched again", "hash", hash, "err", err)
	return info
}
