package krpc

import (
	"bytes"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestCompareIsXORDistance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for range 1000 {
		target := RandomID(rng)
		a := RandomSharing(target, rng.IntN(IDBits), rng)
		b := RandomSharing(target, rng.IntN(IDBits), rng)
		want := distance(target, a).Cmp(distance(target, b))
		if got := target.Compare(a, b); got != want {
			t.Fatalf("target %v: %v, %v: got %d, want %d", target, a, b, got, want)
		}
		if target.Compare(a, a) != 0 {
			t.Fatal("an ID is closer than itself")
		}
	}
}

func distance(a, b ID) *big.Int {
	for i := range a {
		a[i] ^= b[i]
	}
	return new(big.Int).SetBytes(a[:])
}

func TestRandomSharing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	own := RandomID(rng)
	for n := range IDBits {
		if got := own.CommonBits(RandomSharing(own, n, rng)); got != n {
			t.Errorf("shares %d bits, want %d", got, n)
		}
	}
	if own.CommonBits(own) != IDBits {
		t.Error("an ID does not share all bits with itself")
	}
}

func TestBit(t *testing.T) {
	id := ID{0: 0x80, 2: 0x01}
	for i := range IDBits {
		want := byte(0)
		if i == 0 || i == 23 {
			want = 1
		}
		if id.Bit(i) != want {
			t.Errorf("bit %d is %d", i, id.Bit(i))
		}
	}
}

// TestSecureID has the published vectors of BEP 42, and three for IPv6. prefix
// holds the first 21 bits.
func TestSecureID(t *testing.T) {
	for _, c := range []struct {
		ip     string
		r      byte
		prefix string
		id     string // published, without the random middle
	}{
		{"124.31.75.21", 1, "5fbfb8", "5fbfbf"},
		{"21.75.31.124", 86, "5a3ce8", "5a3ce9"},
		{"65.23.51.170", 22, "a5d430", "a5d432"},
		{"84.124.73.14", 65, "1b0320", "1b0321"},
		{"43.213.53.83", 90, "e56f68", "e56f6c"},
		{"2001:db8:100:0:d5c8:db3f:995e:c0f7", 1, "accc00", ""},
		{"2a02:6b8::feed:ff", 86, "de3128", ""},
		{"2001:db8:85a3::8a2e:370:7334", 22, "ff8530", ""},
	} {
		t.Run(c.ip, func(t *testing.T) {
			addr := netip.MustParseAddr(c.ip)
			crc := secureCRC(addr, c.r)
			got := []byte{byte(crc >> 24), byte(crc >> 16), byte(crc>>8) & 0xf8}
			if hex.EncodeToString(got) != c.prefix {
				t.Errorf("prefix %x, want %s", got, c.prefix)
			}
			for _, text := range []string{c.prefix, c.id} {
				var id ID
				if b, _ := hex.DecodeString(text); len(b) == 3 {
					copy(id[:], b)
					id[19] = c.r
					if !Compliant(id, addr) {
						t.Errorf("%v does not comply", id)
					}
					id[1] ^= 1
					if Compliant(id, addr) {
						t.Errorf("%v complies", id)
					}
				}
			}
		})
	}
}

func TestSecureIDComplies(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for _, ip := range []string{"8.8.8.8", "203.0.113.200", "2001:db8::1", "::ffff:8.8.8.8"} {
		addr := netip.MustParseAddr(ip)
		for range 100 {
			id := SecureID(addr, rng)
			if !Compliant(id, addr) {
				t.Fatalf("%v at %v", id, addr)
			}
			id[2] ^= 0x07 // the lower three bits are random
			if !Compliant(id, addr) {
				t.Fatalf("%v at %v: random bits count", id, addr)
			}
			id[2] ^= 0x08
			if Compliant(id, addr) {
				t.Fatalf("%v at %v: bit 21 does not count", id, addr)
			}
		}
	}
}

func TestCompliantExempt(t *testing.T) {
	id := ID([]byte("abcdefghij0123456789"))
	for ip, want := range map[string]bool{
		"10.1.2.3": true, "172.16.0.1": true, "192.168.1.1": true, "169.254.3.4": true, "127.0.0.1": true,
		"::1": true, "fe80::1": true, "fc00::1": true, "::ffff:10.1.2.3": true,
		"8.8.8.8": false, "172.32.0.1": false, "2001:db8::1": false, "198.18.0.1": false,
	} {
		if got := Compliant(id, netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
	if Compliant(id, netip.Addr{}) {
		t.Error("no address complies")
	}
}

func TestNodesRoundTrip(t *testing.T) {
	var b []byte
	nodes := []NodeInfo{
		{idA, netip.MustParseAddrPort("192.0.2.1:1")},
		{idM, netip.MustParseAddrPort("203.0.113.9:65535")},
	}
	for _, n := range nodes {
		b = AppendNode(b, n)
	}
	if len(b) != 2*NodeLen4 {
		t.Fatalf("%d bytes", len(b))
	}
	got := ParseNodes(b, false)
	if len(got) != 2 || got[0] != nodes[0] || got[1] != nodes[1] {
		t.Errorf("got %v", got)
	}
	if ParseNodes(b[:51], false) != nil || ParseNodes(nil, true) != nil {
		t.Error("a list of a wrong length was read")
	}
	if bytes.Equal(b[:20], b[26:46]) {
		t.Error("IDs mixed up")
	}
}
