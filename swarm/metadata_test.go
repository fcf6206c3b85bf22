package swarm

import (
	"bytes"
	"crypto/sha1"
	"slices"
	"testing"
	"time"

	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/picker"
)

var metadataEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// metadataPlay lets peers answer until the metadata is there. answer returns the
// block that a peer sends, nil for silence.
func metadataPlay(t *testing.T, raw []byte, sizes map[picker.PeerID]int, answer func(id picker.PeerID, block int) []byte) (res metadataResult, liars []picker.PeerID) {
	t.Helper()
	m := newMetadata(metainfo.InfoHash(sha1.Sum(raw)))
	ids := make([]picker.PeerID, 0, len(sizes))
	for id := range sizes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		m.offer(id, sizes[id])
	}
	now := metadataEpoch
	for range 200 {
		for _, q := range m.next(now) {
			data := answer(q.peer, q.block)
			if data == nil {
				continue
			}
			r := m.received(q.peer, q.block, sizes[q.peer], data)
			for _, id := range r.liars {
				liars = append(liars, id)
				m.gone(id)
			}
			if r.raw != nil {
				return r, liars
			}
		}
		now = now.Add(time.Second)
	}
	t.Fatal("no metadata")
	return res, liars
}

func blockAt(raw []byte, i int) []byte {
	return raw[i*metadataBlock : min((i+1)*metadataBlock, len(raw))]
}

func TestMetadata(t *testing.T) {
	raw := bytes.Repeat([]byte("0123456789abcdef"), 5000) // 80,000 bytes, 5 blocks, the last one short
	small := raw[:100]
	wrong := func(b []byte) []byte {
		b = slices.Clone(b)
		b[0] ^= 1
		return b
	}
	for _, c := range []struct {
		name   string
		raw    []byte
		sizes  map[picker.PeerID]int
		answer func(raw []byte, id picker.PeerID, block int) []byte
		liars  []picker.PeerID
	}{
		{
			name: "one peer", raw: raw, sizes: map[picker.PeerID]int{1: len(raw)},
			answer: func(raw []byte, _ picker.PeerID, b int) []byte { return blockAt(raw, b) },
		},
		{
			name: "several peers, one silent", raw: raw, sizes: map[picker.PeerID]int{1: len(raw), 2: len(raw), 3: len(raw)},
			answer: func(raw []byte, id picker.PeerID, b int) []byte {
				if id == 1 {
					return nil
				}
				return blockAt(raw, b)
			},
		},
		{
			name: "one lies about the size", raw: small, sizes: map[picker.PeerID]int{1: 16, 2: len(small)},
			answer: func(raw []byte, id picker.PeerID, b int) []byte {
				if id == 1 {
					return raw[:16]
				}
				return blockAt(raw, b)
			},
			liars: []picker.PeerID{1},
		},
		{
			name: "one sends wrong blocks among others", raw: raw, sizes: map[picker.PeerID]int{1: len(raw), 2: len(raw), 3: len(raw)},
			answer: func(raw []byte, id picker.PeerID, b int) []byte {
				if id == 2 {
					return wrong(blockAt(raw, b))
				}
				return blockAt(raw, b)
			},
		},
		{
			name: "a wrong block alone", raw: small, sizes: map[picker.PeerID]int{1: len(small), 2: len(small)},
			answer: func(raw []byte, id picker.PeerID, b int) []byte {
				if id == 1 {
					return wrong(raw)
				}
				return raw
			},
			liars: []picker.PeerID{1},
		},
		{
			name: "a block of a wrong length", raw: raw, sizes: map[picker.PeerID]int{1: len(raw), 2: len(raw)},
			answer: func(raw []byte, id picker.PeerID, b int) []byte {
				if id == 1 {
					return blockAt(raw, b)[:100]
				}
				return blockAt(raw, b)
			},
			liars: []picker.PeerID{1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, liars := metadataPlay(t, c.raw, c.sizes, func(id picker.PeerID, b int) []byte { return c.answer(c.raw, id, b) })
			if !bytes.Equal(res.raw, c.raw) {
				t.Error("other bytes")
			}
			for _, id := range c.liars {
				if !slices.Contains(liars, id) {
					t.Errorf("peer %d not found out", id)
				}
			}
			for _, id := range liars {
				if id != 1 && id != 2 {
					t.Errorf("honest peer %d blamed", id)
				}
			}
		})
	}
}

func TestMetadataAsksEverybodyForASingleBlock(t *testing.T) {
	m := newMetadata(metainfo.InfoHash{})
	for id := range picker.PeerID(10) {
		m.offer(id, 100)
	}
	if n := len(m.next(metadataEpoch)); n != 10 {
		t.Errorf("asked %d peers, want 10", n)
	}
	if n := len(m.next(metadataEpoch)); n != 0 {
		t.Errorf("asked %d again", n)
	}
}

func TestMetadataRejectRests(t *testing.T) {
	m := newMetadata(metainfo.InfoHash{})
	m.offer(1, 100)
	m.next(metadataEpoch)
	m.rejected(1, 0, metadataEpoch)
	if n := len(m.next(metadataEpoch.Add(metadataRest - 1))); n != 0 {
		t.Error("asked while resting")
	}
	if n := len(m.next(metadataEpoch.Add(metadataRest))); n != 1 {
		t.Error("not asked after the rest")
	}
}
