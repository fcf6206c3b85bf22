package cache

import "sync"

// notifier tells the listener which keys were evicted. It holds each key once, so
// that a slow listener costs no more than one entry a piece.
type notifier struct {
	c    *Cache
	wake chan struct{} // capacity 1
	stop chan struct{}
	done chan struct{}
	once sync.Once

	// Guarded by Cache.mu.
	listener func([]Key)
	lost     map[Key]struct{}
}

func newNotifier(c *Cache) *notifier {
	n := &notifier{
		c:    c,
		wake: make(chan struct{}, 1),
		stop: make(chan struct{}),
		done: make(chan struct{}),
		lost: make(map[Key]struct{}),
	}
	go n.run()
	return n
}

// add notes an evicted key; Cache.mu is held.
func (n *notifier) add(key Key) {
	n.lost[key] = struct{}{}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notifier) close() {
	n.once.Do(func() { close(n.stop) })
	<-n.done
}

func (n *notifier) run() {
	defer close(n.done)
	for {
		select {
		case <-n.wake:
			n.report()
		case <-n.stop:
			n.report()
			return
		}
	}
}

func (n *notifier) report() {
	n.c.mu.Lock()
	var keys []Key
	for key := range n.lost {
		if it := n.c.items[key]; it == nil || it.data == nil {
			keys = append(keys, key)
		}
	}
	clear(n.lost)
	listener := n.listener
	n.c.mu.Unlock()
	if listener != nil && len(keys) > 0 {
		listener(keys)
	}
}
