package swarm

import (
	"net/netip"
	"testing"
	"time"

	"magnetfs/internal/swarmtest"
	"magnetfs/swarm/endpoint"
	"magnetfs/swarm/metainfo"
	"magnetfs/swarm/wire"
)

// knownBy are the torrents that the session of c finds under the two hashes.
func knownBy(c *client) (v1, v2 *Torrent) {
	return c.session.torrent(c.w.tor.InfoHash), c.session.torrent(c.w.tor.InfoHashV2.Truncated())
}

// TestHybridHashes: who knows a hybrid torrent by one hash gets it from who was given
// the other one; and another torrent may take the second hash away.
func TestHybridHashes(t *testing.T) {
	spec := swarmtest.Spec{Length: 2 * mib, PieceLength: 256 << 10, Format: swarmtest.Hybrid}
	inWorld(t, spec, func(w *world) {
		w.seed(uplink(20*mbit, 40*ms), swarmtest.SeederConfig{})
		a := w.join(joins{}) // by the hash of version 1
		if _, v2 := knownBy(a); v2 != nil {
			t.Error("known by a hash that nobody told")
		}
		<-a.info
		a.wantAll()
		time.Sleep(10 * time.Second)
		if v1, v2 := knownBy(a); v1 != a.torrent || v2 != a.torrent {
			t.Error("not known by both hashes")
		}
		w.seeders[0].Close()
		a.torrent.SetWants(1, nil)

		b := w.join(joins{second: true, peers: []string{a.addr()}})
		if v1, _ := knownBy(b); v1 != nil {
			t.Error("known by a hash that nobody told")
		}
		<-b.info
		b.wantAll()
		time.Sleep(10 * time.Second)
		if n := a.missing() + b.missing(); n > 0 {
			t.Fatalf("%d pieces are missing: %+v", n, b.torrent.Status())
		}

		own, err := a.session.Add(AddSpec{InfoHash: w.tor.InfoHashV2.Truncated(), Name: "own", Store: newShelf(w.tor)})
		if err != nil {
			t.Fatal(err)
		}
		if v1, v2 := knownBy(a); v1 != a.torrent || v2 != own {
			t.Error("its own hash does not lead to a torrent")
		}
		time.Sleep(time.Second)
		if len(a.torrent.finders.all()) != 1 {
			t.Error("two look for the same")
		}
		own.Close()
		a.torrent.Close()
		if v1, v2 := knownBy(a); v1 != nil || v2 != nil {
			t.Error("removed torrents are known")
		}
	})
}

// TestSecondHash: a link is believed until the info is there.
func TestSecondHash(t *testing.T) {
	spec := swarmtest.Spec{Length: mib, PieceLength: 256 << 10, Format: swarmtest.Hybrid}
	inWorld(t, spec, func(w *world) {
		wrong, late := metainfo.InfoHash{1}, metainfo.InfoHash{2}
		c := w.join(joins{})
		c.torrent.AddHash(wrong)
		time.Sleep(time.Second)
		c.torrent.AddHash(late)
		time.Sleep(time.Second)
		if c.session.torrent(wrong) != c.torrent || c.session.torrent(late) != nil {
			t.Error("the first of two claims does not count")
		}
		w.seed(uplink(20*mbit, 40*ms), swarmtest.SeederConfig{})
		c.torrent.AddPeers(w.peers)
		<-c.info
		time.Sleep(time.Second)
		if _, v2 := knownBy(c); v2 != c.torrent || c.session.torrent(wrong) != nil {
			t.Error("the info does not know better than a link")
		}
		if all := c.torrent.finders.all(); len(all) != 2 || all[1].hash != w.tor.InfoHashV2.Truncated() {
			t.Errorf("%d look for peers", len(all))
		}
		c.torrent.AddHash(wrong)
		time.Sleep(time.Second)
		if c.session.torrent(wrong) != nil {
			t.Error("a link counts more than the info")
		}

		// The true one belongs to another torrent, and a wrong one was told.
		d := w.join(joins{})
		other, err := d.session.Add(AddSpec{InfoHash: w.tor.InfoHashV2.Truncated(), Name: "other", Store: newShelf(w.tor)})
		if err != nil {
			t.Fatal(err)
		}
		d.torrent.AddHash(wrong)
		d.torrent.AddPeers(w.peers)
		<-d.info
		time.Sleep(time.Second)
		if v1, v2 := knownBy(d); v1 != d.torrent || v2 != other || d.session.torrent(wrong) != nil || len(d.torrent.finders.all()) != 1 {
			t.Error("two torrents share a hash, or one keeps a wrong one")
		}
	})
}

// TestCalledByHash: a peer is called by the hash under which it was found, and by the
// one that worked.
func TestCalledByHash(t *testing.T) {
	s := newStage(t, 3, false)
	one, two := metainfo.InfoHash{1}, metainfo.InfoHash{2}
	at := func(n byte) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, n}), 6881)
	}
	found := func(n byte, hash metainfo.InfoHash) {
		s.do1(event{msg: evCandidates{addrs: []netip.AddrPort{at(n)}, source: endpoint.FromDHT, hash: hash}})
	}
	found(1, two)
	if s.do.last.addr != at(1) || s.do.last.hash != two {
		t.Errorf("dialled %+v", s.do.last)
	}
	found(1, one)
	found(2, metainfo.InfoHash{})
	if s.do.last.addr != at(2) || s.do.last.hash != (metainfo.InfoHash{}) {
		t.Errorf("dialled %+v", s.do.last)
	}
	s.join(1, true)
	s.join(2, true)
	for n := byte(1); n <= 2; n++ {
		if got := s.l.cands.list[at(n)].hash; got != s.l.hash {
			t.Errorf("peer %d is called %v", n, got)
		}
	}
}

// TestHashesAreRejectedLater: libtorrent repeats a hash request when it is rejected, at
// once and for ever.
func TestHashesAreRejectedLater(t *testing.T) {
	s := newStage(t, 3, false)
	c, id := s.join(1, true)
	s.do1(event{msg: evTick{}})
	c.take()
	r := s.l.peers[id]
	r.hashing = 2
	for range 2 {
		s.do1(event{msg: evHashesServed{id: id, rejected: make([]byte, 48)}})
	}
	if got := c.take(); len(got) != 0 || r.hashing != 2 {
		t.Errorf("at once: %v", got)
	}
	s.now = s.now.Add(tickEvery)
	s.do1(event{msg: evTick{}})
	if n := 0; len(c.sent) > 0 {
		for _, m := range c.sent {
			if m.ID == wire.HashReject {
				n++
			}
		}
		if n != 2 || r.hashing != 0 || r.rejects != nil {
			t.Errorf("after a tick: %d rejects, %d still asked", n, r.hashing)
		}
	} else {
		t.Error("never rejected")
	}
}
