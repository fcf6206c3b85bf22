package swarm

import (
	"fmt"
	"net/netip"
	"time"

	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/picker"
	"magnetfs/swarm/wire"
)

// peerFault is why a peer was closed, when it was to blame.
type peerFault string

func (e peerFault) Error() string { return string(e) }

// message takes one message of a peer.
func (l *loop) message(now time.Time, r *remote, m wire.Message) {
	switch m.ID {
	case wire.Piece:
		l.gotBlock(now, r, m)
	case wire.Choke, wire.Unchoke:
		r.peerChoking = m.ID == wire.Choke
		if l.picker != nil {
			l.picker.SetChoking(r.id, r.peerChoking, r.fast())
		}
		l.interested = true
	case wire.Interested:
		r.peerInterested = true
		l.fillSlots(now)
	case wire.NotInterested:
		r.peerInterested = false
		l.fillSlots(now)
	case wire.Have, wire.HaveAll, wire.HaveNone, wire.Bitfield:
		l.announced(now, r, m)
	case wire.AllowedFast:
		l.allowedFast(r, int(m.Index))
	case wire.Reject:
		if l.picker != nil {
			l.picker.Rejected(r.id, picker.Block{Piece: int(m.Index), Index: int(m.Begin) / wire.BlockSize})
		}
	case wire.Request:
		l.requested(r, m)
	case wire.Cancel:
		l.cancelled(r, m)
	case wire.HashRequest:
		l.hashesRequested(r, m)
	case wire.Hashes, wire.HashReject:
		l.gotHashes(now, r, m)
	case wire.Extended:
		l.extended(now, r, m)
	case wire.Port:
		if m.Port != 0 {
			l.do.dhtNode(netip.AddrPortFrom(r.addr.Addr(), m.Port))
		}
	}
}

// announced takes what a peer says it has.
func (l *loop) announced(now time.Time, r *remote, m wire.Message) {
	if l.info == nil {
		switch m.ID {
		case wire.Have:
			if r.early.haves == nil {
				r.early.haves = map[uint32]bool{}
			}
			if len(r.early.haves) < maxEarlyHaves {
				r.early.haves[m.Index] = true
			}
		case wire.Bitfield:
			r.early.bitfield = m.Data
		case wire.HaveAll:
			r.early.all = true
		}
		return
	}
	n := l.picker.Pieces()
	switch m.ID {
	case wire.Have:
		if int64(m.Index) >= int64(n) {
			r.conn.Close(peerFault("have of a piece that does not exist"))
			return
		}
		l.picker.SetHave(r.id, int(m.Index), true)
		l.shared(r, int(m.Index), now)
	case wire.Bitfield:
		bs, ok := bitsetOf(m.Data, n)
		if !ok {
			r.conn.Close(peerFault(fmt.Sprintf("bitfield of %d bytes for %d pieces", len(m.Data), n)))
			return
		}
		l.picker.SetBitfield(r.id, bs)
	case wire.HaveAll:
		l.picker.SetBitfield(r.id, allOf(n))
	case wire.HaveNone:
		l.picker.SetBitfield(r.id, noneOf(n))
	}
	r.seed = l.picker.PeerPieces(r.id) == n
	l.setInterest(r, now)
}

func (l *loop) allowedFast(r *remote, piece int) {
	if l.picker != nil {
		if r.fastPieces++; r.fastPieces <= maxFastPieces {
			l.picker.AllowFast(r.id, piece, true)
		}
		return
	}
	if len(r.early.fast) < maxFastPieces {
		r.early.fast = append(r.early.fast, uint32(piece))
	}
}

// extended takes an extension message (BEP 10). Ids are those that we announced.
func (l *loop) extended(now time.Time, r *remote, m wire.Message) {
	switch m.ExtID {
	case 0:
		l.extHandshake(now, r, m.Data)
	case wire.IDMetadata:
		l.metadataMessage(now, r, m.Data)
	case wire.IDPex:
		l.gotPex(now, r, m.Data)
	case wire.IDHolepunch:
		l.gotHolepunch(now, r, m.Data)
	case wire.IDDontHave:
		piece, err := wire.ParseDontHave(m.Data)
		if err != nil {
			l.fault(r, err.Error())
			return
		}
		if l.picker != nil {
			l.picker.SetHave(r.id, int(piece), false)
			r.seed = false
		}
	}
}

func (l *loop) extHandshake(now time.Time, r *remote, data []byte) {
	if err := r.ext.Update(data); err != nil {
		l.fault(r, err.Error())
		return
	}
	port := r.ext.Port
	if r.via == overUTP {
		port = r.addr.Port() // its socket is the one that listens, and this the hole in its NAT
	}
	if !r.outgoing && port != 0 && !r.listen.IsValid() {
		r.listen = netip.AddrPortFrom(r.addr.Addr().Unmap(), port)
		if l.cands.add(r.listen, endpoint.FromIncoming, now) {
			l.cands.list[r.listen].busy = true
		}
		l.cands.under(r.listen, r.hs.InfoHash)
		if l.picker != nil {
			l.picker.SetNear(r.id, l.neighbour(r))
		}
	}
	if l.meta != nil && r.ext.M[wire.UTMetadata] != 0 {
		l.meta.offer(r.id, r.ext.MetadataSize)
	}
	if l.picker != nil {
		l.picker.SetMaxQueue(r.id, l.reqq(r))
		l.vouch(r)
	}
	if ip := r.ext.YourIP; ip.IsValid() {
		l.do.seenAs(ip, r.addr.Addr())
		if c := l.cands.list[netip.AddrPortFrom(ip, l.port)]; c != nil && !c.busy {
			l.cands.remove(c.addr)
		}
	}
	l.askSwitched(now, r)
}

// fault counts a small offence.
func (l *loop) fault(r *remote, what string) {
	l.log.Debug("fault", "peer", r.addr, "what", what)
	if r.faults++; r.faults > maxFaults {
		r.conn.Close(peerFault("too many faults, last: " + what))
	}
}
