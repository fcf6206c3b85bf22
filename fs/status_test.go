package fs

import (
	"slices"
	"strings"
	"testing"
)

func TestReportText(t *testing.T) {
	next, seeds, peers := 250.0, 102, 575
	r := report{Name: "Big Buck Bunny", State: "active", Reason: "reading", Size: 3 << 30, Have: 1 << 30,
		Seeds: 2, Peers: 3, Candidates: 4, Down: 5 << 20, Up: 1 << 10,
		Readers: []readerRow{{ID: 1, Owner: "mpv (4711)", Path: "film", Waiting: []readRow{{Offset: 1 << 20, Length: 1000, Seconds: 2,
			Pieces: []waitingRead{{Piece: 7, Blocks: 16, Received: 5, From: []string{"10.0.0.1:6881"}}}}}}},
		Sources: []sourceRow{
			{Name: "[DHT]", Status: "working (412 nodes)", Next: &next, Seeds: &seeds, Peers: &peers},
			{Name: "udp://t:1", Status: "timed out, 3rd try"},
		},
		Connected: []peerRow{{Addr: "10.0.0.1:6881", Client: "x", Seed: true, Outgoing: true, Snubbed: true, RTT: 0.02}},
	}
	var b strings.Builder
	r.text(&b)
	want := `Big Buck Bunny
active (reading); 1.0 GiB of 3.0 GiB here; 5.0 MiB/s down, 1.0 KiB/s up; 2 seeds and 3 peers connected, 4 more known
mpv (4711) waits for 1000 B at 1.0 MiB of film since 2s: piece 7, 5 of 16 blocks here, the rest expected from 10.0.0.1:6881
Name                                      Status                        Update In   Seeds   Peers
[DHT]                                     working (412 nodes)              4m 10s     102     575
udp://t:1                                 timed out, 3rd try                    -       -       -
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// TestPeersText: every cell of by-hash/HASH/peers.
func TestPeersText(t *testing.T) {
	r := report{Connected: []peerRow{
		{Addr: "10.0.0.1:6881", Client: "x", Source: "DHT", Transport: "tcp", Seed: true, Outgoing: true, Snubbed: true, Pieces: 64, Down: 3 << 20,
			Downloaded: 1 << 30, Uploaded: 512, RTT: 0.0204},
		{Addr: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535", Client: "libtorrent/2.0.8.0", Source: "incoming", Transport: "utp", Choking: true, Interested: true},
	}}
	var b strings.Builder
	r.peersText(&b)
	want := []string{
		"Address                                          Client                    Source      Via  Dir    Pieces      Down/s  Downloaded    Uploaded       RTT  Flags",
		"10.0.0.1:6881                                    x                         DHT         tcp  out        64     3.0 MiB     1.0 GiB       512 B      20ms  seed snubbed",
		"[2001:db8:1111:2222:3333:4444:5555:6666]:65535   libtorrent/2.0.8.0        incoming    utp  in          0         0 B         0 B         0 B        0s  choking interested",
	}
	if got := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSourcesText: what is not known is no number.
func TestSourcesText(t *testing.T) {
	none, next := 0, 59.6
	r := report{Sources: []sourceRow{
		{Name: "[DHT]", Status: "disabled"},
		{Name: "[Peer Exchange]", Status: "working (nobody found)", Seeds: &none, Peers: &none},
		{Name: "udp://tracker.example.org:6969/announce/of/some/length", Status: "working", Next: &next, Seeds: &none},
	}}
	var b strings.Builder
	r.sourcesText(&b)
	want := `Name                                      Status                        Update In   Seeds   Peers
[DHT]                                     disabled                              -       -       -
[Peer Exchange]                           working (nobody found)                -       0       0
udp://tracker.example.org:6969/announce/of/some/length  working                          1m 00s       0       -
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
