package tracker

import (
	"context"
	"sync"
	"time"
)

// maxMemo bounds the entries of a memo; guess, well above what a session with
// hundreds of torrents needs at a time.
const maxMemo = 1024

// memo remembers what was fetched under a key for a while, and lets all who
// ask meanwhile wait for the same fetch. The zero value is ready.
type memo[K comparable, V any] struct {
	mu sync.Mutex // leaf; guards m and the entries' fields other than done
	m  map[K]*memoEntry[V]
}

// memoEntry is being fetched while done is open. Errors are not kept.
type memoEntry[V any] struct {
	done    chan struct{}
	fetched bool
	value   V
	expires time.Time
}

// get returns the value under key, fetching it if it is missing or too old.
// fresh tells that it was fetched just now. If the fetch of another caller
// fails, the next one in line tries itself.
func (c *memo[K, V]) get(ctx context.Context, key K, keep time.Duration,
	fetch func(context.Context) (V, error)) (v V, fresh bool, err error) {
	for {
		e, mine := c.claim(key)
		if mine {
			v, err := fetch(ctx)
			c.settle(key, e, v, err, keep)
			return v, true, err
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			return v, false, context.Cause(ctx)
		}
		c.mu.Lock()
		ok, v := e.fetched, e.value
		c.mu.Unlock()
		if ok {
			return v, false, nil
		}
	}
}

// claim returns the entry under key; mine means that it is a new one, which
// the caller has to settle.
func (c *memo[K, V]) claim(key K) (e *memoEntry[V], mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if e := c.m[key]; e != nil && (!e.fetched || now.Before(e.expires)) {
		return e, false
	}
	if c.m == nil {
		c.m = make(map[K]*memoEntry[V])
	}
	if len(c.m) >= maxMemo {
		c.prune(now)
	}
	e = &memoEntry[V]{done: make(chan struct{})}
	c.m[key] = e
	return e, true
}

// prune makes room: expired entries, or else any finished one.
func (c *memo[K, V]) prune(now time.Time) {
	for k, e := range c.m {
		if e.fetched && !now.Before(e.expires) {
			delete(c.m, k)
		}
	}
	for k, e := range c.m {
		if len(c.m) < maxMemo {
			return
		}
		if e.fetched {
			delete(c.m, k)
		}
	}
}

func (c *memo[K, V]) settle(key K, e *memoEntry[V], v V, err error, keep time.Duration) {
	c.mu.Lock()
	if err == nil {
		e.fetched, e.value, e.expires = true, v, time.Now().Add(keep)
	} else if c.m[key] == e {
		delete(c.m, key)
	}
	c.mu.Unlock()
	close(e.done)
}

// forget drops the value under key, unless it is being fetched.
func (c *memo[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.m[key]; e != nil && e.fetched {
		delete(c.m, key)
	}
}
