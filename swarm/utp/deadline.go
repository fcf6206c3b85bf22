package utp

import (
	"sync"
	"time"
)

// deadline bounds the waits on a sync.Cond. Guarded by the lock of that. The zero
// value is none.
type deadline struct {
	at    time.Time
	timer *time.Timer // wakes all who wait
}

func (d *deadline) expired() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

// wait waits for a signal, or for the moment. The timer is armed only here, since
// peers set a deadline before each read, and most of them need not wait.
func (d *deadline) wait(cond *sync.Cond) {
	if !d.at.IsZero() {
		left := time.Until(d.at)
		if d.timer == nil {
			d.timer = time.AfterFunc(left, func() {
				cond.L.Lock()
				defer cond.L.Unlock()
				cond.Broadcast()
			})
		} else {
			d.timer.Reset(left)
		}
	}
	cond.Wait()
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}
