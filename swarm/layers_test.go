package swarm

import (
	"slices"
	"testing"
	"time"

	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// bareV2 is a torrent and its info as a magnet gives it: without piece layers.
func bareV2(t *testing.T, spec swarmtest.Spec) (*swarmtest.Torrent, *metainfo.Info) {
	t.Helper()
	spec.Format = swarmtest.V2
	tor := torrentOf(t, spec)
	info, err := metainfo.ParseInfo(tor.Raw)
	if err != nil {
		t.Fatal(err)
	}
	return tor, info
}

// answerOf is what an honest peer answers.
func answerOf(t *testing.T, tor *swarmtest.Torrent, span wire.HashSpan) []byte {
	t.Helper()
	for f := range tor.Files {
		if root, ok := tor.Root(f); !ok || root != span.Root {
			continue
		}
		tree, _ := tor.Tree(f)
		h, err := tree.Hashes(requestOf(span), nil)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	t.Fatalf("asked for an unknown file")
	return nil
}

const block = wire.BlockSize

func TestLayers(t *testing.T) {
	honest := func(*layers, picker.PeerID, wire.HashSpan, []byte) bool { return true }
	for _, tt := range []struct {
		name   string
		piece  int64
		length int64
		peers  int
		// answer may change the answer; false: silence
		answer func(ls *layers, id picker.PeerID, span wire.HashSpan, hashes []byte) bool
		liars  []picker.PeerID
		most   time.Duration
	}{
		{"two pieces", block, block + 1, 1, honest, nil, 0},
		{"three pieces", 4 * block, 9 * block, 1, honest, nil, 0},
		{"513 pieces", block, 513 * block, 1, honest, nil, 0},
		{"1,700 pieces, three peers", block, 1700 * block, 3, honest, nil, 0},
		{"one is silent", block, 1700 * block, 2, func(_ *layers, id picker.PeerID, _ wire.HashSpan, _ []byte) bool {
			return id == 2
		}, nil, 4 * layerPatience},
		{"one lies", block, 1700 * block, 2, func(_ *layers, id picker.PeerID, _ wire.HashSpan, h []byte) bool {
			if id == 1 {
				h[7]++
			}
			return true
		}, []picker.PeerID{1}, layerPatience},
		{"one lies in the proof", block, 1700 * block, 2, func(_ *layers, id picker.PeerID, _ wire.HashSpan, h []byte) bool {
			if id == 1 {
				h[len(h)-1]++
			}
			return true
		}, []picker.PeerID{1}, layerPatience},
		{"one rejects", block, 1700 * block, 2, func(ls *layers, id picker.PeerID, span wire.HashSpan, _ []byte) bool {
			if id == 1 && !ls.rejected(id, span, metadataEpoch) {
				panic("nothing to reject")
			}
			return id == 2
		}, nil, layerPatience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tor, info := bareV2(t, swarmtest.Spec{PieceLength: tt.piece, Length: tt.length})
			ls := newLayers(info)
			for id := range tt.peers {
				ls.offer(picker.PeerID(id + 1))
			}
			now := metadataEpoch
			var liars []picker.PeerID
			for len(ls.files) > 0 {
				if now.Sub(metadataEpoch) > time.Minute {
					t.Fatal("not complete after a minute")
				}
				reqs := ls.next(now)
				if len(reqs) == 0 {
					now = now.Add(100 * ms)
				}
				for _, q := range reqs {
					if q.span.Length > layerChunk || q.span.Length < 2 {
						t.Fatalf("asked for %d hashes", q.span.Length)
					}
					h := answerOf(t, tor, q.span)
					if !tt.answer(ls, q.peer, q.span, h) {
						continue
					}
					asked, layer, err := ls.received(q.peer, q.span, h)
					if err != nil {
						liars = append(liars, q.peer)
						ls.gone(q.peer)
						continue
					}
					if !asked && ls.peers[q.peer] != nil {
						t.Error("an answer that was asked for counts as not")
					}
					if layer == nil {
						continue
					}
					if info, err = info.WithPieceLayers(map[[32]byte][]byte{q.span.Root: layer}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if took := now.Sub(metadataEpoch); took > tt.most {
				t.Errorf("took %v, at most %v", took, tt.most)
			}
			if !slices.Equal(liars, tt.liars) {
				t.Errorf("liars %v, want %v", liars, tt.liars)
			}
			for i := range tor.NumPieces() {
				if err := info.VerifyPiece(i, tor.Piece(i)); err != nil {
					t.Fatalf("piece %d: %v", i, err)
				}
			}
		})
	}
}

// TestLayersOrder: what a read sleeps on comes first, what nobody reads not at all
// if it is much; and the pieces of a hybrid do not wait.
func TestLayersOrder(t *testing.T) {
	spec := swarmtest.Spec{PieceLength: block}
	for _, name := range []string{"a", "b", "c"} {
		spec.Files = append(spec.Files, swarmtest.FileSpec{Path: name, Length: 6 * layerChunk * block})
	}
	spec.Files = append(spec.Files, swarmtest.FileSpec{Path: "small", Length: block})
	tor, info := bareV2(t, spec)
	ls := newLayers(info)
	ls.offer(1)
	if reqs := ls.next(metadataEpoch); len(reqs) != 0 {
		t.Fatalf("%d requests though nobody reads", len(reqs))
	}
	first := func(f int) int { p, _ := tor.FilePieces(f); return p }
	if !ls.lacks(first(0), false) || !ls.lacks(first(1), false) || !ls.lacks(first(2), true) || ls.lacks(first(3), true) {
		t.Error("not what is missing")
	}
	reqs := ls.next(metadataEpoch)
	root, _ := info.Root(2)
	if len(reqs) != layerInFlight || reqs[0].span.Root != root {
		t.Errorf("asked for %+v", reqs)
	}
	if (*layers)(nil).lacks(0, true) {
		t.Error("something is missing of nothing")
	}
	if hybrid := torrentOf(t, swarmtest.Spec{Format: swarmtest.Hybrid}); newLayers(hybrid.Info) != nil {
		t.Error("something is missing of a hybrid with its layers")
	}
	spec.Format = swarmtest.Hybrid
	info, err := metainfo.ParseInfo(torrentOf(t, spec).Raw)
	if err != nil {
		t.Fatal(err)
	}
	ls = newLayers(info)
	ls.offer(1)
	if ls.lacks(0, true) || ls.slow() {
		t.Error("a piece of a hybrid waits")
	}
	if reqs := ls.next(metadataEpoch); len(reqs) != layerInFlight || reqs[0].span.Root != ls.order[0].root {
		t.Errorf("asked for %+v", reqs)
	}
}

// TestLayersUnasked: answers without a question, and to another one, are noticed.
func TestLayersUnasked(t *testing.T) {
	tor, info := bareV2(t, swarmtest.Spec{PieceLength: block, Length: 100 * block})
	ls := newLayers(info)
	ls.offer(1)
	ls.offer(2)
	span := spanOf(ls.order[0].request(0))
	if asked, _, _ := ls.received(1, span, answerOf(t, tor, span)); asked {
		t.Error("nobody asked")
	}
	if len(ls.next(metadataEpoch)) != 2 {
		t.Fatal("not asked")
	}
	other := span
	other.ProofLayers--
	if asked, layer, err := ls.received(1, other, nil); !asked || layer != nil || err != nil {
		t.Errorf("an answer to another question: %v, %v", asked, err)
	}
	if asked, _, _ := ls.received(1, span, answerOf(t, tor, span)); asked {
		t.Error("two answers to one question")
	}
	if _, layer, err := ls.received(2, span, answerOf(t, tor, span)); layer == nil || err != nil {
		t.Errorf("no layer: %v", err)
	}
}
