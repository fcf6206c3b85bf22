package metainfo

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	hexV1    = "0123456789abcdef0123456789abcdef01234567"
	base32V1 = "AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH" // of hexV1
	hexV2    = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e"
	start    = "magnet:?xt=urn:btih:" + hexV1
)

func TestParseMagnetHashes(t *testing.T) {
	tests := []struct{ name, in, v1, v2 string }{
		{"hex", start, hexV1, ""},
		{"hex in capitals", "magnet:?xt=urn:btih:" + strings.ToUpper(hexV1), hexV1, ""},
		{"base32", "magnet:?xt=urn:btih:" + base32V1, hexV1, ""},
		{"base32 in small letters", "magnet:?xt=urn:btih:" + strings.ToLower(base32V1), hexV1, ""},
		{"base32 of letters", "magnet:?xt=urn:btih:MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYLC", fmt.Sprintf("%x", "abababababababababab"), ""},
		{"escaped", "magnet:?xt=urn%3Abtih%3A" + hexV1, hexV1, ""},
		{"names in capitals", "MAGNET:?XT=URN:BTIH:" + strings.ToUpper(hexV1) + "&Tr.1=udp%3A%2F%2Fx%3A1", hexV1, ""},
		{"numbered", "magnet:?xt.1=urn:btih:" + hexV1, hexV1, ""},
		{"v2", "magnet:?xt=urn:btmh:1220" + hexV2, "", hexV2},
		{"v2 in capitals", "magnet:?xt=urn:btmh:1220" + strings.ToUpper(hexV2), "", hexV2},
		{"hybrid", start + "&xt=urn:btmh:1220" + hexV2, hexV1, hexV2},
		{"hybrid, v2 first and numbered", "magnet:?xt.1=urn:btmh:1220" + hexV2 + "&xt.2=urn:btih:" + hexV1, hexV1, hexV2},
		{"the same twice", start + "&xt=urn:btih:" + base32V1, hexV1, ""},
		{"other networks beside", "magnet:?xt=urn:ed2k:354B15E68FB8F36D7CD88FF94116CDC1&xt=urn:btih:" + hexV1, hexV1, ""},
		{"later in the link", "magnet:?dn=x&tr=udp://h:1&xt=urn:btih:" + hexV1, hexV1, ""},
		{"white space around", " \t" + start + "\n", hexV1, ""},
		{"copied out of HTML", "magnet:?dn=x&amp;xt=urn:btih:" + hexV1, hexV1, ""},
		{"empty parameters", "magnet:?&&xt=urn:btih:" + hexV1 + "&&=&x", hexV1, ""},

		{"bare hex", hexV1, hexV1, ""},
		{"bare hex in mixed case", "0123456789ABCDEF" + hexV1[16:], hexV1, ""},
		{"bare base32", base32V1, hexV1, ""},
		{"bare base32 in small letters", strings.ToLower(base32V1), hexV1, ""},
		{"bare v2", hexV2, "", hexV2},
		{"bare v2 in capitals", strings.ToUpper(hexV2), "", hexV2},
		{"bare v2 multihash", "1220" + hexV2, "", hexV2},
		{"bare urn", "urn:btih:" + hexV1, hexV1, ""},
		{"bare urn of v2", "URN:btmh:1220" + hexV2, "", hexV2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMagnet(test.in)
			require.NoError(t, err)
			require.Equal(t, test.v1 != "", m.HasV1)
			require.Equal(t, test.v2 != "", m.HasV2)
			if m.HasV2 {
				require.Equal(t, test.v2, m.InfoHashV2.String())
			} else {
				require.Zero(t, m.InfoHashV2)
			}
			if m.HasV1 {
				require.Equal(t, test.v1, m.InfoHash.String())
			} else {
				require.Equal(t, test.v2[:40], m.InfoHash.String())
			}
			again, err := ParseMagnet(m.String())
			require.NoError(t, err)
			require.Equal(t, m, again)
		})
	}
}

func TestParseMagnetRefuses(t *testing.T) {
	const quote = "single quotes"
	tests := []struct {
		name, in string
		err      string
		hint     bool // on quoting
	}{
		{"nothing", "", "empty", false},
		{"blanks", "  ", "empty", false},
		{"text", "Big Buck Bunny", "neither a magnet link nor an info-hash", false},
		{"http link", "http://example.com/x.torrent", "neither a magnet link", false},
		{"bare 39 hex", hexV1[1:], "neither", false},
		{"bare 41 hex", hexV1 + "0", "neither", false},
		{"bare 40 with a z", "z" + hexV1[1:], "not hex digits", false},
		{"bare 31 base32", base32V1[1:], "neither", false},
		{"bare 32 with a 1", "1" + base32V1[1:], "not base32", false},
		{"bare 64 with a z", "z" + hexV2[1:], "not hex digits", false},
		{"bare multihash of another kind", "1120" + hexV2, "1220", false},
		{"no question mark", "magnet:xt=urn:btih:" + hexV1, `"?" is missing`, false},
		{"only the scheme", "magnet:", `"?" is missing`, false},
		{"no parameters", "magnet:?", "no info-hash", true},
		{"no hash", "magnet:?dn=x", "no info-hash", true},
		{"no hash in a longer link", "magnet:?dn=x&tr=udp://h:1", "no info-hash", false},
		{"empty hash", "magnet:?xt=", "no info-hash", true},
		{"cut before the hash", "magnet:?xt=urn:btih:", "0 characters", true},
		{"39 hex", start[:len(start)-1], "39 characters", true},
		{"41 hex", start + "0", "41 characters", true},
		{"39 hex in a longer link", start[:len(start)-1] + "&dn=x", "39 characters", false},
		{"31 base32", "magnet:?xt=urn:btih:" + base32V1[1:], "31 characters", true},
		{"40 with a z", "magnet:?xt=urn:btih:z" + hexV1[1:], "not hex digits", true},
		{"good hash beside a bad one", start + "&xt=urn:btih:0123", "4 characters", false},
		{"v2 of another hash function", "magnet:?xt=urn:btmh:1120" + hexV2, "does not begin with 1220", true},
		{"v2 with a digit less", "magnet:?xt=urn:btmh:1220" + hexV2[1:], "67 characters", true},
		{"v2 without the prefix", "magnet:?xt=urn:btmh:" + hexV2, "does not begin with 1220", true},
		{"broken escape in xt", "magnet:?xt=urn:btih:%zz" + hexV1, "broken percent escape", true},
		{"two torrents", start + "&xt=urn:btih:f" + hexV1[1:], "two different", false},
		{"two v2 torrents", "magnet:?xt=urn:btmh:1220" + hexV2 + "&xt=urn:btmh:1220f" + hexV2[1:], "two different", false},
		{"other networks", "magnet:?xt=urn:ed2k:354B15E68FB8F36D7CD88FF94116CDC1&dn=x", "not a BitTorrent info-hash", false},
		{"mutable torrent", "magnet:?xs=urn:btpk:" + hexV2 + "&s=00", "no info-hash", false},
		{"over 64 KiB", start + "&dn=" + strings.Repeat("x", 64<<10), "over the limit", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseMagnet(test.in)
			require.ErrorContains(t, err, test.err)
			require.Less(t, len(err.Error()), 400)
			require.Equal(t, test.hint, strings.Contains(err.Error(), quote), "%v", err)
		})
	}
}

func TestParseMagnetParameters(t *testing.T) {
	tests := []struct {
		name string
		in   string // after the hash
		want Magnet // but for the hash
	}{
		{"name", "&dn=Big%20Buck+Bunny", Magnet{DisplayName: "Big Buck Bunny"}},
		{"name with a real plus", "&dn=a%2Bb", Magnet{DisplayName: "a+b"}},
		{"first name counts", "&dn=a&dn=b", Magnet{DisplayName: "a"}},
		{"name with controls", "&dn=a%00%1b[31mb%e2%80%aec", Magnet{DisplayName: "a[31mbc"}},
		{"name of several lines", "&dn=a%0ab%0dc%09d%0a", Magnet{DisplayName: "a bc d"}},
		{"name in another encoding", "&dn=a%ff", Magnet{DisplayName: "a\uFFFD"}},
		{"broken escapes in the name", "&dn=100%&dn=x", Magnet{DisplayName: "100%"}},
		{"broken escape among good ones", "&dn=%41%4%42%zz%", Magnet{DisplayName: "A%4B%zz%"}},
		{
			"trackers", "&tr=udp%3A%2F%2Ft.example%3A6969&tr.2=http://t.example/announce?a=b&TR.10=https://u.example/announce",
			Magnet{Trackers: []string{"udp://t.example:6969", "http://t.example/announce?a=b", "https://u.example/announce"}},
		},
		{"tracker twice", "&tr=udp://h:1&tr=udp%3a//h:1", Magnet{Trackers: []string{"udp://h:1"}}},
		{"tracker with plus", "&tr=http://h/a+b", Magnet{Trackers: []string{"http://h/a+b"}}},
		{"trackers nobody knows", "&tr=ftp://h/&tr=h:80/announce&tr=&tr=udp://&tr=javascript:alert(1)", Magnet{}},
		{"tracker with blanks around", "&tr=%20udp://h:1%0a", Magnet{Trackers: []string{"udp://h:1"}}},
		{"tracker with a line break", "&tr=http://h/a%0d%0aX:y", Magnet{Trackers: []string{"http://h/a%0D%0AX:y"}}},
		{"tracker on IPv6", "&tr=udp://[2001:db8::1]:80", Magnet{Trackers: []string{"udp://[2001:db8::1]:80"}}},
		{"tracker with a foreign host name", "&tr=udp://t%C3%A4st.example:80", Magnet{}},
		{"WebTorrent tracker", "&tr=wss://h/", Magnet{Trackers: []string{"wss://h/"}}},
		{
			"folded by a path walk", "&tr=udp:/h:1/announce&tr=http:/h/a&tr=https:/h/a&tr=ws:/h&tr=wss:/h&ws=http:/h/f",
			Magnet{
				Trackers: []string{"udp://h:1/announce", "http://h/a", "https://h/a", "ws://h", "wss://h"},
				WebSeeds: []string{"http://h/f"},
			},
		},
		{"web seeds", "&ws=http%3A%2F%2Fh%2Fa%20b&ws=udp://h:1", Magnet{WebSeeds: []string{"http://h/a%20b"}}},
		{
			"peers", "&x.pe=10.0.0.1:6881&x.pe=[2001:db8::1]:1&x.pe=host.example:65535&X.PE.3=%5B::1%5D:2",
			Magnet{Peers: []string{"10.0.0.1:6881", "[2001:db8::1]:1", "host.example:65535", "[::1]:2"}},
		},
		{"bad peers", "&x.pe=10.0.0.1&x.pe=10.0.0.1:0&x.pe=10.0.0.1:65536&x.pe=:1&x.pe=a%20b:1&x.pe=::1:80&x.pe=h:-1", Magnet{}},
		{"nodes", "&dht=router.example:6881&dht=bad", Magnet{Nodes: []string{"router.example:6881"}}},
		{"selection", "&so=0,2,4,6-8", Magnet{Select: []Range{{0, 0}, {2, 2}, {4, 4}, {6, 8}}}},
		{"escaped selection", "&so=1%2C3-4", Magnet{Select: []Range{{1, 1}, {3, 4}}}},
		{"odd selections", "&so=,x,-1,3-,5-4,10001,0-10001,1-2-3,+7,9", Magnet{Select: []Range{{9, 9}}}},
		{"nothing selected is everything", "&so=x", Magnet{}},
		{"to be ignored", "&xl=123&as=http://h/f&kt=a+b&mt=x&xs=http://h/x.torrent&foo", Magnet{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMagnet(start + test.in)
			require.NoError(t, err)
			test.want.InfoHash, test.want.HasV1 = m.InfoHash, true
			require.Equal(t, &test.want, m)
			again, err := ParseMagnet(m.String())
			require.NoError(t, err)
			require.Equal(t, m, again)
		})
	}
}

func TestParseMagnetCaps(t *testing.T) {
	var b strings.Builder
	b.WriteString(start)
	for i := range 500 {
		fmt.Fprintf(&b, "&tr=udp://h:%d&ws=http://h/%d&x.pe=h:%d&dht=h:%d", i+1, i, i+1, i+1)
	}
	b.WriteString("&so=1" + strings.Repeat(",1", 2000))
	m, err := ParseMagnet(b.String())
	require.NoError(t, err)
	require.Len(t, m.Trackers, 64)
	require.Len(t, m.WebSeeds, 64)
	require.Len(t, m.Peers, 64)
	require.Len(t, m.Nodes, 64)
	require.Len(t, m.Select, maxSelect)
}

func TestMagnetSelects(t *testing.T) {
	m, err := ParseMagnet(start + "&so=1,3-4")
	require.NoError(t, err)
	got := ""
	for i := range 6 {
		got += map[bool]string{true: "x", false: "."}[m.Selects(i)]
	}
	require.Equal(t, ".x.xx.", got)
	require.True(t, (&Magnet{}).Selects(7), "no selection")
}

func TestMagnetMatches(t *testing.T) {
	raw := []byte("de")
	v1, v2 := HashInfo(raw)
	other := InfoHashV2{1}
	tests := []struct {
		name string
		m    Magnet
		want bool
	}{
		{"v1", Magnet{InfoHash: v1, HasV1: true}, true},
		{"v2", Magnet{InfoHash: v2.Truncated(), InfoHashV2: v2, HasV2: true}, true},
		{"both", Magnet{InfoHash: v1, HasV1: true, InfoHashV2: v2, HasV2: true}, true},
		{"wrong v1", Magnet{HasV1: true}, false},
		{"wrong v2", Magnet{InfoHash: v1, HasV1: true, InfoHashV2: other, HasV2: true}, false},
		{"neither", Magnet{InfoHash: v1}, false},
	}
	for _, test := range tests {
		require.Equal(t, test.want, test.m.Matches(raw), test.name)
	}
}

func TestMagnetString(t *testing.T) {
	m, err := ParseMagnet(start + "&xt=urn:btmh:1220" + hexV2 + "&so=1,3-4&dht=h:1&x.pe=[::1]:2&ws=http://h/a%2520b&dn=a+%26+b/ü&tr=udp://h:1/announce")
	require.NoError(t, err)
	require.Equal(t, start+"&xt=urn:btmh:1220"+hexV2+"&dn=a%20%26%20b%2F%C3%BC&tr=udp:%2F%2Fh:1%2Fannounce"+
		"&ws=http:%2F%2Fh%2Fa%2520b&x.pe=%5B::1%5D:2&dht=h:1&so=1,3-4", m.String())
	require.NotContains(t, m.String(), "/", "it can be used as a file name")
}

func TestRepairFolded(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"udp", "magnet:?xt=x&tr=udp:/h:1/announce", "magnet:?xt=x&tr=udp://h:1/announce"},
		{"all schemes", "udp:/a http:/b https:/c ws:/d wss:/e", "udp://a http://b https://c ws://d wss://e"},
		{"capitals", "tr=UDP:/h", "tr=UDP://h"},
		{"whole ones stay", "tr=udp://h&tr=http://g/a:/b", "tr=udp://h&tr=http://g/a:/b"},
		{"three slashes stay", "http:///h", "http:///h"},
		{"other schemes stay", "ftp:/h file:/etc magnet:/x", "ftp:/h file:/etc magnet:/x"},
		{"longer words stay", "xudp:/h x-http:/h a.ws:/h 1wss:/h", "xudp:/h x-http:/h a.ws:/h 1wss:/h"},
		{"wss is not ws", "wss:/h", "wss://h"},
		{"several", "tr=udp:/a&tr=udp:/b&tr=udp:/c", "tr=udp://a&tr=udp://b&tr=udp://c"},
		{"at the end", "tr=udp:", "tr=udp:"},
		{"slash at the end", "tr=udp:/", "tr=udp://"},
		{"behind an escape", "tr%3Dhttp:/h", "tr%3Dhttp:/h"},
		{"empty", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, RepairFolded(test.in))
			require.Equal(t, test.want, RepairFolded(test.want), "what is whole stays")
		})
	}
}

func TestParseInfoHash(t *testing.T) {
	h, err := ParseInfoHash(base32V1)
	require.NoError(t, err)
	require.Equal(t, hexV1, h.String())
	text, err := json.Marshal(h)
	require.NoError(t, err)
	require.Equal(t, `"`+hexV1+`"`, string(text))
	for _, bad := range []string{"", "0", hexV1 + "0", base32V1[1:], "0" + base32V1[1:], strings.Repeat("é", 20), strings.Repeat("é", 16)} {
		_, err := ParseInfoHash(bad)
		require.Error(t, err, bad)
	}
	for _, bad := range []string{"", hexV2[1:], "1220" + hexV2[1:], "1221" + hexV2, strings.Repeat("x", 64)} {
		_, err := ParseInfoHashV2(bad)
		require.Error(t, err, bad)
	}
}
