package blocklist

import (
	"bytes"
	"compress/gzip"
	"net/netip"
	"strings"
	"testing"
)

func read(t *testing.T, text string) (*List, Report) {
	t.Helper()
	l, r, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l, r
}

func TestForms(t *testing.T) {
	for _, c := range []struct {
		name, line, in, out string // addresses separated by spaces
	}{
		{"PeerGuardian", "Some name:1.2.3.4-1.2.3.8", "1.2.3.4 1.2.3.5 1.2.3.8 ::ffff:1.2.3.4", "1.2.3.3 1.2.3.9 ::102:304"},
		{"PeerGuardian, colons and commas", "A, b: c - d:1.2.3.4-1.2.3.4", "1.2.3.4", "1.2.3.5"},
		{"PeerGuardian, no name", ":1.2.3.4-1.2.3.5", "1.2.3.5", "1.2.3.6"},
		{"PeerGuardian, IPv6", "name:2001:db8::-2001:db8::ff", "2001:db8:: 2001:db8::ff", "2001:db8::100 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"},
		{"eMule", "001.002.003.004 - 001.002.003.010 , 000 , Some, name", "1.2.3.4 1.2.3.10", "1.2.3.11"},
		{"eMule, highest level that is blocked", "1.2.3.4-1.2.3.5,127,x", "1.2.3.4", "1.2.3.6"},
		{"eMule, allowed", "1.2.3.4 - 1.2.3.5 , 128 , x", "", "1.2.3.4"},
		{"bare range", "1.2.3.4-1.2.3.5", "1.2.3.5", "1.2.3.6"},
		{"network", "10.1.2.3/23", "10.1.2.0 10.1.3.255", "10.1.1.255 10.1.4.0"},
		{"network of IPv6", "2001:db8::/33", "2001:db8:: 2001:db8:7fff:ffff::", "2001:db8:8000::"},
		{"everything", "0.0.0.0/0", "0.0.0.0 255.255.255.255", "::1"},
		{"address", "  192.0.2.1\r", "192.0.2.1", "192.0.2.2"},
		{"address of IPv6", "2001:db8::1", "2001:db8::1", "2001:db8::2"},
		{"comments", "# 1.2.3.4\n// 1.2.3.4\n\n", "", "1.2.3.4"},
		{"byte order mark", "\ufeff1.2.3.4", "1.2.3.4", ""},
		{"overlap", "1.0.0.5-1.0.0.9\n1.0.0.1-1.0.0.6\n1.0.0.7-1.0.0.7\n1.0.0.10-1.0.0.11", "1.0.0.1 1.0.0.8 1.0.0.11", "1.0.0.0 1.0.0.12"},
		{"overlap of IPv6", "n:::5-::9\n::1\nn:::8-::a", "::1 ::6 ::a", "::4 ::b"},
		{"last address", "255.255.255.255\n255.255.255.254", "255.255.255.255", "255.255.255.253"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, r := read(t, c.line)
			if r.Bad != 0 {
				t.Errorf("bad: %v", r.First)
			}
			for _, a := range strings.Fields(c.in) {
				if !l.Blocks(netip.MustParseAddr(a)) {
					t.Errorf("%s is not blocked", a)
				}
			}
			for _, a := range strings.Fields(c.out) {
				if l.Blocks(netip.MustParseAddr(a)) {
					t.Errorf("%s is blocked", a)
				}
			}
		})
	}
}

func TestBadLines(t *testing.T) {
	for _, line := range []string{
		"hello", "1.2.3", "1.2.3.4-", "1.2.3.256", "1.2.3.9-1.2.3.4", "1.2.3.4-::1", "name:1.2.3.4", "1.2.3.4/33", "-", ":", ",",
		strings.Repeat("x", 2*maxLine), strings.Repeat(":", maxLine-2),
	} {
		_, r := read(t, "# one\n"+line+"\n1.2.3.4\n")
		if r.Bad != 1 || r.Ranges != 1 || !strings.HasPrefix(r.First.Error(), "line 2: ") {
			t.Errorf("%.20q: %+v", line, r)
		}
	}
}

func TestPacked(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte("name:1.2.3.4-1.2.3.5\n"))
	z.Close()
	l, r, err := Read(bytes.NewReader(b.Bytes()))
	if err != nil || r.Ranges != 1 || !l.Blocks(netip.MustParseAddr("1.2.3.5")) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, _, err := Read(bytes.NewReader(b.Bytes()[:b.Len()-9])); err == nil {
		t.Error("half a file is taken for a whole one")
	}
	if _, _, err := Open("no such file"); err == nil {
		t.Error("no such file")
	}
	var none *List
	if none.Blocks(netip.MustParseAddr("1.2.3.4")) {
		t.Error("no list blocks")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("a:1.2.3.4-1.2.3.5\n1.2.3.4 - 1.2.3.5 , 1 , x\n2001:db8::/32\n"), byte(1))
	f.Fuzz(func(t *testing.T, b []byte, x byte) {
		l, _, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		for i, r := range l.v4 {
			if r.lo > r.hi || i > 0 && r.lo <= l.v4[i-1].hi {
				t.Fatalf("%v", l.v4)
			}
		}
		for i, r := range l.v6 {
			if r.lo.compare(r.hi) > 0 || i > 0 && r.lo.compare(l.v6[i-1].hi) <= 0 {
				t.Fatalf("%v", l.v6)
			}
		}
		l.Blocks(netip.AddrFrom4([4]byte{1, 2, 3, x}))
	})
}

func BenchmarkBlocks(b *testing.B) {
	var text strings.Builder
	for i := range 200_000 {
		text.WriteString(netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 7}).String() + "\n")
	}
	l, _, err := Read(strings.NewReader(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	a := netip.MustParseAddr("1.200.3.4")
	for b.Loop() {
		l.Blocks(a)
	}
}
