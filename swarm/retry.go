package swarm

import (
	"net/netip"
	"time"
)

// Retry has everything that failed tried again now: the network is back. What was
// not tried since nothing could be sent was no fault of the others.
func (s *Session) Retry() {
	if s.dht != nil {
		for _, srv := range s.dht.servers {
			srv.Retry()
		}
	}
	for _, t := range s.all() {
		t.post(event{msg: evRetry{}})
		for _, f := range t.finders.all() {
			f.retry()
		}
	}
}

// retry asks the trackers that did not answer, and the DHT.
func (f *finder) retry() {
	f.mu.Lock()
	a := f.trackers
	f.mu.Unlock()
	if a != nil {
		a.Retry()
	}
	if f.t.Status().State != StateIdle { // whoever begins to read hurries
		f.needPeers()
	}
}

// retry makes all addresses due.
func (c *candidates) retry(now time.Time) {
	for _, d := range c.list {
		if !d.busy && d.notBefore.After(now) {
			d.notBefore = now
		}
	}
}

// postpone notes that addr was not dialled, since nothing could be sent.
func (c *candidates) postpone(addr netip.AddrPort, now time.Time) {
	if d := c.list[addr]; d != nil {
		d.busy = false
		d.notBefore = now.Add(retryBase)
	}
}
