package swarm

import (
	"testing"
	"testing/synctest"
	"time"

	"magnetfs/swarm/wire"
)

// user is a torrent that passes all that it may, in whole blocks, for a while.
type user struct {
	share    *share
	more     chan struct{}
	pressing bool
	passed   int64
}

func newUser(t *throttle, pressing bool) *user {
	more := make(chan struct{}, 1)
	return &user{share: &share{throttle: t, more: more}, more: more, pressing: pressing}
}

func (u *user) run(d time.Duration) {
	end := time.After(d)
	for {
		now := time.Now()
		taken := u.share.take(now)
		n := min(taken/wire.BlockSize, 1000) * wire.BlockSize
		u.passed += int64(n)
		u.share.settle(now, taken, n, true, u.pressing)
		select {
		case <-u.more:
		case <-end:
			u.share.leave(time.Now())
			return
		}
	}
}

// Who wants more than there is gets it evenly, those that a read waits for before
// others, and nobody nothing.
func TestThrottleDivides(t *testing.T) {
	for _, tt := range []struct {
		name     string
		rate     int64
		pressing []bool
		want     []float64 // parts of the rate
	}{
		{"one", 1 << 20, []bool{false}, []float64{1}},
		{"slow", 3000, []bool{false}, []float64{1}},
		{"equal", 1 << 20, []bool{false, false, false, false}, []float64{0.25, 0.25, 0.25, 0.25}},
		{"one presses", 1 << 20, []bool{true, false, false}, []float64{7. / 8, 1. / 16, 1. / 16}},
		{"fast", 300 << 20, []bool{true, true, false}, []float64{7. / 16, 7. / 16, 1. / 8}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var th throttle
				defer th.close()
				th.set(tt.rate, time.Now())
				var users []*user
				const long = 100 * time.Second
				for _, p := range tt.pressing {
					u := newUser(&th, p)
					users = append(users, u)
					go u.run(long)
				}
				time.Sleep(long + time.Second)
				synctest.Wait()
				for i, u := range users {
					got := float64(u.passed) / float64(tt.rate) / long.Seconds()
					if got < 0.95*tt.want[i] || got > 1.05*tt.want[i] {
						t.Errorf("user %d passed %.3f of the rate, want %.3f", i, got, tt.want[i])
					}
				}
			})
		})
	}
}

// A new rate holds at once for those that wait, none lets all pass, and what more
// passed than was to is made up for.
func TestThrottleChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var th throttle
		defer th.close()
		u := newUser(&th, false)
		if got := u.share.take(time.Now()); got != unlimited {
			t.Errorf("%d without a limit", got)
		}
		u.share.settle(time.Now(), unlimited, 1<<30, true, true)
		th.set(1, time.Now())
		told := func(when string, want bool) {
			t.Helper()
			select {
			case <-u.more:
				if !want {
					t.Errorf("%s: told that there is more", when)
				}
			default:
				if want {
					t.Errorf("%s: not told", when)
				}
			}
		}
		now := time.Now()
		u.share.settle(now, u.share.take(now), 0, true, false)
		time.Sleep(time.Hour) // of the 4 h and 33 min that a block takes
		synctest.Wait()
		told("after an hour", false)
		th.set(wire.BlockSize, time.Now())
		told("after the change", true)
		now = time.Now()
		u.share.settle(now, u.share.take(now), 3*wire.BlockSize, true, false) // unasked
		time.Sleep(time.Second)
		synctest.Wait()
		told("in debt", false)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		told("later", true)
		th.set(0, time.Now())
		if got := u.share.take(time.Now()); got != unlimited {
			t.Errorf("%d without a limit", got)
		}
		// A limit that comes between take and settle is not missed.
		th.set(1<<20, time.Now())
		u.share.settle(time.Now(), unlimited, wire.BlockSize, false, false)
		time.Sleep(time.Second)
		synctest.Wait()
		told("after a limit came between", true)
		u.share.leave(time.Now())
		if len(th.queue[0]) > 0 || len(th.queue[1]) > 0 {
			t.Error("somebody waits who has left")
		}
	})
}
