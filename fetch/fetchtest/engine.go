// Package fetchtest gives a fetch.Library a swarm without a network: an engine
// that hands out the metadata and the pieces of made torrents from memory, when
// and as far as the test says.
package fetchtest

import (
	"sync"
	"time"

	"magnetfs/fetch"
	"magnetfs/internal/swarmtest"
	"magnetfs/swarm"
	"magnetfs/swarm/metainfo"
)

// Script says how the swarm of one torrent behaves. The zero value has everything
// at once.
type Script struct {
	// Info is how long the metadata takes; negative for ever.
	Info time.Duration
	// Piece is how long each piece takes.
	Piece time.Duration
	// Stalled tells which pieces never come. Nil: none.
	Stalled func(piece int) bool
	// NoPeers makes the swarm say that nobody is there.
	NoPeers bool
}

// Engine is a fetch.Engine.
type Engine struct {
	mu       sync.Mutex
	offers   map[metainfo.InfoHash]offer // guarded by mu
	requests map[metainfo.InfoHash][]int // guarded by mu; pieces delivered, in order
	running  map[metainfo.InfoHash]*fake // guarded by mu; the last one joined
}

type offer struct {
	t      *swarmtest.Torrent
	script Script
}

// New makes an engine without torrents.
func New() *Engine {
	return &Engine{
		offers:   map[metainfo.InfoHash]offer{},
		requests: map[metainfo.InfoHash][]int{},
		running:  map[metainfo.InfoHash]*fake{},
	}
}

// Offer lets the engine deliver a torrent, and returns its info-hash in hex.
func (e *Engine) Offer(t *swarmtest.Torrent, s Script) string {
	hash, _ := metainfo.HashInfo(t.Raw)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.offers[hash] = offer{t, s}
	return hash.String()
}

// Release lets the stalled pieces of a torrent come from now on.
func (e *Engine) Release(hash string) {
	h, err := metainfo.ParseInfoHash(hash)
	if err != nil {
		return
	}
	e.mu.Lock()
	o := e.offers[h]
	o.script.Stalled = nil
	e.offers[h] = o
	running := e.running[h]
	e.mu.Unlock()
	if running != nil {
		running.release()
	}
}

// Delivered returns the pieces that were handed over, in order.
func (e *Engine) Delivered(hash string) []int {
	h, err := metainfo.ParseInfoHash(hash)
	if err != nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]int(nil), e.requests[h]...)
}

// Add implements fetch.Engine. A torrent that nobody offered never resolves.
func (e *Engine) Add(spec swarm.AddSpec) (fetch.Swarm, error) {
	e.mu.Lock()
	o, ok := e.offers[spec.InfoHash]
	e.mu.Unlock()
	if !ok {
		o.script = Script{Info: -1, NoPeers: true}
	}
	s := &fake{engine: e, offer: o, spec: spec, wants: map[uint64][]swarm.Want{},
		asked: map[int]bool{}, quit: make(chan struct{})}
	e.mu.Lock()
	e.running[spec.InfoHash] = s
	e.mu.Unlock()
	if o.t != nil {
		s.has = make([]bool, o.t.NumPieces())
		for _, p := range spec.Have {
			s.has[p] = true
		}
	}
	if spec.Info == nil && o.script.Info >= 0 {
		s.later(o.script.Info, s.resolve)
	} else {
		s.resolved = spec.Info != nil
	}
	return s, nil
}

// fake is the swarm of one torrent.
type fake struct {
	engine *Engine
	offer  offer
	spec   swarm.AddSpec

	quit    chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool                    // guarded by mu
	resolved bool                    // guarded by mu
	wants    map[uint64][]swarm.Want // guarded by mu
	asked    map[int]bool            // guarded by mu; on their way
	has      []bool                  // guarded by mu
	last     time.Time               // guarded by mu
}

// later runs f after d unless the swarm is closed before.
func (s *fake) later(d time.Duration, f func()) {
	s.running.Add(1)
	go func() {
		defer s.running.Done()
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			f()
		case <-s.quit:
		}
	}()
}

func (s *fake) resolve() {
	s.spec.OnInfo(s.offer.t.Info)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resolved = true
	s.fetch()
}

// fetch starts what is wanted and can be had. It runs under s.mu.
func (s *fake) fetch() {
	if s.closed || !s.resolved || s.offer.t == nil {
		return
	}
	for _, wants := range s.wants {
		for _, w := range wants {
			if s.has[w.Piece] || s.asked[w.Piece] || s.stalled(w.Piece) {
				continue
			}
			s.asked[w.Piece] = true
			s.later(s.offer.script.Piece, func() { s.deliver(w.Piece) })
		}
	}
}

func (s *fake) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offer.script.Stalled = nil
	s.fetch()
}

func (s *fake) stalled(piece int) bool {
	f := s.offer.script.Stalled
	return f != nil && f(piece)
}

func (s *fake) deliver(piece int) {
	s.mu.Lock()
	s.has[piece] = true
	delete(s.asked, piece)
	s.last = time.Now()
	s.mu.Unlock()

	hash := s.spec.InfoHash
	s.engine.mu.Lock()
	s.engine.requests[hash] = append(s.engine.requests[hash], piece)
	s.engine.mu.Unlock()

	s.spec.Store.PieceVerified(piece, append([]byte(nil), s.offer.t.Piece(piece)...))
}

// Held implements fetch.Swarm.
func (s *fake) Held(pieces ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pieces {
		s.has[p] = true
	}
}

// SetWants implements fetch.Swarm.
func (s *fake) SetWants(reader uint64, wants []swarm.Want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(wants) == 0 {
		delete(s.wants, reader)
		return
	}
	s.wants[reader] = append([]swarm.Want(nil), wants...)
	s.fetch()
}

// SetOpen implements fetch.Swarm.
func (s *fake) SetOpen(uint64, bool) {}

// Evicted implements fetch.Swarm.
func (s *fake) Evicted(pieces ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pieces {
		if p < len(s.has) {
			s.has[p] = false
		}
	}
	s.fetch()
}

// Supply implements fetch.Swarm.
func (s *fake) Supply(int) swarm.Supply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.offer.script.NoPeers {
		return swarm.Supply{LastBlock: s.last}
	}
	return swarm.Supply{Connected: 1, Peers: 1, LastBlock: s.last}
}

// Status implements fetch.Swarm.
func (s *fake) Status() swarm.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := swarm.Status{InfoHash: s.spec.InfoHash, Name: s.spec.Name, State: swarm.StateResolving,
		Sources: []swarm.SourceStatus{{Name: "[DHT]", Status: "disabled", Next: -1, Seeds: -1, Peers: -1}}}
	if s.resolved && s.offer.t != nil {
		st.State = swarm.StateIdle
		st.Pieces = s.offer.t.NumPieces()
		st.Size = s.offer.t.Length
		st.ConnectedSeeds = 1
		for _, has := range s.has {
			if has {
				st.HavePieces++
			}
		}
	}
	if len(s.wants) > 0 {
		st.State = swarm.StateActive
	}
	return st
}

// AddPeers implements fetch.Swarm.
func (s *fake) AddPeers([]string) {}

// AddTrackers implements fetch.Swarm.
func (s *fake) AddTrackers([][]string) {}

// AddHash implements fetch.Swarm.
func (s *fake) AddHash(metainfo.InfoHash) {}

// Close implements fetch.Swarm: no callback runs after it.
func (s *fake) Close() {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if !closed {
		close(s.quit)
	}
	s.running.Wait()
}
