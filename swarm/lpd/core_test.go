package lpd

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var (
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	eth   = Interface{Index: 2, Name: "eth0", Prefixes: prefixes("192.168.1.5/24", "fe80::5/64")}
	eth4  = linkKey{IPv4, 2}
	eth6  = linkKey{IPv6, 2}
	alice = netip.MustParseAddrPort("192.168.1.9:6771")
)

// sim drives a core by its own wishes and writes down what it sends.
type sim struct {
	t   *testing.T
	c   *core
	now time.Time
}

func newSim(t *testing.T, keys ...linkKey) *sim {
	s := &sim{t: t, now: epoch, c: newCore(6881, "me", func(d time.Duration) time.Duration { return d / 2 })}
	links := make(map[linkKey]Interface)
	for _, k := range keys {
		links[k] = eth
	}
	s.c.setLinks(s.now, links)
	return s
}

// sent is a packet at a time since epoch.
type sent struct {
	at     time.Duration
	link   linkKey
	hashes int
}

// run lets the core act up to d after epoch.
func (s *sim) run(d time.Duration) (out []sent) {
	s.t.Helper()
	for range 10000 {
		packets, next := s.c.tick(s.now)
		for _, p := range packets {
			a, err := ParseAnnounce(p.data)
			if err != nil {
				s.t.Fatalf("sent garbage: %v", err)
			}
			if a.Host != p.link.family.Group().String() || a.Port != 6881 || a.Cookie != "me" {
				s.t.Fatalf("sent %+v on %v", a, p.link)
			}
			out = append(out, sent{s.now.Sub(epoch), p.link, len(a.Hashes)})
		}
		if next.IsZero() || next.After(epoch.Add(d)) {
			s.now = epoch.Add(d)
			return out
		}
		s.now = next
	}
	s.t.Fatal("the core never comes to rest")
	return nil
}

func (s *sim) hear(src netip.AddrPort, port uint16, cookie string, hashes ...[20]byte) []found {
	return s.c.packet(s.now, eth4, src, Announce{Port: port, Cookie: cookie, Hashes: hashes}.Append(nil))
}

func wantSent(t *testing.T, got []sent, want ...string) {
	t.Helper()
	var lines []string
	for _, p := range got {
		lines = append(lines, fmt.Sprintf("%v %v %d", p.at, p.link.family, p.hashes))
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("sent %q\nwant %q", lines, want)
	}
}

func TestScheduleOfOneTorrent(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	// jitter is half of period/20 here
	wantSent(t, s.run(13*time.Minute), "0s IPv4 1", "1m0s IPv4 1", "6m7.5s IPv4 1", "11m15s IPv4 1")
	if _, next := s.c.stats(s.now, hash(hexA)); !next.Equal(epoch.Add(16*time.Minute + 22500*time.Millisecond)) {
		t.Errorf("next announce at %v", next.Sub(epoch))
	}
}

func TestBothFamiliesAnnounce(t *testing.T) {
	s := newSim(t, eth4, eth6)
	s.c.add(s.now, hash(hexA))
	got := s.run(time.Second)
	if len(got) != 2 || got[0].link == got[1].link {
		t.Errorf("sent %v, want one packet on each link", got)
	}
}

func TestRemovedTorrentIsSilent(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	s.c.remove(hash(hexA))
	wantSent(t, s.run(time.Hour))
	if out := s.hear(alice, 1, "", hash(hexA)); out != nil {
		t.Errorf("reported %v", out)
	}
	if n, next := s.c.stats(s.now, hash(hexA)); n != 0 || !next.IsZero() {
		t.Errorf("stats %d, %v", n, next)
	}
}

// Many torrents: the first round is packed and paced, the regular packets keep
// one minute between them and nobody is forgotten.
func TestManyTorrents(t *testing.T) {
	s := newSim(t, eth4)
	for i := range 60 {
		var h [20]byte
		binary.BigEndian.PutUint32(h[:], uint32(i))
		s.c.add(s.now, h)
	}
	wantSent(t, s.run(9*time.Minute),
		"0s IPv4 25", "100ms IPv4 25", "200ms IPv4 10",
		"1m0s IPv4 25", "2m0s IPv4 25", "3m0s IPv4 10",
		"6m7.5s IPv4 25", "7m7.5s IPv4 25", "8m7.5s IPv4 10")
}

// Torrents added at different times end up in one packet; none is announced
// twice within a minute.
func TestTorrentsShareAPacket(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	s.run(20 * time.Second)
	s.c.add(s.now, hash(hexB))
	wantSent(t, s.run(13*time.Minute),
		"20s IPv4 1", "1m0s IPv4 1", "2m0s IPv4 1", "6m7.5s IPv4 2", "11m15s IPv4 2")
}

func TestStrangerIsReportedAndAnswered(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	s.run(10 * time.Second)
	out := s.hear(alice, 7000, "x", hash(hexB), hash(hexA))
	want := netip.MustParseAddrPort("192.168.1.9:7000")
	if len(out) != 1 || out[0].peer != want || out[0].hash != hash(hexA) {
		t.Fatalf("reported %v, want %v", out, want)
	}
	wantSent(t, s.run(11*time.Second), "10.125s IPv4 1")
	if out := s.hear(alice, 7000, "x", hash(hexA)); out != nil {
		t.Errorf("reported again after a second: %v", out)
	}
	wantSent(t, s.run(59*time.Second))
	s.run(70 * time.Second)
	if out := s.hear(alice, 7000, "x", hash(hexA)); len(out) != 1 {
		t.Errorf("reported %v after a minute, want the peer again", out)
	}
	if n, _ := s.c.stats(s.now, hash(hexA)); n != 1 {
		t.Errorf("%d announcers, want 1", n)
	}
	s.run(16*time.Minute + 10*time.Second)
	if n, _ := s.c.stats(s.now, hash(hexA)); n != 1 {
		t.Errorf("%d announcers after 15 minutes, want 1", n)
	}
	s.run(16*time.Minute + 11*time.Second)
	if n, _ := s.c.stats(s.now, hash(hexA)); n != 0 {
		t.Errorf("%d announcers after more than 15 minutes, want none", n)
	}
}

// A client that was started anew on the same port knows nobody: its cookie
// tells, and it is answered again.
func TestRestartedPeerIsAnswered(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	s.run(2 * time.Second)
	s.hear(alice, 7000, "old", hash(hexA))
	s.run(4 * time.Second)
	if out := s.hear(alice, 7000, "new", hash(hexA)); len(out) != 1 {
		t.Errorf("reported %v", out)
	}
	wantSent(t, s.run(5*time.Second), "4.125s IPv4 1")
}

// Forged strangers cannot make us send more than the budget: four at once and
// one each 15 s.
func TestAnswersAreLimited(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	s.run(0)
	n := 0
	for i := range 59 {
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 1, byte(10 + i)}), 6771)
		s.hear(src, 1000, "", hash(hexA))
		n += len(s.run(time.Duration(i+1) * time.Second))
	}
	if n != 7 {
		t.Errorf("%d answers in a minute, want 7", n)
	}
}

func TestNotBelieved(t *testing.T) {
	for _, tt := range []struct {
		name   string
		src    string
		link   linkKey
		port   uint16
		cookie string
	}{
		{"our own cookie", "192.168.1.9:6771", eth4, 7000, "me"},
		{"ourselves, cookie removed", "192.168.1.5:6771", eth4, 6881, ""},
		{"public source", "8.8.8.8:6771", eth4, 7000, ""},
		{"public source, v4-mapped", "[::ffff:8.8.8.8]:6771", eth4, 7000, ""},
		{"loopback on ethernet", "127.0.0.1:6771", eth4, 7000, ""},
		{"interface that is not joined", "192.168.1.9:6771", linkKey{IPv4, 3}, 7000, ""},
		{"port 0", "192.168.1.9:6771", eth4, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, eth4)
			s.c.add(s.now, hash(hexA))
			data := Announce{Port: tt.port, Cookie: tt.cookie, Hashes: [][20]byte{hash(hexA)}}.Append(nil)
			if out := s.c.packet(s.now, tt.link, netip.MustParseAddrPort(tt.src), data); out != nil {
				t.Errorf("reported %v", out)
			}
		})
	}
}

func TestOtherClientOnThisHostIsBelieved(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	if out := s.hear(netip.MustParseAddrPort("192.168.1.5:6771"), 6882, "x", hash(hexA)); len(out) != 1 {
		t.Errorf("reported %v", out)
	}
}

func TestLinkLocalPeerHasZone(t *testing.T) {
	s := newSim(t, eth6)
	s.c.add(s.now, hash(hexA))
	data := Announce{Port: 7000, Hashes: [][20]byte{hash(hexA)}}.Append(nil)
	out := s.c.packet(s.now, eth6, netip.MustParseAddrPort("[fe80::9%2]:6771"), data)
	if want := netip.MustParseAddrPort("[fe80::9%eth0]:7000"); len(out) != 1 || out[0].peer != want {
		t.Errorf("reported %v, want %v", out, want)
	}
}

// A neighbour counts once, over however many addresses it is heard.
func TestNeighboursAreCounted(t *testing.T) {
	type heard struct{ addr, cookie string }
	for _, tt := range []struct {
		name  string
		heard []heard
		want  int
	}{
		{"nobody", nil, 0},
		{"both families", []heard{{"192.168.1.9:7000", "a"}, {"[fe80::9]:7000", "a"}}, 1},
		{"two links", []heard{{"192.168.1.9:7000", "a"}, {"192.168.1.10:7000", "a"}}, 1},
		{"two clients of one host", []heard{{"192.168.1.9:7000", "a"}, {"192.168.1.9:7001", "b"}}, 2},
		{"two hosts", []heard{{"192.168.1.9:7000", "a"}, {"192.168.1.10:7000", "b"}}, 2},
		{"both families, no cookie", []heard{{"192.168.1.9:7000", ""}, {"[fe80::9]:7000", ""}}, 1},
		{"two hosts, no cookie", []heard{{"192.168.1.9:7000", ""}, {"192.168.1.10:7000", ""}, {"[fe80::9]:7000", ""}}, 2},
		{"other ports, no cookie", []heard{{"192.168.1.9:7000", ""}, {"[fe80::9]:7001", ""}}, 2},
		{"with and without", []heard{{"192.168.1.9:7000", "a"}, {"192.168.1.10:7000", ""}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, eth4, eth6)
			s.c.add(s.now, hash(hexA))
			for _, h := range tt.heard {
				a := netip.MustParseAddrPort(h.addr)
				k := eth4
				if a.Addr().Is6() {
					k = eth6
				}
				data := Announce{Port: a.Port(), Cookie: h.cookie, Hashes: [][20]byte{hash(hexA)}}.Append(nil)
				s.c.packet(s.now, k, netip.AddrPortFrom(a.Addr(), 6771), data)
			}
			if n, _ := s.c.stats(s.now, hash(hexA)); n != tt.want {
				t.Errorf("%d neighbours, want %d", n, tt.want)
			}
		})
	}
}

// Strangers over the budget are answered all the same, with one packet, when there is a token again. libtorrent with many
// addresses is many strangers, and does not ask a second time for five minutes.
func TestLateAnswer(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	s.run(10 * time.Second)
	var out []sent
	for i := range 7 {
		s.hear(alice, uint16(7000+i), "", hash(hexA))
		out = append(out, s.run(time.Duration(11+i)*time.Second)...)
	}
	out = append(out, s.run(50*time.Second)...)
	wantSent(t, out, "10.125s IPv4 1", "11.125s IPv4 1", "12.125s IPv4 1", "13.125s IPv4 1", "25.125s IPv4 1")
}

// A hybrid torrent has two info-hashes; who announces both is one.
func TestAnnouncersOfTwoHashes(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	s.c.add(s.now, hash(hexB))
	s.hear(alice, 7000, "x", hash(hexA), hash(hexB))
	s.hear(alice, 7001, "y", hash(hexB))
	for _, tt := range []struct {
		hashes [][20]byte
		want   int
	}{{[][20]byte{hash(hexA)}, 1}, {[][20]byte{hash(hexB)}, 2}, {[][20]byte{hash(hexA), hash(hexB)}, 2}, {nil, 0}} {
		if n, next := s.c.stats(s.now, tt.hashes...); n != tt.want || next.IsZero() != (tt.want == 0) {
			t.Errorf("%d announcers of %d hashes, next %v", n, len(tt.hashes), next)
		}
	}
}

func TestAnnouncersAreBounded(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	for port := range maxHeard + 10 {
		s.hear(alice, uint16(port+1), "", hash(hexA))
		s.now = s.now.Add(time.Second)
	}
	if n, _ := s.c.stats(s.now, hash(hexA)); n != maxHeard {
		t.Errorf("%d announcers, want %d", n, maxHeard)
	}
	// Those that missed their turn give way to new ones.
	s.now = s.now.Add(period + minGap)
	if out := s.hear(alice, 9999, "", hash(hexA)); len(out) != 1 {
		t.Errorf("reported %v, want the newcomer", out)
	}
}

func TestReceptionIsLimited(t *testing.T) {
	s := newSim(t, eth4)
	s.c.add(s.now, hash(hexA))
	count := func(src netip.AddrPort, n int) (got int) {
		for i := range n {
			got += len(s.hear(src, uint16(1+i), "", hash(hexA)))
		}
		return got
	}
	if n := count(alice, 500); n != burstOne {
		t.Errorf("%d packets of one source passed, want %d", n, burstOne)
	}
	if n := count(netip.MustParseAddrPort("192.168.1.10:1"), 10); n == 0 {
		t.Error("one source silenced another")
	}
	var l limiter
	passed := 0
	for i := range 10 * maxSources {
		if l.allow(epoch, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})) {
			passed++
		}
	}
	if passed != burstAll || len(l.sources) != maxSources {
		t.Errorf("%d packets passed, %d sources kept; want %d and %d", passed, len(l.sources), burstAll, maxSources)
	}
	if !l.allow(epoch.Add(2*time.Minute), alice.Addr()) {
		t.Error("idle sources are never forgotten")
	}
}

func TestInterfaceChanges(t *testing.T) {
	s := newSim(t)
	s.c.add(s.now, hash(hexA))
	s.c.add(s.now, hash(hexB))
	wantSent(t, s.run(10*time.Second))
	up := map[linkKey]Interface{eth4: eth}
	s.c.setLinks(s.now, up)
	wantSent(t, s.run(20*time.Second), "10s IPv4 2")
	s.c.setLinks(s.now, up)
	wantSent(t, s.run(30*time.Second)) // nothing new
	moved := eth
	moved.Prefixes = prefixes("192.168.7.5/24")
	s.c.setLinks(s.now, map[linkKey]Interface{eth4: moved})
	wantSent(t, s.run(40*time.Second), "30s IPv4 2")
	s.c.failed(eth4)
	wantSent(t, s.run(2*time.Minute))
	if out := s.hear(alice, 7000, "", hash(hexA)); len(out) != 1 {
		t.Errorf("a link that cannot send reported %v, want the peer", out)
	}
	wantSent(t, s.run(3*time.Minute))
	s.c.setLinks(s.now, map[linkKey]Interface{eth4: moved})
	wantSent(t, s.run(3*time.Minute+time.Second), "3m0s IPv4 2")
	s.c.setLinks(s.now, nil)
	wantSent(t, s.run(time.Hour))
}

// FuzzCore feeds packets and time steps; the state must stay bounded and the
// core must neither panic nor send faster than it may.
func FuzzCore(f *testing.F) {
	f.Add([]byte(vector), uint32(3232235785), byte(10))
	f.Fuzz(func(t *testing.T, data []byte, src uint32, steps byte) {
		s := newSim(t, eth4, eth6)
		s.c.add(s.now, hash(hexA))
		var a [4]byte
		packets := 0
		for i := range int(steps) {
			binary.BigEndian.PutUint32(a[:], src+uint32(i))
			s.c.packet(s.now, eth4, netip.AddrPortFrom(netip.AddrFrom4(a), 1), data)
			packets += len(s.run(time.Duration(i) * time.Second))
		}
		// 2 first, 2 each minute, 4 + one each 15 s of answers
		if limit := 2 + 2*(1+int(steps)/60) + 4 + 1 + int(steps)/15; packets > limit {
			t.Errorf("%d packets in %d s, want at most %d", packets, steps, limit)
		}
		if n := len(s.c.torrents[hash(hexA)].heard); n > maxHeard {
			t.Errorf("%d announcers kept", n)
		}
	})
}
