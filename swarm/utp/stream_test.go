package utp

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stage is an owner without goroutines, network or clock. Streams of one peer.
type stage struct {
	t        testing.TB
	o        *owner
	now      time.Time
	accepted []*Conn
	refuses  bool
}

var peerAddr = netip.MustParseAddrPort("198.51.100.7:6881")

func newStage(t testing.TB, cfg Config) *stage {
	if cfg.MaxConns == 0 {
		cfg.MaxConns = defaultMaxConns
	}
	if cfg.MaxHalfOpen == 0 {
		cfg.MaxHalfOpen = defaultMaxHalfOpen
	}
	if cfg.Window == 0 {
		cfg.Window = defaultWindow
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := &stage{t: t, o: newOwner(cfg, now.Add(-time.Hour)), now: now}
	g.o.kick = func(s *stream) { g.o.kicked(s) }
	g.o.accepted = func(c *Conn) bool {
		if g.refuses {
			return false
		}
		g.accepted = append(g.accepted, c)
		return true
	}
	return g
}

// take returns what was sent.
func (g *stage) take() []packet {
	g.t.Helper()
	g.o.flush(g.now)
	var out []packet
	for _, d := range g.o.out.list {
		p, ok := parse(bytes.Clone(g.o.out.mem[d.start:d.end]))
		if !ok {
			g.t.Fatalf("sent %x", g.o.out.mem[d.start:d.end])
		}
		out = append(out, p)
	}
	g.o.out.reset()
	return out
}

// names draws packets: D data, F fin, S state, R reset, Y syn.
func names(ps []packet) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteByte("DFSRY"[p.kind])
	}
	return b.String()
}

// gets gives a packet to the owner.
func (g *stage) gets(p packet) {
	b := append(p.append(nil, p.sack), p.payload...)
	g.o.datagram(g.now, b, peerAddr)
}

// after lets time pass, timer by timer.
func (g *stage) after(d time.Duration) {
	end := g.now.Add(d)
	for {
		at := g.o.flush(g.now)
		if at.IsZero() || at.After(end) {
			break
		}
		g.now = at
		g.o.tick(g.now)
	}
	g.now = end
}

// peerOf is the other end of a stream, played by the test.
type peerOf struct {
	g        *stage
	s        *stream
	id       uint16 // in packets to us
	seq, ack uint16 // of its next packet; of ours that it has
}

// asks lets the peer connect to us, up to its first data.
func (g *stage) asks(id, seq uint16) *peerOf {
	g.t.Helper()
	g.gets(packet{header: header{kind: kindSyn, id: id, seq: seq, window: 1 << 20}})
	ps := g.take()
	if names(ps) != "S" || ps[0].id != id || ps[0].ack != seq {
		g.t.Fatalf("SYN answered with %s %+v", names(ps), ps)
	}
	p := &peerOf{g: g, id: id + 1, seq: seq + 1, ack: ps[0].seq - 1, s: g.o.streams[key{peerAddr, id + 1}]}
	p.says("hello")
	if got := names(g.take()); got != "S" {
		g.t.Fatalf("data answered with %s", got)
	}
	return p
}

func (p *peerOf) packet(k kind) packet {
	return packet{header: header{kind: k, id: p.id, window: 1 << 20, seq: p.seq, ack: p.ack, sent: p.g.o.clock.micros(p.g.now), diff: 1000}}
}

// says sends data.
func (p *peerOf) says(data string) {
	q := p.packet(kindData)
	q.payload = []byte(data)
	p.seq++
	p.g.gets(q)
}

// read is what the program can read at once.
func (p *peerOf) read() string {
	b := make([]byte, 1<<20)
	p.s.conn.SetReadDeadline(time.Unix(1, 0))
	defer p.s.conn.SetReadDeadline(time.Time{})
	return string(b[:p.s.conn.in.pop(b)])
}

// TestNoDataBeforeProof: the answers to a SYN and to its repetitions are one small
// packet each, and nobody is handed the connection before data came.
func TestNoDataBeforeProof(t *testing.T) {
	g := newStage(t, Config{})
	syn := packet{header: header{kind: kindSyn, id: 7, seq: 1, window: 1 << 20}}
	g.gets(syn)
	first := g.take()
	for range 3 {
		g.gets(syn)
		again := g.take()
		if names(again) != "S" || again[0].seq != first[0].seq || again[0].ack != 1 {
			t.Fatalf("repeated SYN: %s %+v", names(again), again)
		}
	}
	if len(g.o.streams) != 1 || len(g.accepted) != 0 {
		t.Fatalf("%d streams, %d accepted", len(g.o.streams), len(g.accepted))
	}
	// data whose acknowledgement is a guess
	g.gets(packet{header: header{kind: kindData, id: 8, seq: 2, ack: first[0].seq + 100}, payload: []byte("x")})
	g.gets(packet{header: header{kind: kindState, id: 8, seq: 2, ack: first[0].seq - 1}})
	if len(g.accepted) != 0 {
		t.Fatal("accepted without a proof")
	}
	g.gets(packet{header: header{kind: kindData, id: 8, seq: 2, ack: first[0].seq - 1}, payload: []byte("x")})
	if len(g.accepted) != 1 || len(g.o.halfOpen) != 0 {
		t.Fatal("not accepted")
	}
	g.take()
	g.gets(syn) // once data has flowed it is ignored
	if got := names(g.take()); got != "" {
		t.Fatalf("late SYN answered with %s", got)
	}
}

// TestHalfOpenEnds after ten seconds, in silence.
func TestHalfOpenEnds(t *testing.T) {
	g := newStage(t, Config{})
	g.gets(packet{header: header{kind: kindSyn, id: 7, seq: 1}})
	g.take()
	g.after(10*time.Second - 1)
	if len(g.o.streams) != 1 {
		t.Fatal("gone too early")
	}
	g.after(1)
	if ps := g.take(); len(g.o.streams) != 0 || len(g.o.halfOpen) != 0 || len(ps) != 0 {
		t.Fatalf("%d streams, %d half-open, sent %s", len(g.o.streams), len(g.o.halfOpen), names(ps))
	}
}

// TestSynFlood: neither one address nor many hold more places than there are, and
// an honest peer gets through.
func TestSynFlood(t *testing.T) {
	g := newStage(t, Config{})
	for id := range 1000 {
		g.gets(packet{header: header{kind: kindSyn, id: uint16(2 * id), seq: 1}})
	}
	if n := len(g.o.streams); n != maxHalfOpenIP {
		t.Fatalf("%d of one address", n)
	}
	for i := range 5000 {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 1000)
		b := header{kind: kindSyn, id: 5, seq: 1}.append(nil, nil)
		g.o.datagram(g.now, b, from)
	}
	if n := len(g.o.streams); n != defaultMaxHalfOpen || len(g.o.halfOpen) != n {
		t.Fatalf("%d streams, %d half-open", n, len(g.o.halfOpen))
	}
	if sent := len(g.o.out.mem); sent > 5008*headerLen {
		t.Fatalf("%d bytes sent", sent)
	}
	g.take()
	g.asks(5000, 65535)
	if len(g.accepted) != 1 {
		t.Fatal("the honest one did not get through")
	}
}

// TestUnknownConnections get one reset each, and never an answer to a reset.
func TestUnknownConnections(t *testing.T) {
	g := newStage(t, Config{})
	data := packet{header: header{kind: kindData, id: 9, seq: 77, ack: 5}, payload: []byte("x")}
	g.gets(data)
	if ps := g.take(); names(ps) != "R" || ps[0].id != 9 || ps[0].ack != 77 || len(ps[0].payload) != 0 {
		t.Fatalf("%s %+v", names(ps), ps)
	}
	g.gets(data)
	g.after(resetTime - 1)
	g.gets(data)
	g.gets(packet{header: header{kind: kindReset, id: 10, seq: 77, ack: 5}})
	if ps := g.take(); len(ps) != 0 {
		t.Fatalf("answered again: %s", names(ps))
	}
	g.after(1)
	g.gets(data)
	if ps := g.take(); names(ps) != "R" {
		t.Fatalf("after ten seconds: %s", names(ps))
	}
	for id := range 5000 {
		g.gets(packet{header: header{kind: kindState, id: uint16(id + 100)}})
	}
	if n := len(g.o.resets); n > resetMemory {
		t.Errorf("%d remembered", n)
	}
	if n := len(g.take()); n > resetMemory {
		t.Errorf("%d resets sent", n)
	}
}

// TestReset ends a connection if it can be the peer's, under both IDs.
func TestReset(t *testing.T) {
	tests := []struct {
		name string
		id   int // added to ours
		ack  int // added to the last packet that we sent
		ends bool
	}{
		{"with our ID", 0, 0, true},
		{"with the other ID", -1, 0, true},
		{"answering a STATE", 0, 1, true},
		{"another ID", 2, 0, false},
		{"guessed", 0, 500, false},
		{"old", 0, -5, false},
	}
	for _, tt := range tests {
		g := newStage(t, Config{})
		p := g.asks(100, 1)
		q := p.packet(kindReset)
		q.id += uint16(tt.id)
		q.ack += uint16(tt.ack)
		g.gets(q)
		_, err := p.s.conn.Write([]byte("x"))
		if ended := errors.Is(err, syscall.ECONNRESET); ended != tt.ends {
			t.Errorf("%s: %v", tt.name, err)
		}
		if p.read() != "hello" {
			t.Errorf("%s: what came before is lost", tt.name)
		}
	}
}

// TestForgedAcks: the acknowledgement of what was not sent counts for nothing, and
// nothing of its packet does.
func TestForgedAcks(t *testing.T) {
	for _, d := range []int{5, 100, 32767, -5, -3000} {
		g := newStage(t, Config{Packet: packetFull})
		p := g.asks(100, 1)
		p.s.conn.Write(bytes.Repeat([]byte("x"), 4000)) // three packets
		if got := names(g.take()); got != "DDD" {
			t.Fatalf("sent %s", got)
		}
		before := p.s.cong.window
		q := p.packet(kindData)
		q.ack += uint16(d)
		q.payload = []byte("forged")
		g.gets(q)
		if got := p.read(); got != "hello" || len(p.s.flight) != 3 || p.s.cong.window != before {
			t.Errorf("%d: read %q, %d in flight", d, got, len(p.s.flight))
		}
		q.ack = p.ack
		q.sack = bytes.Repeat([]byte{255}, 252) // far more than was sent
		g.gets(q)
		if p.s.pipe != p.s.flight[0].size || p.s.unacked != 4000 {
			t.Errorf("pipe %d, unacked %d", p.s.pipe, p.s.unacked)
		}
	}
}

// TestOrder: packets in any order, twice, and around the end of the numbers, are
// read in order and once.
func TestOrder(t *testing.T) {
	for _, order := range []string{"0123456", "6543210", "0246135", "00112233445566", "3333012456", "1234560"} {
		for _, seq := range []uint16{1, 65530, 65535, 32765} {
			g := newStage(t, Config{})
			p := g.asks(100, seq)
			base := p.seq
			for _, c := range order {
				q := p.packet(kindData)
				q.seq = base + uint16(c-'0')
				q.payload = []byte(string(c))
				g.gets(q)
			}
			if got := p.read(); got != "hello0123456" {
				t.Errorf("%s from %d: %q", order, seq, got)
			}
			if p.s.early.count != 0 || p.s.early.bytes != 0 || g.o.reorder != maxReorder {
				t.Errorf("%s: %d packets, %d bytes left", order, p.s.early.count, p.s.early.bytes)
			}
		}
	}
}

// TestFin: the end comes after all bytes, wherever the FIN came, and what is behind
// it is nothing.
func TestFin(t *testing.T) {
	for _, order := range []string{"012F", "F012", "01F2", "12F03", "3012F", "F0123F"} {
		g := newStage(t, Config{})
		p := g.asks(100, 65533)
		base := p.seq
		for _, c := range order {
			q := p.packet(kindData)
			switch c {
			case 'F':
				q.kind, q.seq = kindFin, base+3
			case '3':
				q.seq = base + 4
				q.payload = []byte("behind")
			default:
				q.seq = base + uint16(c-'0')
				q.payload = []byte(string(c))
			}
			g.gets(q)
		}
		if got := p.read(); got != "hello012" {
			t.Errorf("%s: %q", order, got)
		}
		if _, err := p.s.conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: %v", order, err)
		}
		if g.o.reorder != maxReorder {
			t.Errorf("%s: %d bytes left", order, maxReorder-g.o.reorder)
		}
	}
}

// TestClose sends what is left, then FIN, and is over with its acknowledgement.
func TestClose(t *testing.T) {
	g := newStage(t, Config{})
	p := g.asks(100, 1)
	p.s.conn.Write([]byte("last words"))
	p.s.conn.Close()
	ps := g.take()
	if names(ps) != "DF" || string(ps[0].payload) != "last words" {
		t.Fatalf("sent %s %+v", names(ps), ps)
	}
	p.ack = ps[1].seq
	g.gets(p.packet(kindState))
	g.take()
	if len(g.o.streams) != 0 {
		t.Fatal("not forgotten")
	}
}

// TestCloseLingers for two tries of a FIN, and for ten seconds when data is left.
func TestCloseLingers(t *testing.T) {
	for data, want := range map[string]time.Duration{"": 3 * time.Second, "x": 10 * time.Second} {
		g := newStage(t, Config{})
		p := g.asks(100, 1)
		p.s.conn.Write([]byte(data))
		p.s.conn.Close()
		g.after(want - 1)
		if len(g.o.streams) != 1 {
			t.Errorf("%q: gone too early", data)
		}
		g.after(1)
		if len(g.o.streams) != 0 {
			t.Errorf("%q: still there", data)
		}
		g.take()
	}
}

// TestDeadPeer is given up after six timeouts in a row: 1, 2, 4, 8, 16 and 30 s.
func TestDeadPeer(t *testing.T) {
	g := newStage(t, Config{})
	p := g.asks(100, 1)
	p.s.conn.Write([]byte("anybody?"))
	g.after(61*time.Second - 1)
	if p.s.phase != established {
		t.Fatal("given up too early")
	}
	g.after(1)
	if _, err := p.s.conn.Write([]byte("x")); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Fatal(err)
	}
	// six timeouts resend five times, the probe once; a NAT is kept open meanwhile
	if got := names(g.take()); got != "DDDDDDDSR" {
		t.Fatalf("sent %s", got)
	}
}

// TestFastRetransmit: a packet is sent again when three later ones arrived, by
// selective acknowledgement or by three that say nothing new.
func TestFastRetransmit(t *testing.T) {
	write := func() (*stage, *peerOf, []packet) {
		g := newStage(t, Config{Packet: packetFull})
		p := g.asks(100, 1)
		p.s.conn.Write(bytes.Repeat([]byte("x"), 5000)) // four packets
		return g, p, g.take()
	}
	g, p, ps := write()
	q := p.packet(kindState)
	q.sack = []byte{0b011, 0, 0, 0}
	g.gets(q)
	if got := names(g.take()); got != "" {
		t.Fatalf("two later ones: %s", got)
	}
	q.sack = []byte{0b111, 0, 0, 0}
	window := p.s.cong.window
	g.gets(q)
	again := g.take()
	if names(again) != "D" || again[0].seq != ps[0].seq || !bytes.Equal(again[0].payload, ps[0].payload) {
		t.Fatalf("three later ones: %s", names(again))
	}
	if p.s.cong.window != window/2 {
		t.Errorf("window %v after a loss, %v before", p.s.cong.window, window)
	}

	g, p, ps = write()
	for i := range 3 {
		if got := names(g.take()); got != "" {
			t.Fatalf("%d acknowledgements: %s", i, got)
		}
		g.gets(p.packet(kindState))
	}
	if again := g.take(); names(again) != "D" || again[0].seq != ps[0].seq {
		t.Fatalf("three acknowledgements: %s", names(again))
	}
}

// TestProbeInRecovery: when all that fills the window is lost, the packets that wait
// for room in it included, one probe finds that out, and no timeout is waited for.
func TestProbeInRecovery(t *testing.T) {
	g := newStage(t, Config{Packet: packetFull})
	p := g.asks(100, 1)
	size := p.s.cong.packet
	p.s.cong.window = float64(10 * size)
	p.s.conn.Write(bytes.Repeat([]byte("x"), 10*size))
	ps := g.take()
	q := p.packet(kindState)
	q.sack = []byte{1 << 7, 0, 0, 0} // the ninth: six are lost, and the window is halved
	g.gets(q)
	if again := g.take(); names(again) != "DD" || p.s.lost != 4 {
		t.Fatalf("sent again %s, %d wait", names(again), p.s.lost)
	}
	g.after(minTimeout / 2)
	probe := g.take()
	if names(probe) != "D" || probe[0].seq != ps[9].seq {
		t.Fatalf("probe: %s", names(probe))
	}
	q.sack = []byte{1 << 7, 1, 0, 0}
	g.gets(q)
	again := g.take()
	if names(again) != "DDDDD" {
		t.Fatalf("after the probe: %s", names(again))
	}
	for i, d := range again {
		if d.seq != ps[i].seq {
			t.Errorf("packet %d instead of %d", d.seq, ps[i].seq)
		}
	}
}

// TestNoRoom: nothing is sent to a peer without room but a probe, first after a
// second, then less often; and at once when it says that it has some.
func TestNoRoom(t *testing.T) {
	g := newStage(t, Config{})
	p := g.asks(100, 1)
	full := p.packet(kindState)
	full.window = 0
	g.gets(full)
	p.s.conn.Write(bytes.Repeat([]byte("x"), 3000))
	g.after(time.Second - 1)
	if got := names(g.take()); got != "" {
		t.Fatalf("sent %s", got)
	}
	g.after(1)
	if got := names(g.take()); got != "D" {
		t.Fatalf("probe: %s", got)
	}
	for range 100 { // it answers, and takes nothing
		g.after(5 * time.Second)
		g.gets(full)
	}
	if p.s.phase != established {
		t.Fatal("given up")
	}
	g.take()
	g.gets(p.packet(kindState))
	if got := names(g.take()); !strings.HasPrefix(got, "D") {
		t.Fatalf("with room: %q", got)
	}
}

// TestRoom: the peer is told of the room that is left, and of more when it was
// read; more than the room is not kept.
func TestRoom(t *testing.T) {
	g := newStage(t, Config{Window: 64 << 10})
	p := g.asks(100, 1)
	block := strings.Repeat("x", 1382)
	for range 200 {
		p.says(block)
	}
	ps := g.take()
	if last := ps[len(ps)-1]; last.kind != kindState || last.window != 0 {
		t.Fatalf("%s, window %d", names(ps), last.window)
	}
	if n := p.s.conn.in.size; n > 128<<10 {
		t.Fatalf("%d bytes kept", n)
	}
	io.ReadFull(p.s.conn, make([]byte, p.s.conn.in.size))
	ps = g.take()
	if len(ps) == 0 || ps[len(ps)-1].window != 64<<10 {
		t.Fatalf("after reading: %s", names(ps))
	}
}

// TestKeepAlive is sent after 29 s of silence.
func TestKeepAlive(t *testing.T) {
	g := newStage(t, Config{})
	g.asks(100, 1)
	g.after(29*time.Second - 1)
	if got := names(g.take()); got != "" {
		t.Fatalf("sent %s", got)
	}
	g.after(1)
	if got := names(g.take()); got != "S" {
		t.Fatalf("sent %q", got)
	}
}
