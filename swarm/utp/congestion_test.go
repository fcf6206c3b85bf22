package utp

import (
	"bytes"
	"context"
	"io"
	"math"
	"net"
	"testing"
	"time"

	"magnetfs/internal/simnet"
)

// TestQueueStaysShort: a transfer over a slow link with endless queue fills the
// link, and keeps what others wait there near the target of 100 ms.
func TestQueueStaysShort(t *testing.T) {
	inPair(t, simnet.Link{Up: 10 * mbit, Delay: 10 * ms}, simnet.Link{Delay: 10 * ms}, Config{}, func(p *pair) {
		a, b := p.connect()
		other, _ := p.hostA.ListenPacket(context.Background(), "udp4", "0.0.0.0:7000")
		sink, _ := p.hostB.ListenPacket(context.Background(), "udp4", "0.0.0.0:7000")
		var worst, last time.Duration
		stop := make(chan struct{})
		pings := make(chan struct{})
		go func() {
			defer close(pings)
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * ms):
				}
				start := time.Now()
				other.WriteTo([]byte("ping"), &net.UDPAddr{IP: p.hostB.Addr().AsSlice(), Port: 7000})
				sink.ReadFrom(make([]byte, 9))
				last = time.Since(start) - 20*ms
				worst = max(worst, last)
			}
		}()
		data := make([]byte, 20*mib)
		start := time.Now()
		go func() {
			a.Write(data)
			a.Close()
		}()
		if n, err := io.Copy(io.Discard, b); err != nil || n != int64(len(data)) {
			t.Fatal(n, err)
		}
		took := time.Since(start)
		close(stop)
		<-pings
		used := float64(len(data)) / took.Seconds() / (10 * mbit)
		t.Logf("%.0f %% of the link, queue of %v at the end, %v at worst", 100*used, last, worst)
		if used < 0.9 || last > 150*ms || worst > 400*ms {
			t.Errorf("%.0f %% of the link, queue of %v at the end, %v at worst", 100*used, last, worst)
		}
		other.Close()
		sink.Close()
	})
}

// TestWindow of LEDBAT, step by step.
func TestWindow(t *testing.T) {
	const packet = 1000
	now := time.Unix(0, 0)
	l := newLedbat(packet, 100*packet)
	l.acked(2*packet, 0, false)
	if l.bytes() != 4*packet {
		t.Errorf("unused, it grew to %d", l.bytes())
	}
	l.acked(4*packet, 0, true)
	if l.bytes() != 8*packet {
		t.Errorf("slow start: %d", l.bytes())
	}
	l.acked(packet, targetDelay*9/10, true)
	if l.slowStart || l.bytes() < 8*packet || l.bytes() > 9*packet {
		t.Errorf("with a queue: %d, %v", l.bytes(), l.slowStart)
	}
	l.window = 10 * packet
	for range 10 { // a window's worth
		l.acked(packet, 0, true)
	}
	if got := l.window - 10*packet; math.Abs(got-maxGain) > 400 {
		t.Errorf("gained %v in one round trip", got)
	}
	l.window = 10 * packet
	for range 10 {
		l.acked(packet, 2*targetDelay, true)
	}
	if got := l.window - 10*packet; math.Abs(got+maxGain) > 800 {
		t.Errorf("lost %v in one round trip", -got)
	}
	l.acked(packet, time.Hour, true)
	if l.window < minWindow*packet {
		t.Errorf("a huge delay leaves %v", l.window)
	}
	l.window = 40 * packet
	now = now.Add(time.Hour)
	l.lost(now, now.Add(-ms))
	l.lost(now, now.Add(-ms))           // of the same window
	l.lost(now.Add(50*ms), now.Add(ms)) // too soon
	if l.bytes() != 20*packet {
		t.Errorf("after a loss %d", l.bytes())
	}
	l.lost(now.Add(200*ms), now.Add(150*ms))
	if l.bytes() != 10*packet {
		t.Errorf("after another %d", l.bytes())
	}
	l.timedOut(now)
	if l.bytes() != packet || !l.slowStart || l.threshold != 5*packet {
		t.Errorf("after a timeout %d, %v", l.bytes(), l.threshold)
	}
	for range 3000 {
		l.acked(packet, 0, true)
	}
	if l.slowStart || l.bytes() != l.most {
		t.Errorf("%d of %d", l.bytes(), l.most)
	}
}

// TestDelayHistory: the base is that of the last two minutes, also around the end
// of the numbers.
func TestDelayHistory(t *testing.T) {
	for _, offset := range []uint32{0, 1 << 31, math.MaxUint32 - 20_000} {
		var d delayHistory
		now := time.Unix(0, 0)
		add := func(at time.Duration, sample uint32) time.Duration {
			for range delayFilter {
				d.add(now.Add(at), offset+sample)
			}
			return d.queueing()
		}
		for _, tt := range []struct {
			at     time.Duration
			sample uint32
			want   time.Duration
		}{
			{0, 30_000, 0},
			{time.Second, 90_000, 60 * ms},
			{2 * time.Second, 10_000, 0},
			{3 * time.Second, 60_000, 50 * ms},
			{119 * time.Second, 60_000, 50 * ms},
			{4 * time.Minute, 60_000, 0}, // the small ones are too long ago
		} {
			if got := add(tt.at, tt.sample); got != tt.want {
				t.Errorf("offset %d, after %v: %v, want %v", offset, tt.at, got, tt.want)
			}
		}
		d.shift(5000)
		if got := add(5*time.Minute, 70_000); got != 5*ms {
			t.Errorf("offset %d, shifted: %v", offset, got)
		}
	}
	var d delayHistory // one outlier is no queue
	for _, s := range []uint32{0, 0, 0, 500_000} {
		d.add(time.Unix(0, 0), s)
	}
	if d.queueing() != 0 {
		t.Errorf("outlier: %v", d.queueing())
	}
}

// TestClockDrift: when the peer's clock runs slow, our packets seem to take longer
// and longer; its packets then seem faster, by the same, and the base moves.
func TestClockDrift(t *testing.T) {
	g := newStage(t, Config{})
	p := g.asks(100, 1)
	for i := range uint32(600) { // 0.1 ms a second
		g.now = g.now.Add(time.Second)
		p.s.conn.Write([]byte("x"))
		sent := g.take()
		q := p.packet(kindState)
		q.ack = sent[len(sent)-1].seq
		p.ack = q.ack
		q.sent = g.o.clock.micros(g.now) - 40_000 + i*100 // its packets arrive after ever less
		q.diff = 40_000 + i*100                           // and ours after ever more
		g.gets(q)
		if d := p.s.ours.queueing(); d > ms {
			t.Fatalf("after %d s a queue of %v", i, d)
		}
	}
}

// TestRoundTrips: estimates and timeouts.
func TestRoundTrips(t *testing.T) {
	var r roundTrips
	if r.timeout() != time.Second {
		t.Errorf("at first %v", r.timeout())
	}
	r.add(100 * ms)
	if r.mean != 100*ms || r.dev != 50*ms || r.timeout() != minTimeout {
		t.Errorf("%+v", r)
	}
	r.add(900 * ms)
	if r.mean != 200*ms || r.dev != 50*ms+(800*ms-50*ms)/4 {
		t.Errorf("%+v", r)
	}
	if r.timeout() != r.mean+4*r.dev {
		t.Errorf("%v", r.timeout())
	}
	r.backoff = 2
	if r.timeout() != 4*(r.mean+4*r.dev) {
		t.Errorf("%v", r.timeout())
	}
	r.backoff = 1000
	if r.timeout() != maxTimeout {
		t.Errorf("%v", r.timeout())
	}
}

// TestLongTransfer wraps the sequence numbers.
func TestLongTransfer(t *testing.T) {
	inPair(t, simnet.Link{Delay: ms, Loss: 0.001}, simnet.Link{Delay: ms}, Config{Packet: minSize}, func(p *pair) {
		a, b := p.connect()
		data := pattern(9, 10*mib) // 80 000 packets
		go func() {
			a.Write(data)
			a.Close()
		}()
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}
