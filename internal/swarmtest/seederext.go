package swarmtest

import (
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/wire"
)

// sendExtension queues the extension handshake. The caller holds Seeder.mu, as for
// all methods here.
func (c *seederConn) sendExtension() {
	cfg := &c.s.cfg
	h := wire.ExtHandshake{
		M:       map[string]uint8{wire.UTMetadata: idMetadata, wire.UTPex: idPex},
		Port:    cfg.Port,
		Version: cfg.Name,
		Reqq:    c.s.reqq(),
	}
	if h.Version == "" {
		h.Version = "swarmtest"
	}
	if !cfg.NoMetadata {
		h.MetadataSize = len(c.s.metadata)
		if cfg.Faults.MetadataSize != 0 {
			h.MetadataSize = cfg.Faults.MetadataSize
		}
	}
	if payload, err := h.Marshal(); err == nil {
		c.send(wire.Message{ID: wire.Extended, Data: payload})
	}
}

func (c *seederConn) extended(m wire.Message) {
	if !c.ext {
		return
	}
	switch m.ExtID {
	case 0:
		if c.theirs.Update(m.Data) == nil {
			c.pex()
		}
	case idMetadata:
		if mm, err := wire.ParseMetadataMessage(m.Data); err == nil && mm.Type == wire.MetadataRequest {
			c.s.stats.Metadata++
			c.metadata(mm.Piece)
		}
	}
}

// pex tells the configured peers, once.
func (c *seederConn) pex() {
	id := c.theirs.M[wire.UTPex]
	if id == 0 || c.pexSent || len(c.s.cfg.Pex) == 0 {
		return
	}
	c.pexSent = true
	var p wire.Pex
	for _, a := range c.s.cfg.Pex {
		p.Added = append(p.Added, wire.PexPeer{Addr: a, Flags: wire.PexSeed | wire.PexReachable})
	}
	if payload, err := p.Marshal(); err == nil {
		c.send(wire.Message{ID: wire.Extended, ExtID: id, Data: payload})
	}
}

// metadata answers the request for one block of the info dictionary.
func (c *seederConn) metadata(block int) {
	s, f := c.s, &c.s.cfg.Faults
	id := c.theirs.M[wire.UTMetadata]
	if id == 0 || f.IgnoreMetadata {
		return
	}
	size := wire.MetadataBlock(len(s.metadata), block)
	reply := wire.MetadataMessage{Type: wire.MetadataReject, Piece: block}
	if size > 0 && !s.cfg.NoMetadata && !f.RejectMetadata {
		begin := block * wire.MetadataBlockSize
		reply = wire.MetadataMessage{
			Type: wire.MetadataData, Piece: block,
			TotalSize: len(s.metadata), Data: s.metadata[begin : begin+size],
		}
		if f.MetadataSize != 0 {
			reply.TotalSize = f.MetadataSize
		}
	}
	c.send(wire.Message{ID: wire.Extended, ExtID: id, Data: reply.Append(nil)})
}

// hashes answers a request for v2 hashes (BEP 52).
func (c *seederConn) hashes(m wire.Message) {
	f := &c.s.cfg.Faults
	if f.IgnoreHashes {
		return
	}
	answer := wire.Message{ID: wire.HashReject, Data: m.Data}
	if span, _, err := wire.ParseHashSpan(m.Data); err == nil && !f.RejectHashes {
		if h, ok := c.s.torrent.hashes(span); ok {
			if f.WrongHashes {
				h[len(h)-1] ^= 1
			}
			answer = wire.Message{ID: wire.Hashes, Data: append(span.Append(nil), h...)}
		}
	}
	c.send(answer)
}

// hashes returns the nodes that span names, and their proof.
func (t *Torrent) hashes(span wire.HashSpan) ([]byte, bool) {
	for f := range t.Files {
		root, ok := t.Root(f)
		if !ok || root != span.Root {
			continue
		}
		tree, ok := t.Tree(f)
		if !ok {
			return nil, false
		}
		file := &t.Files[f]
		data := t.Payload[file.Offset : file.Offset+file.Length]
		h, err := tree.Hashes(metainfo.HashRequest{
			Root: span.Root, Base: span.BaseLayer, Index: span.Index, Length: span.Length, Proof: span.ProofLayers,
		}, func(piece int) ([]byte, bool) {
			begin := int64(piece) * t.PieceLength
			return metainfo.LeafHashes(data[begin:min(begin+t.PieceLength, file.Length)]), true
		})
		return h, err == nil
	}
	return nil, false
}
