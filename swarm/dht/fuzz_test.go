package dht

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"magnetfs/swarm/dht/krpc"
	"magnetfs/swarm/dht/table"
)

// FuzzNode feeds a node with what strangers may send, in any order: raw
// packets, changed versions of true ones, answers to its queries that name
// nodes and peers at will, silence. It must not panic, and stays within its
// bounds.
func FuzzNode(f *testing.F) {
	ping := ask(krpc.Ping)
	f.Add([]byte("\x00" + string(ping.Append(nil))))
	f.Add([]byte("\x03\x02\x05\x02\x04\x02\x03\x02\x02\x05\x02\x09\x02\x03"))
	f.Add([]byte("\x01\x07\x03\x02\x11\x02\x12\x04\x01\x02\x13\x01\x20\x04\x50\x06"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		ops = ops[:min(len(ops), 1000)] // more takes long and shows nothing new
		cfg := Config{Log: slog.New(slog.DiscardHandler)}
		rng := rand.New(rand.NewPCG(1, 0))
		z := &fuzzed{core: newCore(&cfg, rng, start), t: t, now: start, rng: rand.New(rand.NewPCG(2, 0))}
		z.start(start)
		z.addRouters([]netip.AddrPort{addr("7.0.0.1:1")}, start)
		for len(ops) > 0 {
			ops = z.step(ops)
		}
		// Left alone it comes to rest.
		z.pass(10 * time.Minute)
		users := 0
		for _, l := range z.lookups {
			switch {
			case !l.internal:
				users++ // waits for its first answer
			case z.now.Sub(l.started) > time.Minute:
				t.Fatalf("a lookup of our own runs since %v", l.started)
			}
		}
		if users > z.users {
			t.Fatalf("%d lookups run, %d were started", users, z.users)
		}
	})
}

// fuzzed is a core in the hands of strangers.
type fuzzed struct {
	*core
	t       *testing.T
	now     time.Time
	rng     *rand.Rand
	queries []sent // of the core, not answered yet
	users   int    // lookups started
}

// step takes one operation off ops.
func (z *fuzzed) step(ops []byte) []byte {
	op, ops := ops[0], ops[1:]
	arg := 0
	if len(ops) > 0 && op%7 != 0 {
		arg, ops = int(ops[0]), ops[1:]
	}
	switch op % 7 {
	case 0: // a raw packet
		n := min(len(ops), 300)
		z.handle(ops[:n], strange, z.now)
		ops = ops[n:]
	case 1: // a query, a few bytes changed
		methods := []string{krpc.Ping, krpc.FindNode, krpc.GetPeers, krpc.AnnouncePeer, krpc.Get, krpc.Put,
			krpc.SampleInfohashes, "vote"}
		m := ask(methods[arg%8], target, func(m *krpc.Message) {
			m.Port, m.Token, m.Scrape, m.RO = arg, []byte("12345678"), arg&16 != 0, arg&32 != 0
			m.Value, m.ID = []byte("1:a"), krpc.RandomID(z.rng)
		})
		data := m.Append(nil)
		for range arg / 64 {
			data[z.rng.IntN(len(data))] = byte(z.rng.Uint32())
		}
		z.handle(data, z.stranger(), z.now)
	case 2, 3: // an answer to one of its queries
		if len(z.queries) == 0 {
			break
		}
		q := z.queries[arg%len(z.queries)]
		m := answerTo(q, krpc.RandomID(z.rng), func(m *krpc.Message) {
			m.Token, m.IP = []byte{byte(arg)}, z.stranger()
			for range arg % 30 {
				m.Nodes = append(m.Nodes, krpc.NodeInfo{ID: krpc.RandomSharing(infoHash, z.rng.IntN(160), z.rng), Addr: z.stranger()})
			}
			for range arg % 40 {
				m.Values = append(m.Values, z.stranger())
			}
		})
		if arg%5 == 0 {
			m.Kind = krpc.Error
		}
		z.handle(m.Append(nil), q.to, z.now)
	case 4:
		z.pass(time.Duration(arg*arg) * time.Millisecond)
	case 5:
		z.users++
		r := request{goal: goal(arg % 3), target: krpc.RandomSharing(infoHash, arg%160, z.rng), port: arg, announce: arg%2 == 0}
		z.startLookup(r, z.now)
	case 6:
		z.cancel(uint64(arg), z.now)
		z.vote(z.stranger(), z.stranger().Addr(), z.now)
	}
	z.look()
	return ops
}

// stranger returns an address, mostly a possible one.
func (z *fuzzed) stranger() netip.AddrPort {
	b := [4]byte{byte(z.rng.IntN(4)), byte(z.rng.IntN(4)), byte(z.rng.IntN(256)), 1}
	if z.rng.IntN(8) == 0 {
		b[0] = byte(z.rng.IntN(256))
	}
	return netip.AddrPortFrom(netip.AddrFrom4(b), uint16(z.rng.IntN(3)))
}

func (z *fuzzed) pass(d time.Duration) {
	end := z.now.Add(d)
	for n := 0; !z.next().After(end); n++ {
		if n > 100_000 {
			z.t.Fatal("time does not pass")
		}
		z.now = latest(z.now, z.next())
		z.tick(z.now)
		z.look()
	}
	z.now = end
}

// look takes what the core sends and checks its bounds.
func (z *fuzzed) look() {
	out, _, _ := z.take()
	for _, p := range out {
		m, err := krpc.Decode(p.data)
		if err != nil || len(p.data) > maxAnswer || p.to.Port() == 0 || !p.to.Addr().Is4() {
			z.t.Fatalf("sent %q to %v: %v", p.data, p.to, err)
		}
		if m.Kind == krpc.Query {
			z.queries = append(z.queries, sent{m, p.to, len(p.data)})
		}
	}
	if n := len(z.queries); n > 300 {
		z.queries = z.queries[n-300:]
	}
	waiting := 0
	for _, n := range z.waiting {
		waiting += n
	}
	// Announces and checks go out whatever the number of pending lookups.
	if len(z.pending) > maxPending+64 || len(z.timers) != len(z.pending) || waiting != len(z.pending) {
		z.t.Fatalf("%d pending, %d timers, %d waiting", len(z.pending), len(z.timers), waiting)
	}
	if len(z.verify) > maxVerify || z.table.Len() > 160*table.K+240 {
		z.t.Fatalf("%d to verify, table of %d", len(z.verify), z.table.Len())
	}
}
