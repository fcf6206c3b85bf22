package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/cache"
	"magnetfs/fetch"
	"magnetfs/internal/simnet"
	"magnetfs/internal/swarmtest"
	"magnetfs/swarm"
)

const kib, mib = 1 << 10, 1 << 20

// engine is a session as the command wires it.
type engine struct{ *swarm.Session }

func (e engine) Add(spec swarm.AddSpec) (fetch.Swarm, error) {
	t, err := e.Session.Add(spec)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// home is a home line before ten seeds of 10 Mbit/s each: 100 Mbit/s, 40 ms round
// trip.
type home struct {
	t    *testing.T
	tor  *swarmtest.Torrent
	lib  *fetch.Library
	link string // the magnet
	end  []func()
}

func newHome(t *testing.T, seeds int, budget int64, spec swarmtest.Spec) *home {
	t.Helper()
	h := &home{t: t, tor: swarmtest.MakeTorrent(t, spec)}
	net := simnet.New(1)
	var peers []string
	for i := range seeds {
		host := net.Host(simnet.Link{Up: 1_250_000, Delay: 19 * time.Millisecond}, netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}))
		s := swarmtest.NewSeeder(swarmtest.SeederConfig{Torrent: h.tor, Name: fmt.Sprint("seed ", i)})
		if _, err := s.Listen(t.Context(), host, ":6881"); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, netip.AddrPortFrom(host.Addr(), 6881).String())
		h.end = append(h.end, func() { s.Close() })
	}
	client := net.Host(simnet.Link{Up: 2_500_000, Down: 12_500_000, Delay: time.Millisecond}, netip.AddrFrom4([4]byte{10, 0, 0, 1}))
	session, err := swarm.NewSession(swarm.Config{Network: client, Port: 6881, DHT: swarm.DHTConfig{Disable: true}, DisableLPD: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(cache.Config{Bytes: budget})
	if err != nil {
		t.Fatal(err)
	}
	h.lib, err = fetch.Open(fetch.Config{Engine: engine{session}, Cache: c, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h.link = h.tor.Magnet(peers...)
	h.end = append([]func(){func() {
		if err := h.lib.Close(); err != nil {
			t.Error(err)
		}
		session.Close()
		c.Close()
	}}, h.end...)
	h.end = append(h.end, func() { net.Close() })
	return h
}

func (h *home) close() {
	for _, f := range h.end {
		f()
	}
}

// open adds the torrent and opens its file when the metadata is there.
func (h *home) open() *fetch.Reader {
	h.t.Helper()
	tor, _, err := h.lib.Add(h.link)
	if err != nil {
		h.t.Fatal(err)
	}
	<-tor.Ready()
	r, err := tor.Open(tor.Root().Children[0])
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// read reads n bytes in steps of 128 KiB, checks them, and returns how long it took.
func (h *home) read(r *fetch.Reader, off, n int64) time.Duration {
	h.t.Helper()
	start := time.Now()
	for end := off + n; off < end; {
		step := min(128*kib, end-off)
		parts, err := r.Read(h.t.Context(), off, int(step))
		if err != nil {
			h.t.Fatalf("read at %d: %v", off, err)
		}
		if got := slices.Concat(parts...); !bytes.Equal(got, h.tor.Payload[off:off+step]) {
			h.t.Fatalf("wrong bytes at %d", off)
		}
		off += step
	}
	return time.Since(start)
}

// A whole session: from the magnet to the first byte, sequential reading, seeks.
func TestOverSwarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 10, 64*mib, swarmtest.Spec{Name: "film.mkv", Length: 96 * mib, PieceLength: mib})
		defer h.close()
		start := time.Now()
		r := h.open()
		defer r.Close()
		metadata := time.Since(start)
		h.read(r, 0, 64*kib)
		first := time.Since(start)
		seq := h.read(r, 64*kib, 48*mib)
		rate := 48 * mib / 1e6 / seq.Seconds()

		rnd := rand.New(rand.NewPCG(1, 1))
		var seeks []time.Duration
		for range 21 {
			seeks = append(seeks, h.read(r, 48*mib+rnd.Int64N(47*mib), 64*kib))
			time.Sleep(200 * time.Millisecond)
		}
		slices.Sort(seeks)
		t.Logf("metadata %v, first byte %v, sequential %.1f MB/s, seek median %v, worst %v",
			metadata, first, rate, seeks[10], seeks[20])
		// Loose bounds: what the scheduler reaches is for the lab to measure.
		if first > time.Second || rate < 9 || seeks[10] > 400*time.Millisecond {
			t.Error("too slow")
		}
	})
}

// A cache much smaller than the file: what was evicted is fetched again when it is
// read again, by a swarm that was told.
func TestReadTwiceOverSwarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 4, 4*mib, swarmtest.Spec{Name: "f.bin", Length: 12 * mib, PieceLength: 256 * kib})
		defer h.close()
		r := h.open()
		defer r.Close()
		for range 2 {
			h.read(r, 0, 12*mib)
		}
		for off := int64(11 * mib); off >= 0; off -= mib {
			h.read(r, off, 200*kib)
		}
	})
}

// Reads given up in every state leave nothing wanted and nothing running.
func TestSeekStormOverSwarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, 4, 16*mib, swarmtest.Spec{Name: "f.bin", Length: 48 * mib, PieceLength: mib})
		defer h.close()
		r := h.open()
		defer r.Close()
		rnd := rand.New(rand.NewPCG(2, 2))
		for range 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.Int64N(int64(200*time.Millisecond))))
			_, _ = r.Read(ctx, rnd.Int64N(47*mib), 64*kib)
			cancel()
		}
		if took := h.read(r, 20*mib, 64*kib); took > time.Second {
			t.Errorf("the read after the storm took %v", took)
		}
		tor := h.lib.Torrents()[0]
		time.Sleep(time.Second)
		then := tor.Status().Downloaded
		time.Sleep(10 * time.Second) // for the rate to sink
		if s := tor.Status(); s.Downloaded != then || s.DownRate > 100_000 || len(s.Waiting) > 0 {
			t.Errorf("after the storm: %d bytes more, %d B/s, waiting %v", s.Downloaded-then, s.DownRate, s.Waiting)
		}
	})
}
