package swarmtest

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"magnetfs/swarm/benc"
	"magnetfs/swarm/endpoint"
)

// TrackerConfig describes a Tracker; the zero value is honest.
type TrackerConfig struct {
	Interval time.Duration    // told to clients; 0 = 30 minutes
	Peers    []netip.AddrPort // told beside those that announced themselves

	Failure string // answered to every announce
	Status  int    // HTTP status in place of an answer; 0 = none
	Silent  bool   // reads requests and never answers
}

// Announce is one announce that a Tracker got.
type Announce struct {
	At       time.Time
	UDP      bool
	From     netip.AddrPort
	InfoHash [20]byte
	PeerID   [20]byte
	Port     uint16
	Event    string // "", "started", "completed", "stopped"
	NumWant  int    // -1 = not given
	Left     int64
	Up, Down int64
}

// Tracker answers announces and scrapes by HTTP (BEP 3, 23, 7, 48) and UDP (BEP
// 15). Peers that announce are told to later ones. All methods are safe for
// concurrent use.
type Tracker struct {
	cfg    TrackerConfig
	server http.Server
	done   chan struct{} // closed by Close, for answers that never come
	wg     sync.WaitGroup

	mu        sync.Mutex // guards all below
	closed    bool
	packets   []net.PacketConn
	swarms    map[[20]byte]*trackedSwarm
	announces []Announce
	connID    uint64
	ids       map[uint64]netip.AddrPort // connection ids given out
}

// trackedSwarm is what a tracker knows of one torrent.
type trackedSwarm struct {
	peers     []netip.AddrPort // in order of their first announce
	left      map[netip.AddrPort]int64
	completed int
}

// NewTracker returns a tracker that serves nothing yet.
func NewTracker(cfg TrackerConfig) *Tracker {
	if cfg.Interval == 0 {
		cfg.Interval = 30 * time.Minute
	}
	t := &Tracker{
		cfg:    cfg,
		done:   make(chan struct{}),
		swarms: make(map[[20]byte]*trackedSwarm),
		ids:    make(map[uint64]netip.AddrPort),
	}
	t.server.Handler = http.HandlerFunc(t.serve)
	t.server.ErrorLog = log.New(io.Discard, "", 0)
	return t
}

// Serve answers HTTP on ln until Close: /announce and /scrape.
func (t *Tracker) Serve(ln net.Listener) { t.wg.Go(func() { t.server.Serve(ln) }) }

// ServePacket answers UDP on pc until Close.
func (t *Tracker) ServePacket(pc net.PacketConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		pc.Close()
		return
	}
	t.packets = append(t.packets, pc)
	t.wg.Go(func() { t.readPackets(pc) })
}

// Close ends all service.
func (t *Tracker) Close() error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.done)
	}
	for _, pc := range t.packets {
		pc.Close()
	}
	t.mu.Unlock()
	err := t.server.Close()
	t.wg.Wait()
	return err
}

// Announces returns what was announced so far, in order.
func (t *Tracker) Announces() []Announce {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.announces)
}

// Peers returns who is in the swarm of a torrent by their own announces.
func (t *Tracker) Peers(infoHash [20]byte) []netip.AddrPort {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.swarms[infoHash]; s != nil {
		return slices.Clone(s.peers)
	}
	return nil
}

// reply is the answer to an announce.
type reply struct {
	peers          []netip.AddrPort
	seeds, leeches int
}

// announce enters a into the swarm and returns the others.
func (t *Tracker) announce(a Announce) reply {
	t.mu.Lock()
	defer t.mu.Unlock()
	a.At = time.Now()
	t.announces = append(t.announces, a)
	s := t.swarms[a.InfoHash]
	if s == nil {
		s = &trackedSwarm{left: make(map[netip.AddrPort]int64)}
		t.swarms[a.InfoHash] = s
	}
	self := netip.AddrPortFrom(a.From.Addr(), a.Port)
	s.update(self, a)
	var r reply
	r.seeds, r.leeches = s.count()
	if a.Event == "stopped" {
		return r
	}
	want := a.NumWant
	if want < 0 {
		want = 50
	}
	for _, p := range append(slices.Clone(t.cfg.Peers), s.peers...) {
		if p != self && len(r.peers) < want {
			r.peers = append(r.peers, p)
		}
	}
	return r
}

func (s *trackedSwarm) update(peer netip.AddrPort, a Announce) {
	if a.Event == "stopped" {
		delete(s.left, peer)
		s.peers = slices.DeleteFunc(s.peers, func(p netip.AddrPort) bool { return p == peer })
		return
	}
	if a.Event == "completed" {
		s.completed++
	}
	if !slices.Contains(s.peers, peer) {
		s.peers = append(s.peers, peer)
	}
	s.left[peer] = a.Left
}

func (s *trackedSwarm) count() (seeds, leeches int) {
	for _, left := range s.left {
		if left == 0 {
			seeds++
		} else {
			leeches++
		}
	}
	return seeds, leeches
}

// serve is the HTTP handler.
func (t *Tracker) serve(w http.ResponseWriter, r *http.Request) {
	switch {
	case t.cfg.Silent:
		select {
		case <-t.done:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case t.cfg.Status != 0:
		w.WriteHeader(t.cfg.Status)
		return
	}
	var body map[string]any
	switch {
	case strings.HasSuffix(r.URL.Path, "/announce"):
		body = t.httpAnnounce(r)
	case strings.HasSuffix(r.URL.Path, "/scrape"):
		body = t.httpScrape(r)
	default:
		http.NotFound(w, r)
		return
	}
	if raw, err := benc.Marshal(body); err == nil {
		w.Write(raw)
	}
}

func (t *Tracker) httpAnnounce(r *http.Request) map[string]any {
	fail := func(why string) map[string]any { return map[string]any{"failure reason": why} }
	q := r.URL.Query()
	a := Announce{Event: q.Get("event"), NumWant: -1}
	var err error
	if a.From, err = netip.ParseAddrPort(r.RemoteAddr); err != nil {
		return fail(err.Error())
	}
	a.From = endpoint.Unmap4(a.From)
	if len(q.Get("info_hash")) != 20 || len(q.Get("peer_id")) != 20 {
		return fail("info_hash and peer_id have 20 bytes")
	}
	copy(a.InfoHash[:], q.Get("info_hash"))
	copy(a.PeerID[:], q.Get("peer_id"))
	port, err := strconv.ParseUint(q.Get("port"), 10, 16)
	if err != nil {
		return fail("port is no number")
	}
	a.Port = uint16(port)
	for name, v := range map[string]*int64{"left": &a.Left, "uploaded": &a.Up, "downloaded": &a.Down} {
		if *v, err = strconv.ParseInt(q.Get(name), 10, 64); err != nil || *v < 0 {
			return fail(name + " is no number")
		}
	}
	if n, err := strconv.Atoi(q.Get("numwant")); err == nil {
		a.NumWant = n
	}
	answer := t.announce(a)
	if t.cfg.Failure != "" {
		return fail(t.cfg.Failure)
	}
	v4, v6 := compact(answer.peers)
	body := map[string]any{
		"interval": int(t.cfg.Interval / time.Second), "peers": string(v4),
		"complete": answer.seeds, "incomplete": answer.leeches,
	}
	if len(v6) > 0 {
		body["peers6"] = string(v6)
	}
	return body
}

func (t *Tracker) httpScrape(r *http.Request) map[string]any {
	files := make(map[string]any)
	for _, h := range r.URL.Query()["info_hash"] {
		if len(h) != 20 {
			continue
		}
		seeds, completed, leeches := t.scrape([20]byte([]byte(h)))
		files[h] = map[string]any{"complete": seeds, "downloaded": completed, "incomplete": leeches}
	}
	return map[string]any{"files": files}
}

func (t *Tracker) scrape(infoHash [20]byte) (seeds, completed, leeches int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.swarms[infoHash]; s != nil {
		seeds, leeches = s.count()
		completed = s.completed
	}
	return seeds, completed, leeches
}

// compact encodes peers by family.
func compact(peers []netip.AddrPort) (v4, v6 []byte) {
	for _, p := range peers {
		if p.Addr().Is4() {
			v4 = endpoint.AppendCompact(v4, p)
		} else {
			v6 = endpoint.AppendCompact(v6, p)
		}
	}
	return v4, v6
}
