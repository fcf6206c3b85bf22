package swarm

import "time"

// meter counts bytes and their rate over the last seconds. The zero value is
// ready.
type meter struct {
	total  int64
	mark   int64
	markAt time.Time
	rate   float64 // bytes per second, smoothed
}

func (m *meter) add(n int) { m.total += int64(n) }

// tick brings the rate up to date; called about once a second.
func (m *meter) tick(now time.Time) {
	d := now.Sub(m.markAt).Seconds()
	if m.markAt.IsZero() || d <= 0 {
		m.mark, m.markAt = m.total, now
		return
	}
	r := float64(m.total-m.mark) / d
	m.rate += (r - m.rate) * 0.4
	if m.rate < 1 {
		m.rate = 0
	}
	m.mark, m.markAt = m.total, now
}
