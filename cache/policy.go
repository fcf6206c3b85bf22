package cache

import (
	"sync"

	"github.com/dgraph-io/ristretto/v2"
)

// maxVisits bounds the visits that wait to be counted; more are not counted.
const maxVisits = 4096

// policy owns ristretto: run is the only goroutine that calls it, so its calls
// have one order and none meets a closed cache.
type policy struct {
	c *Cache
	r *ristretto.Cache[uint64, *item]

	// lost are the items rejected or evicted by the last Set. ristretto's
	// callbacks, in its own goroutine, only append; run reads after Wait.
	lost []*item

	wake chan struct{} // capacity 1
	stop chan struct{}
	done chan struct{}
	once sync.Once

	// Guarded by Cache.mu.
	queue  []op
	visits int // in queue
}

// op is one call for run; the order of the queue is kept. An item that goes from
// main to pinned and is offered again is thus deleted before it is set anew.
type op struct {
	kind opKind
	id   uint64
	it   *item  // opOffer only
	turn uint64 // opOffer only
}

type opKind uint8

const (
	opVisit opKind = iota
	opOffer
	opRemove
)

func newPolicy(c *Cache) (*policy, error) {
	p := &policy{
		c:    c,
		wake: make(chan struct{}, 1),
		stop: make(chan struct{}),
		done: make(chan struct{}),
	}
	lose := func(i *ristretto.Item[*item]) {
		if i.Value != nil {
			p.lost = append(p.lost, i.Value)
		}
	}
	r, err := ristretto.NewCache(&ristretto.Config[uint64, *item]{
		// Ten times the pieces expected, were they 64 KiB each; 3 bytes each.
		NumCounters: min(max(c.budget>>16*10, 1<<12), 1<<20),
		MaxCost:     max(1, c.mainLimit()),
		// Accesses are few (one a visit), and what waits in ristretto's
		// stripes is lost with each garbage collection.
		BufferItems: 1,
		OnEvict:     lose,
		OnReject:    lose,
		KeyToHash:   hash,
		// Costs are bytes, and the bound is kept by the map, not there.
		IgnoreInternalCost: true,
		// Nothing expires: as good as no ticker.
		TtlTickerDurationInSec: 1 << 30,
	})
	if err != nil {
		return nil, err
	}
	p.r = r
	go p.run()
	return p, nil
}

// visit, offer and remove queue a call; Cache.mu is held.
func (p *policy) visit(id uint64) {
	if p.visits < maxVisits {
		p.visits++
		p.push(op{kind: opVisit, id: id})
	}
}

func (p *policy) offer(it *item)   { p.push(op{kind: opOffer, id: it.id, it: it, turn: it.turn}) }
func (p *policy) remove(id uint64) { p.push(op{kind: opRemove, id: id}) }

func (p *policy) push(o op) {
	p.queue = append(p.queue, o)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *policy) close() {
	p.once.Do(func() { close(p.stop) })
	<-p.done
}

func (p *policy) run() {
	defer close(p.done)
	defer p.r.Close()
	var ops []op
	for {
		select {
		case <-p.wake:
		case <-p.stop:
			return
		}
		p.c.mu.Lock()
		ops, p.queue = p.queue, ops[:0]
		p.visits = 0
		p.c.mu.Unlock()
		for _, o := range ops {
			switch o.kind {
			case opVisit:
				p.r.Get(o.id)
			case opRemove:
				p.r.Del(o.id)
			case opOffer:
				p.judge(o)
			}
		}
		clear(ops) // let the items go
	}
}

// judge offers an item to ristretto and applies the verdict to the map.
//
// While ristretto thinks, the map may change: the item may be pinned, evicted or
// even offered anew, and so may its victims. The turn and the place tell.
func (p *policy) judge(o op) {
	c, it := p.c, o.it
	c.mu.Lock()
	current := it.at == offered && it.turn == o.turn
	limit, size := c.mainLimit(), it.size
	c.mu.Unlock()
	if !current {
		return
	}

	p.r.UpdateMaxCost(limit)
	kept := p.r.Set(o.id, it, size)
	p.r.Wait() // applies the Set and runs its callbacks; 4 µs

	stray := false // ristretto holds it, the map has it elsewhere
	c.mu.Lock()
	for _, l := range p.lost {
		if l == it {
			kept = false
		} else if l.at == main {
			c.unlist(l)
			c.evict(l)
		}
	}
	switch {
	case it.at != offered || it.turn != o.turn:
		stray = kept
	case kept:
		c.unlist(it)
		it.at = main
		c.main.push(it)
	default:
		c.evict(it)
	}
	c.mu.Unlock()
	if stray {
		p.r.Del(o.id)
	}
	clear(p.lost)
	p.lost = p.lost[:0]
}
