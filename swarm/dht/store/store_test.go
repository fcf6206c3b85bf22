package store

import (
	"crypto/ed25519"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"magnetfs/swarm/dht/krpc"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hash  = krpc.ID{1}
)

func newRand() *rand.Rand { return rand.New(rand.NewPCG(1, 0)) }

func peer(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// numbered makes distinct peers: n-th host of the network 8.net.
func numbered(net, n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, byte(net >> 8), byte(net), byte(n)}), 1)
}

func TestFilterVectors(t *testing.T) {
	var one Filter
	one.Insert(netip.MustParseAddr("192.168.1.1"))
	for i, b := range one {
		want := byte(0)
		if i == 213 || i == 228 {
			want = 0x80
		}
		if b != want {
			t.Errorf("byte %d of the filter is %#x, want %#x", i, b, want)
		}
	}
	// The test vector of BEP 33.
	var f Filter
	for i := range 256 {
		f.Insert(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	for i := range 0x3e8 {
		a := netip.MustParseAddr("2001:db8::").As16()
		a[14], a[15] = byte(i>>8), byte(i)
		f.Insert(netip.AddrFrom16(a))
	}
	text := hex.EncodeToString(f[:])
	if !strings.HasPrefix(text, "f6c3f5eaa07ffd91bde89f777f26fb2b") || !strings.HasSuffix(text, "737ffffbfd9f6aeffeee76b6fd8f72ef") {
		t.Errorf("filter %s", text)
	}
	if sum := sha1.Sum(f[:]); hex.EncodeToString(sum[:]) != "e4dabf3c822dcd0030ee21df8369bfef2594b52b" {
		t.Errorf("SHA-1 of the filter %x", sum)
	}
	if e := f.Estimate(); math.Abs(e-1224.9309) > 0.0001 {
		t.Errorf("estimate %f", e)
	}
}

func TestFilterEnds(t *testing.T) {
	var f Filter
	in, out := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if f.Has(in) {
		t.Error("an empty filter has something")
	}
	if f.Insert(in); !f.Has(in) || f.Has(out) {
		t.Error("not what was inserted")
	}
	f = Filter{}
	if f.Estimate() != 0 || f.Full() {
		t.Error("an empty filter holds something")
	}
	for i := range f {
		f[i] = 0xff
	}
	if e := f.Estimate(); e < 7000 || e > 8500 || math.IsInf(e, 0) || !f.Full() {
		t.Errorf("a full filter is estimated at %f", e)
	}
}

func TestCombineDropsLies(t *testing.T) {
	var honest, full, none Filter
	for i := range 10 {
		honest.Insert(numbered(0, i).Addr())
	}
	for i := range full {
		full[i] = 0xff
	}
	sum := Combine([]Filter{honest, honest, none, full, honest, full})
	if sum != honest {
		t.Errorf("estimate %f, want 10", sum.Estimate())
	}
	if Combine(nil) != none || Combine([]Filter{none, none}) != none {
		t.Error("nothing combines to something")
	}
}

func TestTokens(t *testing.T) {
	tok := NewTokens([32]byte{1})
	ip, other := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("8.8.8.9")
	now := start.Add(2*time.Minute + 3*time.Second)
	token := tok.Make(ip, hash, now)
	if len(token) != tokenLen {
		t.Errorf("token of %d bytes", len(token))
	}
	for _, c := range []struct {
		name   string
		token  []byte
		ip     netip.Addr
		target krpc.ID
		after  time.Duration
		want   bool
	}{
		{"at once", token, ip, hash, 0, true},
		{"after 5 minutes", token, ip, hash, 5 * time.Minute, true},
		{"after 10 minutes", token, ip, hash, 10 * time.Minute, false},
		{"another address", token, other, hash, 0, false},
		{"another target", token, ip, krpc.ID{2}, 0, false},
		{"v4-mapped spelling", token, netip.MustParseAddr("::ffff:8.8.8.8"), hash, 0, true},
		{"empty", nil, ip, hash, 0, false},
		{"cut", token[:4], ip, hash, 0, false},
		{"longer", append(slices.Clone(token), 0), ip, hash, 0, false},
	} {
		if got := tok.Valid(c.token, c.ip, c.target, now.Add(c.after)); got != c.want {
			t.Errorf("%s: valid %v", c.name, got)
		}
	}
	if NewTokens([32]byte{2}).Valid(token, ip, hash, now) {
		t.Error("valid under another secret")
	}
}

func TestAnnounce(t *testing.T) {
	p := NewPeers(Limits{}, nil)
	p.Announce(hash, peer("8.8.8.8:1"), false, start)
	p.Announce(hash, peer("8.8.8.8:1"), true, start) // again, as a seed
	p.Announce(hash, peer("8.8.9.9:1"), false, start)
	if p.Len() != 2 || p.Hashes() != 1 {
		t.Errorf("%d peers of %d hashes", p.Len(), p.Hashes())
	}
	got := p.Get(hash, 10, true, start, newRand())
	if len(got) != 2 || got[0] != peer("8.8.9.9:1") {
		t.Errorf("noseed does not prefer others: %v", got)
	}
	if p.Get(krpc.ID{9}, 10, false, start, newRand()) != nil || p.Has(krpc.ID{9}) {
		t.Error("an unknown hash has peers")
	}
}

func TestExpiry(t *testing.T) {
	p := NewPeers(Limits{}, nil)
	p.Announce(hash, peer("8.8.8.8:1"), false, start)
	p.Announce(hash, peer("8.8.9.9:1"), false, start.Add(10*time.Minute))
	now := start.Add(45 * time.Minute)
	if got := p.Get(hash, 10, false, now, newRand()); len(got) != 1 {
		t.Errorf("an old announce is handed out: %v", got)
	}
	p.Announce(hash, peer("8.8.8.8:1"), false, start.Add(20*time.Minute)) // renewed
	p.Expire(now)
	if p.Len() != 2 {
		t.Errorf("%d peers", p.Len())
	}
	p.Expire(start.Add(66 * time.Minute))
	if p.Len() != 0 || p.Hashes() != 0 || len(p.fair.sources) != 0 || len(p.fair.heap) != 0 {
		t.Error("something is left after all expired")
	}
}

func TestPortsPerAddress(t *testing.T) {
	for _, c := range []struct {
		name  string
		local func(netip.Addr) bool
		want  int
	}{
		{"Internet", nil, perAddress},
		{"local", func(netip.Addr) bool { return true }, 20},
	} {
		p := NewPeers(Limits{}, c.local)
		for i := range 20 {
			a := netip.AddrPortFrom(netip.MustParseAddr("8.8.8.8"), uint16(1000+i))
			p.Announce(hash, a, false, start.Add(time.Duration(i)*time.Second))
		}
		got := p.Get(hash, 100, false, start, newRand())
		if len(got) != c.want || !slices.Contains(got, peer("8.8.8.8:1019")) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestSwarmIsBounded(t *testing.T) {
	p := NewPeers(Limits{PerHash: 10}, nil)
	for i := range 30 {
		p.Announce(hash, numbered(i, 1), false, start.Add(time.Duration(i)*time.Second))
	}
	got := p.Get(hash, 100, false, start, newRand())
	if len(got) != 10 || !slices.Contains(got, numbered(29, 1)) || slices.Contains(got, numbered(0, 1)) {
		t.Errorf("got %v", got)
	}
}

// TestFairness: one network announces as much as it can. Those who were there
// before, and those who come later, keep their entries.
func TestFairness(t *testing.T) {
	for name, lim := range map[string]Limits{
		"hashes": {Hashes: 100, Total: 1 << 20},
		"total":  {Hashes: 1 << 20, Total: 100},
	} {
		p := NewPeers(lim, nil)
		rng := newRand()
		quiet := func(n int) (krpc.ID, netip.AddrPort) { return krpc.ID{2, byte(n)}, numbered(1000+n, 1) }
		for n := range 20 {
			h, a := quiet(n)
			p.Announce(h, a, false, start)
		}
		for i := range 5000 {
			p.Announce(krpc.RandomID(rng), numbered(1, i%250), false, start)
			if i == 2500 {
				for n := range 20 {
					h, a := quiet(20 + n)
					p.Announce(h, a, false, start)
				}
			}
		}
		for n := range 40 {
			h, a := quiet(n)
			if !slices.Contains(p.Get(h, 1, false, start, rng), a) {
				t.Errorf("%s: quiet peer %d was displaced", name, n)
			}
		}
		if p.Hashes() > 100 || p.Len() > 5000 {
			t.Errorf("%s: %d hashes, %d peers", name, p.Hashes(), p.Len())
		}
		p.check(t)
	}
}

// check verifies that the indices agree.
func (p *Peers) check(t *testing.T) {
	t.Helper()
	n := 0
	for i, sw := range p.order {
		n += len(sw.entries)
		if sw.at != i || p.swarms[sw.hash] != sw || len(sw.entries) == 0 {
			t.Errorf("swarm %d is at %d with %d entries", i, sw.at, len(sw.entries))
		}
	}
	inLedger := 0
	for _, s := range p.fair.sources {
		inLedger += s.entries.Len()
		if p.fair.heap[s.index] != s {
			t.Error("a source is lost in the heap")
		}
	}
	if n != p.Len() || n != inLedger || len(p.order) != len(p.swarms) {
		t.Errorf("%d entries in swarms, %d in the ledger, Len %d", n, inLedger, p.Len())
	}
}

func TestRandomAnnounces(t *testing.T) {
	p := NewPeers(Limits{Hashes: 30, PerHash: 10, Total: 80}, nil)
	rng := newRand()
	now := start
	for range 20000 {
		now = now.Add(time.Duration(rng.IntN(10)) * time.Second)
		p.Announce(krpc.ID{byte(rng.IntN(60))}, numbered(rng.IntN(1+rng.IntN(20)), rng.IntN(8)), rng.IntN(2) == 0, now)
		if rng.IntN(200) == 0 {
			p.Expire(now)
		}
		if p.Hashes() > 30 || p.Len() > 80 {
			t.Fatalf("%d hashes, %d peers", p.Hashes(), p.Len())
		}
	}
	p.check(t)
}

func TestSample(t *testing.T) {
	p := NewPeers(Limits{}, nil)
	rng := newRand()
	if len(p.Sample(20, rng)) != 0 {
		t.Error("a sample of nothing")
	}
	for i := range 50 {
		p.Announce(krpc.ID{byte(i)}, numbered(1, 1), false, start)
	}
	seen := map[krpc.ID]bool{}
	for range 50 {
		s := p.Sample(20, rng)
		if len(s) != 20 {
			t.Fatalf("%d samples", len(s))
		}
		one := map[krpc.ID]bool{}
		for _, h := range s {
			seen[h], one[h] = true, true
		}
		if len(one) != 20 {
			t.Error("a hash twice in a sample")
		}
	}
	if len(seen) != 50 {
		t.Errorf("%d of 50 hashes ever sampled", len(seen))
	}
	p.check(t)
}

func TestFilters(t *testing.T) {
	p := NewPeers(Limits{}, nil)
	p.Announce(hash, peer("8.8.8.8:1"), true, start)
	p.Announce(hash, peer("8.8.8.8:2"), false, start) // the same address: counted as a seed
	p.Announce(hash, peer("8.8.9.9:1"), false, start)
	p.Announce(hash, peer("8.8.7.7:1"), false, start.Add(-time.Hour)) // too old
	seeds, peers := p.Filters(hash, start)
	var s, l Filter
	s.Insert(netip.MustParseAddr("8.8.8.8"))
	l.Insert(netip.MustParseAddr("8.8.9.9"))
	if seeds != s || peers != l {
		t.Errorf("estimates %f, %f", seeds.Estimate(), peers.Estimate())
	}
}

// The vectors of BEP 44.
const (
	vectorKey  = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548"
	vectorSig  = "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01"
	saltedSig  = "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17ddf9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08"
	helloWorld = "12:Hello World!"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func TestItemVectors(t *testing.T) {
	for _, c := range []struct {
		name   string
		m      krpc.Message
		target string
	}{
		{"immutable", krpc.Message{Value: []byte(helloWorld)}, "e5f96f6f38320f0f33959cb4d3d656452117aadb"},
		{"mutable", krpc.Message{Value: []byte(helloWorld), Key: unhex(vectorKey), Sig: unhex(vectorSig), Seq: 1, HasSeq: true},
			"4a533d47ec9c7d95b1ad75f576cffc641853b750"},
		{"mutable with salt", krpc.Message{Value: []byte(helloWorld), Key: unhex(vectorKey), Sig: unhex(saltedSig), Seq: 1,
			HasSeq: true, Salt: []byte("foobar")}, "411eba73b6f087ca51a3795d9c8c938d365e32c1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewItems()
			if err := s.Put(&c.m, netip.MustParseAddr("8.8.8.8"), start); err != nil {
				t.Fatal(err)
			}
			target := Target(&c.m)
			if target.String() != c.target {
				t.Errorf("target %v, want %s", target, c.target)
			}
			it := s.Get(target, start)
			if it == nil || string(it.Value) != helloWorld {
				t.Errorf("got %v", it)
			}
			if s.Get(target, start.Add(itemLife)) != nil {
				t.Error("still there after two hours")
			}
			s.Expire(start.Add(itemLife))
			if s.Len() != 0 {
				t.Error("not forgotten")
			}
		})
	}
	// BEP 46: targets of mutable torrents.
	key := unhex("8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e")
	if got := Target(&krpc.Message{Key: key}); got.String() != "cc3f9d90b572172053626f9980ce261a850d050b" {
		t.Errorf("target %v", got)
	}
	if got := Target(&krpc.Message{Key: key, Salt: []byte("n")}); got.String() != "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f" {
		t.Errorf("target with salt %v", got)
	}
}

func TestPut(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	signed := func(seq int64, value, salt string) krpc.Message {
		m := krpc.Message{Value: []byte(value), Salt: []byte(salt), Seq: seq, HasSeq: true}
		m.Key = key.Public().(ed25519.PublicKey)
		m.Sig = ed25519.Sign(key, Signed(m.Salt, seq, m.Value))
		return m
	}
	with := func(m krpc.Message, change func(*krpc.Message)) krpc.Message { change(&m); return m }
	for _, c := range []struct {
		name string
		put  krpc.Message
		code int // 0: stored
	}{
		{"newer", signed(6, "1:b", ""), 0},
		{"same again", signed(5, "1:a", ""), 0},
		{"same number, another value", signed(5, "1:b", ""), krpc.ErrSequenceOlder},
		{"older", signed(4, "1:b", ""), krpc.ErrSequenceOlder},
		{"cas fits", with(signed(6, "1:b", ""), func(m *krpc.Message) { m.CAS, m.HasCAS = 5, true }), 0},
		{"cas does not fit", with(signed(6, "1:b", ""), func(m *krpc.Message) { m.CAS, m.HasCAS = 4, true }), krpc.ErrCASMismatch},
		{"bad signature", with(signed(6, "1:b", ""), func(m *krpc.Message) { m.Value = []byte("1:c") }), krpc.ErrSignature},
		{"no signature", with(signed(6, "1:b", ""), func(m *krpc.Message) { m.Sig = nil }), krpc.ErrProtocol},
		{"no seq", with(signed(6, "1:b", ""), func(m *krpc.Message) { m.HasSeq = false }), krpc.ErrProtocol},
		{"negative seq", signed(-1, "1:b", "x"), krpc.ErrProtocol},
		{"salt of 64 bytes", signed(1, "1:b", strings.Repeat("s", 64)), 0},
		{"salt of 65 bytes", signed(1, "1:b", strings.Repeat("s", 65)), krpc.ErrSaltTooBig},
		{"value of 1000 bytes", krpc.Message{Value: []byte("996:" + strings.Repeat("v", 996))}, 0},
		{"value of 1001 bytes", krpc.Message{Value: []byte("997:" + strings.Repeat("v", 997))}, krpc.ErrValueTooBig},
		{"no value", krpc.Message{}, krpc.ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewItems()
			first := signed(5, "1:a", "")
			from := netip.MustParseAddr("8.8.8.8")
			if err := s.Put(&first, from, start); err != nil {
				t.Fatal(err)
			}
			err := s.Put(&c.put, from, start)
			var fault *PutError
			code := 0
			if errors.As(err, &fault) {
				code = fault.Code
			}
			if code != c.code {
				t.Errorf("got %v, want code %d", err, c.code)
			}
		})
	}
}

func TestItemsAreBoundedFairly(t *testing.T) {
	s := NewItems()
	quiet := krpc.Message{Value: []byte("5:quiet")}
	if err := s.Put(&quiet, netip.MustParseAddr("9.9.9.9"), start); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxItems {
		m := krpc.Message{Value: []byte("i" + time.Duration(i).String() + "e")}
		if err := s.Put(&m, netip.MustParseAddr("8.8.8.8"), start); err != nil {
			t.Fatal(err)
		}
	}
	if s.Len() != maxItems {
		t.Errorf("%d items", s.Len())
	}
	if s.Get(Target(&quiet), start) == nil {
		t.Error("one network displaced the item of another")
	}
}
