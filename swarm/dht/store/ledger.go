package store

import (
	"container/heap"
	"container/list"
	"net/netip"
)

// source is a network and what it stored, oldest first.
type source struct {
	net     netip.Prefix
	entries list.List
	index   int // in the heap
}

// place is where an entry stands in the ledger.
type place struct {
	source  *source
	element *list.Element
}

// placer is an entry that remembers its place.
type placer interface {
	comparable
	placed() *place
}

// ledger counts entries by the network that stored them, and knows which one
// holds most. The zero value is empty.
type ledger[E placer] struct {
	sources map[netip.Prefix]*source
	heap    sourceHeap // biggest first
	len     int
}

// network is the unit of fairness: /24, or /48 for IPv6, which is what one
// customer is given.
func network(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, _ := a.Prefix(bits)
	return p
}

func (l *ledger[E]) add(e E, from netip.Addr) {
	if l.sources == nil {
		l.sources = make(map[netip.Prefix]*source)
	}
	net := network(from)
	s := l.sources[net]
	if s == nil {
		s = &source{net: net}
		l.sources[net] = s
		heap.Push(&l.heap, s)
	}
	*e.placed() = place{s, s.entries.PushBack(e)}
	heap.Fix(&l.heap, s.index)
	l.len++
}

// renew makes e the newest of its source.
func (l *ledger[E]) renew(e E) {
	p := e.placed()
	p.source.entries.MoveToBack(p.element)
}

func (l *ledger[E]) remove(e E) {
	p := e.placed()
	s := p.source
	s.entries.Remove(p.element)
	*p = place{}
	l.len--
	if s.entries.Len() == 0 {
		heap.Remove(&l.heap, s.index)
		delete(l.sources, s.net)
		return
	}
	heap.Fix(&l.heap, s.index)
}

// victim returns the entry that gives way to one from the address: the oldest
// of the network that holds most, or of its own if that holds as much. The
// ledger must not be empty.
func (l *ledger[E]) victim(from netip.Addr) E {
	s := l.heap[0]
	if own := l.sources[network(from)]; own != nil && own.entries.Len() >= s.entries.Len() {
		s = own
	}
	return s.entries.Front().Value.(E)
}

// expire removes the entries that are old, which stand first in their sources.
func (l *ledger[E]) expire(old func(E) bool, remove func(E)) {
	for _, s := range append([]*source(nil), l.heap...) {
		for s.entries.Len() > 0 {
			e := s.entries.Front().Value.(E)
			if !old(e) {
				break
			}
			remove(e)
		}
	}
}

// sourceHeap implements heap.Interface.
type sourceHeap []*source

func (h sourceHeap) Len() int           { return len(h) }
func (h sourceHeap) Less(i, j int) bool { return h[i].entries.Len() > h[j].entries.Len() }
func (h sourceHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *sourceHeap) Push(x any) {
	s := x.(*source)
	s.index = len(*h)
	*h = append(*h, s)
}
func (h *sourceHeap) Pop() any {
	s := (*h)[len(*h)-1]
	(*h)[len(*h)-1] = nil
	*h = (*h)[:len(*h)-1]
	return s
}
