package fetch

import (
	"math"
	"time"
)

// The meters forget by half in halfLife, so that they show the recent past.
const halfLife = 5 * time.Second

// fade is what remains of a sum after d.
func fade(d time.Duration) float64 {
	if d <= 0 {
		return 1
	}
	return math.Exp2(-float64(d) / float64(halfLife))
}

// lineMeter measures what a torrent delivers, in verified bytes per second. The
// zero value has seen nothing.
type lineMeter struct {
	bytes, secs float64
	last        time.Time
}

const (
	// firstLine is assumed until something was measured, minLine always: both
	// only scale deadlines, whose order is what counts. Guesses.
	firstLine = 1 << 20
	minLine   = 64 << 10

	// linePause is the longest time between two pieces that counts: a torrent
	// that nobody reads is not slow.
	linePause = 3 * time.Second
)

// add counts a piece that arrived.
func (m *lineMeter) add(now time.Time, bytes int64) {
	if !m.last.IsZero() {
		d := now.Sub(m.last)
		f := fade(d)
		m.bytes, m.secs = m.bytes*f, m.secs*f
		m.secs += min(d, linePause).Seconds()
	}
	m.bytes += float64(bytes)
	m.last = now
}

// rate is bytes per second.
func (m *lineMeter) rate() float64 {
	if m.secs < 0.05 {
		return firstLine
	}
	return max(m.bytes/m.secs, minLine)
}

// useMeter measures how fast a reader consumes. Time is of two kinds: while a
// read waits for us (busy), and between an answer and the next read (think). Only
// the second kind says something about the reader.
type useMeter struct {
	bytes       float64
	think, busy float64 // seconds
	inflight    int     // reads not answered yet
	since       time.Time
}

// pause is the longest think time that counts: beyond, the reader was paused.
const pause = 10 * time.Second

func (m *useMeter) begin(now time.Time, fresh int64) {
	if m.inflight == 0 {
		m.pass(now, &m.think)
	}
	m.inflight++
	m.bytes += float64(fresh)
}

func (m *useMeter) end(now time.Time) {
	if m.inflight--; m.inflight == 0 {
		m.pass(now, &m.busy)
	}
}

// pass books the time since the last change. Sums fade with the time they are of,
// so that a pause leaves them as they were.
func (m *useMeter) pass(now time.Time, kind *float64) {
	if !m.since.IsZero() {
		if d := now.Sub(m.since); d > 0 && (d <= pause || kind == &m.busy) {
			f := fade(d)
			m.bytes, m.think, m.busy = m.bytes*f, m.think*f, m.busy*f
			*kind += d.Seconds()
		}
	}
	m.since = now
}

// rate is bytes per second; ok is false if the reader takes whatever it gets: it
// waits for us most of the time, or nothing is known yet.
func (m *useMeter) rate() (r float64, ok bool) {
	if m.think < 0.2 || m.think < m.busy {
		return 0, false
	}
	return m.bytes / m.think, true
}
