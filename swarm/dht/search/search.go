package search

import (
	"net/netip"

	"magnetfs/swarm/dht/krpc"
)

// Bounds of a search.
const (
	// MaxPerAnswer is how many nodes of one answer are looked at. Nodes send 8,
	// some 16 or 20.
	MaxPerAnswer = 20
	// maxCandidates is how many are kept (libtorrent: 100).
	maxCandidates = 100
	// maxUnfit is how many are kept whose IDs do not fit their addresses,
	// besides. Most networks have few of them (guess).
	maxUnfit = 50
	// doubtAfter is how many nodes named by one informant may fail to answer
	// before the others are doubted, if none did answer (guess).
	doubtAfter = 3
)

// Config describes a search. Zero numbers mean the defaults.
type Config struct {
	Target     krpc.ID
	K          int // answering nodes wanted; 8
	Alpha      int // queries in flight; 4
	MaxQueries int // 250
	// Local tells which addresses are exempt from the rules of diversity; nil
	// for none.
	Local func(netip.Addr) bool
}

type state uint8

const (
	fresh state = iota
	asked
	overdue
	answered
	failed
)

// Candidate is one node of a search.
type Candidate struct {
	krpc.NodeInfo        // ID is zero for a bare address until it answers
	Depth         int    // answers that led to it: 0 from the table, 1 named by these
	Token         []byte // what it answered, for announcing to it

	bare      bool
	compliant bool
	state     state
	lied      bool       // answered under another ID
	via       *Candidate // who named it first; nil if it came from the table
	named     int        // informants that named it
	dead      int        // of the nodes it named, how many are overdue or failed
	alive     int        // and how many answered
}

// Search is the state of one lookup. It is owned by one goroutine.
type Search struct {
	cfg     Config
	list    []*Candidate // with IDs, closest first
	bare    []*Candidate // without, not asked yet
	seen    map[netip.AddrPort]*Candidate
	ips     map[netip.Addr]bool   // of candidates that are neither local nor failed
	nets    map[netip.Prefix]bool // likewise
	queries int
	flying  int // asked and not overdue
}

// New returns a search without candidates.
func New(cfg Config) *Search {
	if cfg.K == 0 {
		cfg.K = 8
	}
	if cfg.Alpha == 0 {
		cfg.Alpha = 4
	}
	if cfg.MaxQueries == 0 {
		cfg.MaxQueries = 250
	}
	if cfg.Local == nil {
		cfg.Local = func(netip.Addr) bool { return false }
	}
	return &Search{
		cfg:  cfg,
		seen: make(map[netip.AddrPort]*Candidate),
		ips:  make(map[netip.Addr]bool),
		nets: make(map[netip.Prefix]bool),
	}
}

// doubtful tells whether c is likely to be an invention of its informant.
func (c *Candidate) doubtful() bool {
	return c.named < 2 && c.via != nil && c.via.dead >= doubtAfter && c.via.alive == 0 &&
		c.state != answered
}

// Next returns the next candidate to be asked, or nil if there is none for now,
// and counts it as asked.
func (s *Search) Next() *Candidate {
	if s.queries >= s.cfg.MaxQueries {
		return nil
	}
	var c *Candidate
	if len(s.bare) > 0 {
		c, s.bare = s.bare[0], s.bare[1:]
	} else if c = s.pick(); c == nil {
		return nil
	}
	c.state = asked
	s.queries++
	s.flying++
	return c
}

// pick returns the closest fresh candidate in the window if Alpha allows.
func (s *Search) pick() *Candidate {
	var best, doubted *Candidate
	flying := 0
	for c := range s.window() {
		switch {
		case c.state == asked:
			flying++
		case c.state != fresh:
		case c.doubtful():
			if doubted == nil {
				doubted = c
			}
		case best == nil:
			best = c
		}
	}
	if best == nil && flying == 0 {
		best = doubted
	}
	if flying >= s.cfg.Alpha || s.flying >= 3*s.cfg.Alpha {
		return nil
	}
	return best
}

// window iterates over the candidates that matter: those before the K-th that
// is alive as far as we know, and compliant ones before the K-th compliant.
// Failed ones are left out; overdue and doubtful ones are in but hold no place.
func (s *Search) window() func(yield func(*Candidate) bool) {
	return func(yield func(*Candidate) bool) {
		all, fit := 0, 0
		for _, c := range s.list {
			if fit >= s.cfg.K {
				return
			}
			if c.state == failed || all >= s.cfg.K && !c.compliant {
				continue
			}
			if !yield(c) {
				return
			}
			if c.state == overdue || c.doubtful() {
				continue
			}
			all++
			if c.compliant {
				fit++
			}
		}
	}
}

// Answered notes that c answered as id and returns whether that is believable:
// under another ID than it was named with it counts as failed. An answer that
// comes after c was given up counts as well.
func (s *Search) Answered(c *Candidate, id krpc.ID, token []byte) bool {
	if c.lied || c.state == answered {
		return false
	}
	if !c.bare && c.ID != id {
		s.Failed(c)
		c.lied = true
		return false
	}
	s.land(c)
	if c.via != nil {
		c.via.alive++
	}
	c.state = answered
	c.Token = token
	if c.bare {
		c.ID = id
		s.place(c)
	}
	return true
}

// Overdue notes that c has not answered for longer than usual. Its slot is free
// again.
func (s *Search) Overdue(c *Candidate) {
	if c.state != asked {
		return
	}
	s.land(c)
	c.state = overdue
	if c.via != nil {
		c.via.dead++
	}
}

// Failed notes that no answer of c is expected any more.
func (s *Search) Failed(c *Candidate) {
	if c.state == failed || c.state == answered {
		return
	}
	s.Overdue(c)
	c.state = failed
	s.forget(c)
}

// land counts down the queries in flight.
func (s *Search) land(c *Candidate) {
	if c.state == asked {
		s.flying--
	}
}

// Done tells whether there is nobody left to ask or to wait for.
func (s *Search) Done() bool {
	if len(s.bare) > 0 && s.queries < s.cfg.MaxQueries {
		return false
	}
	for _, c := range s.seen {
		if c.bare && (c.state == asked || c.state == overdue) {
			return false
		}
	}
	for c := range s.window() {
		if c.state == asked || c.state == overdue {
			return false
		}
		if c.state == fresh && s.queries < s.cfg.MaxQueries {
			return false
		}
	}
	return true
}

// Starved tells whether more candidates would help: fewer than K answered or
// may still answer.
func (s *Search) Starved() bool {
	n := 0
	for _, c := range s.list {
		if c.state != failed && c.state != overdue {
			n++
		}
	}
	return n < s.cfg.K
}

// Queries returns how many candidates were asked.
func (s *Search) Queries() int { return s.queries }

// Closest returns the answering nodes to announce to, closest first: the n
// closest whose IDs fit their addresses, and such others as are among the n
// closest of all. These are at most half of n, or what is missing to n.
func (s *Search) Closest(n int) []*Candidate {
	var alive []*Candidate
	fit := 0
	for _, c := range s.list {
		if c.state == answered {
			alive = append(alive, c)
			if c.compliant {
				fit++
			}
		}
	}
	others := max(n/2, n-fit)
	fit = 0
	var nodes []*Candidate
	for i, c := range alive {
		switch {
		case c.compliant && fit < n:
			fit++
			nodes = append(nodes, c)
		case !c.compliant && i < n && others > 0:
			others--
			nodes = append(nodes, c)
		}
	}
	return nodes
}
