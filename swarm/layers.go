package swarm

import (
	"crypto/sha256"
	"slices"
	"time"

	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

const (
	// layerChunk is how many hashes one request asks for (BEP 52 recommends it as
	// the most).
	layerChunk = 512
	// layerInFlight is how many requests one peer has at a time (libtorrent: 2).
	layerInFlight = 2
	// layerCopies is how many peers are asked for the same hashes at a time:
	// somebody waits for them, and they are few.
	layerCopies = 2
	// layerPatience is after how long a peer that did not answer no longer counts
	// as asked (libtorrent: 3 s).
	layerPatience = 2 * time.Second
	// layerRest is how long a peer that rejected is not asked again.
	layerRest = time.Minute
	// eagerRequests is up to how many requests a torrent has all of its layers
	// fetched at once, before anybody reads (guess).
	eagerRequests = 16
)

// layers fetches the piece layers of a torrent of version 2 that came without, as
// from a magnet: hash requests (BEP 52). Every answer is proven up to the pieces
// root by itself, so one that is wrong has one culprit.
//
// Layers are fetched file by file, those that are read first; all of them if there
// are few. Owned by the loop of its torrent.
//
// The pieces of a hybrid torrent can be verified without. But peers that know it by
// the hash of version 2 ask us for its layers, and for the same thing: so its layers
// are fetched beside its pieces, which do not wait.
type layers struct {
	info  *metainfo.Info
	spare bool                    // nothing waits for them
	files map[[32]byte]*layerFile // by pieces root; those that are missing
	order []*layerFile            // wanted, first come, first served
	peers map[picker.PeerID]*layerPeer
	ids   []picker.PeerID // of peers, in the order they came
}

// layerFile is one missing layer.
type layerFile struct {
	root   [32]byte
	height int
	base   int
	pieces int
	width  uint32 // hashes in a request
	chunks [][]byte
	left   int
}

// layerKey names a request: a chunk of a layer.
type layerKey struct {
	file  *layerFile
	chunk int
}

type layerPeer struct {
	asked     map[layerKey]time.Time
	owed      int // answers of any kind that are still to come
	restUntil time.Time
}

type layerRequest struct {
	peer picker.PeerID
	span wire.HashSpan
}

// newLayers returns what is missing, nil if nothing is.
func newLayers(info *metainfo.Info) *layers {
	if !info.V2 {
		return nil
	}
	ls := &layers{info: info, spare: info.V1, files: map[[32]byte]*layerFile{}, peers: map[picker.PeerID]*layerPeer{}}
	requests := 0
	for i, f := range info.Files {
		root, ok := info.Root(i)
		if _, known := info.Tree(i); !ok || known || ls.files[root] != nil {
			continue
		}
		lf := newLayerFile(root, f.Length, info.PieceLength)
		ls.files[root] = lf
		ls.order = append(ls.order, lf)
		requests += lf.left
	}
	if len(ls.files) == 0 {
		return nil
	}
	if requests > eagerRequests {
		ls.order = nil
	}
	return ls
}

func newLayerFile(root [32]byte, length, pieceLength int64) *layerFile {
	lf := &layerFile{root: root, height: metainfo.TreeHeight(length), base: metainfo.TreeHeight(pieceLength)}
	lf.pieces = int((length + pieceLength - 1) / pieceLength)
	lf.width = 2
	for lf.width < layerChunk && int(lf.width) < lf.pieces {
		lf.width *= 2
	}
	lf.left = (lf.pieces + int(lf.width) - 1) / int(lf.width)
	lf.chunks = make([][]byte, lf.left)
	return lf
}

// request is the one for a chunk.
func (lf *layerFile) request(chunk int) metainfo.HashRequest {
	r := metainfo.HashRequest{Root: lf.root, Base: uint32(lf.base), Index: uint32(chunk) * lf.width, Length: lf.width}
	return r.FullProof(lf.height)
}

// lacks says whether a piece cannot be verified yet, and has its layer fetched if
// that is missing: before others if a read sleeps on it.
func (ls *layers) lacks(piece int, blocked bool) bool {
	if ls == nil {
		return false
	}
	f := ls.info.FileAt(int64(piece) * ls.info.PieceLength)
	if f < 0 {
		return false
	}
	root, _ := ls.info.Root(f)
	lf := ls.files[root]
	if lf == nil {
		return false
	}
	switch at := slices.Index(ls.order, lf); {
	case at < 0 && !blocked:
		ls.order = append(ls.order, lf)
	case at != 0 && blocked:
		ls.order = slices.DeleteFunc(ls.order, func(x *layerFile) bool { return x == lf })
		ls.order = slices.Insert(ls.order, 0, lf)
	}
	return !ls.spare
}

// slow tells whether reads may have to wait for layers.
func (ls *layers) slow() bool { return ls != nil && !ls.spare && len(ls.order) > 0 }

// offer notes a peer that can be asked.
func (ls *layers) offer(id picker.PeerID) {
	if ls.peers[id] == nil {
		ls.peers[id] = &layerPeer{asked: map[layerKey]time.Time{}}
		ls.ids = append(ls.ids, id)
	}
}

// gone forgets a peer.
func (ls *layers) gone(id picker.PeerID) {
	delete(ls.peers, id)
	ls.ids = slices.DeleteFunc(ls.ids, func(x picker.PeerID) bool { return x == id })
}

// next returns the requests to send now.
func (ls *layers) next(now time.Time) (reqs []layerRequest) {
	free := map[picker.PeerID]int{} // requests that a peer may have besides
	for id, p := range ls.peers {
		if n := layerInFlight - p.flying(now); n > 0 && !now.Before(p.restUntil) {
			free[id] = n
		}
	}
	for _, lf := range ls.order {
		for chunk, got := range lf.chunks {
			if len(free) == 0 {
				return reqs
			}
			if got != nil {
				continue
			}
			key := layerKey{lf, chunk}
			copies := 0
			for _, p := range ls.peers {
				if at, ok := p.asked[key]; ok && now.Sub(at) < layerPatience {
					copies++
				}
			}
			for _, id := range ls.ids {
				p := ls.peers[id]
				if _, asked := p.asked[key]; asked || copies == layerCopies || free[id] == 0 {
					continue
				}
				copies++
				p.owed++
				p.asked[key] = now
				if free[id]--; free[id] == 0 {
					delete(free, id)
				}
				reqs = append(reqs, layerRequest{id, spanOf(lf.request(chunk))})
			}
		}
	}
	return reqs
}

// flying counts the requests to which an answer may still come soon.
func (p *layerPeer) flying(now time.Time) (n int) {
	for _, at := range p.asked {
		if now.Sub(at) < layerPatience {
			n++
		}
	}
	return n
}

// spanOf is the request as it is sent.
func spanOf(r metainfo.HashRequest) wire.HashSpan {
	return wire.HashSpan{Root: r.Root, BaseLayer: r.Base, Index: r.Index, Length: r.Length, ProofLayers: r.Proof}
}

func requestOf(s wire.HashSpan) metainfo.HashRequest {
	return metainfo.HashRequest{Root: s.Root, Base: s.BaseLayer, Index: s.Index, Length: s.Length, Proof: s.ProofLayers}
}

// find returns the request of ours that an answer is for. ok is false if there is
// none any more; asked is false if there cannot have been one.
func (ls *layers) find(id picker.PeerID, span wire.HashSpan) (p *layerPeer, key layerKey, ok, asked bool) {
	p, lf := ls.peers[id], ls.files[span.Root]
	if p == nil || p.owed == 0 {
		return nil, key, false, false
	}
	p.owed--
	if lf == nil || span.Index%lf.width != 0 || int(span.Index/lf.width) >= len(lf.chunks) {
		return nil, key, false, true
	}
	key = layerKey{lf, int(span.Index / lf.width)}
	_, ok = p.asked[key]
	return p, key, ok && span == spanOf(lf.request(key.chunk)), true
}

// rejected notes that a peer will not answer; it rests for a while. asked is false
// if it had nothing to reject.
func (ls *layers) rejected(id picker.PeerID, span wire.HashSpan, now time.Time) (asked bool) {
	p, key, ok, asked := ls.find(id, span)
	if ok {
		delete(p.asked, key)
		p.restUntil = now.Add(layerRest)
	}
	return asked
}

// received takes an answer. asked is false if nobody asked for it; an error is the
// sender's fault. layer is what is complete by it, nil if nothing is.
func (ls *layers) received(id picker.PeerID, span wire.HashSpan, hashes []byte) (asked bool, layer []byte, err error) {
	p, key, ok, asked := ls.find(id, span)
	if !ok {
		return asked, nil, nil
	}
	delete(p.asked, key)
	lf := key.file
	if lf.chunks[key.chunk] != nil {
		return true, nil, nil // another was faster
	}
	if err := lf.request(key.chunk).Verify(lf.height, hashes); err != nil {
		return true, nil, err
	}
	here := min(int(lf.width), lf.pieces-key.chunk*int(lf.width))
	lf.chunks[key.chunk] = slices.Clone(hashes[:here*sha256.Size])
	if lf.left--; lf.left > 0 {
		return true, nil, nil
	}
	delete(ls.files, lf.root)
	ls.order = slices.DeleteFunc(ls.order, func(x *layerFile) bool { return x == lf })
	for _, p := range ls.peers {
		for k := range p.asked {
			if k.file == lf {
				delete(p.asked, k)
			}
		}
	}
	return true, slices.Concat(lf.chunks...), nil
}
