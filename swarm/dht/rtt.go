package dht

import "time"

// rtt estimates how long answers take, over all nodes (the smoothing of RFC
// 6298). The zero value knows nothing yet.
type rtt struct{ mean, dev time.Duration }

// deadAfter is when a query is given up and counts against its node. An answer
// that comes later is not recognised (jech/dht: 10 s).
const deadAfter = 10 * time.Second

// sample takes in one answer.
func (r *rtt) sample(d time.Duration) {
	if r.mean == 0 {
		r.mean, r.dev = d, d/2
		return
	}
	diff := d - r.mean
	r.mean += diff / 8
	if diff < 0 {
		diff = -diff
	}
	r.dev += (diff - r.dev) / 4
}

// overdue is when a lookup stops counting a query as in flight. Most nodes that
// ever answer do so earlier.
func (r *rtt) overdue() time.Duration {
	if r.mean == 0 {
		return 400 * time.Millisecond
	}
	return max(100*time.Millisecond, min(r.mean+4*r.dev, time.Second))
}

// hopeless is when a lookup that has nobody else to ask does not wait for the
// answer any longer.
func (r *rtt) hopeless() time.Duration {
	return max(time.Second, min(4*r.overdue(), 4*time.Second))
}
