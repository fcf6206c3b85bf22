package tracker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoKeepsAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[string, int]
		n := 0
		get := func() (int, bool) {
			v, fresh, err := m.get(t.Context(), "k", time.Minute, func(context.Context) (int, error) { n++; return n, nil })
			if err != nil {
				t.Fatal(err)
			}
			return v, fresh
		}
		want := func(v int, fresh bool) {
			t.Helper()
			if gotV, gotFresh := get(); gotV != v || gotFresh != fresh {
				t.Errorf("got %d, fresh %v; want %d, %v", gotV, gotFresh, v, fresh)
			}
		}
		want(1, true)
		want(1, false)
		time.Sleep(time.Minute)
		want(2, true)
		m.forget("k")
		want(3, true)
	})
}

// Many ask at once: one fetches; when it fails, the next tries.
func TestMemoSharesFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[string, int]
		var mu sync.Mutex
		tries, failures, values := 0, 0, 0
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				v, _, err := m.get(t.Context(), "k", time.Minute, func(context.Context) (int, error) {
					mu.Lock()
					tries++
					n := tries
					mu.Unlock()
					time.Sleep(time.Second)
					if n < 3 {
						return 0, errors.New("not yet")
					}
					return 7, nil
				})
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failures++
				} else if v == 7 {
					values++
				}
			})
		}
		wg.Wait()
		if tries != 3 || failures != 2 || values != 8 {
			t.Errorf("%d tries, %d failures, %d values; want 3, 2, 8", tries, failures, values)
		}
	})
}

func TestMemoWaitEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[string, int]
		block := make(chan struct{})
		go m.get(t.Context(), "k", time.Minute, func(context.Context) (int, error) { <-block; return 1, nil })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := m.get(ctx, "k", time.Minute, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		close(block)
	})
}

func TestMemoIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m memo[int, int]
		for i := range 3 * maxMemo {
			m.get(t.Context(), i, time.Hour, func(context.Context) (int, error) { return i, nil })
		}
		if len(m.m) > maxMemo {
			t.Errorf("%d entries", len(m.m))
		}
	})
}
