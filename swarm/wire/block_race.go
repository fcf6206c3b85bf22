//go:build race

package wire

import "sync"

// pool, when the race detector is on, finds mistakes of ownership: a block that is put back twice panics, and one that
// is used after it was put back holds rubbish. The write of the rubbish is also what makes the race detector notice
// a reader that has kept the slice.
type pool struct {
	mu   sync.Mutex // guards free and in; a leaf
	free []*block
	in   map[*block]bool // those in free
}

var blocks = pool{in: map[*block]bool{}}

func (p *pool) get() *block {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return new(block)
	}
	b := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	delete(p.in, b)
	return b
}

func (p *pool) put(b *block) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.in[b] {
		panic("wire: block put back twice")
	}
	for i := range b {
		b[i] = 0xdb
	}
	p.free = append(p.free, b)
	p.in[b] = true
}
