package main

import (
	"log/slog"
	"sync"

	"magnetfs/swarm"
	"magnetfs/swarm/blocklist"
)

// blocked is the block list of a mount.
type blocked struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex     // guards the rest
	session *swarm.Session // nil: there is none yet
	current *blocklist.List
	ranges  int
}

// read reads the file, and puts it in the place of what was read before; if that does
// not come out, that stays.
func (b *blocked) read() error {
	l, report, err := blocklist.Open(b.path)
	if err != nil {
		return err
	}
	if report.Bad > 0 {
		b.log.Warn("lines of the block list say nothing", "file", b.path, "lines", report.Bad, "first", report.First)
	}
	b.log.Info("the block list is read", "file", b.path, "ranges", report.Ranges)
	b.mu.Lock()
	b.current, b.ranges = l, report.Ranges
	session := b.session
	b.mu.Unlock()
	if session != nil {
		session.SetBlocked(l)
	}
	return nil
}

// counts are the ranges of the list, and how many were refused.
func (b *blocked) counts() (ranges int, refused int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != nil {
		refused = b.session.Refused()
	}
	return b.ranges, refused
}
