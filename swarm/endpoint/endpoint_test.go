package endpoint

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
)

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func TestCompact(t *testing.T) {
	tests := []struct {
		name, addr string
		want       string
		back       string // parsed again
	}{
		{"IPv4", "192.0.2.17:6881", "\xc0\x00\x02\x11\x1a\xe1", "192.0.2.17:6881"},
		{"IPv4, port 0", "1.2.3.4:0", "\x01\x02\x03\x04\x00\x00", "1.2.3.4:0"},
		{"IPv6", "[2001:db8::1]:6881",
			"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1", "[2001:db8::1]:6881"},
		{"mapped", "[::ffff:192.0.2.17]:6881", "\xc0\x00\x02\x11\x1a\xe1", "192.0.2.17:6881"},
		{"zone is lost", "[fe80::1%eth0]:1",
			"\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", "[fe80::1]:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := AppendCompact([]byte("x"), addrPort(tt.addr))
			if string(got) != "x"+tt.want {
				t.Errorf("encoded %x, want %x", got[1:], tt.want)
			}
			parse := ParseCompact4
			if len(tt.want) == Compact6Len {
				parse = ParseCompact6
			}
			back, err := parse([]byte(tt.want + tt.want))
			if want := addrPort(tt.back); err != nil || !slices.Equal(back, []netip.AddrPort{want, want}) {
				t.Errorf("parsed %v, %v", back, err)
			}
		})
	}
	if got := AppendCompact(nil, netip.AddrPort{}); len(got) != 0 {
		t.Errorf("no address encoded as %x", got)
	}
}

func TestParseCompactLengths(t *testing.T) {
	for n := range 40 {
		b := make([]byte, n)
		if peers, err := ParseCompact4(b); (err == nil) != (n%6 == 0) || len(peers) != n/6 && err == nil {
			t.Errorf("IPv4, %d bytes: %d peers, %v", n, len(peers), err)
		}
		if peers, err := ParseCompact6(b); (err == nil) != (n%18 == 0) || len(peers) != n/18 && err == nil {
			t.Errorf("IPv6, %d bytes: %d peers, %v", n, len(peers), err)
		}
	}
}

func TestParseCompact6Unmaps(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:1.2.3.4").As16()
	got, err := ParseCompact6(append(mapped[:], 0, 80))
	if err != nil || len(got) != 1 || got[0] != addrPort("1.2.3.4:80") {
		t.Errorf("parsed %v, %v", got, err)
	}
}

func FuzzCompact(f *testing.F) {
	f.Add([]byte("\xc0\x00\x02\x11\x1a\xe1"))
	f.Add([]byte("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x1a\xe1"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if peers, err := ParseCompact4(in); err == nil {
			var back []byte
			for _, p := range peers {
				back = AppendCompact(back, p)
			}
			if !bytes.Equal(back, in) {
				t.Errorf("IPv4: %x became %x", in, back)
			}
		}
		peers, err := ParseCompact6(in)
		if err != nil {
			return
		}
		for i, p := range peers {
			entry := in[i*Compact6Len : (i+1)*Compact6Len]
			if p.Addr().Is4() { // was mapped
				entry = entry[12:]
			}
			if got := AppendCompact(nil, p); !bytes.Equal(got, entry) {
				t.Errorf("IPv6: %x became %x", entry, got)
			}
		}
	})
}

func TestDialable(t *testing.T) {
	all := []Source{FromDHT, FromPEX, FromLPD, FromTracker, FromMagnet, FromIncoming, FromSaved, FromHolepunch}
	strangers := []Source{FromDHT, FromPEX, FromTracker, FromIncoming, FromHolepunch}
	homely := []Source{FromLPD, FromMagnet, FromSaved}
	const public, private, loopback = "93.184.216.34", "192.168.7.7", "127.0.0.1"
	tests := []struct {
		name     string
		addrs    []string
		sources  []Source
		informer string
		ok       bool
	}{
		{"public addresses", []string{"93.184.216.34:6881", "[2606:2800:220:1::1]:6881", "93.184.216.34:80", "[::ffff:93.184.216.34]:1"}, all, public, true},
		{"without informant", []string{"93.184.216.34:6881"}, all, "", true},
		{"never", []string{
			"93.184.216.34:0", "0.0.0.0:1", "0.1.2.3:1", "[::]:1", "224.0.0.1:1", "239.192.152.143:6771", "[ff15::efc0:988f]:6771",
			"240.0.0.1:1", "255.255.255.255:1", "[::ffff:0.0.0.0]:1", "[::ffff:224.0.0.1]:1", "[::ffff:255.255.255.255]:1",
		}, all, loopback, false},
		{"private, by strangers", []string{
			"10.0.0.1:1", "172.16.0.1:1", "172.31.255.255:1", "192.168.1.1:1", "169.254.169.254:80", "100.64.0.1:1", "100.127.255.255:1",
			"[fc00::1]:1", "[fd00::1]:1", "[fe80::1]:1", "[fec0::1]:1", "[::ffff:10.0.0.1]:1", "[::ffff:169.254.169.254]:80",
		}, strangers, public, false},
		{"just outside of private", []string{"172.32.0.1:1", "172.15.0.1:1", "100.128.0.1:1", "100.63.255.255:1", "192.169.0.1:1", "11.0.0.1:1"}, strangers, public, true},
		{"private, without informant", []string{"10.0.0.1:1"}, strangers, "", false},
		{"private, by neighbours", []string{"10.0.0.1:1", "[fe80::1%eth0]:1", "100.64.0.1:1"}, all, private, true},
		{"private, by carrier neighbours", []string{"100.64.0.1:1"}, all, "100.64.9.9", true},
		{"private, by mapped neighbours", []string{"10.0.0.1:1"}, all, "::ffff:10.9.9.9", true},
		{"private, by this host", []string{"10.0.0.1:1"}, all, loopback, true},
		{"private, by LPD, user, memory", []string{"10.0.0.1:1", "[fe80::1%eth0]:1", "[fec0::1%eth0]:1"}, homely, "", true},
		{"loopback, by strangers", []string{"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}, strangers, public, false},
		{"loopback, by neighbours", []string{"127.0.0.1:1", "[::1]:1"}, append(strangers, FromLPD, FromSaved), private, false},
		{"loopback, by this host", []string{"127.0.0.1:1", "[::1]:1"}, all, loopback, true},
		{"loopback, by this host over IPv6", []string{"127.0.0.1:1"}, all, "::1", true},
		{"loopback, by the user", []string{"127.0.0.1:1"}, []Source{FromMagnet}, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var informant netip.Addr
			if tt.informer != "" {
				informant = netip.MustParseAddr(tt.informer)
			}
			for _, a := range tt.addrs {
				for _, src := range tt.sources {
					err := Dialable(addrPort(a), src, informant)
					if (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrRefused) {
						t.Errorf("%s from %v told by %q: %v", a, src, tt.informer, err)
					}
				}
			}
		})
	}
	if err := Dialable(netip.AddrPort{}, FromMagnet, netip.Addr{}); !errors.Is(err, ErrRefused) {
		t.Errorf("no address: %v", err)
	}
}

func TestSourceString(t *testing.T) {
	seen := map[string]bool{}
	for s := range Source(NumSources) {
		if seen[s.String()] || s.String() == "" {
			t.Errorf("source %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
	if got := Source(NumSources).String(); got != "source 8" {
		t.Errorf("invalid source is called %q", got)
	}
}

// TestPriority has the vectors of BEP 40 and, for IPv6, those that were computed from its text.
func TestPriority(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       uint32
	}{
		{"different nets", "123.213.32.10:0", "98.76.54.32:0", 0xec2d7224},
		{"same /24", "123.213.32.10:0", "123.213.32.234:0", 0x99568189},
		{"same address", "230.12.123.3:1234", "230.12.123.3:300", 0xae8b7034},
		{"same /24, close", "230.12.123.1:0", "230.12.123.3:0", 0x99c54d79},
		{"same /16", "230.12.23.1:0", "230.12.123.3:0", 0x21fd5f80},
		{"same /8", "230.120.23.1:0", "230.12.123.3:0", 0xfa9a860e},
		{"IPv6, different nets", "[2001:db8::1]:0", "[2001:db9::2]:0", 0x8a4650bd},
		{"IPv6, six bytes shared", "[2001:db8:1:100::1]:0", "[2001:db8:1:200::1]:0", 0x3f5e8b0e},
		{"IPv6, seven bytes shared", "[2001:db8:1:101::1]:0", "[2001:db8:1:102::1]:0", 0xa4ed60ec},
		{"IPv6, five bytes shared", "[2001:db8:1:100::1]:0", "[2001:db8:2:200::1]:0", 0x10606407},
		{"mapped", "[::ffff:123.213.32.10]:0", "98.76.54.32:0", 0xec2d7224},
		{"different families", "1.2.3.4:1", "[2001:db8::1]:1", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := addrPort(tt.a), addrPort(tt.b)
			if x, y := Priority(a, b), Priority(b, a); x != tt.want || y != tt.want {
				t.Errorf("%08x and %08x, want %08x", x, y, tt.want)
			}
		})
	}
	if got := Priority(netip.AddrPort{}, addrPort("1.2.3.4:1")); got != 0 {
		t.Errorf("without address: %08x", got)
	}
}

func TestUnmap4(t *testing.T) {
	if got := Unmap4(addrPort("[::ffff:1.2.3.4]:5")); got != addrPort("1.2.3.4:5") {
		t.Errorf("got %v", got)
	}
	if got := Unmap4(addrPort("[fe80::1%eth0]:5")); got != addrPort("[fe80::1%eth0]:5") {
		t.Errorf("got %v", got)
	}
}

func BenchmarkPriority(b *testing.B) {
	x, y := addrPort("123.213.32.10:1"), addrPort("98.76.54.32:2")
	b.ReportAllocs()
	for b.Loop() {
		Priority(x, y)
	}
}
