// Package cache keeps verified pieces in memory under a hard byte bound.
//
// # Tiers
//
// A piece is in exactly one of these places, and the map of a [Cache] is the only
// truth about it:
//
//	pinned   in a reader's window, or a read sleeps on it; never evicted
//	recent   what pins let go, first in, first out; a quarter of the budget
//	offered  fell out of recent, waits for ristretto's verdict
//	main     kept by ristretto (TinyLFU)
//
//	Put ──► pinned ──Unpin──► recent ──overflow──► offered ──admitted──► main
//	  │        ▲                │ ▲                   │                    │
//	  └────────┼────────────────┘─┼──── evicted ◄─────┴──── evicted ◄──────┘
//	           └──── Pin ─────────┴─ (from any place)
//
// A pin is counted, and may be set before its piece exists: it then reserves the
// piece's bytes, so that partial pieces inside windows are inside the bound too.
// When pins and reservations fill the budget, [Cache.Pin], [Cache.Reserve] and
// [Cache.Put] answer false and the caller has to do with less.
//
// # What ristretto is trusted with
//
// With choosing whom to give up among the pieces that nobody reads; nothing else.
// It may drop a Set, reject an insert, and show an accepted one late, so no reader
// ever waits for something that only ristretto holds: lookups are answered from
// the map. Its verdicts (a false Set, OnReject, OnEvict) arrive in one goroutine
// (policy.go) that applies them to the map. It evicts nothing when its limit
// sinks, so when pins need room at once, the map gives up the least recently
// visited pieces of main by itself.
//
// # Rules
//
// Data is immutable from Put on and is shared: an evicted slice stays valid for
// those who hold it. Evicted keys are reported by the function given to
// [Cache.OnEvict], never lost, from a goroutine of its own, so it may take its
// time and call back. The package imports nothing else of this project and starts
// two goroutines, besides ristretto's own two, which Close waits for.
//
// See docs/cache.md for the measurements behind it.
package cache
