//go:build !race

package wire

import "sync"

// pool keeps blocks between uses. Pointers to arrays go in and out, since a slice would be boxed on each put.
type pool struct{ free sync.Pool }

var blocks = pool{sync.Pool{New: func() any { return new(block) }}}

func (p *pool) get() *block  { return p.free.Get().(*block) }
func (p *pool) put(b *block) { p.free.Put(b) }
