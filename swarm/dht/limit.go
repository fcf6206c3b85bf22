package dht

import (
	"net/netip"
	"time"
)

// bucket is a token bucket.
type bucket struct {
	rate, burst float64 // tokens per second, and at most
	have        float64
	at          time.Time
}

func newBucket(rate, burst float64, now time.Time) *bucket {
	return &bucket{rate, burst, burst, now}
}

// has tells whether there are n tokens.
func (b *bucket) has(n float64, now time.Time) bool {
	b.have = min(b.burst, b.have+b.rate*now.Sub(b.at).Seconds())
	b.at = now
	return b.have >= n
}

// take takes n tokens and returns true, or none.
func (b *bucket) take(n float64, now time.Time) bool {
	if !b.has(n, now) {
		return false
	}
	b.have -= n
	return true
}

// Limits of packets from one source that we did not ask for (libtorrent,
// dos_blocker.cpp and dht_block_ratelimit): more than floodPackets within
// floodWindow, and the source is ignored for floodBlock.
const (
	floodPackets = 50
	floodWindow  = 10 * time.Second
	floodBlock   = 5 * time.Minute
	floodSources = 4096 // tracked at once
)

// floods finds sources that send too much. Answers to our queries are not
// counted, so that nobody can silence a node by spoofing its address.
type floods struct {
	since   time.Time
	count   map[netip.Prefix]int
	blocked map[netip.Prefix]time.Time // until
}

// allow counts one packet from ip and tells whether it is to be looked at.
func (f *floods) allow(ip netip.Addr, now time.Time) bool {
	if ip.IsLoopback() {
		return true // all programs of this host share the address
	}
	if now.Sub(f.since) >= floodWindow || f.count == nil {
		f.count = make(map[netip.Prefix]int)
		f.since = now
		for src, until := range f.blocked {
			if !now.Before(until) {
				delete(f.blocked, src)
			}
		}
	}
	src := floodSource(ip)
	if now.Before(f.blocked[src]) {
		return false
	}
	if _, known := f.count[src]; !known && len(f.count) >= floodSources {
		return true // the total limit of answers has to do
	}
	if f.count[src]++; f.count[src] <= floodPackets {
		return true
	}
	if f.blocked == nil {
		f.blocked = make(map[netip.Prefix]time.Time)
	}
	if len(f.blocked) < floodSources {
		f.blocked[src] = now.Add(floodBlock)
	}
	return false
}

// floodSource is an IPv4 address, or the /64 of an IPv6 one.
func floodSource(ip netip.Addr) netip.Prefix {
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits)
	return p
}
